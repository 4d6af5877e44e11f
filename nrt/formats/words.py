"""What the kernels of the word formats share: stores of events, vector code, the check before writing.

An EVENT is two 64-bit words, t and x | y << 16 | p << 32, and kernels see a slab of them as `int64[n, 2]`.
The intrinsics below are LLVM IR because numba cannot be talked into it: a load or store without the test for
negative indices, a row of events from a bit mask, whole registers of words at a time. Their vectors are generic,
so LLVM splits them to what the processor has; nothing here names an instruction set.

They take addresses (`array.ctypes.data`), not arrays: numba counts references to every array that a function is
given, which costs more than decoding a word. Nothing is checked here: callers keep inside their input, and leave
`Decoder.reserve` places free behind the last event they count.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numpy.typing import NDArray

from nrt.jit import inline, jit
from nrt.packet import Records, words

Events = NDArray[np.int64]
"""A slab of events as `int64[n, 2]`."""

LANES: Final = 16
"""How many EVT2 or DAT records are taken at once."""

BLOCK: Final = 64
"""How many EVT3 words are looked at together, a bit each of an int64."""

_TURN = 1 << 34
_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


def event_words(events: Records) -> Events:
    """The slab as `int64[n, 2]`, without a copy."""
    return words(events).view(np.int64)


def _bit_positions() -> NDArray[np.uint8]:
    table = np.zeros((256, 8), np.uint8)
    for mask in range(256):
        places = [bit for bit in range(8) if mask >> bit & 1]
        table[mask, : len(places)] = places
    return table.reshape(-1)


BITS: Final = _bit_positions()
"""For each byte the places of its set bits, lowest first, padded to 8."""


def _vector(element: Any, lanes: int) -> Any:
    return ir.VectorType(element, lanes)


def _constant(element: Any, lanes: int, value: int) -> Any:
    return ir.Constant(_vector(element, lanes), [value] * lanes)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    vector = _vector(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), _constant(_I32, lanes, 0))


def _at(builder: Any, base: Any, index: Any, size: int, kind: Any) -> Any:
    """Pointer to a `kind` at the element `index`, of `size` bytes each, after the address `base`."""
    start = builder.inttoptr(base, _I8.as_pointer())
    place = builder.gep(start, [builder.mul(index, ir.Constant(_I64, size))])
    return builder.bitcast(place, kind.as_pointer())


def _load(builder: Any, base: Any, index: Any, size: int, element: Any, lanes: int) -> Any:
    return builder.load(_at(builder, base, index, size, _vector(element, lanes)), align=1)


def _store_rows(builder: Any, slab: Any, n: Any, first: Any, second: Any, lanes: int) -> None:
    """Stores the rows (first[i], second[i]) from event n on, in registers of eight words."""
    for low in range(0, lanes, 4):
        order = [lane for i in range(low, low + 4) for lane in (i, lanes + i)]
        rows = builder.shuffle_vector(first, second, ir.Constant(_vector(_I32, 8), order))
        place = _at(builder, slab, builder.add(n, ir.Constant(_I64, low)), 16, _vector(_I64, 8))
        builder.store(rows, place, align=8)


def _emitted(result: Any) -> Callable[[Callable[..., Any]], Any]:
    """An intrinsic over integers that returns `result`; the function decorated emits its code."""

    def decorate(body: Callable[..., Any]) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = body(builder, *arguments)
            return context.get_dummy_value() if value is None else value

        def typed(typing: Any, *arguments: Any) -> Any:
            return result(*[types.int64] * len(arguments)), generate

        named: Any = typed
        named.__name__ = body.__name__
        named.__signature__ = inspect.signature(body)  # numba wants the arguments counted, not starred
        return extending.intrinsic(named)

    return decorate


def _fields(builder: Any, found: Any, x: tuple[int, int], y: tuple[int, int], p: int) -> Any:
    """x | y << 16 | p << 32 from the (shift, mask) of each field in 64-bit lanes."""

    def field(shift: int, mask: int, to: int) -> Any:
        value = builder.lshr(found, _constant(_I64, LANES, shift))
        return builder.shl(builder.and_(value, _constant(_I64, LANES, mask)), _constant(_I64, LANES, to))

    return builder.or_(builder.or_(field(*x, 0), field(*y, 16)), field(p, 1, 32))


@_emitted(types.int64)
def _word16(builder: Any, raw: Any, i: Any) -> Any:
    return builder.zext(builder.load(_at(builder, raw, i, 2, _I16), align=1), _I64)


@_emitted(types.int64)
def _word32(builder: Any, raw: Any, i: Any) -> Any:
    return builder.zext(builder.load(_at(builder, raw, i, 4, _I32), align=1), _I64)


@_emitted(types.void)
def _put(builder: Any, slab: Any, n: Any, t: Any, xyp: Any) -> None:
    place = _at(builder, slab, n, 16, _I64)
    builder.store(t, place, align=8)
    builder.store(xyp, builder.gep(place, [ir.Constant(_I64, 1)]), align=8)


@_emitted(types.int64)
def _put_bits(builder: Any, slab: Any, n: Any, t: Any, xyp: Any, bits: Any, table: Any) -> Any:
    places = builder.zext(_load(builder, table, bits, 8, _I8, 8), _vector(_I64, 8))
    second = builder.add(places, _splat(builder, xyp, 8))
    _store_rows(builder, slab, n, _splat(builder, t, 8), second, 8)
    return builder.add(n, builder.ctpop(bits))


def _leading(builder: Any, mask: Any, lanes: int) -> Any:
    """How many lanes are true before the first that is not."""
    bits = builder.zext(builder.bitcast(mask, ir.IntType(lanes)), _I64)
    return builder.cttz(builder.not_(bits), ir.Constant(_I1, 0))


@_emitted(types.int64)
def _put_evt2(builder: Any, raw: Any, i: Any, slab: Any, n: Any, time: Any) -> Any:
    words = _load(builder, raw, i, 4, _I32, LANES)
    found = builder.zext(words, _vector(_I64, LANES))
    low = builder.lshr(found, _constant(_I64, LANES, 22))
    t = builder.add(builder.and_(low, _constant(_I64, LANES, 0x3F)), _splat(builder, time, LANES))
    _store_rows(builder, slab, n, t, _fields(builder, found, (11, 0x7FF), (0, 0x7FF), 28), LANES)
    is_cd = builder.icmp_unsigned("<", words, _constant(_I32, LANES, 2 << 28))
    return _leading(builder, is_cd, LANES)


@_emitted(types.int64)
def _put_evt21(builder: Any, raw: Any, i: Any, turn: Any, slab: Any, n: Any, time: Any) -> Any:
    stored = _load(builder, raw, i, 8, _I64, LANES)
    back = _splat(builder, builder.sub(ir.Constant(_I64, 64), turn), LANES)
    # both byte orders as one: turned by 32 bits, or by none (shifts by 64 are undefined, so those are masked)
    left = builder.shl(stored, _splat(builder, turn, LANES))
    right = builder.lshr(stored, builder.and_(back, _constant(_I64, LANES, 63)))
    words = builder.or_(left, right)
    bits = builder.and_(words, _constant(_I64, LANES, 0xFFFFFFFF))
    lower = builder.sub(bits, _constant(_I64, LANES, 1))
    several = builder.and_(bits, lower)
    zero = _constant(_I64, LANES, 0)
    lone = builder.and_(builder.icmp_signed("==", several, zero), builder.icmp_signed("!=", bits, zero))
    is_cd = builder.icmp_unsigned("<", words, _constant(_I64, LANES, 2 << 60))
    low = builder.and_(builder.lshr(words, _constant(_I64, LANES, 54)), _constant(_I64, LANES, 0x3F))
    t = builder.add(low, _splat(builder, time, LANES))
    # of a power of two less one, the number of bits is the place of the bit
    kind = ir.FunctionType(lower.type, [lower.type])
    declared: Any = cgutils.get_or_insert_function
    count = declared(builder.module, kind, f"llvm.ctpop.v{LANES}i64")
    xyp = _fields(builder, words, (43, 0x7FF), (32, 0x7FF), 60)
    xyp = builder.add(xyp, builder.call(count, [lower]))
    _store_rows(builder, slab, n, t, xyp, LANES)
    return _leading(builder, builder.and_(is_cd, lone), LANES)


@_emitted(types.void)
def _put_dat(builder: Any, raw: Any, i: Any, slab: Any, n: Any, epoch: Any) -> None:
    found = _load(builder, raw, i, 8, _I64, LANES)
    low = builder.and_(found, _constant(_I64, LANES, 0xFFFFFFFF))
    t = builder.add(low, _splat(builder, epoch, LANES))
    _store_rows(builder, slab, n, t, _fields(builder, found, (32, 0x3FFF), (46, 0x3FFF), 60), LANES)


@_emitted(types.boolean)
def _any_turn(builder: Any, raw: Any, i: Any) -> Any:
    before = builder.sub(i, ir.Constant(_I64, 1))
    t, previous = (
        builder.trunc(_load(builder, raw, at, 8, _I64, LANES), _vector(_I32, LANES)) for at in (i, before)
    )
    far = builder.icmp_unsigned(">", builder.sub(previous, t), _constant(_I32, LANES, 1 << 31))
    turns = builder.and_(far, builder.icmp_unsigned("<", t, previous))
    return builder.icmp_unsigned(
        "!=", builder.bitcast(turns, ir.IntType(LANES)), ir.Constant(ir.IntType(LANES), 0)
    )


@_emitted(types.int64)
def _equals(builder: Any, raw: Any, i: Any, value: Any, mask: Any) -> Any:
    found = _load(builder, raw, i, 2, _I16, BLOCK)
    wanted, under = (_splat(builder, builder.trunc(x, _I16), BLOCK) for x in (value, mask))
    return builder.bitcast(builder.icmp_unsigned("==", builder.and_(found, under), wanted), _I64)


@_emitted(types.int64)
def _bit_count(builder: Any, value: Any) -> Any:
    return builder.ctpop(value)


@_emitted(types.int64)
def _trailing_zeros(builder: Any, value: Any) -> Any:
    return builder.cttz(value, ir.Constant(_I1, 0))


@_emitted(types.int64)
def _leading_zeros(builder: Any, value: Any) -> Any:
    return builder.ctlz(value, ir.Constant(_I1, 0))


# what kernels call, with types that the checkers know

word16: Callable[[int, int], int] = _word16
"""word16(raw, i): the 16-bit word i."""

word32: Callable[[int, int], int] = _word32
"""word32(raw, i): the 32-bit word i."""

put: Callable[[int, int, int, int], None] = _put
"""put(slab, n, t, xyp): event n of the slab."""

put_bits: Callable[[int, int, int, int, int, int], int] = _put_bits
"""put_bits(slab, n, t, xyp, bits, table): an event at x + i for each bit i of a byte; n plus their number.

Without a branch: it always stores eight events and the caller keeps the first of them. table: address of `BITS`."""

put_evt2: Callable[[int, int, int, int, int], int] = _put_evt2
"""put_evt2(raw, i, slab, n, time): at most LANES EVT2 CD words from i on, up to the first other word; their number.

Without a branch: it always stores LANES events and the caller keeps those that are counted."""

put_evt21: Callable[[int, int, int, int, int, int], int] = _put_evt21
"""put_evt21(raw, i, turn, slab, n, time): as put_evt2 for the EVT2.1 CD words with one event each; turn: 0, or 32 for
words with the high half first."""

any_turn: Callable[[int, int], bool] = _any_turn
"""any_turn(raw, i): whether the 32-bit clock turned over before one of the LANES DAT records from i >= 1 on."""

put_dat: Callable[[int, int, int, int, int], None] = _put_dat
"""put_dat(raw, i, slab, n, epoch): LANES DAT records from i on, all in one turn of the 32-bit clock."""

equals: Callable[[int, int, int, int], int] = _equals
"""equals(raw, i, value, mask): a bit for each of the BLOCK 16-bit words from i on that is `value` under `mask`."""

bit_count: Callable[[int], int] = _bit_count
"""How many bits are set."""

trailing_zeros: Callable[[int], int] = _trailing_zeros
"""Place of the lowest set bit; 64 for 0."""

leading_zeros: Callable[[int], int] = _leading_zeros
"""63 less the place of the highest set bit; 64 for 0."""


@inline
def next_time(time: int, high: int) -> int:
    """The time base after a TIME_HIGH of EVT2 or EVT2.1, `high` µs of a clock that turns over every 2^34 µs."""
    following = (time & ~(_TURN - 1)) | high
    return following + (_TURN if time - following > _TURN >> 1 else 0)


@jit
def first_refused(events: Events, width: int, height: int, last: int, gap: int) -> int:
    """Index of the first event outside the sensor, before its predecessor or `gap` µs after it; else the length.

    last: time of the event before the first one.
    """
    for i in range(len(events)):
        t = events[i, 0]
        x = events[i, 1] & 0xFFFF
        y = (events[i, 1] >> 16) & 0xFFFF
        if (x >= width) | (y >= height) | (t < last) | (t - last >= gap):
            return i
        last = t
    return len(events)

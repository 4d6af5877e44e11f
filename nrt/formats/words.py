"""What the kernels of the word formats share: stores of events, vector code, the check before writing.

An EVENT is two 64-bit words, t and x | y << 16 | p << 32, and kernels see a slab of them as `int64[n, 2]`.
The intrinsics below are LLVM IR because numba cannot be talked into it: a store without the wrap-around test
of negative indices, one row of events from a bit mask, whole registers of records at a time. Their vectors are
generic, so LLVM splits them to what the processor has; nothing here names an instruction set.

Offsets are not checked: every caller keeps `reserve` places free behind the last event it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from nrt.jit import jit
from nrt.packet import Records, words

Events = NDArray[np.int64]
"""A slab of events as `int64[n, 2]`."""

LANES: Final = 16
"""How many EVT2 or DAT records `put_evt2` and `put_dat` take at once."""

_I1, _I8, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))


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


def _vector(element: ir.Type, lanes: int) -> ir.VectorType:
    return ir.VectorType(element, lanes)


def _constant(element: ir.Type, lanes: int, value: int) -> ir.Constant:
    return ir.Constant(_vector(element, lanes), [value] * lanes)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    vector = _vector(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), _constant(_I32, lanes, 0))


def _data(context: Any, builder: Any, array_type: Any, value: Any, index: Any) -> Any:
    """Address of the element `index` of a C-contiguous array."""
    array = cgutils.create_struct_proxy(array_type)(context, builder, value=value)
    return builder.gep(array.data, [index])


def _load(builder: Any, address: Any, element: ir.Type, lanes: int) -> Any:
    return builder.load(builder.bitcast(address, _vector(element, lanes).as_pointer()), align=1)


def _store_rows(builder: Any, address: Any, first: Any, second: Any, lanes: int) -> None:
    """Stores the rows (first[i], second[i]) one after the other, in registers of eight words."""
    for low in range(0, lanes, 4):
        order = [lane for i in range(low, low + 4) for lane in (i, lanes + i)]
        rows = builder.shuffle_vector(first, second, ir.Constant(_vector(_I32, 8), order))
        place = builder.gep(address, [ir.Constant(_I64, 2 * low)])
        builder.store(rows, builder.bitcast(place, _vector(_I64, 8).as_pointer()), align=8)


def _put(typing: Any, out: Any, n: Any, t: Any, xyp: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _data(
            context, builder, signature.args[0], args[0], builder.shl(args[1], ir.Constant(_I64, 1))
        )
        builder.store(args[2], place, align=8)
        builder.store(args[3], builder.gep(place, [ir.Constant(_I64, 1)]), align=8)
        return context.get_dummy_value()

    return types.void(out, types.int64, types.int64, types.int64), generate


put: Callable[[Events, int, int, int], None] = intrinsic(_put)
"""put(out, n, t, xyp): event n of the slab."""


def _put_bits(typing: Any, out: Any, n: Any, t: Any, xyp: Any, bits: Any, table: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        slab, n_, t_, xyp_, bits_, table_ = args
        entry = _data(context, builder, signature.args[5], table_, builder.shl(bits_, ir.Constant(_I64, 3)))
        places = builder.zext(_load(builder, entry, _I8, 8), _vector(_I64, 8))
        second = builder.add(places, _splat(builder, xyp_, 8))
        start = _data(context, builder, signature.args[0], slab, builder.shl(n_, ir.Constant(_I64, 1)))
        _store_rows(builder, start, _splat(builder, t_, 8), second, 8)
        return builder.add(n_, builder.ctpop(bits_))

    return types.int64(out, types.int64, types.int64, types.int64, types.int64, table), generate


put_bits: Callable[[Events, int, int, int, int, NDArray[np.uint8]], int] = intrinsic(_put_bits)
"""put_bits(out, n, t, xyp, bits, BITS): one event at x + i for each bit i of a byte; returns n plus their number.

Without a branch: it always stores eight events and the caller keeps the first of them."""


def _all_below(typing: Any, raw: Any, i: Any, limit: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = _load(builder, _data(context, builder, signature.args[0], args[0], args[1]), _I32, LANES)
        limits = _splat(builder, builder.trunc(args[2], _I32), LANES)
        mask = builder.bitcast(builder.icmp_unsigned("<", found, limits), ir.IntType(LANES))
        return builder.icmp_unsigned("==", mask, ir.Constant(ir.IntType(LANES), -1))

    return types.boolean(raw, types.int64, types.int64), generate


all_below: Callable[[NDArray[np.uint32], int, int], bool] = intrinsic(_all_below)
"""all_below(raw, i, limit): whether the LANES words from i on are all below the limit, unsigned."""


def _put_evt2(typing: Any, raw: Any, i: Any, out: Any, n: Any, time: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def field(shift: int, mask: int) -> Any:
            return builder.and_(
                builder.lshr(found, _constant(_I64, LANES, shift)), _constant(_I64, LANES, mask)
            )

        address = _data(context, builder, signature.args[0], args[0], args[1])
        found = builder.zext(_load(builder, address, _I32, LANES), _vector(_I64, LANES))
        t = builder.add(field(22, 0x3F), _splat(builder, args[4], LANES))
        y = builder.shl(field(0, 0x7FF), _constant(_I64, LANES, 16))
        p = builder.shl(field(28, 1), _constant(_I64, LANES, 32))
        xyp = builder.or_(builder.or_(field(11, 0x7FF), y), p)
        place = _data(
            context, builder, signature.args[2], args[2], builder.shl(args[3], ir.Constant(_I64, 1))
        )
        _store_rows(builder, place, t, xyp, LANES)
        return context.get_dummy_value()

    return types.void(raw, types.int64, out, types.int64, types.int64), generate


put_evt2: Callable[[NDArray[np.uint32], int, Events, int, int], None] = intrinsic(_put_evt2)
"""put_evt2(raw, i, out, n, time): LANES EVT2 CD words from i on, all on top of one TIME_HIGH."""


def _put_dat(typing: Any, raw: Any, i: Any, out: Any, n: Any, epoch: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def field(shift: int, mask: int) -> Any:
            return builder.and_(
                builder.lshr(found, _constant(_I64, LANES, shift)), _constant(_I64, LANES, mask)
            )

        found = _load(builder, _data(context, builder, signature.args[0], args[0], args[1]), _I64, LANES)
        t = builder.add(field(0, 0xFFFFFFFF), _splat(builder, args[4], LANES))
        y = builder.shl(field(46, 0x3FFF), _constant(_I64, LANES, 16))
        p = builder.shl(field(60, 1), _constant(_I64, LANES, 32))
        xyp = builder.or_(builder.or_(field(32, 0x3FFF), y), p)
        place = _data(
            context, builder, signature.args[2], args[2], builder.shl(args[3], ir.Constant(_I64, 1))
        )
        _store_rows(builder, place, t, xyp, LANES)
        return context.get_dummy_value()

    return types.void(raw, types.int64, out, types.int64, types.int64), generate


put_dat: Callable[[NDArray[np.int64], int, Events, int, int], None] = intrinsic(_put_dat)
"""put_dat(raw, i, out, n, epoch): LANES DAT records from i on, all in one turn of the 32-bit clock."""


def _any_wrap(typing: Any, raw: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        low = _vector(_I32, LANES)
        here = _data(context, builder, signature.args[0], args[0], args[1])
        before = builder.gep(here, [ir.Constant(_I64, -1)])
        t, previous = (builder.trunc(_load(builder, a, _I64, LANES), low) for a in (here, before))
        # a step back by more than half the range: the difference, as 33 bits, is above 2^31
        falls = builder.icmp_unsigned("<", t, previous)
        far = builder.icmp_unsigned(">", builder.sub(previous, t), _constant(_I32, LANES, 1 << 31))
        mask = builder.bitcast(builder.and_(falls, far), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", mask, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(raw, types.int64), generate


any_wrap: Callable[[NDArray[np.int64], int], bool] = intrinsic(_any_wrap)
"""any_wrap(raw, i): whether the 32-bit clock turned over before one of the LANES DAT records from i >= 1 on."""


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

"""Eight pixels that must be looked at, followed through a step together, as vector code.

What `pixels` does for one pixel after the other, for the usual case: a pixel fires `MOST` times at most, and nothing
else happens to it. All is computed for all eight, in the same operations and the same order, so that the events are
the same bit for bit; where one of them does something else, nothing is written, and they are followed one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

GROUP: Final = 8
MOST: Final = 3
"""Events of one pixel in a step that are still usual."""
_I1, _I32, _I64, _F32, _F64 = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()


def _row(element: Any) -> Any:
    return ir.VectorType(element, GROUP)


def _same(builder: Any, scalar: Any) -> Any:
    """A scalar in every lane."""
    row = _row(scalar.type)
    one = builder.insert_element(ir.Constant(row, ir.Undefined), scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, ir.Constant(row, ir.Undefined), ir.Constant(_row(_I32), [0] * GROUP))


def _number(element: Any, value: float) -> Any:
    return ir.Constant(_row(element), [value] * GROUP)


def _lane(k: int) -> Any:
    return ir.Constant(_I32, k)


def _pointer(builder: Any, address: Any, index: Any, element: Any) -> Any:
    return builder.gep(builder.inttoptr(address, element.as_pointer()), [index])


def _gather(builder: Any, address: Any, indices: Any, element: Any) -> Any:
    """The numbers at `indices` behind `address`."""
    found = ir.Constant(_row(element), ir.Undefined)
    for k in range(GROUP):
        place = _pointer(builder, address, builder.extract_element(indices, _lane(k)), element)
        found = builder.insert_element(found, builder.load(place, align=4), _lane(k))
    return found


def _wide(builder: Any, row: Any) -> Any:
    return builder.fpext(row, _row(_F64))


def _all(builder: Any, mask: Any) -> Any:
    bits = builder.bitcast(mask, ir.IntType(GROUP))
    return builder.icmp_unsigned("==", bits, ir.Constant(ir.IntType(GROUP), (1 << GROUP) - 1))


def _ceil(builder: Any, row: Any) -> Any:
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, ir.FunctionType(row.type, [row.type]), f"llvm.ceil.v{GROUP}f64"
    )
    return builder.call(function, [row])


def _body(builder: Any, arguments: list[Any]) -> Any:
    """The equations of `pixels._follow`, in its order."""
    (
        places, k, begin, light, before, v, memory, on_at, off_at, leak_at, marked, width, inverse, later, reset,
        events, n, span, per_us, refractory, leak_light,
    ) = arguments  # fmt: skip
    place_at = builder.bitcast(_pointer(builder, places, k, _I32), _row(_I32).as_pointer())
    at = builder.zext(builder.load(place_at, align=4), _row(_I64))
    i = builder.add(at, _same(builder, begin))
    zero, spans = _number(_F64, 0.0), _same(builder, span)
    new = _gather(builder, v, i, _F32)
    held_bits = _gather(builder, memory, i, _I32)
    held = builder.bitcast(held_bits, _row(_F32))
    left = builder.sitofp(builder.sub(builder.sext(held_bits, _row(_I64)), _same(builder, reset)), _row(_F64))
    rise = builder.fsub(_wide(builder, new), _wide(builder, _gather(builder, before, at, _F32)))
    lit = builder.fmul(_same(builder, leak_light), _wide(builder, _gather(builder, light, i, _F32)))
    leaking = builder.fmul(
        _wide(builder, _gather(builder, leak_at, i, _F32)), builder.fadd(_number(_F64, 1.0), lit)
    )
    slope = builder.fadd(builder.fmul(rise, _same(builder, per_us)), leaking)
    on = _wide(builder, _gather(builder, on_at, i, _F32))
    off = builder.fneg(_wide(builder, _gather(builder, off_at, i, _F32)))
    free = builder.fcmp_ordered("==", held, held)
    d = builder.fsub(builder.fsub(_wide(builder, new), _wide(builder, held)), builder.fmul(slope, spans))
    u, d = builder.select(free, zero, left), builder.select(free, d, zero)
    rises = builder.fcmp_ordered(">", slope, zero)
    threshold = builder.select(rises, on, off)
    when = builder.fadd(u, builder.fdiv(builder.fsub(threshold, d), slope))
    fires = builder.and_(builder.fcmp_ordered(">=", when, u), builder.fcmp_ordered("<", when, spans))
    then = builder.select(fires, builder.fadd(when, _same(builder, refractory)), u)
    wait = builder.fdiv(threshold, slope)  # to the next crossing, and to each that follows
    times, firing = [when], [fires]
    for _ in range(MOST):
        following = builder.fadd(then, wait)
        more = builder.and_(firing[-1], builder.fcmp_ordered("<", following, spans))
        times.append(following)
        firing.append(more)
        then = builder.select(more, builder.fadd(following, _same(builder, refractory)), then)
    between = builder.and_(builder.fcmp_ordered("<", d, on), builder.fcmp_ordered(">", d, off))
    usual = builder.and_(between, builder.not_(firing[MOST]))
    usual = builder.and_(usual, builder.icmp_signed("!=", i, _same(builder, marked)))
    result = cgutils.alloca_once_value(builder, ir.Constant(_I64, -1))  # type: ignore[no-untyped-call]
    with builder.if_then(_all(builder, usual)):
        y = builder.ashr(builder.mul(i, _same(builder, inverse)), _number(_I64, 40))
        x = builder.sub(i, builder.mul(y, _same(builder, width)))
        place = builder.or_(builder.shl(y, _number(_I64, 16)), x)
        place = builder.or_(builder.shl(builder.zext(rises, _row(_I64)), _number(_I64, 32)), place)
        out = []
        for time, fired in zip(times[:MOST], firing[:MOST], strict=True):
            whole = builder.fptosi(builder.select(fired, time, zero), _row(_I64))
            event = builder.or_(builder.shl(whole, _number(_I64, 33)), place)
            out.append((event, builder.zext(fired, _row(_I64))))
        moved = builder.fadd(builder.select(fires, zero, d), builder.fmul(slope, builder.fsub(spans, then)))
        rest = builder.fsub(new, builder.fptrunc(moved, _row(_F32)))
        until = builder.add(_same(builder, later), builder.fptosi(_ceil(builder, then), _row(_I64)))
        kept = builder.select(
            builder.fcmp_ordered("<", then, spans),
            builder.bitcast(rest, _row(_I32)),
            builder.trunc(until, _row(_I32)),
        )
        for lane in range(GROUP):
            for event, fired in out:
                each = builder.extract_element(event, _lane(lane))
                builder.store(each, _pointer(builder, events, n, _I64), align=8)
                n = builder.add(n, builder.extract_element(fired, _lane(lane)))
            home = _pointer(builder, memory, builder.extract_element(i, _lane(lane)), _I32)
            builder.store(builder.extract_element(kept, _lane(lane)), home, align=4)
        builder.store(n, result)
    return builder.load(result)


@intrinsic
def _follow_group(
    typing: Any,
    places: Any, k: Any, begin: Any, light: Any, before: Any, v: Any, memory: Any, on: Any, off: Any, leak: Any,
    marked: Any, width: Any, inverse: Any, later: Any, reset: Any, events: Any, n: Any,
    span: Any, per_us: Any, refractory: Any, leak_light: Any,
) -> Any:  # fmt: skip
    signature = types.int64(*[types.int64] * 17, *[types.float64] * 4)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _body(builder, list(arguments))

    return signature, generate


follow_group: Callable[..., int] = cast(Any, _follow_group)
"""follow_group(places, k, begin, light, before, v, memory, on, off, leak, marked, width, inverse, later, reset,
events, n, span, per_us, refractory, leak_light): the GROUP pixels at the int32 `places` from the k-th on.

Arrays are addresses, of pixel 0 (`before`: of pixel `begin`). Returns the number of events in `events` afterwards, or
-1, with nothing written, where something unusual happens. MOST · GROUP places of `events` behind n are used.
"""

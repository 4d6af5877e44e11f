"""A block of pixels advanced by one step, as vector code.

LLVM does not make vectors of this loop by itself: it would have to prove that eight columns do not overlap. Here the
block is written as vectors of `LANES` numbers, which LLVM cuts to what the processor has; no instruction set is
named. Columns are given by address, since numba counts references to every array that crosses a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from nrt_sim.sensors.arithmetic import constant, decay_body, fma, ln_body, reciprocal_body

LANES: Final = 16
_ROW = ir.VectorType(ir.FloatType(), LANES)
_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _place(builder: Any, address: Any, index: Any) -> Any:
    start = builder.inttoptr(address, ir.FloatType().as_pointer())
    return builder.bitcast(builder.gep(start, [index]), _ROW.as_pointer())


def _load(builder: Any, address: Any, index: Any) -> Any:
    return builder.load(_place(builder, address, index), align=4)


def _store(builder: Any, row: Any, address: Any, index: Any) -> None:
    builder.store(row, _place(builder, address, index), align=4)


def _splat(builder: Any, scalar: Any) -> Any:
    empty = ir.Constant(_ROW, ir.Undefined)
    one = builder.insert_element(empty, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES))


def _body(builder: Any, arguments: list[Any]) -> Any:
    """The equations of `pixels`, in the order of its docstring."""
    light_at, k, before_at, j, v_at, memory_at, on_at, off_at, leak_at, i, *scalars = arguments
    dark, rate, corner, span, leak_light = (_splat(builder, scalar) for scalar in scalars)
    light = _load(builder, light_at, k)
    lit = builder.fadd(light, dark)
    target = ln_body(builder, lit)
    old = _load(builder, v_at, i)
    faster = reciprocal_body(builder, builder.fadd(corner, lit), 2)
    kept = decay_body(builder, builder.fmul(builder.fmul(rate, lit), faster))
    new = fma(builder, builder.fsub(old, target), kept, target)
    fall = builder.fmul(_load(builder, leak_at, i), span)
    fall = builder.fmul(fall, fma(builder, leak_light, light, constant(light, 1)))
    held = _load(builder, memory_at, i)
    reset = builder.fcmp_unordered(
        "uno", held, held
    )  # its NaN holds a number, which arithmetic need not keep
    memory = builder.select(reset, held, builder.fsub(held, fall))
    change = builder.fsub(new, memory)
    _store(builder, old, before_at, j)
    _store(builder, new, v_at, i)
    _store(builder, memory, memory_at, i)
    below = builder.fcmp_ordered("<", change, _load(builder, on_at, i))
    above = builder.fcmp_ordered(">", change, builder.fneg(_load(builder, off_at, i)))
    quiet = builder.bitcast(builder.and_(below, above), ir.IntType(LANES))
    return builder.zext(builder.not_(quiet), _I64)


@intrinsic
def _advance(
    typing: Any,
    light: Any, k: Any, before: Any, j: Any, v: Any, memory: Any, on: Any, off: Any, leak: Any, i: Any,
    dark: Any, rate: Any, corner: Any, span: Any, leak_light: Any,
) -> Any:  # fmt: skip
    signature = types.int64(*[types.int64] * 10, *[types.float32] * 5)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _body(builder, list(arguments))

    return signature, generate


@intrinsic
def _put_places(typing: Any, table: Any, bits: Any, first: Any, out: Any, n: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, bits, first, out, n = arguments
        row8, row = ir.VectorType(ir.IntType(8), 8), ir.VectorType(_I32, 8)
        start = builder.inttoptr(table, ir.IntType(8).as_pointer())
        start = builder.gep(start, [builder.mul(bits, ir.Constant(_I64, 8))])
        places = builder.zext(builder.load(builder.bitcast(start, row8.as_pointer()), align=1), row)
        empty = ir.Constant(row, ir.Undefined)
        one = builder.insert_element(empty, builder.trunc(first, _I32), ir.Constant(_I32, 0))
        places = builder.add(places, builder.shuffle_vector(one, empty, ir.Constant(row, [0] * 8)))
        target = builder.gep(builder.inttoptr(out, _I32.as_pointer()), [n])
        builder.store(places, builder.bitcast(target, row.as_pointer()), align=4)
        return builder.add(n, builder.ctpop(bits))

    return types.int64(*[types.int64] * 5), generate


advance: Callable[..., int] = cast(Any, _advance)
"""advance(light, k, before, j, v, memory, on, off, leak, i, dark, rate, corner, span, leak_light): LANES pixels.

The light from index k on, the columns from index i on; v as it was goes to `before` from index j on. Columns are
addresses, numbers float32. Returns a bit for each pixel that must be looked at.
"""

put_places: Callable[[int, int, int, int, int], int] = cast(Any, _put_places)
"""put_places(table, bits, first, out, n): writes first + i for each bit i of a byte to the int32 `out` from n on.

Without a branch: eight are always written. Returns n plus the number of bits. table: address of `BITS`.
"""

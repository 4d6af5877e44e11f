"""Vectors inside numba kernels: explicit LLVM vector loads, multiplies, adds, compares and stores.

numba's own vectoriser guards every pair of slices against overlap, which costs more than the arithmetic of a
short channel loop. These intrinsics say what is meant: `lanes` numbers at an index of an array, held in
registers. LLVM cuts a vector to what the processor has (AVX-512, AVX2, SSE, NEON), so the lane counts here
are a grain, not a requirement. No operation is contracted or reordered: results are IEEE's, lane by lane. One
intrinsic, `add_outer`, asks for IEEE's fused multiply-add, and says so.

Tiles and how they are addressed are in `nrt_sim.cpu.tile`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import types

from nrt_sim.cpu.tile import (
    FUSES,
    LANES,
    WIDE,
    Codegen,
    TileType,
    block_of,
    bytes_of,
    cgutils,
    emitted,
    pointer_to,
    pointers_to,
    spread,
)


@emitted
def get(typing: Any, array: Any, index: Any) -> tuple[Any, Codegen]:
    """`array[index]` without Python's rule for negative indices, which costs as much as the rest of a short loop."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(array.dtype)
        return builder.load(pointer_to(context, builder, signature.args[0], args[0], args[1], kind))

    return array.dtype(array, types.int64), codegen


@emitted
def put(typing: Any, array: Any, index: Any, value: Any) -> tuple[Any, Codegen]:
    """`array[index] = value`, as `get`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(array.dtype)
        builder.store(args[2], pointer_to(context, builder, signature.args[0], args[0], args[1], kind))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), codegen


@emitted
def load_tile(typing: Any, array: Any, index: Any, step: Any, rows: Any, blocks: Any) -> tuple[Any, Codegen]:
    """A tile from `array`: its rows begin at `index`, `index + step`, …"""
    tile = TileType(array.dtype, rows.literal_value, blocks.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        result = ir.Constant(ir.ArrayType(block_of(context, tile), tile.rows * tile.blocks), ir.Undefined)
        pointers = pointers_to(context, builder, signature.args[0], args[0], args[1], args[2], tile)
        for k, pointer in enumerate(pointers):
            result = builder.insert_value(result, builder.load(pointer, align=bytes_of(tile)), k)
        return result

    return tile(array, types.int64, types.int64, rows, blocks), codegen


@emitted
def store_tile(typing: Any, array: Any, index: Any, step: Any, tile: Any) -> tuple[Any, Codegen]:
    """Writes the rows of `tile` at `index`, `index + step`, …"""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = pointers_to(context, builder, signature.args[0], args[0], args[1], args[2], tile)
        for k, pointer in enumerate(pointers):
            builder.store(builder.extract_value(args[3], k), pointer, align=bytes_of(tile))
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, tile), codegen


@emitted
def add_scaled(typing: Any, tile: Any, array: Any, index: Any, factor: Any) -> tuple[Any, Codegen]:
    """tile + factor · (as many consecutive numbers of `array`, from `index` on)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factors = spread(builder, args[3], block_of(context, tile))
        step = ir.Constant(ir.IntType(64), tile.blocks * LANES)
        pointers = pointers_to(context, builder, signature.args[1], args[1], args[2], step, tile)
        result = args[0]
        for k, pointer in enumerate(pointers):
            term = builder.fmul(builder.load(pointer, align=bytes_of(tile)), factors)
            result = builder.insert_value(result, builder.fadd(builder.extract_value(result, k), term), k)
        return result

    return tile(tile, array, types.int64, tile.dtype), codegen


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once where the processor can."""
    if not FUSES:
        return builder.fadd(c, builder.fmul(a, b))
    number = {"float": "f32", "double": "f64"}[str(a.type.element)]
    kind = ir.FunctionType(a.type, [a.type] * 3)
    fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{a.type.count}{number}")
    return builder.call(fused, [a, b, c])


@emitted
def add_outer(
    typing: Any, tile: Any, weights: Any, at: Any, inputs: Any, first: Any, step: Any
) -> tuple[Any, Codegen]:
    """tile + (numbers of `inputs` at `first`, `first + step`, …, one per row) x (one row of `weights` from `at` on).

    Each product is added with one rounding where the processor has an instruction for that (`FUSES`), else with two.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block, kind = block_of(context, tile), context.get_value_type(tile.dtype)
        row = TileType(tile.dtype, 1, tile.blocks)
        pointers = pointers_to(context, builder, signature.args[1], args[1], args[2], args[5], row)
        columns = [builder.load(pointer, align=bytes_of(tile)) for pointer in pointers]
        result, index = args[0], args[4]
        for r in range(tile.rows):
            number = builder.load(pointer_to(context, builder, signature.args[3], args[3], index, kind))
            factors = spread(builder, number, block)
            for k, column in enumerate(columns, r * tile.blocks):
                total = _multiply_add(builder, column, factors, builder.extract_value(result, k))
                result = builder.insert_value(result, total, k)
            index = builder.add(index, args[5])
        return result

    return tile(tile, weights, types.int64, inputs, types.int64, types.int64), codegen


@emitted
def scaled(typing: Any, array: Any, index: Any, factor: Any, rows: Any, blocks: Any) -> tuple[Any, Codegen]:
    """factor · (rows · blocks · 16 consecutive numbers of `array`, from `index` on), as a tile."""
    tile = TileType(array.dtype, rows.literal_value, blocks.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        factors = spread(builder, args[2], block_of(context, tile))
        result = ir.Constant(ir.ArrayType(block_of(context, tile), tile.rows * tile.blocks), ir.Undefined)
        step = ir.Constant(ir.IntType(64), tile.blocks * LANES)
        pointers = pointers_to(context, builder, signature.args[0], args[0], args[1], step, tile)
        for k, pointer in enumerate(pointers):
            result = builder.insert_value(
                result, builder.fmul(builder.load(pointer, align=bytes_of(tile)), factors), k
            )
        return result

    return tile(array, types.int64, array.dtype, rows, blocks), codegen


@emitted
def splat(typing: Any, scalar: Any) -> tuple[Any, Codegen]:
    """One block of 16 times `scalar`."""
    tile = TileType(scalar, 1, 1)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = block_of(context, tile)
        empty = ir.Constant(ir.ArrayType(block, 1), ir.Undefined)
        return builder.insert_value(empty, spread(builder, args[0], block), 0)

    return tile(scalar), codegen


def _rowwise(operation: Callable[[Any, Any, Any], Any]) -> Any:
    """An intrinsic of two tiles of one shape."""

    @emitted
    def binary(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = args[0]
            for k in range(a.rows * a.blocks):
                left, right = (builder.extract_value(arg, k) for arg in args)
                result = builder.insert_value(result, operation(builder, left, right), k)
            return result

        return a(a, a), codegen

    return binary


def _constant(value: float) -> Any:
    """An intrinsic that gives a tile like another, all `value`."""

    @emitted
    def constant(typing: Any, like: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            block, count = block_of(context, like), like.rows * like.blocks
            return ir.Constant(ir.ArrayType(block, count), [ir.Constant(block, [value] * LANES)] * count)

        return like(like), codegen

    return constant


def _compare(operator: str) -> Any:
    """An intrinsic of two blocks that gives one bit per lane, as uint64."""

    @emitted
    def compare(typing: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            left, right = (builder.extract_value(arg, 0) for arg in args)
            bits = builder.fcmp_unordered(operator, left, right) if operator == "!=" else None
            bits = builder.fcmp_ordered(operator, left, right) if bits is None else bits
            return builder.zext(builder.bitcast(bits, ir.IntType(LANES)), ir.IntType(64))

        return types.uint64(a, a), codegen

    return compare


def _unary(name: str) -> Any:
    """An intrinsic that applies LLVM's `llvm.<name>` to one block."""

    @emitted
    def apply(typing: Any, a: Any) -> tuple[Any, Codegen]:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            block = block_of(context, a)
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(block, [block]),
                f"llvm.{name}.v{LANES}f{a.dtype.bitwidth}",
            )
            value = builder.call(function, [builder.extract_value(args[0], 0)])
            return builder.insert_value(args[0], value, 0)

        return a(a), codegen

    return apply


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", b, a), b, a)


add: Any = _rowwise(lambda builder, a, b: builder.fadd(a, b))
subtract: Any = _rowwise(lambda builder, a, b: builder.fsub(a, b))
multiply: Any = _rowwise(lambda builder, a, b: builder.fmul(a, b))
divide: Any = _rowwise(lambda builder, a, b: builder.fdiv(a, b))
largest: Any = _rowwise(_larger)
smallest: Any = _rowwise(_smaller)
zeros_like: Any = _constant(0.0)
ones_like: Any = _constant(1.0)
not_below: Any = _compare(">=")
above: Any = _compare(">")
differs: Any = _compare("!=")
floor: Any = _unary("floor")
truncate: Any = _unary("trunc")
nearest_even: Any = _unary("rint")
magnitude: Any = _unary("fabs")


@emitted
def choose(typing: Any, bits: Any, a: Any, b: Any) -> tuple[Any, Codegen]:
    """Lane by lane, `a` where the bit is set, else `b`; tiles of one block."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        flags = builder.trunc(args[0], ir.IntType(LANES))
        mask = builder.bitcast(flags, ir.VectorType(ir.IntType(1), LANES))
        left, right = (builder.extract_value(arg, 0) for arg in args[1:])
        return builder.insert_value(args[1], builder.select(mask, left, right), 0)

    return a(types.uint64, a, a), codegen


@emitted
def lowest_bit(typing: Any, bits: Any) -> tuple[Any, Codegen]:
    """Index of the lowest set bit of a uint64 that is not zero, as int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@contextmanager
def _while_any(builder: Any, bits: Any) -> Generator[None]:
    """The body of a loop that runs while the number at `bits` is not zero."""
    test, body, end = (builder.append_basic_block(name) for name in ("test", "body", "end"))
    builder.branch(test)
    builder.position_at_end(test)
    left = builder.load(bits)
    builder.cbranch(builder.icmp_unsigned("!=", left, ir.Constant(left.type, 0)), body, end)
    builder.position_at_end(body)
    yield
    builder.branch(test)
    builder.position_at_end(end)


@emitted
def append(typing: Any, listed: Any, end: Any, first: Any, bits: Any) -> tuple[Any, Codegen]:
    """Writes `first` + k into int32 `listed` for each set bit k of 16, from `end` on; returns the new end.

    May write up to 16 numbers, whatever the bits. Without a branch where the processor can: whether a neuron
    fires is what branch prediction is worst at.
    """
    i32, i64 = ir.IntType(32), ir.IntType(64)
    block = ir.VectorType(i32, LANES)

    def packed(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = ir.Constant(block, list(range(LANES)))
        indices = builder.add(spread(builder, builder.trunc(args[2], i32), block), lanes)
        flags = builder.trunc(args[3], ir.IntType(LANES))
        mask = builder.bitcast(flags, ir.VectorType(ir.IntType(1), LANES))
        compress = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(block, [block, block, mask.type]),
            "llvm.x86.avx512.mask.compress.v16i32",
        )
        few = builder.call(compress, [indices, ir.Constant(block, [0] * LANES), mask])
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1], block)
        builder.store(few, pointer, align=4)
        return builder.add(args[1], builder.zext(builder.ctpop(flags), i64))

    def one_by_one(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = cgutils.alloca_once_value(builder, args[1])
        left = cgutils.alloca_once_value(builder, args[3])
        with _while_any(builder, left):
            bit = builder.cttz(builder.load(left), ir.Constant(ir.IntType(1), 1))
            index = builder.trunc(builder.add(args[2], bit), i32)
            builder.store(
                index, pointer_to(context, builder, signature.args[0], args[0], builder.load(at), i32)
            )
            builder.store(builder.add(builder.load(at), ir.Constant(i64, 1)), at)
            rest = builder.load(left)
            builder.store(builder.and_(rest, builder.sub(rest, ir.Constant(i64, 1))), left)
        return builder.load(at)

    signature = types.int64(listed, types.int64, types.int64, types.uint64)
    return signature, packed if WIDE else one_by_one


@emitted
def prefetch(typing: Any, array: Any, index: Any, blocks: Any) -> tuple[Any, Codegen]:
    """Asks for `blocks` blocks of `array` from `index` on, to be read soon. Any index will do: it never faults."""
    count = blocks.literal_value * LANES * bytes_of(array) // 64

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i32, byte = ir.IntType(32), ir.IntType(8)
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = pointer_to(context, builder, signature.args[0], args[0], args[1], byte)
        for line in range(count):
            at = builder.gep(pointer, [ir.Constant(ir.IntType(64), 64 * line)])
            builder.call(function, [at, *(ir.Constant(i32, k) for k in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.int64, blocks), codegen

"""Tile: numba's type of a few vectors held in registers, and what the intrinsics in `vector` are made of.

A Tile is `rows` rows of `blocks` vectors of 16 numbers each; a plain vector is a tile of one row of one block.
These counts must be constants at compile time (an int literal, or an int that a kernel closes over). Wider
LLVM vectors than of 16 numbers would do in straight-line code, but those whose count is no power of two are
taken apart into single numbers where they cross a loop (measured: 3 times slower).
"""

from __future__ import annotations

from collections.abc import Callable
from platform import machine
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils as _cgutils
from numba.core import codegen as _codegen
from numba.core import config as _config
from numba.core import types
from numba.extending import intrinsic, models, register_model

Codegen = Callable[..., Any]
Tile = Any
"""A value of `TileType` inside a kernel; type checkers see nothing of it."""

LANES: Final = 16
"""Neurons of one block: a cache line of float32."""


cgutils: Any = _cgutils
codegen_of: Any = _codegen
config: Any = _config
_numba: Any = intrinsic(prefer_literal=True)


def emitted(function: Callable[..., tuple[Any, Codegen]]) -> Any:
    """`function`, which gives a signature and the code to emit, as something that kernels call.

    It is called with its arguments' types, and kernels with the arguments: no one type says both.
    """
    return _numba(function)


class TileType(types.Type):  # pyright: ignore[reportUntypedBaseClass]
    """numba's type of a tile."""

    def __init__(self, dtype: Any, rows: int, blocks: int) -> None:
        self.dtype = dtype
        self.rows = rows
        self.blocks = blocks
        super().__init__(name=f"tile({dtype}, {rows}x{blocks})")


class _TileModel(models.PrimitiveModel):  # pyright: ignore[reportUntypedBaseClass]
    def __init__(self, manager: Any, tile: Any) -> None:
        block = ir.VectorType(manager.lookup(tile.dtype).get_value_type(), LANES)
        begin: Any = super().__init__  # numba does not say its type
        begin(manager, tile, ir.ArrayType(block, tile.rows * tile.blocks))


_register: Any = register_model(TileType)
_register(_TileModel)


def block_of(context: Any, tile: Any) -> Any:
    """LLVM's type of one vector of a tile."""
    return ir.VectorType(context.get_value_type(tile.dtype), LANES)


def pointer_to(context: Any, builder: Any, array_type: Any, array: Any, index: Any, block: Any) -> Any:
    """Pointer to a `block` that begins at an element of an array."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.bitcast(builder.gep(data, [index]), block.as_pointer())


def pointers_to(
    context: Any, builder: Any, array_type: Any, array: Any, at: Any, step: Any, tile: Any
) -> Any:
    """Pointers to the vectors of a tile in memory, row by row, in order."""
    for _ in range(tile.rows):
        for k in range(tile.blocks):
            lane = builder.add(at, ir.Constant(ir.IntType(64), k * LANES))
            yield pointer_to(context, builder, array_type, array, lane, block_of(context, tile))
        at = builder.add(at, step)


def bytes_of(tile: Any) -> int:
    """Of one number of a tile."""
    return int(tile.dtype.bitwidth) // 8


def spread(builder: Any, scalar: Any, block: Any) -> Any:
    """A `block` of equal numbers."""
    i32 = ir.IntType(32)
    one = builder.insert_element(ir.Constant(block, ir.Undefined), scalar, ir.Constant(i32, 0))
    mask = ir.Constant(ir.VectorType(i32, block.count), [0] * block.count)
    return builder.shuffle_vector(one, ir.Constant(block, ir.Undefined), mask)


_features: str = codegen_of.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES

WIDE: Final = "+avx512f" in _features
"""Whether the processor that numba compiles for has AVX-512: a block in one register, 32 registers."""

FUSES: Final = "+fma" in _features or machine() in ("aarch64", "arm64")
"""Whether it multiplies and adds in one instruction, with one rounding (x86 since 2013; all 64-bit ARM)."""

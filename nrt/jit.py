"""Compile a kernel with numba, once, cached on disk, free of the interpreter lock.

The one place that names numba's options, so that kernels stay typed Python for the type checkers.
Import it only from modules that hold kernels: numba takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """`function` compiled at its first call: no interpreter lock, no bounds checks, cached on disk.

    IEEE arithmetic is kept (no fast-math, no contraction), so that results do not depend on the machine; the one
    kernel that fuses multiply-adds asks for it by name (docs/decisions/0003).
    """
    return cast(F, numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")(function))


def bare(function: F) -> F:
    """As `jit`, for kernels that allocate nothing: arrays that they hand on are not reference-counted.

    numba counts references atomically around calls, which was measured as a third of a short time step.
    """
    njit: Any = numba.njit  # `_nrt` is not among the options that its types know
    return cast(F, njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", _nrt=False)(function))


def inline(function: F) -> F:
    """As `jit`, for small functions that other kernels call: always inlined by LLVM."""
    return cast(
        F,
        numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", forceinline=True)(
            function
        ),
    )

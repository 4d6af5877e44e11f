"""Arena: many arrays in one, so that a kernel takes a handful of arguments whatever the network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


def aligned(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """An uninitialised array whose first element begins a cache line."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.empty(size * itemsize + ALIGNMENT, np.uint8)
    begin = -raw.ctypes.data % ALIGNMENT
    return raw[begin : begin + size * itemsize].view(dtype)


class Arena:
    """Hands out offsets into an array that is built at the end."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.size = 0
        self._parts: list[tuple[int, NDArray[Any]]] = []

    def reserve(self, count: int) -> int:
        """Room for `count` elements, on a cache line; returns its offset."""
        offset = self.size
        grain = ALIGNMENT // self.dtype.itemsize
        self.size += -(-count // grain) * grain
        return offset

    def add(self, values: NDArray[Any]) -> int:
        """Room for `values`, which are copied by `build`; returns its offset."""
        offset = self.reserve(values.size)
        self._parts.append((offset, values.astype(self.dtype, copy=False).reshape(-1)))
        return offset

    def build(self) -> NDArray[Any]:
        """The array: what was added, zero elsewhere."""
        result = aligned(self.size, self.dtype)
        result[:] = 0
        for offset, values in self._parts:
            result[offset : offset + values.size] = values
        return result

"""Looks over an HDF5 file before the HDF5 library does: a damaged global heap makes that library loop for ever.

Strings of variable length lie in global heaps ("GCOL" collections, HDF5 file format specification, III.E). The
library walks the objects of a collection by their sizes, and a size of zero takes it nowhere, with no way to
interrupt it from Python (seen in libhdf5 2.0 on fuzzed files). So the same walk is made here first.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

_COLLECTION: Final = struct.Struct("<4sB3xQ")
_OBJECT: Final = struct.Struct("<HH4xQ")
_SIGNATURE: Final = b"GCOL\x01\0\0\0"
_PART: Final = 1 << 27
"""Bytes looked through at either end of a larger file: strings are written when a file is made or closed."""


def damaged_heap(path: Path) -> int | None:
    """Offset of the first object of a global heap whose size leads nowhere; None if there is none, or no file."""
    size = path.stat().st_size
    if size < _COLLECTION.size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for begin, end in ((0, min(size, _PART)), (max(size - _PART, _PART), size)):
            at = data.find(_SIGNATURE, begin, end)
            while at >= 0:
                bad = _walk(data, at, size)
                if bad is not None:
                    return bad
                at = data.find(_SIGNATURE, at + 1, end)
    return None


def _walk(data: mmap.mmap, collection: int, size: int) -> int | None:
    if collection + _COLLECTION.size > size:
        return None  # the library refuses it
    _, _, length = _COLLECTION.unpack_from(data, collection)
    end = min(collection + length, size)
    at = collection + _COLLECTION.size
    while at + _OBJECT.size <= end:
        index, _, content = _OBJECT.unpack_from(data, at)
        step = _OBJECT.size + (content + 7) // 8 * 8 if index else content
        if step < _OBJECT.size or at + step > end:
            return at
        at += step
    return None

"""Opens an HDF5 file that its writer never closed, without HDF5's retries.

A writer in single-writer mode marks the superblock; if it is killed the mark stays, and HDF5 then refuses to open
the file except as one that is still being written, in which mode it reads damaged metadata again and again for
minutes. So the mark is taken off in a view of the file: byte 11 of a superblock of version 3, and the checksum
behind it (HDF5 file format specification, II.A; the checksum is Jenkins' lookup3, hashlittle).
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Any, Final

import h5py

_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n\x03\x08\x08"
_FLAGS_AT: Final = 11
_SUPERBLOCK: Final = 48
_MASK: Final = 0xFFFFFFFF


class _Unmarked(FileIO):
    """A file whose superblock says that it was closed."""

    def __init__(self, path: Path, superblock: bytes) -> None:
        super().__init__(path, "rb")
        self._superblock = superblock

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = self.tell()
        got = super().readinto(buffer) or 0
        if at < _SUPERBLOCK:
            patch = self._superblock[at : at + got]
            buffer[: len(patch)] = patch
        return got


def open_file(path: Path) -> tuple[Any, FileIO | None]:
    """Opens for reading, closed or not; (the file, what to close after it). Raises what h5py raises."""
    with path.open("rb") as file:
        head = file.read(_SUPERBLOCK)
    if len(head) < _SUPERBLOCK or not head.startswith(_SIGNATURE) or not head[_FLAGS_AT]:
        return h5py.File(path, "r"), None
    body = head[:_FLAGS_AT] + b"\0" + head[_FLAGS_AT + 1 : -4]
    beneath = _Unmarked(path, body + lookup3(body).to_bytes(4, "little"))
    try:
        return h5py.File(beneath, "r"), beneath
    except BaseException:
        beneath.close()
        raise


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _MASK


def lookup3(data: bytes) -> int:
    """Jenkins' hashlittle with an initial value of 0."""
    if not data:
        return 0xDEADBEEF
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
    words += [0] * (-len(words) % 3)
    for i in range(0, len(words) - 3, 3):
        a, b, c = a + words[i] & _MASK, b + words[i + 1] & _MASK, c + words[i + 2] & _MASK
        for by in (4, 6, 8, 16, 19, 4):
            a = ((a - c) & _MASK) ^ _rotate(c, by)
            a, b, c = b, (c + b) & _MASK, a
    a, b, c = a + words[-3] & _MASK, b + words[-2] & _MASK, c + words[-1] & _MASK
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, by)) & _MASK
        a, b, c = b, c, a
    return b

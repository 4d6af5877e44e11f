"""Reads HDF5 files of strangers: groups and datasets, and never more memory than the file warrants.

We use pyfive, which is Python, and not HDF5's own library; docs/decisions/0001 says why. A damaged or hostile
file gives a ConfigError: a dataset may be at most as much larger than the file as deflate can compress, all
datasets together are bounded, and links are refused.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyfive as _pyfive
from numpy.typing import NDArray

from nrt.errors import ConfigError, NotFound, NrtError

pyfive: Any = _pyfive  # what leaves this module has types

T = TypeVar("T")
Value = NDArray[Any] | str

_DEFLATE: Final = 1100  # deflate compresses by at most 1032:1
_SPARE: Final = 1 << 20
_BUDGET: Final = (256 << 20, 100)  # bytes that all datasets together may take: a constant, and times the file
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_END_AT: Final = {0: 40, 1: 44, 2: 28, 3: 28}
"""Where a superblock of each version has the length of the file (HDF5 file format specification, II.A)."""


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5 does."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def read_with(path: str | Path, kind: str, reading: Callable[[Reader, Any], T]) -> T:
    """What `reading` makes of the file's root group. kind: what the file should be, for messages.

    Raises NotFound, or ConfigError for what is damaged or no HDF5.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFound(str(path), f"there is no file {path}")
    try:
        content = path.read_bytes()  # pyfive opens a path again by itself, and may leave it open
        _check_whole(path, content, kind)
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return reading(Reader(path, kind), pyfive.File(io.BytesIO(content)))
    except NrtError:
        raise
    except Exception as error:  # pyfive trusts what it parses: a damaged file may raise anything
        what = f"{type(error).__name__} {error}".rstrip()
        raise ConfigError(f"{path} is damaged, or uses more of HDF5 than {kind} does: {what}") from error


def _check_whole(path: Path, content: bytes, kind: str) -> None:
    """Raises ConfigError unless the superblock is HDF5's and the file as long as it says."""
    if not content.startswith(_SIGNATURE):
        raise ConfigError(f"{path} is no {kind} file: it is not HDF5")
    at = _END_AT.get(content[8]) if len(content) > 8 else None
    end = int.from_bytes(content[at : at + 8], "little") if at is not None else None
    if end is None or end > len(content):
        raise ConfigError(f"{path} is damaged: it says it has {end} bytes and has {len(content)}")


class Reader:
    """Reads one file and keeps account of the memory it asks for."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.kind = kind
        self.size = path.stat().st_size
        self.left = _BUDGET[0] + _BUDGET[1] * self.size

    def member(self, group: Any, key: str, name: str) -> Any:
        """The member of that name, None if there is none; links are refused. name: of the group, for messages."""
        if key not in group:
            return None
        if isinstance(group._links[key], str):
            raise ConfigError(f"{self.path}: '{key}' in '{name}' is a link; {self.kind} files contain none")
        return group[key]

    def group(self, group: Any, key: str, name: str) -> Any:
        """The member of that name if it is a group, else None."""
        member = self.member(group, key, name)
        return member if isinstance(member, pyfive.Group) else None

    def values(self, group: Any, name: str) -> dict[str, Value]:
        """The datasets of a group; empty ones are left out."""
        found = {key: self.dataset(group, key, name) for key in group}
        return {key: value for key, value in found.items() if value is not None}

    def dataset(self, group: Any, key: str, name: str) -> Value | None:
        """A dataset's numbers or text; None where there is none, or HDF5's empty one."""
        member = self.member(group, key, name)
        return self._value(f"{name}.{key}", member) if isinstance(member, pyfive.Dataset) else None

    def _value(self, name: str, dataset: Any) -> Value | None:
        if dataset.shape is None:
            return None
        asked = prod(map(int, dataset.shape)) * int(dataset.dtype.itemsize)
        if asked > _SPARE + _DEFLATE * self.size or asked > self.left:
            raise ConfigError(
                f"{self.path}: '{name}' claims shape {dataset.shape} in a file of {self.size} bytes"
            )
        self.left -= asked
        return plain(f"{self.path}: '{name}'", dataset[()])


def plain(name: str, value: Any) -> Value:
    """Bytes and strings as str, tables of them as arrays of str objects, numbers as arrays."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        texts = [text(name, v) for v in array.ravel()]
        if array.shape == ():
            return texts[0]
        out = np.empty(array.size, object)
        out[:] = texts
        return out.reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"{name} holds {array.dtype}, neither numbers nor text")
    return array


def text(name: str, value: Any) -> str:
    """A string. Raises ConfigError."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise ConfigError(f"{name} holds {type(value).__name__} objects, neither numbers nor text")

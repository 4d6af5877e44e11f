"""How events lie in an HDF5 file: sources that copy a span of rows into a slab, one class per layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from nrt.formats.ecf import FILTER, decode_ecf
from nrt.formats.words import event_words
from nrt.packet import EVENT, Records

LARGEST_CHUNK: Final = 1 << 26
"""Bytes; the HDF5 library unpacks a whole chunk to read any of it."""

_DEFLATE: Final = 1100  # deflate compresses by at most 1032:1
_SPARE: Final = 1 << 20

Column = NDArray[Any]


class Unreadable(ValueError):
    """A layout or content that cannot be read as events."""


class Rows(ABC):
    """The rows of a recording; `length` of them."""

    length: int

    @abstractmethod
    def copy(self, start: int, out: Records) -> int:
        """Copies rows from `start` into `out`, as many as are convenient; returns how many, at least 1."""


class Columns(Rows):
    """One data set for each field, in a group. Polarities may be signed or truth values."""

    def __init__(self, group: Any, fields: Sequence[str], offset: int = 0) -> None:
        self._sets = {name: require_numbers(group[name], 1) for name in fields}
        self._offset = offset
        self.length = min(len(column) for column in self._sets.values())

    def copy(self, start: int, out: Records) -> int:
        stop = min(start + len(out), self.length)
        clear_padding(out[: stop - start])
        for name, column in self._sets.items():
            store(out[: stop - start], name, column[start:stop], self._offset)
        return stop - start


class Matrix(Rows):
    """A data set of n rows t, x, y, p."""

    def __init__(self, dataset: Any) -> None:
        self._rows = require_numbers(dataset, 2)
        self.length = len(dataset)

    def copy(self, start: int, out: Records) -> int:
        rows = self._rows[start : start + len(out)]
        clear_padding(out[: len(rows)])
        for column, name in enumerate("txyp"):
            store(out[: len(rows)], name, rows[:, column], 0)
        return len(rows)


class Table(Rows):
    """A data set of records with t, x, y and p, packed with ECF, a stock filter or not at all."""

    def __init__(self, dataset: Any) -> None:
        if not {"t", "x", "y", "p"} <= set(dataset.dtype.names or ()) or dataset.ndim != 1:
            raise Unreadable(f"{dataset.name} holds no records of t, x, y and p")
        require_sound(dataset)
        self._dataset = dataset
        self.length = len(dataset)
        filters = dataset.id.get_create_plist()
        numbers = [int(filters.get_filter(i)[0]) for i in range(filters.get_nfilters())]
        self._is_ecf = FILTER in numbers
        if self._is_ecf:
            if numbers != [FILTER]:
                raise Unreadable(
                    f"{dataset.name} is packed with ECF and other filters ({numbers}), which is unknown"
                )
            self._unpacked = np.zeros(max(int(dataset.chunks[0]), 1), EVENT)
        self._loaded = -1

    def copy(self, start: int, out: Records) -> int:
        if not self._is_ecf:
            rows = self._dataset[start : start + len(out)]
            clear_padding(out[: len(rows)])
            for name in "txyp":
                store(out[: len(rows)], name, rows[name], 0)
            return len(rows)
        chunk = start - start % len(self._unpacked)
        if chunk != self._loaded:
            self._load(chunk)
        stop = min(start + len(out), chunk + len(self._unpacked), self.length)
        event_words(out)[: stop - start] = event_words(self._unpacked)[start - chunk : stop - chunk]
        return stop - start

    def _load(self, chunk: int) -> None:
        """Unpacks the ECF chunk that begins at row `chunk`."""
        self._loaded = -1
        skipped, packed = self._dataset.id.read_direct_chunk((chunk,))
        wanted = min(len(self._unpacked), self.length - chunk)
        if skipped:
            plain: Column = np.frombuffer(packed, self._dataset.dtype)[: len(self._unpacked)]
            for name in "txyp":
                store(self._unpacked[: len(plain)], name, plain[name], 0)
            count = len(plain)
        else:
            count = decode_ecf(np.frombuffer(packed, np.uint8), event_words(self._unpacked))
        if count < wanted:
            raise Unreadable(f"a damaged ECF chunk at row {chunk} of {self._dataset.name}")
        self._loaded = chunk


def clear_padding(out: Records) -> None:
    """Zeroes what no field of a record covers, so that its words are exact."""
    event_words(out)[:, 1] = 0


def store(out: Records, name: str, values: Column, offset: int) -> None:
    """Copies a column into a field of `out`. Raises Unreadable where the field cannot hold it."""
    if name == "p":
        out["p"] = values > 0
        return
    if name in ("x", "y") and len(values) and (values.min() < 0 or values.max() > 0xFFFF):
        raise Unreadable(f"a coordinate {name} beyond 0 to 65535")
    out[name] = values
    if name == "t" and offset:
        out["t"] += offset


def require_numbers(dataset: Any, dimensions: int) -> Any:
    """`dataset` if it holds whole numbers or truth values in chunks that can be read. Raises Unreadable."""
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != dimensions or dataset.dtype.kind not in "iub":
        raise Unreadable(f"{getattr(dataset, 'name', '?')} is no column of whole numbers")
    require_sound(dataset)
    return dataset


def require_sound(dataset: Any) -> None:
    """Raises Unreadable if a chunk is larger than 64 MiB, or if the file holds too little for so many rows.

    Rows that were never stored read as zeros, so a few bytes could stand for any number of events.
    """
    chunks, width = dataset.chunks, int(dataset.dtype.itemsize)
    size = width * prod(chunks) if chunks else 0
    if size > LARGEST_CHUNK:
        raise Unreadable(f"{dataset.name} has chunks of {size} bytes; at most {LARGEST_CHUNK} are read")
    stored = int(dataset.id.get_storage_size())
    if width * prod(dataset.shape) > _SPARE + _DEFLATE * stored:
        raise Unreadable(f"{dataset.name} claims shape {dataset.shape}, and {stored} bytes of it are stored")

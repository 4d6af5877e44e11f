"""Writes HDF5: our own columns, and Prophesee's records without ECF.

Our own files are written in HDF5's single-writer mode: after `flush` everything so far can be read, also while the
file is being written and also when the writer is killed (h5py opens it with `swmr=True`, our reader as it is).
Prophesee's readers do not open files in that mode, so that layout promises its rows only after `close`, or after
a `flush` that nothing followed.

HDF5 cannot recover from a write that fails: the file cannot even be closed. So before each write the disk is asked
for all the room that it may take, and a full disk shows there, with the file still whole.
"""

from __future__ import annotations

import errno
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Final

import h5py
import numpy as np

from nrt.errors import ConfigError
from nrt.formats.base import Writer
from nrt.formats.bounds import require_addresses, require_order
from nrt.packet import EVENT, SPIKE, Records

FORMAT_NAME: Final = "nrt-recording"
_VERSION: Final = 1
_EARLIEST: Final = -(1 << 63)
_CHUNK: Final = 1 << 14
_FILTERS: Final = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    "lzf": {"compression": "lzf", "shuffle": True},
}


def _filters(name: str) -> dict[str, Any]:
    if name not in _FILTERS:
        raise ConfigError(f"no HDF5 compression '{name}'; there is {', '.join(_FILTERS)}")
    return dict(_FILTERS[name])


_FULL: Final = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_METADATA: Final = 1 << 16


def _require_room(descriptor: int, end: int, rows: int, row: int) -> None:
    """Raises OSError if the file cannot grow from `end` by that many rows of `row` bytes, in chunks begun anew."""
    size = os.fstat(descriptor).st_size
    try:
        os.posix_fallocate(descriptor, end, row * (rows + 2 * _CHUNK) + _METADATA)
    except OSError as error:
        if error.errno in _FULL:  # others: a file system that cannot tell
            raise
    finally:
        os.ftruncate(descriptor, size)


def _create(path: Path, **options: Any) -> Any:
    """An empty h5py.File. Raises OSError where the disk is full."""
    with path.open("wb") as file:
        _require_room(file.fileno(), 0, 0, 16)
    return h5py.File(path, "w", **options)


class _RowsWriter(Writer):
    """Gathers records and appends them in large pieces; what the two layouts share."""

    appends: ClassVar[bool] = False

    def __init__(self, file: Any, row: int) -> None:
        """file: an h5py.File; row: bytes of a record on disk, at most."""
        self._file = file
        self._row = row
        self._pending: list[Records] = []
        self._count = self._unflushed = 0
        self._last = _EARLIEST

    @abstractmethod
    def _append(self, start: int, records: list[Records]) -> None:
        """Writes `records` as the rows from `start` to `events`."""

    def _gather(self, records: Records, last: int) -> None:
        self._last = last
        self._pending.append(records)
        self._count += len(records)
        self.events += len(records)
        if self._count >= 4 * _CHUNK:
            self._write_pending()

    def _write_pending(self) -> None:
        count, records = self._count, self._pending
        if not count:
            return
        self._count, self._pending = 0, []
        self._unflushed += count
        handle: int = self._file.id.get_vfd_handle()
        try:
            _require_room(handle, self._file.id.get_filesize(), self._unflushed, self._row)
        except OSError:
            self.events -= count
            raise
        self._append(self.events - count, records)

    def flush(self) -> None:
        self._write_pending()
        self._file.flush()
        self._unflushed = 0

    def close(self) -> None:
        if self._file:
            try:
                self._write_pending()
            finally:
                self._file.close()


class Hdf5Writer(_RowsWriter):
    """Columns t, x, y, p in /events, or t, n, v in /spikes."""

    def __init__(
        self, path: Path, shape: tuple[int, int, int], compression: str = "gzip", spikes: bool = False
    ) -> None:
        """compression: none, gzip or lzf; spikes: whether SPIKE records are written. Raises ConfigError."""
        filters = _filters(compression)
        self._shape = shape
        self._record = SPIKE if spikes else EVENT
        super().__init__(_create(path, libver="latest"), EVENT.itemsize)
        self._file.attrs["format"] = FORMAT_NAME
        self._file.attrs["version"] = _VERSION
        self._file.attrs["shape"] = np.array(shape, np.int64)
        self._file.attrs["creator"] = "nrt-runtime"
        group = self._file.create_group("spikes" if spikes else "events")
        self._columns = {
            name: group.create_dataset(
                name, (0,), self._record[name], maxshape=(None,), chunks=(_CHUNK,), **filters
            )
            for name in self._record.names or ()
        }
        self._columns["t"].attrs["unit"] = "us"
        self._file.swmr_mode = True

    def write(self, events: Records) -> None:
        if events.dtype != self._record:
            kind = "spikes" if self._record == SPIKE else "events"
            raise ConfigError(
                f"this HDF5 recording holds {kind}, not records of {', '.join(events.dtype.names or ())}"
            )
        require_order("HDF5", events, after=self._last)
        if self._record == EVENT:
            require_addresses("HDF5", events, self._shape[2], self._shape[1])
        if not len(events):
            return
        self._gather(events.copy(), int(events["t"][-1]))

    def _append(self, start: int, records: list[Records]) -> None:
        for name, column in self._columns.items():
            column.resize((self.events,))
            column[start:] = np.concatenate([events[name] for events in records])


_CD: Final = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)


class PropheseeHdf5Writer(_RowsWriter):
    """Records (x, y, p, t) in /CD/events, as Metavision lays them out, without its index and without ECF."""

    def __init__(self, path: Path, shape: tuple[int, int, int], compression: str = "gzip") -> None:
        """compression: none, gzip or lzf. Raises ConfigError."""
        filters = _filters(compression)
        _, self._height, self._width = shape
        super().__init__(_create(path), _CD.itemsize)
        self._file.attrs["format"] = "HDF5"
        self._file.attrs["geometry"] = f"{self._width}x{self._height}"
        self._file.attrs["creator"] = "nrt-runtime"
        group = self._file.create_group("CD")
        self._rows = group.create_dataset("events", (0,), _CD, maxshape=(None,), chunks=(_CHUNK,), **filters)

    def write(self, events: Records) -> None:
        require_order("Prophesee HDF5", events, after=self._last)
        require_addresses("Prophesee HDF5", events, self._width, self._height)
        if not len(events):
            return
        rows = np.zeros(len(events), _CD)
        for name in "xypt":
            rows[name] = events[name]
        self._gather(rows, int(events["t"][-1]))

    def _append(self, start: int, records: list[Records]) -> None:
        self._rows.resize((self.events,))
        self._rows[start:] = np.concatenate(records).astype(_CD)

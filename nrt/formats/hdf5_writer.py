"""Writes HDF5: our own columns, and Prophesee's records without ECF.

Our own files are written in HDF5's single-writer mode: after `flush` everything so far can be read, also while
the file is being written and also when the writer is killed (readers open it with `swmr=True`). Prophesee's
readers do not open files in that mode, so that layout promises its rows only after `close`, or after a `flush`
that nothing followed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

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


class Hdf5Writer(Writer):
    """Columns t, x, y, p in /events, or t, n, v in /spikes."""

    def __init__(
        self, path: Path, shape: tuple[int, int, int], compression: str = "gzip", spikes: bool = False
    ) -> None:
        """compression: none, gzip or lzf; spikes: whether SPIKE records are written. Raises ConfigError."""
        filters = _filters(compression)
        self._shape = shape
        self._record = SPIKE if spikes else EVENT
        self._file = h5py.File(path, "w", libver="latest")
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
        self._pending: list[Records] = []
        self._count = 0
        self._last = _EARLIEST

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
        self._last = int(events["t"][-1])
        self._pending.append(events.copy())
        self._count += len(events)
        self.events += len(events)
        if self._count >= 4 * _CHUNK:
            self._append()

    def _append(self) -> None:
        if not self._count:
            return
        start = self.events - self._count
        for name, column in self._columns.items():
            column.resize((self.events,))
            column[start:] = np.concatenate([events[name] for events in self._pending])
        self._pending.clear()
        self._count = 0

    def flush(self) -> None:
        self._append()
        self._file.flush()

    def close(self) -> None:
        if self._file:
            self._append()
            self._file.close()


_CD: Final = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)


class PropheseeHdf5Writer(Writer):
    """Records (x, y, p, t) in /CD/events, as Metavision lays them out, without its index and without ECF."""

    def __init__(self, path: Path, shape: tuple[int, int, int], compression: str = "gzip") -> None:
        """compression: none, gzip or lzf. Raises ConfigError."""
        filters = _filters(compression)
        _, self._height, self._width = shape
        self._file = h5py.File(path, "w")
        self._file.attrs["format"] = "HDF5"
        self._file.attrs["geometry"] = f"{self._width}x{self._height}"
        self._file.attrs["creator"] = "nrt-runtime"
        group = self._file.create_group("CD")
        self._rows = group.create_dataset("events", (0,), _CD, maxshape=(None,), chunks=(_CHUNK,), **filters)
        self._pending: list[Records] = []
        self._count = 0
        self._last = _EARLIEST

    def write(self, events: Records) -> None:
        require_order("Prophesee HDF5", events, after=self._last)
        require_addresses("Prophesee HDF5", events, self._width, self._height)
        if not len(events):
            return
        self._last = int(events["t"][-1])
        rows = np.zeros(len(events), _CD)
        for name in "xypt":
            rows[name] = events[name]
        self._pending.append(rows)
        self._count += len(events)
        self.events += len(events)
        if self._count >= 4 * _CHUNK:
            self._append()

    def _append(self) -> None:
        if self._count:
            self._rows.resize((self.events,))
            self._rows[self.events - self._count :] = np.concatenate(self._pending).astype(_CD)
            self._pending.clear()
            self._count = 0

    def flush(self) -> None:
        self._append()
        self._file.flush()

    def close(self) -> None:
        if self._file:
            self._append()
            self._file.close()

"""Events and spikes in HDF5: our own layout, Prophesee's, and those of common data sets.

| layout    | where                                                            | written           |
|-----------|------------------------------------------------------------------|-------------------|
| nrt       | group /events (t, x, y, p) or /spikes (t, n, v), root attributes | yes               |
| DSEC, RVT | group /events (t, x, y, p); /t_offset is added; height and width | no                |
| v2e       | data set /events, n rows of t, x, y, p                           | no                |
| Prophesee | data set /CD/events of records (x, y, p, t), /EXT_TRIGGER/events | yes, without ECF  |

Where columns differ in length, as in a file whose writer was killed between two of them, the shortest counts.
Offsets of damage are those of the first unreadable row, not of a byte: HDF5 does not say where on the disk it
failed. The HDF5 library is trusted with the bytes; the checks here bound what is allocated and turn its errors
into BadRecording.
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording
from nrt.formats.base import TRIGGER, Recording
from nrt.formats.hdf5_layouts import Columns, Matrix, Rows, Table, Unreadable, require_sound
from nrt.formats.hdf5_unclosed import open_file
from nrt.formats.hdf5_writer import FORMAT_NAME, Hdf5Writer, PropheseeHdf5Writer
from nrt.heap import damaged_heap
from nrt.packet import Records

__all__ = ["Hdf5Recording", "Hdf5Writer", "PropheseeHdf5Writer", "open_hdf5"]

_FAILURES: Final = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError, OverflowError)
"""What h5py raises for damaged files."""


def open_hdf5(path: Path) -> Hdf5Recording:
    """Opens an HDF5 recording of any known layout. Raises BadRecording."""
    if (at := damaged_heap(path)) is not None:
        raise BadRecording(path, at, "the heap of the file's strings is broken here")
    try:
        file, beneath = open_file(path)
    except _FAILURES as error:
        raise BadRecording(path, 0, f"HDF5 cannot open it: {_sentence(error)}") from error
    try:
        return Hdf5Recording(path, file, beneath)
    except _FAILURES as error:
        _close(file, beneath)
        raise BadRecording(path, 0, _sentence(error)) from error


class Hdf5Recording(Recording):
    """An opened HDF5 recording."""

    has_triggers = True

    def __init__(self, path: Path, file: Any, beneath: FileIO | None = None) -> None:
        """Takes both over. Raises Unreadable, or what h5py raises."""
        self.path = path
        self._file, self._beneath = file, beneath
        self._at = self._last = 0
        self.format, self._rows = _find(file)
        self.shape = _shape(file)
        self._has_spikes = "spikes" in self.format
        self._edges = _edges(file)
        self._damage: BadRecording | None = None

    def read(self, events: Records) -> int:
        filled = 0
        while filled < len(events) and self._at < self._rows.length and self._damage is None:
            try:
                count = self._rows.copy(self._at, events[filled:])
            except _FAILURES as error:
                self._damage = BadRecording(
                    self.path, self._at, f"row {self._at} cannot be read: {_sentence(error)}"
                )
                break
            self._at += count
            filled += count
        if not filled and self._damage is not None:
            raise self._damage
        if filled:
            self._last = int(events["t"][filled - 1])
        return filled

    def triggers(self) -> NDArray[np.void]:
        """Prophesee files keep triggers apart: those up to the last event's time are given, at the end all."""
        count = len(self._edges)
        if self._at < self._rows.length:
            count = int(np.searchsorted(self._edges["t"], self._last, "right")) if self._at else 0
        taken, self._edges = self._edges[:count], self._edges[count:]
        return taken

    def spikes(self) -> bool:
        return self._has_spikes

    def close(self) -> None:
        _close(self._file, self._beneath)


def _close(file: Any, beneath: FileIO | None) -> None:
    file.close()
    if beneath is not None:
        beneath.close()


def _sentence(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _find(file: Any) -> tuple[str, Rows]:
    """(name of the layout, its rows). Raises Unreadable."""
    if isinstance(file.get("CD/events"), h5py.Dataset):
        return "Prophesee HDF5", Table(file["CD/events"])
    own = str(file.attrs.get("format", "")) == FORMAT_NAME
    if own and isinstance(file.get("spikes"), h5py.Group):
        return "HDF5 spikes", Columns(file["spikes"], ("t", "n", "v"))
    events = file.get("events")
    if isinstance(events, h5py.Dataset):
        if events.dtype.names:
            return "HDF5 records", Table(events)
        if events.ndim == 2 and events.shape[1] == 4:
            return "HDF5 rows", Matrix(events)
    if isinstance(events, h5py.Group) and {"t", "x", "y", "p"} <= set(events):
        offset = file.get("t_offset")
        shift = int(offset[()]) if isinstance(offset, h5py.Dataset) and offset.ndim == 0 else 0
        return "HDF5 events" if own else "HDF5 columns", Columns(events, ("t", "x", "y", "p"), shift)
    there = ", ".join(sorted(map(str, file))[:8]) or "nothing"
    raise Unreadable(f"no events in a layout that is known; at its root lie {there}")


def _shape(file: Any) -> tuple[int, int, int] | None:
    own = file.attrs.get("shape")
    if own is not None and np.shape(own) == (3,):
        return int(own[0]), int(own[1]), int(own[2])
    geometry = str(file.attrs.get("geometry", "")).split("x")
    if len(geometry) == 2 and all(part.isdecimal() for part in geometry):
        return 2, int(geometry[1]), int(geometry[0])
    sizes = [file.get(f"events/{name}") for name in ("height", "width")] if "events/t" in file else []
    if sizes and all(isinstance(size, h5py.Dataset) and size.shape == () for size in sizes):
        return 2, int(sizes[0][()]), int(sizes[1][()])
    return None


def _edges(file: Any) -> NDArray[np.void]:
    """The triggers of a Prophesee file, all at once: they are few."""
    dataset: Any = file.get("EXT_TRIGGER/events")
    if not isinstance(dataset, h5py.Dataset) or not {"t", "p", "id"} <= set(dataset.dtype.names or ()):
        return np.empty(0, TRIGGER)
    require_sound(dataset)
    if int(dataset.size or 0) > 1 << 24:
        raise Unreadable(f"{dataset.size} triggers")
    rows = dataset[:]
    edges = np.zeros(len(rows), TRIGGER)
    edges["t"], edges["id"], edges["value"] = rows["t"], rows["id"], rows["p"] > 0
    return edges

"""The sink that records: any format that can be written, readable up to the last flush whatever happens."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from nrt import formats
from nrt.errors import ConfigError, StreamError
from nrt.packet import EVENT, Packet, Records, events_from_array
from nrt.record.sink import Sink
from nrt.source import Source

Shape = tuple[int, int, int]

_LIVE: Final[Mapping[str, Mapping[str, str]]] = {
    "hdf5": {"compression": "none"},
    "prophesee-hdf5": {"compression": "none"},
}
"""Writer's options for live sources: flushing a compressed HDF5 chunk that is not full leaves its old place unused,
which at 1000 events/s made files of 167 bytes per event, where 15 are enough without compression."""


def format_of(path: Path) -> str:
    """The name of the format that the file's ending stands for. Raises ConfigError."""
    row = next((row for row in formats.FORMATS if row.suffix == path.suffix.lower()), None)
    if row is None:
        first = {row.suffix: row.name for row in reversed(formats.FORMATS)}
        known = ", ".join(f"{suffix} ({name})" for suffix, name in sorted(first.items()))
        raise ConfigError(f"{path}: the ending tells no format; name one, or use {known}")
    return row.name


class FileSink(Sink):
    """Records into a new file.

    format: a name of `nrt.formats.FORMATS`; default by the path's ending
    shape: (polarities, height, width) for sources that do not know theirs
    rebase: whether times are counted from the first packet's start, as many formats need it
    replace: whether a file that exists is overwritten
    """

    def __init__(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        shape: Shape | None = None,
        rebase: bool = False,
        replace: bool = False,
    ) -> None:
        self.path = Path(path)
        self.format = format or format_of(self.path)
        self._shape, self._rebase, self._replace = shape, rebase, replace
        self._writer: formats.Writer | None = None
        self._origin: int | None = None
        self._last = 0
        self.safe = 0
        """Events that the file holds for certain: those of the last flush, all of them once it is closed."""

    def open(self, source: Source) -> None:
        """Raises ConfigError (it exists, no size is known, the format cannot hold it) or StreamError (no room)."""
        shape = source.shape or self._shape
        if shape is None:
            raise ConfigError(f"{source.uri} does not say how large its sensor is; give the size")
        if self.path.exists() and not self._replace:
            raise ConfigError(f"{self.path} exists already; to overwrite it say --force (replace=True)")
        options = _LIVE.get(self.format, {}) if source.scheduled else {}
        if source.scheduled:
            _compile(self.format, shape)
        try:
            self._writer = formats.create(self.path, self.format, shape, **options)
        except OSError as error:
            raise StreamError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.flush()

    def take(self, packet: Packet) -> None:
        assert self._writer is not None
        events = packet.data
        if self._rebase:
            events = self._shifted(packet)
        try:
            self._writer.write(events)
        except (OSError, RuntimeError) as error:  # h5py raises both
            self._give_up(error)
        self._last = packet.end

    def flush(self) -> None:
        assert self._writer is not None
        try:
            self._writer.flush()
        except (OSError, RuntimeError) as error:
            self._give_up(error)
        self._measure()

    def close(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
        except (OSError, RuntimeError) as error:
            self._writer = writer
            self._give_up(error)
        self.safe, self.size = writer.events, self.path.stat().st_size

    def _shifted(self, packet: Packet) -> Records:
        if self._origin is None:
            self._origin = packet.start
        events = events_from_array(packet.data).copy()
        events["t"] -= self._origin
        return events

    def _measure(self) -> None:
        assert self._writer is not None
        self.safe, self.size = self._writer.events, self.path.stat().st_size

    def _give_up(self, error: Exception) -> NoReturn:
        """Leaves the file whole, as of the last flush or a little later, and says what it holds."""
        assert self._writer is not None
        writer, self._writer = self._writer, None
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()
        if writer.appends:
            os.truncate(self.path, self.size)
        else:
            self.safe, self.size = writer.events, self.path.stat().st_size
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StreamError(
            f"{self.path}: {reason}; the recording ends here, its first {self.safe:,} events "
            f"({self.size:,} bytes) are safe"
        ) from error


def _compile(format: str, shape: Shape) -> None:
    """Compiles the writer's kernels now: a live source does not wait until they are."""
    with (
        tempfile.TemporaryDirectory(prefix="nrt-") as folder,
        formats.create(Path(folder) / "x", format, shape) as w,
    ):
        w.write(np.zeros(1, EVENT))

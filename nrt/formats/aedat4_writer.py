"""Writes AEDAT 4 with one stream of events; readable up to the last flush if it is never closed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

from nrt.errors import ConfigError
from nrt.formats import aedat4_flatbuffer as flatbuffer
from nrt.formats.aedat4_codec import NAMES, compressor
from nrt.formats.aedat4_header import describe
from nrt.formats.base import Writer
from nrt.formats.bounds import require_addresses, require_order
from nrt.packet import EVENT, Records

_VERSION: Final = b"#!AER-DAT4.0\r\n"
_PACKET: Final = 8192
_LARGEST: Final = 32768
_EARLIEST: Final = -(1 << 63)


class Aedat4Writer(Writer):
    """Packets of up to 8192 events; the data table (one row per packet) and its position come at `close`."""

    def __init__(
        self, path: Path, shape: tuple[int, int, int], compression: str = "lz4", source: str = "nrt"
    ) -> None:
        """compression: none, lz4, lz4_high, zstd or zstd_high; source: name of the camera. Raises ConfigError."""
        _, self._height, self._width = shape
        if not (0 < self._height <= _LARGEST and 0 < self._width <= _LARGEST):
            raise ConfigError(
                f"AEDAT4 holds sensors of up to 32768 x 32768, not {self._width} x {self._height}"
            )
        self._compress = compressor(compression)
        self._file = path.open("wb")
        info = describe(compression, source, self._width, self._height)
        self._file.write(_VERSION + flatbuffer.header(NAMES.index(compression), info))
        self._rows: list[tuple[int, int, int, int, int, int]] = []
        self._pending = np.zeros(_PACKET, EVENT)
        self._count = 0
        self._last = _EARLIEST

    def write(self, events: Records) -> None:
        require_order("AEDAT4", events, after=self._last)
        require_addresses("AEDAT4", events, self._width, self._height)
        done = 0
        while done < len(events):
            taken = min(_PACKET - self._count, len(events) - done)
            self._pending[self._count : self._count + taken] = events[done : done + taken]
            self._count += taken
            done += taken
            if self._count == _PACKET:
                self._emit()
        if len(events):
            self._last = int(events["t"][-1])
        self.events += len(events)

    def _emit(self) -> None:
        events = self._pending[: self._count]
        content = self._compress(
            flatbuffer.events_head(len(events)) + flatbuffer.event_bytes(events).tobytes()
        )
        first, last = int(events["t"][0]), int(events["t"][-1])
        self._rows.append((0, len(content), self._file.tell() + 8, len(events), first, last))
        self._file.write(struct.pack("<ii", 0, len(content)) + content)
        self._count = 0

    def flush(self) -> None:
        if self._count:
            self._emit()
        self._file.flush()

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._complete()
        finally:
            self._file.close()

    def _complete(self) -> None:
        if self._count:
            self._emit()
        position = self._file.tell()
        self._file.write(self._compress(flatbuffer.data_table(self._rows)))
        self._file.seek(len(_VERSION) + flatbuffer.TABLE_POSITION_AT)
        self._file.write(struct.pack("<q", position))

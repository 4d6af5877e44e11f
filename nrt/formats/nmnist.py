"""N-MNIST and N-Caltech101 (.bin): 5-byte records of an ATIS, as Orchard et al. (2015) published them.

A record is x u8, y u8, then 24 bits big endian: 1 bit of polarity and 23 bits of time in µs. A record with
y = 240 is no event: it says that time overflowed, and adds 2^13 µs to all that follow (as the reader of
github gorchard/event-Python and tonic take it). The file names no sensor; if its first records fit the
34 x 34 pixels of N-MNIST that size is assumed, otherwise none. The origin is at the upper left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.formats.base import ByteRecording, Bytes, Decoder, Writer
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.words import Events, event_words
from nrt.jit import jit
from nrt.packet import Records

RECORD: Final = 5
OVERFLOW_Y: Final = 240
_SIDE: Final = 34
_BLOCK: Final = RECORD << 14


@jit
def decode_nmnist(raw: NDArray[np.uint8], out: Events, base: int) -> tuple[int, int, int]:
    """Decodes whole records into `out`; returns (bytes consumed, events, time base reached)."""
    at, n = 0, 0
    stop = len(raw) - len(raw) % 5
    while at < stop:
        x, y = int(np.int64(raw[at])), int(np.int64(raw[at + 1]))
        if y == 240:
            base += 8192
            at += 5
            continue
        if n == len(out):
            break
        word = int(np.int64(raw[at + 2]) << 16 | np.int64(raw[at + 3]) << 8 | np.int64(raw[at + 4]))
        out[n, 0] = base + (word & 0x7FFFFF)
        out[n, 1] = x | y << 16 | word >> 23 << 32
        n += 1
        at += 5
    return at, n, base


@jit
def encode_nmnist(events: Events, out: NDArray[np.uint8], base: int) -> tuple[int, int, int]:
    """Encodes as many `events` as `out` holds; returns (events, bytes, time base reached)."""
    n, at = 0, 0
    while n < len(events) and at + 5 <= len(out):
        t = int(events[n, 0]) - base
        word = int(events[n, 1])
        overflows = t >= 1 << 23
        if overflows:
            word, t = 240 << 16, 0
            base += 8192
        else:
            n += 1
        out[at] = word & 0xFF
        out[at + 1] = word >> 16 & 0xFF
        out[at + 2] = (word >> 32 & 1) << 7 | t >> 16
        out[at + 3] = t >> 8 & 0xFF
        out[at + 4] = t & 0xFF
        at += 5
    return n, at, base


class NmnistDecoder(Decoder):
    """5-byte records to events."""

    word = RECORD

    def __init__(self) -> None:
        self._base = 0

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        consumed, written, self._base = decode_nmnist(raw, event_words(events), self._base)
        return consumed, written


class NmnistRecording(ByteRecording):
    """An N-MNIST file."""

    def __init__(self, path: Path) -> None:
        file = path.open("rb", buffering=0)
        head = file.read(RECORD << 12)
        file.seek(0)
        small = all(
            x < _SIDE and (y < _SIDE or y == OVERFLOW_Y) for x, y in zip(head[::5], head[1::5], strict=False)
        )
        super().__init__(path, file, NmnistDecoder(), "N-MNIST", (2, _SIDE, _SIDE) if small else None)


class NmnistWriter(Writer):
    """Writes N-MNIST records: sensors of up to 256 x 240, times from 0.

    Beyond 2^23 µs (8.4 s) overflow records are written, which the readers named above understand.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        _, self._height, self._width = shape
        if self._width > 256 or self._height > OVERFLOW_Y:
            raise ConfigError(f"N-MNIST holds sensors of up to 256 x 240, not {self._width} x {self._height}")
        self._file = path.open("wb")
        self._buffer = np.empty(_BLOCK, np.uint8)
        self._base = self._last = 0

    def write(self, events: Records) -> None:
        require_order("N-MNIST", events, after=self._last)
        require_addresses("N-MNIST", events, self._width, self._height)
        rest = event_words(np.ascontiguousarray(events))
        while len(rest):
            self._last = int(rest[-1, 0])
            done, size, self._base = encode_nmnist(rest, self._buffer, self._base)
            self._file.write(self._buffer[:size].data)
            rest = rest[done:]
        self.events += len(events)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

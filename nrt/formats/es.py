"""Event Stream (.es) 2.0: the byte format of event_stream, sepia and loris.

Source: github neuromorphic-paris/event_stream, README.md. The file opens with `Event Stream`, three bytes of
version, a byte of type, and for the types that have a sensor its width and height (u16, little endian).

| type  | event                                                                              |
|-------|------------------------------------------------------------------------------------|
| dvs   | byte `dt << 1 \\| on` with dt < 127, then x u16, y u16                              |
| atis  | byte `dt << 2 \\| polarity << 1 \\| is exposure` with dt < 63, then x u16, y u16      |

Longer pauses are written as overflow bytes: dvs 0xFF adds 127 µs; atis 0b111111cc adds 63 * cc µs. dvs 0xFE
(and atis with cc = 0) only resynchronises a serial line. Of an ATIS, change detection events are read;
exposure measurements are passed over and counted. Colour and generic streams hold no polarity events and
are refused.

The origin is at the bottom left and stays there; times are µs from the start of the recording. An address
outside the declared sensor is damage.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.clock import readable
from nrt.errors import BadRecording, ConfigError
from nrt.formats.base import ByteRecording, Bytes, Decoder, Writer
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.words import Events, event_words
from nrt.jit import jit
from nrt.packet import Records

MAGIC: Final = b"Event Stream"
_VERSION: Final = b"\x02\x00\x00"
_TYPES: Final = ("generic", "dvs", "atis", "amd", "color")
_DVS, _ATIS = 1, 2
_BLOCK: Final = 1 << 16

_T, _AT, _BAD, _EXPOSURES = range(4)
_STATE: Final = 4


@jit
def decode_es(
    raw: NDArray[np.uint8], out: Events, atis: bool, width: int, height: int, state: NDArray[np.int64]
) -> int:
    """Decodes whole events of `raw` into `out`; returns how many.

    state: t µs; set on return: bytes consumed, 1 if an address was out of range, exposures passed over.
    """
    at, n, t = 0, 0, int(state[_T])
    size, room = len(raw), len(out)
    shift, pause = (2, 63) if atis else (1, 127)
    mask = (1 << shift) - 1
    while at < size:
        lead = int(np.int64(raw[at]))
        dt = lead >> shift
        if dt == pause:
            t += pause * (lead & mask)
            at += 1
            continue
        if at + 5 > size or n == room:
            break
        x = int(np.int64(raw[at + 1]) | np.int64(raw[at + 2]) << 8)
        y = int(np.int64(raw[at + 3]) | np.int64(raw[at + 4]) << 8)
        if x >= width or y >= height:
            state[_BAD] = 1
            break
        at += 5
        t += dt
        if atis and lead & 1:
            state[_EXPOSURES] += 1
            continue
        out[n, 0] = t
        out[n, 1] = x | y << 16 | (lead >> (shift - 1) & 1) << 32
        n += 1
    state[_T] = t
    state[_AT] = at
    return n


@jit
def encode_dvs(events: Events, out: NDArray[np.uint8], t: int) -> tuple[int, int, int]:
    """Encodes as many `events` as `out` holds; returns (events, bytes, time reached)."""
    n, at = 0, 0
    while n < len(events) and at + 5 <= len(out):
        dt = int(events[n, 0]) - t
        if dt >= 127:
            step = min(dt // 127, len(out) - at)
            out[at : at + step] = 0xFF
            at += step
            t += 127 * step
            continue
        word = int(events[n, 1])
        out[at] = dt << 1 | (word >> 32 & 1)
        out[at + 1], out[at + 2] = word & 0xFF, word >> 8 & 0xFF
        out[at + 3], out[at + 4] = word >> 16 & 0xFF, word >> 24 & 0xFF
        at += 5
        t += dt
        n += 1
    return n, at, t


class EsDecoder(Decoder):
    """Bytes of an ES dvs or atis stream, after the header, to events."""

    word = 5

    def __init__(self, atis: bool, width: int, height: int) -> None:
        self._atis, self._width, self._height = atis, width, height
        self._state = np.zeros(_STATE, np.int64)
        self._consumed = 0

    @property
    def exposures(self) -> int:
        """ATIS exposure measurements passed over so far."""
        return int(self._state[_EXPOSURES])

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        written = decode_es(raw, event_words(events), self._atis, self._width, self._height, self._state)
        consumed = int(self._state[_AT])
        self._consumed += consumed
        return consumed, written

    def complaint(self) -> tuple[int, str] | None:
        if not self._state[_BAD]:
            return None
        return self._consumed, f"an address outside the {self._width} x {self._height} sensor"


class EsRecording(ByteRecording):
    """An ES file of type dvs or atis."""

    def __init__(self, path: Path) -> None:
        file = path.open("rb", buffering=0)
        try:
            kind, width, height = _read_header(path, file.read(20))
        except BadRecording:
            file.close()
            raise
        file.seek(20)
        decoder = EsDecoder(kind == _ATIS, width, height)
        super().__init__(path, file, decoder, f"ES {_TYPES[kind]}", (2, height, width))


def _read_header(path: Path, head: bytes) -> tuple[int, int, int]:
    """(type, width, height); raises BadRecording for what cannot be read as polarity events."""
    if not head.startswith(MAGIC) or len(head) < 16:
        raise BadRecording(path, 0, "no Event Stream header")
    if head[12] != 2:
        raise BadRecording(path, 12, f"Event Stream version {head[12]}; only version 2 can be read")
    kind = head[15]
    if kind not in (_DVS, _ATIS):
        name = _TYPES[kind] if kind < len(_TYPES) else f"number {kind}"
        raise BadRecording(
            path, 15, f"an Event Stream of type {name} holds no polarity events; dvs and atis do"
        )
    if len(head) < 20:
        raise BadRecording(path, len(head), "the file ends inside its header")
    width, height = struct.unpack_from("<HH", head, 16)
    return kind, width, height


LONGEST: Final = 10_000_000_000
"""µs of silence, or before the first event, that are written: 79 MB of overflow bytes."""
_OVERFLOW: Final = 127


class EsWriter(Writer):
    """Writes ES 2.0 dvs. Times must be ≥ 0 and in order, addresses inside the sensor."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        _, self._height, self._width = shape
        if not (0 < self._height < 65536 and 0 < self._width < 65536):
            raise ConfigError(f"ES holds sensors of up to 65535 x 65535, not {self._width} x {self._height}")
        self._file = path.open("wb")
        self._file.write(MAGIC + _VERSION + bytes([_DVS]) + struct.pack("<HH", self._width, self._height))
        self._buffer = np.empty(_BLOCK, np.uint8)
        self._t = 0

    def write(self, events: Records) -> None:
        require_order("ES", events, after=self._t)
        require_addresses("ES", events, self._width, self._height)
        pause = int(np.diff(events["t"], prepend=self._t).max(initial=0))
        if pause > LONGEST:
            raise ConfigError(
                f"ES writes a byte for every {_OVERFLOW} µs of silence, {pause / _OVERFLOW / 1e9:.3g} GB for one of "
                f"{readable(pause)}; count times from the start of the stream (nrt record --rebase)"
            )
        rest = event_words(np.ascontiguousarray(events))
        while len(rest):
            done, size, self._t = encode_dvs(rest, self._buffer, self._t)
            self._file.write(self._buffer[:size].data)
            rest = rest[done:]
        self.events += len(events)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

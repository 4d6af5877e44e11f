"""AEDAT 3.0 and 3.1, the format of cAER: a text header, then little-endian packets of one event type each.

Source: docs.inivation.com, AEDAT 3.1; libcaer, include/libcaer/events/common.h, polarity.h and special.h. A
packet has a head of 28 bytes: type i16, source i16, event size, offset of the time in an event, overflows of the
31-bit time, capacity, number of events, number of valid ones (all i32); then `capacity` events follow.

| type | event (u32 data, i32 t µs)                               |                                        |
|------|----------------------------------------------------------|----------------------------------------|
| 1    | polarity: valid 0, on 1, y 16:2, x 31:17                  | read; events that are not valid passed over |
| 0    | special: valid 0, type 7:1                               | edges on the inputs are triggers       |
| else | frames, inertial measurements, …                         | passed over                            |

t = overflows << 31 | t. Special types 2 to 4 are the rising edge, falling edge and pulse on input 0, 6 to 8 on
input 1 and 9 to 11 on input 2; a pulse counts as rising. Events keep their order in the file. The origin is at
the upper left in 3.1, at the lower left in 3.0, and stays there.
"""

from __future__ import annotations

import struct
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording, ConfigError
from nrt.formats.base import TRIGGER, ByteRecording, Bytes, Decoder, Writer
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.chips import sensor_shape
from nrt.formats.words import Events, event_words
from nrt.jit import jit
from nrt.packet import Records

_END: Final = b"#!END-HEADER"
_LONGEST_HEADER: Final = 1 << 20
_HEAD: Final = struct.Struct("<hhiiiiii")
_SPECIAL, _POLARITY = 0, 1
_EDGES: Final = {
    first + edge: (number, value)
    for number, first in enumerate((2, 6, 9))
    for edge, value in ((0, 1), (1, 0), (2, 1))
}
"""Special type -> (id of the input, value)."""


@jit
def decode_polarity(raw: NDArray[np.uint8], out: Events, limit: int, overflow: int) -> tuple[int, int, int]:
    """Decodes at most `limit` polarity events into `out`; returns (events read, written, valid ones with t < 0)."""
    taken, n, negative = 0, 0, 0
    while taken < limit and 8 * taken + 8 <= len(raw) and n < len(out):
        at = 8 * taken
        data = int(np.int64(raw[at]) | np.int64(raw[at + 1]) << 8)
        data |= int(np.int64(raw[at + 2]) << 16 | np.int64(raw[at + 3]) << 24)
        t = int(np.int64(raw[at + 4]) | np.int64(raw[at + 5]) << 8)
        t |= int(np.int64(raw[at + 6]) << 16 | np.int64(raw[at + 7]) << 24)
        taken += 1
        out[n, 0] = overflow << 31 | (t & 0x7FFFFFFF)
        out[n, 1] = data >> 17 | (data >> 2 & 0x7FFF) << 16 | (data >> 1 & 1) << 32
        n += data & 1
        negative += t >> 31 & data
    return taken, n, negative


class Aedat3Decoder(Decoder):
    """Packets of AEDAT 3.x to events.

    invalid: polarity events marked as not valid; skipped: packets of other types; both passed over so far
    """

    word = 8
    reserve = 1

    def __init__(self) -> None:
        self.invalid = self.skipped = 0
        self._consumed = 0
        self._events = self._overflow = self._kind = 0  # what is left of the packet: events,
        self._padding = 0  # then bytes to pass over
        self._complaint: tuple[int, str] | None = None
        self._triggers: list[tuple[int, int, int]] = []

    @property
    def inside_packet(self) -> bool:
        """Whether the bytes so far end inside a packet."""
        return self._events > 0 or self._padding > 0

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        out = event_words(events)
        at = written = 0
        while written < len(out) and self._complaint is None:
            if self._events:
                size = 8 * min(self._events, (len(raw) - at) // 8)
                if not size:
                    break
                if self._kind == _POLARITY:
                    size, got = self._polarity(raw[at : at + size], out[written:])
                    written += got
                else:
                    self._special(raw[at : at + size])
                self._events -= size // 8
            elif self._padding:
                size = min(self._padding, len(raw) - at)
                if not size:
                    break
                self._padding -= size
            elif len(raw) - at < _HEAD.size:
                break
            else:
                self._open(raw[at : at + _HEAD.size].tobytes())
                size = _HEAD.size
            at += size
            self._consumed += size
        return at, written

    def _polarity(self, raw: Bytes, out: Events) -> tuple[int, int]:
        taken, written, negative = decode_polarity(raw, out, self._events, self._overflow)
        self.invalid += taken - written
        if negative:
            self._complaint = self._consumed, "a packet of polarity events with negative times"
        return 8 * taken, written

    def _special(self, raw: Bytes) -> None:
        for data, t in raw.view(np.dtype("<i4")).reshape(-1, 2).tolist():
            edge = _EDGES.get(data >> 1 & 0x7F)
            if data & 1 and edge:
                self._triggers.append((self._overflow << 31 | (t & 0x7FFFFFFF), *edge))

    def _open(self, head: bytes) -> None:
        """Takes the head of a packet, or complains about it."""
        kind, source, size, t_at, overflow, capacity, number, valid = _HEAD.unpack(head)
        sound = size > 0 and 0 <= t_at < size and 0 <= valid <= number <= capacity and overflow >= 0
        own = kind in (_SPECIAL, _POLARITY)
        if not sound or kind < 0 or source < 0 or (own and (size, t_at) != (8, 4)):
            self._complaint = (
                self._consumed,
                f"no head of a packet (type {kind}, {number} events of {size} bytes)",
            )
            return
        self._kind, self._overflow = kind, overflow
        self._events = number if own else 0
        self._padding = size * (capacity - self._events)
        self.skipped += not own

    def triggers(self) -> NDArray[np.void]:
        taken = np.array(self._triggers, TRIGGER)
        self._triggers.clear()
        return taken

    def complaint(self) -> tuple[int, str] | None:
        return self._complaint


class Aedat3Recording(ByteRecording):
    """An AEDAT 3.x file in the RAW encoding; the packets of all its sources are read."""

    has_triggers = True

    def __init__(self, path: Path) -> None:
        file = path.open("rb", buffering=0)
        try:
            body, header = _read_header(path, file)
        except BadRecording:
            file.close()
            raise
        file.seek(body)
        source = next((value for key, value in header.items() if key.startswith("Source")), "")
        self._packets = Aedat3Decoder()
        super().__init__(path, file, self._packets, f"AEDAT{header['version']}", sensor_shape(source), header)

    @property
    def skipped(self) -> int:
        """Packets of other types passed over so far."""
        return self._packets.skipped

    @property
    def invalid(self) -> int:
        """Events marked as not valid, passed over so far."""
        return self._packets.invalid

    def read(self, events: Records) -> int:
        count = super().read(events)
        if not count and self._packets.inside_packet:
            raise BadRecording(self.path, self.path.stat().st_size, "the file ends inside a packet")
        return count


def _read_header(path: Path, file: FileIO) -> tuple[int, dict[str, str]]:
    """(offset of the first packet, entries of the header and `version`). Raises BadRecording."""
    raw = file.read(_LONGEST_HEADER)
    if not raw.startswith(b"#!AER-DAT3."):
        raise BadRecording(path, 0, "no AEDAT 3 header")
    header = {"version": raw[9:12].decode("latin-1")}
    at = 0
    while raw.startswith(b"#", at):
        stop = raw.find(b"\n", at)
        if stop < 0:
            break
        line = raw[at:stop].rstrip(b"\r")
        at = stop + 1
        if line == _END:
            break
        key, colon, value = line[1:].decode("latin-1").partition(":")
        if colon:
            header[key.strip()] = value.strip()
    if header.get("Format", "RAW").upper() != "RAW":
        raise BadRecording(path, 0, f"its encoding is {header['Format']}; only RAW can be read")
    return at, header


@jit
def encode_polarity(events: Events, out: Events) -> None:
    """Encodes all `events` as polarity events of 8 bytes; `out` is int64[n, 1]."""
    for i in range(len(events)):
        word = int(events[i, 1])
        data = 1 | (word >> 32 & 1) << 1 | (word >> 16 & 0x7FFF) << 2 | (word & 0x7FFF) << 17
        out[i, 0] = data | (int(events[i, 0]) & 0x7FFFFFFF) << 32


class Aedat3Writer(Writer):
    """Writes AEDAT 3.1 from source 1: addresses and times as the format holds them (15 bits, 62 bits from 0)."""

    def __init__(self, path: Path, shape: tuple[int, int, int], source: str = "nrt") -> None:
        """source: name of the camera, such as DAVIS346, from which readers know the sensor's size."""
        _, self._height, self._width = shape
        if not (0 < self._width <= 32768 and 0 < self._height <= 32768):
            raise ConfigError(
                f"AEDAT3 holds sensors of up to 32768 x 32768, not {self._width} x {self._height}"
            )
        if not source.isprintable():
            raise ConfigError(f"'{source!r}' is no name of a camera")
        self._file = path.open("wb")
        self._file.write(
            f"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: {source}\r\n"
            f"#-Size: {self._width}x{self._height}\r\n#!END-HEADER\r\n".encode("latin-1", "replace")
        )
        self._last = 0

    def write(self, events: Records) -> None:
        require_order("AEDAT3", events, after=self._last, until=(1 << 62) - 1)
        require_addresses("AEDAT3", events, self._width, self._height)
        if not len(events):
            return
        pairs = event_words(np.ascontiguousarray(events))
        overflows = pairs[:, 0] >> 31
        bounds = [0, *(np.flatnonzero(np.diff(overflows)) + 1).tolist(), len(pairs)]
        for start, stop in pairwise(bounds):
            count = stop - start
            out = np.empty((count, 1), np.int64)
            encode_polarity(pairs[start:stop], out)
            head = _HEAD.pack(_POLARITY, 1, 8, 4, int(overflows[start]), count, count, count)
            self._file.write(head + out.tobytes())
        self._last = int(pairs[-1, 0])
        self.events += len(events)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

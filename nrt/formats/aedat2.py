"""AEDAT 1 and 2, the format of jAER: a text header, then big-endian pairs of address and time.

Sources: docs.inivation.com, AEDAT 1.0 and 2.0; jAER, DVS128.java and DavisChip.java. Lines that begin with #
form the header, up to 300 kB of preferences; then come address i32 (version 1: i16) and t i32 µs. What the bits
of an address mean depends on the camera, which `# AEChip:` names:

| layout | bits                                                                                  |
|--------|---------------------------------------------------------------------------------------|
| DVS128 | 15 synchronisation input, y 14:8, x 7:1, polarity 0, where **0 is ON**                |
| DAVIS  | 31 image sample or inertial measurement, y 30:22, x 21:12, polarity 11, 10 external input |

iniVation's page on AEDAT 1.0 calls bit 0 of a DVS128 1 for ON; jAER, which writes these files, and libcaer take
0 for ON, and so does this. Without a chip in the header, a file whose first addresses fit 16 bits is a DVS128's.
Addresses stay as they are in the file, with the origin at the lower left (jAER mirrors x when it displays them).
Images and inertial measurements are passed over and counted. Edges on the input are triggers of id 0; the
format does not say which edge, so their value is always 1. Times that wrap after 2^31 µs are unwrapped.
"""

from __future__ import annotations

from io import FileIO
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

_LONGEST_HEADER: Final = 1 << 24
_LONGEST_LINE: Final = 1 << 16
_BLOCK: Final = 1 << 14
_T, _STARTED, _SKIPPED, _TRIGGERS = range(4)
_TRIGGERS_AT_ONCE: Final = 4096


@jit
def decode_aedat2(
    raw: NDArray[np.uint8],
    out: Events,
    record: int,
    davis: bool,
    triggers: NDArray[np.int64],
    state: NDArray[np.int64],
) -> tuple[int, int]:
    """Decodes whole records into `out`; returns (bytes consumed, events).

    record: 8 bytes, or 6 for version 1; triggers: takes the times of edges
    state: t µs, 1 after the first record, records passed over, triggers in `triggers`
    """
    at, n, found = 0, 0, int(state[_TRIGGERS])
    t = int(state[_T])
    special = 1 << 10 if davis else 1 << 15
    while at + record <= len(raw) and n < len(out) and found < len(triggers):
        low = at + record - 6
        address = int(np.int64(raw[low]) << 8 | np.int64(raw[low + 1]))
        if record == 8:
            address |= int(np.int64(raw[at]) << 24 | np.int64(raw[at + 1]) << 16)
        stamp = int(np.int64(raw[low + 2]) << 24 | np.int64(raw[low + 3]) << 16)
        stamp |= int(np.int64(raw[low + 4]) << 8 | np.int64(raw[low + 5]))
        at += record
        step = (stamp - t) & 0xFFFFFFFF
        t += step - (step >> 31 << 32)
        if davis and address >> 31:
            state[_SKIPPED] += 1
            continue
        if address & special:
            triggers[found] = t
            found += 1
            continue
        if davis:
            word = (address >> 12 & 0x3FF) | (address >> 22 & 0x1FF) << 16 | (address >> 11 & 1) << 32
        else:
            word = (address >> 1 & 0x7F) | (address >> 8 & 0x7F) << 16 | (~address & 1) << 32
        out[n, 0] = t
        out[n, 1] = word
        n += 1
    state[_T] = t
    state[_TRIGGERS] = found
    return at, n


class Aedat2Decoder(Decoder):
    """Records of AEDAT 1 or 2 to events."""

    word = 8

    def __init__(self, davis: bool, version: int = 2) -> None:
        self._davis = davis
        self._record = 8 if version == 2 else 6
        self._state = np.zeros(4, np.int64)
        self._times = np.empty(_TRIGGERS_AT_ONCE, np.int64)
        self._taken: list[NDArray[np.int64]] = []

    @property
    def skipped(self) -> int:
        """Image samples and inertial measurements passed over so far."""
        return int(self._state[_SKIPPED])

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        out = event_words(events)
        consumed = written = 0
        while True:
            used, got = decode_aedat2(
                raw[consumed:], out[written:], self._record, self._davis, self._times, self._state
            )
            consumed, written = consumed + used, written + got
            found = int(self._state[_TRIGGERS])
            if found:
                self._taken.append(self._times[:found].copy())
                self._state[_TRIGGERS] = 0
            if found < len(self._times):
                return consumed, written

    def triggers(self) -> NDArray[np.void]:
        count = sum(map(len, self._taken))
        taken = np.zeros(count, TRIGGER)
        if count:
            taken["t"] = np.concatenate(self._taken)
            taken["value"] = 1
        self._taken.clear()
        return taken


class Aedat2Recording(ByteRecording):
    """An AEDAT 1 or 2 file; `header` holds the lines of its header that read `key: value`."""

    has_triggers = True

    def __init__(self, path: Path) -> None:
        file = path.open("rb", buffering=0)
        try:
            version, body, header = _read_header(path, file)
        except BadRecording:
            file.close()
            raise
        chip = header.get("AEChip", "")
        file.seek(body)
        davis = (
            not chip.upper().endswith("DVS128") if chip else not _fits_16_bits(file.read(8 << 10), version)
        )
        file.seek(body)
        name = f"AEDAT{version} {'DAVIS' if davis else 'DVS128'}"
        shape = sensor_shape(chip) if chip else None if davis else (2, 128, 128)
        super().__init__(path, file, Aedat2Decoder(davis, version), name, shape, header)


def _fits_16_bits(raw: bytes, version: int) -> bool:
    addresses = np.frombuffer(raw[: len(raw) // 8 * 8], ">u4")[::2]
    return version == 1 or bool((addresses >> 16 == 0).all())


def _read_header(path: Path, file: FileIO) -> tuple[int, int, dict[str, str]]:
    """(version, offset of the first record, entries). The header ends before the first line that is no text."""
    raw = file.read(_LONGEST_HEADER)
    if not raw.startswith((b"#!AER-DAT2.", b"#!AER-DAT1.")):
        raise BadRecording(path, 0, "no AEDAT 1 or 2 header")
    version = raw[9] - ord("0")
    at, header = 0, dict[str, str]()
    while raw.startswith(b"#", at):
        stop = raw.find(b"\n", at, at + _LONGEST_LINE)
        line = raw[at : stop if stop >= 0 else at + _LONGEST_LINE].rstrip(b"\r")
        if any(byte < 32 and byte != 9 for byte in line):
            break
        if stop < 0:
            raise BadRecording(path, at, "its header has no end")
        key, colon, value = line[1:].decode("latin-1").partition(":")
        if colon:
            header[key.strip()] = value.strip()
        at = stop + 1
        if line.strip().lower() == b"# end of ascii header":
            break
    if at == 0 or at >= _LONGEST_HEADER:
        raise BadRecording(path, at, "a header that is no text or too long")
    return version, at, header


@jit
def encode_aedat2(events: Events, out: NDArray[np.uint8], davis: bool) -> None:
    """Encodes all `events`, 8 bytes each."""
    for i in range(len(events)):
        word = int(events[i, 1])
        x, y, p = word & 0xFFFF, word >> 16 & 0xFFFF, word >> 32 & 1
        address = y << 22 | x << 12 | p << 11 if davis else y << 8 | x << 1 | (p ^ 1)
        pair = address << 32 | (int(events[i, 0]) & 0xFFFFFFFF)
        for k in range(8):
            out[8 * i + k] = pair >> (56 - 8 * k) & 0xFF


class Aedat2Writer(Writer):
    """Writes AEDAT 2: as a DVS128 for sensors of 128 x 128 pixels, else as a DAVIS of up to 1024 x 512.

    The first event must come within 2^31 µs of 0, and no two more than 2^31 µs apart.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        _, self._height, self._width = shape
        if not (0 < self._width <= 1024 and 0 < self._height <= 512):
            raise ConfigError(f"AEDAT2 holds sensors of up to 1024 x 512, not {self._width} x {self._height}")
        self._davis = (self._width, self._height) != (128, 128)
        chip = _chip_of(self._width, self._height) if self._davis else "ch.unizh.ini.jaer.chip.retina.DVS128"
        self._file = path.open("wb")
        self._file.write(
            b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
            b"# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event\r\n"
            b"# Timestamps tick is 1 us\r\n" + f"# AEChip: {chip}\r\n# End of ASCII Header\r\n".encode()
        )
        self._buffer = np.empty(8 * _BLOCK, np.uint8)
        self._last = 0

    def write(self, events: Records) -> None:
        require_order("AEDAT2", events, after=self._last)
        require_addresses("AEDAT2", events, self._width, self._height)
        if not len(events):
            return
        t = events["t"]
        if int(t[0]) - self._last >= 1 << 31 or bool((np.diff(t) >= 1 << 31).any()):
            raise ConfigError(
                "AEDAT2 cannot tell a pause of 2^31 µs (36 min) or more; subtract an offset first"
            )
        pairs = event_words(np.ascontiguousarray(events))
        for start in range(0, len(pairs), _BLOCK):
            block = pairs[start : start + _BLOCK]
            encode_aedat2(block, self._buffer, self._davis)
            self._file.write(self._buffer[: 8 * len(block)].data)
        self._last = int(t[-1])
        self.events += len(events)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _chip_of(width: int, height: int) -> str:
    known = {
        (240, 180): "eu.seebetter.ini.chips.davis.DAVIS240C",
        (346, 260): "eu.seebetter.ini.chips.davis.Davis346B",
    }
    return known.get((width, height), f"nrt.DAVIS-{width}x{height}")

"""DAT version 2, Prophesee's files of decoded events (ATIS, Gen3, Gen4), read and written.

"% key value" lines (`% Version 2`, `% Width`, `% Height`), then two bytes: the type of the events and the size of a
record, 8. A record is two little-endian u32: t in µs, which turns over every 2^32 µs (71.6 min), and

| type      | bits                                 |
|-----------|--------------------------------------|
| 00, 0C    | x 13:0, y 27:14, polarity 28         |
| 0E        | trigger: value 3:0, id 31:26         |

Source: OpenEB, dat_tools.py and event_ext_trigger.h.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording
from nrt.formats.base import TRIGGER, ByteRecording, Bytes, Decoder
from nrt.formats.prophesee import EvtWriter, read_header
from nrt.formats.words import LANES, Events, any_turn, event_words, put, put_dat
from nrt.jit import jit
from nrt.packet import Records

_TURN = 1 << 32
_LAST, _EPOCH = range(2)
_CD = (0x00, 0x0C)
_TRIGGER = 0x0E
_KINDS = {**dict.fromkeys(_CD, "events"), _TRIGGER: "triggers"}


@jit
def _decode(raw: NDArray[np.int64], out: Events, state: NDArray[np.int64]) -> int:
    """Fills `out` from as many records; returns how many."""
    count, i = min(len(raw), len(out)), 0
    source, slab = raw.ctypes.data, out.ctypes.data
    last, epoch = state[_LAST], state[_EPOCH]
    while i < count:
        if 0 < i <= count - LANES and not any_turn(source, i):
            put_dat(source, i, slab, i, epoch)
            i += LANES
            last = raw[i - 1] & 0xFFFFFFFF
            continue
        for k in range(i, min(count, i + LANES)):
            record = raw[k]
            t, bits = record & 0xFFFFFFFF, (record >> 32) & 0xFFFFFFFF
            if last - t > _TURN >> 1:
                epoch += _TURN
            last = t
            put(
                slab, k, epoch + t, (bits & 0x3FFF) | ((bits >> 14) & 0x3FFF) << 16 | ((bits >> 28) & 1) << 32
            )
            i = k + 1
    state[_LAST], state[_EPOCH] = last, epoch
    return count


@jit
def _decode_triggers(raw: NDArray[np.int64], out: Events, state: NDArray[np.int64]) -> None:
    last, epoch = state[_LAST], state[_EPOCH]
    for i in range(len(raw)):
        t, bits = raw[i] & 0xFFFFFFFF, (raw[i] >> 32) & 0xFFFFFFFF
        if last - t > _TURN >> 1:
            epoch += _TURN
        last = t
        out[i, 0] = epoch + t
        out[i, 1] = (bits >> 26) | (bits & 0xF) << 32
    state[_LAST], state[_EPOCH] = last, epoch


@jit
def _encode(events: Events, out: NDArray[np.int64]) -> tuple[int, int]:
    for i in range(len(events)):
        word = events[i, 1]
        bits = (word & 0xFFFF) | ((word >> 16) & 0xFFFF) << 14 | ((word >> 32) & 1) << 28
        out[i] = (events[i, 0] & 0xFFFFFFFF) | bits << 32
    return len(events), len(events)


class DatDecoder(Decoder):
    """Records of one type in, events (types 00 and 0C) or triggers (0E) out."""

    word: ClassVar[int] = 8
    reserve: ClassVar[int] = 1

    def __init__(self, kind: int = 0x0C) -> None:
        self._kind = kind
        self._state = np.zeros(2, np.int64)
        self._triggers: list[NDArray[np.void]] = []

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        records = raw[: len(raw) - len(raw) % 8].view(np.int64)
        if not records.flags.aligned:
            records = records.copy()
        if self._kind != _TRIGGER:
            count = _decode(records, event_words(events), self._state)
            return 8 * count, count
        pairs = np.empty((len(records), 2), np.int64)
        _decode_triggers(records, pairs, self._state)
        self._triggers.append(pairs.view(TRIGGER).reshape(len(records)))
        return 8 * len(records), 0

    def triggers(self) -> NDArray[np.void]:
        taken, self._triggers = self._triggers, []
        return np.concatenate(taken) if taken else np.empty(0, TRIGGER)


class DatRecording(ByteRecording):
    """A DAT file. Raises BadRecording for other versions, types and sizes of record, and as `Recording.read` says."""

    def __init__(self, path: Path) -> None:
        header, body = read_header(path)
        version = header.fields.get("version", "2")
        if version != "2":
            raise BadRecording(path, 0, f"DAT version {version}; only version 2 is read")
        if len(body) < 2:
            raise BadRecording(
                path, header.length, "the file ends where the type and size of a record should stand"
            )
        kind, size = body[0], body[1]
        if kind not in _KINDS:
            raise BadRecording(
                path, header.length, f"records of type 0x{kind:02X}; only 00, 0C and 0E are read"
            )
        if size != 8:
            raise BadRecording(
                path, header.length + 1, f"records of {size} bytes; those of DAT version 2 have 8"
            )
        file = path.open("rb", buffering=0)
        file.seek(header.length + 2)
        super().__init__(path, file, DatDecoder(kind), "DAT v2", header.shape, header.fields)


class DatWriter(EvtWriter):
    """Writes DAT: first time below 2^32 µs, gaps below 2^31 µs, sensors up to 16384 x 16384."""

    first_limit: ClassVar[int] = 1 << 32
    gap_limit: ClassVar[int] = 1 << 31
    side_limit: ClassVar[int] = 1 << 14

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        _, height, width = shape
        header = f"% Version 2\n% Width {width}\n% Height {height}\n% end\n".encode() + bytes((0x0C, 8))
        super().__init__(path, shape, "DAT", header, np.empty(self.piece, np.int64))

    def _run(self, events: Events) -> tuple[int, int]:
        return _encode(events, self._words)

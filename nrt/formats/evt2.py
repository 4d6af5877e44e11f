"""EVT2, Prophesee's 32-bit event words (Gen3 and later), read and written.

The type is in bits 31:28:

| type | word        | bits                                                           |
|------|-------------|----------------------------------------------------------------|
| 0, 1 | CD_OFF, _ON | low 6 bits of t 27:22, x 21:11, y 10:0: one event              |
| 8    | TIME_HIGH   | 64 µs, 28 bits: the clock turns over every 2^34 µs             |
| A    | EXT_TRIGGER | low 6 bits of t 27:22, id 12:8, value 0                        |

All others are skipped (D inertial unit, E and F the camera's own counters). Words before the first TIME_HIGH have no
time and are dropped. Source: docs.prophesee.ai, EVT 2.0; OpenEB's evt2_event_types.h.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nrt.formats.prophesee import EvtDecoder, EvtRecording, EvtWriter, evt_header, read_header
from nrt.formats.words import LANES, Events, next_time, put, put_evt2, word32
from nrt.jit import jit

_SYNCED, _TRIGGERS, _TIME = range(3)


@jit
def _decode(
    raw: NDArray[np.uint32], out: Events, state: NDArray[np.int64], triggers: Events
) -> tuple[int, int]:
    i, n, size = 0, 0, len(raw)
    source, slab, trigger_slab = raw.ctypes.data, out.ctypes.data, triggers.ctypes.data
    if not state[_SYNCED]:
        while i < size and word32(source, i) >> 28 != 8:
            i += 1
        if i < size:
            state[_SYNCED] = 1
            state[_TIME] = (word32(source, i) & 0xFFFFFFF) << 6
    time, found = state[_TIME], state[_TRIGGERS]
    while i < size and n <= len(out) - LANES and found < len(triggers):
        if i + LANES <= size:
            count = put_evt2(source, i, slab, n, time)
            i += count
            n += count
            if count == LANES:
                continue
        word = word32(source, i)
        i += 1
        kind = word >> 28
        t = time | ((word >> 22) & 0x3F)
        if kind == 8:
            time = next_time(time, (word & 0xFFFFFFF) << 6)
        elif kind < 2:
            put(slab, n, t, ((word >> 11) & 0x7FF) | (word & 0x7FF) << 16 | kind << 32)
            n += 1
        elif kind == 10:
            put(trigger_slab, found, t, ((word >> 8) & 0x1F) | (word & 1) << 32)
            found += 1
    state[_TIME], state[_TRIGGERS] = time, found
    return i, n


@jit
def _encode(events: Events, out: NDArray[np.uint32], state: NDArray[np.int64]) -> tuple[int, int]:
    used, filled, room = 0, 0, len(out) - 8
    high = state[_TIME]
    while used < len(events) and filled < room:
        t, word = events[used, 0], events[used, 1]
        if t >> 6 != high or not state[_SYNCED]:
            # a step of more than half the clock's range would read as a step back
            step = min(high + (1 << 26), t >> 6) if state[_SYNCED] else t >> 6
            state[_SYNCED] = 1
            high = step
            out[filled] = (8 << 28) | (high & 0xFFFFFFF)
            filled += 1
            if high != t >> 6:
                continue
        x, y, p = word & 0xFFFF, (word >> 16) & 0xFFFF, (word >> 32) & 1
        out[filled] = p << 28 | (t & 0x3F) << 22 | x << 11 | y
        filled += 1
        used += 1
    state[_TIME] = high
    return used, filled


class Evt2Decoder(EvtDecoder):
    """EVT2 words in, events and triggers out."""

    word: ClassVar[int] = 4
    words: ClassVar[np.dtype[np.uint32]] = np.dtype("<u4")

    def _run(self, raw: NDArray[np.uint32], out: Events) -> tuple[int, int]:
        return _decode(raw, out, self._state, self._edges.words)


class Evt2Recording(EvtRecording):
    """An EVT2 file. Raises BadRecording as `Recording.read` says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Evt2Decoder(), "EVT2", read_header(path)[0])


class Evt2Writer(EvtWriter):
    """Writes EVT2: times below 2^34 µs, sensors up to 2048 x 2048."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        buffer = np.empty(2 * self.piece + 8, np.uint32)
        super().__init__(path, shape, "EVT2", evt_header("2.0", "EVT2", shape, {}), buffer)

    def _run(self, events: Events) -> tuple[int, int]:
        return _encode(events, self._words, self._state)

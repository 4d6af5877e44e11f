"""The 16-bit words that iniVation's DAVIS cameras send over USB, decoded and encoded.

Little endian. With bit 15 set a word is a time: bits 14:0 on top of the sum of all wraps. Otherwise bits 14:12
are a code and bits 11:0 its data:

| code | word        | data                                                                            |
|------|-------------|---------------------------------------------------------------------------------|
| 0    | special     | 1 restarts the clock at 0; 2, 3, 4 external input fell, rose, pulsed            |
| 1    | Y address   | row of the events that follow                                                   |
| 2, 3 | X address   | column: one OFF or one ON event                                                 |
| 7    | time wrap   | adds 2^15 µs times its data; time stands at that sum until the next time word   |

Images and inertial measurements share the stream; they are passed over, and their words counted: code 4 is a sample
of an image, 6 its exposure, 5 one of its bounds (bits 11:8 are 1 or 2) or a measurement (0, 3); of the specials, 5 to 7
begin and end measurements, 8 to 15 images. 16 and 17 are edges that the camera generated itself. Anything else is
unknown, and counted. Words before any time belong to time 0, where the clock starts. Addresses are the chip's own:
how many there are, and whether X and Y are exchanged, the camera's registers tell; rows and columns beyond them are
passed over and counted. Source: libcaer, davis_common.c (davisCommonEventTranslator) and timestamps.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from nrt.formats.base import Bytes, Decoder, Encoder
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.edges import Edges
from nrt.formats.words import Events, event_words
from nrt.jit import jit
from nrt.packet import Records

_WRAP, _TIME, _ROW, _TRIGGERS, _FRAMES, _IMU, _UNKNOWN_WORDS, _OUTSIDE = range(8)
_TURN: Final = 15
_UNKNOWN: Final = -1
_LARGEST_WRAP: Final = 0xFFF


@jit
def _passed_over(word: np.int64) -> int:
    """Which counter a word belongs to that is neither time nor address nor an edge."""
    code, kind = word >> 12, word >> 8 & 0xF
    if code == 4 or (code == 6 and kind < 4) or (code == 5 and 1 <= kind <= 2) or 8 <= word <= 15:
        return _FRAMES
    if (code == 5 and (kind == 0 or kind == 3)) or 5 <= word <= 7:
        return _IMU
    return _UNKNOWN_WORDS


@jit
def _decode(
    words: NDArray[np.uint16],
    out: Events,
    state: NDArray[np.int64],
    triggers: Events,
    columns: int,
    rows: int,
    exchange: int,
) -> tuple[int, int]:
    """(words used, events written); stops early when `triggers` is full. exchange: 16 if X and Y are, else 0."""
    wrap, time, row, found = state[_WRAP], state[_TIME], state[_ROW], state[_TRIGGERS]
    i = n = 0
    while i < len(words) and n < len(out) and found < len(triggers):
        word = np.int64(words[i])
        i += 1
        code, data = word >> 12, word & 0xFFF
        if code >= 8:
            time = wrap + (word & 0x7FFF)
        elif code == 2 or code == 3:
            if data >= columns:
                state[_OUTSIDE] += 1
                continue
            out[n, 0] = time
            out[n, 1] = data << exchange | row << (16 - exchange) | (code & 1) << 32
            n += 1
        elif code == 1:
            if data < rows:
                row = data
            else:
                state[_OUTSIDE] += 1
        elif code == 7:
            wrap += data << _TURN
            time = wrap
        elif word == 1:
            wrap = time = 0
        elif 2 <= word <= 4:
            triggers[found, 0] = time
            triggers[found, 1] = (1 if word > 2 else 0) << 32
            found += 1
        elif word != 16 and word != 17:
            state[_passed_over(np.int64(word))] += 1
    state[_WRAP], state[_TIME], state[_ROW], state[_TRIGGERS] = wrap, time, row, found
    return i, n


@jit
def _encode(
    events: Events, until: int, out: NDArray[np.uint16], state: NDArray[np.int64], exchange: int
) -> tuple[int, int, bool]:
    """(events used, words written, whether time stands at `until`); stops when `out` may not hold one more."""
    time, row = state[_TIME], state[_ROW]
    used = filled = 0
    while filled + 4 <= len(out):
        t = events[used, 0] if used < len(events) else until
        turns = (t >> _TURN) - (time >> _TURN)
        if turns:
            turns = min(turns, _LARGEST_WRAP)
            out[filled] = 0x7000 | turns
            filled += 1
            time = ((time >> _TURN) + turns) << _TURN
            continue
        if t != time:
            out[filled] = 0x8000 | (t & 0x7FFF)
            filled += 1
            time = t
        if used == len(events):
            state[_TIME], state[_ROW] = time, row
            return used, filled, True
        word = events[used, 1]
        if (word >> (16 - exchange)) & 0xFFF != row:
            row = (word >> (16 - exchange)) & 0xFFF
            out[filled] = 0x1000 | row
            filled += 1
        out[filled] = 0x2000 | ((word >> 32) & 1) << 12 | ((word >> exchange) & 0xFFF)
        filled += 1
        used += 1
    state[_TIME], state[_ROW] = time, row
    return used, filled, False


class DavisDecoder(Decoder):
    """DAVIS words in, events and triggers (all of input 0) out.

    columns, rows: of the chip, as its words count them · exchange: whether its rows are the image's columns
    """

    word: ClassVar[int] = 2

    def __init__(self, columns: int = 1 << 12, rows: int = 1 << 12, *, exchange: bool = False) -> None:
        self._columns, self._rows, self._exchange = columns, rows, 16 * exchange
        self._state = np.zeros(8, np.int64)
        self._edges = Edges(self._state, _TRIGGERS, 256)

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        words = raw[: len(raw) & ~1].view("<u2")
        if not words.flags.aligned:
            words = words.copy()
        out = event_words(events)
        used = written = 0
        while True:
            took, put = _decode(
                words[used:],
                out[written:],
                self._state,
                self._edges.words,
                self._columns,
                self._rows,
                self._exchange,
            )
            used += took
            written += put
            if self._edges.free:
                return 2 * used, written
            self._edges.keep()

    def triggers(self) -> NDArray[np.void]:
        return self._edges.take()

    def counters(self) -> Mapping[str, int]:
        names = {
            "image words": _FRAMES,
            "inertial words": _IMU,
            "unknown words": _UNKNOWN_WORDS,
            "addresses outside": _OUTSIDE,
        }
        return {name: int(self._state[place]) for name, place in names.items() if self._state[place]}


class DavisEncoder(Encoder):
    """Events in, DAVIS words out: row and time only where they change. Times start at 0 or later.

    exchange: whether the chip's rows are the image's columns
    """

    word = 2
    side: ClassVar[int] = 1 << 12

    def __init__(self, *, exchange: bool = False) -> None:
        self._exchange = 16 * exchange
        self._state = np.zeros(4, np.int64)
        self._state[_ROW] = _UNKNOWN
        self._reached = 0

    def encode(self, events: Records, until: int) -> Bytes:
        require_order("DAVIS", events, after=self._reached)
        require_addresses("DAVIS", events, self.side, self.side)
        if len(events):
            self._reached = int(events["t"][-1])
        self._reached = max(self._reached, until)
        rest = event_words(np.ascontiguousarray(events))
        parts: list[NDArray[np.uint16]] = []
        done = False
        while not done:
            buffer = np.empty(3 * len(rest) + 16, np.uint16)
            used, filled, done = _encode(rest, self._reached, buffer, self._state, self._exchange)
            parts.append(buffer[:filled])
            rest = rest[used:]
        return np.concatenate(parts).view(np.uint8)

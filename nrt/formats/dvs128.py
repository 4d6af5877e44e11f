"""The words of four bytes that a DVS128 sends over USB, decoded and encoded.

A word is an address and a time, 16 bits each, little endian:

| time 15 | time 14 | address 15 | word                                                              |
|---------|---------|------------|-------------------------------------------------------------------|
| 1       |         |            | the clock of 14 bits has turned over: 2^14 µs more                  |
| 0       | 1       |            | the clock was set to 0                                              |
| 0       | 0       | 1          | a rising edge on the external input, at time 13:0                   |
| 0       | 0       | 0          | an event at time 13:0: row 14:8, column 7:1, bit 0 is 0 for ON      |

Rows and columns run against those of an image: x = 127 - column, y = 127 - row. Within a turn time does not fall,
which tells where a word begins if bytes were lost: where it falls, or a word makes no sense, `VERIFY` words in a row
must make sense, with few wraps among them that have other bits set; bytes before them are skipped, and counted. A
fall by more than half a turn is a lost wrap.
USB itself neither loses nor changes bytes. Source: libcaer, dvs128.c.
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
from nrt.jit import inline, jit
from nrt.packet import Records

SIDE: Final = 128
VERIFY: Final = 8
"""Words that must make sense in a row before a position is believed to be the start of one."""
_WORD: Final = 4
_TURN: Final = 14
_WRAP_WORD: Final = 1 << 31
_RESET_WORD: Final = 1 << 30

_WRAPS, _TICKS, _TRIGGERS, _SKIPPED, _MISSED, _SOUGHT = range(6)


@inline
def _word(raw: NDArray[np.uint8], at: int) -> np.int64:
    return (
        np.int64(raw[at])
        | np.int64(raw[at + 1]) << 8
        | np.int64(raw[at + 2]) << 16
        | np.int64(raw[at + 3]) << 24
    )


@jit
def _verdict(raw: NDArray[np.uint8], at: int) -> int:
    """1 if `VERIFY` words in a row from `at` on make sense, 0 if not, -1 if there are too few bytes to say."""
    ticks = np.int64(0)
    strange = 0
    for _ in range(VERIFY):
        if at + _WORD > len(raw):
            return -1
        word = _word(raw, at)
        at += _WORD
        if word >> 30:
            strange += word & 0x3FFFFFFF != 0
            if strange > 1 or word >> 30 == 3:
                return 0
            ticks = np.int64(0)
            continue
        if word >> 16 < ticks:
            return 0
        ticks = word >> 16
    return 1


@jit
def _decode(
    raw: NDArray[np.uint8], out: Events, state: NDArray[np.int64], triggers: Events
) -> tuple[int, int]:
    """(bytes used, events written); stops early when `triggers` is full."""
    base, ticks, found = state[_WRAPS], state[_TICKS], state[_TRIGGERS]
    sought = state[_SOUGHT]
    at = n = 0
    while at + _WORD <= len(raw) and n < len(out) and found < len(triggers):
        word = _word(raw, at)
        if not sought and (word >> 30 == 3 or (word >> 30 == 0 and word >> 16 < ticks)):
            sought = 1
        if sought:
            verdict = _verdict(raw, at)
            if verdict < 0:
                break
            if verdict == 0:
                state[_SKIPPED] += 1
                at += 1
                continue
            sought = 0
            if word >> 30 == 0 and ticks - (word >> 16) > 1 << (_TURN - 1):
                base += 1 << _TURN
                state[_MISSED] += 1
        at += _WORD
        if word & _WRAP_WORD:
            base += 1 << _TURN
            ticks = np.int64(0)
        elif word & _RESET_WORD:
            base = ticks = np.int64(0)
        else:
            ticks = word >> 16
            if word & 0x8000:
                triggers[found, 0] = base + ticks
                triggers[found, 1] = 1 << 32
                found += 1
            else:
                out[n, 0] = base + ticks
                x, y = 127 - (word >> 1 & 0x7F), 127 - (word >> 8 & 0x7F)
                out[n, 1] = x | y << 16 | (1 - (word & 1)) << 32
                n += 1
    state[_WRAPS], state[_TICKS], state[_TRIGGERS], state[_SOUGHT] = base, ticks, found, sought
    return at, n


@jit
def _encode(events: Events, until: int, out: NDArray[np.uint32], state: NDArray[np.int64]) -> int:
    """Words written; `out` holds one for each event and each turn of the clock."""
    turns = state[_WRAPS]
    n = 0
    for k in range(len(events) + 1):
        t = events[k, 0] if k < len(events) else until
        while turns < t >> _TURN:
            out[n] = _WRAP_WORD
            n += 1
            turns += 1
        if k < len(events):
            word = events[k, 1]
            column, row = 127 - (word & 0x7F), 127 - (word >> 16 & 0x7F)
            ticks = t & ((1 << _TURN) - 1)
            out[n] = ticks << 16 | row << 8 | column << 1 | (1 - (word >> 32 & 1))
            n += 1
    state[_WRAPS] = turns
    return n


class Dvs128Decoder(Decoder):
    """DVS128 words in, events and triggers (all of input 0) out; times count on from 0 through every turn."""

    word: ClassVar[int] = VERIFY * _WORD  # that many bytes may wait for a verdict

    def __init__(self) -> None:
        self._state = np.zeros(6, np.int64)
        self._edges = Edges(self._state, _TRIGGERS, 256)

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        out = event_words(events)
        used = written = 0
        while True:
            took, put = _decode(raw[used:], out[written:], self._state, self._edges.words)
            used += took
            written += put
            if self._edges.free:
                return used, written
            self._edges.keep()

    def triggers(self) -> NDArray[np.void]:
        return self._edges.take()

    def counters(self) -> Mapping[str, int]:
        counts = {"bytes skipped": int(self._state[_SKIPPED]), "turns missed": int(self._state[_MISSED])}
        return {name: count for name, count in counts.items() if count}


class Dvs128Encoder(Encoder):
    """Events in, DVS128 words out, with a wrap word for every turn of the clock. Times start at 0 or later."""

    word = _WORD
    side: ClassVar[int] = SIDE

    def __init__(self) -> None:
        self._state = np.zeros(1, np.int64)
        self._reached = 0

    def encode(self, events: Records, until: int) -> Bytes:
        require_order("DVS128", events, after=self._reached)
        require_addresses("DVS128", events, SIDE, SIDE)
        pairs = event_words(np.ascontiguousarray(events))
        if len(pairs):
            self._reached = int(pairs[-1, 0])
        self._reached = max(self._reached, until)
        turns = (self._reached >> _TURN) - int(self._state[_WRAPS])
        out = np.empty(len(pairs) + turns, np.uint32)
        count = _encode(pairs, self._reached, out, self._state)
        return out[:count].astype("<u4").view(np.uint8)

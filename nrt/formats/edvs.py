"""The bytes that an eDVS (eDVS4337, mini-eDVS; 128 x 128 pixels) sends over its serial line.

An event is `1yyyyyyy pxxxxxxx`, p = 0 for ON, and a time in the form that the command `!E0` to `!E4` chose:

| form | time, 1 µs per tick                                                                     |
|------|-----------------------------------------------------------------------------------------|
| E0   | none                                                                                    |
| E1   | since the event before: groups of 7 bits, most significant first, bit 7 marks the last  |
| E2   | 16 bits, most significant byte first; the clock turns over every 65.536 ms              |
| E3   | 24 bits, likewise; every 16.8 s                                                         |
| E4   | 32 bits, likewise; every 71.6 min                                                       |

Nothing frames an event: bit 7 of its first byte is set, but any byte may have it set. Where it is missing, bytes
have been lost or added; from there on bytes are skipped, and counted, until `VERIFY` events in a row make sense:
first bytes with bit 7, times (E2 to E4) that advance by less than half a turn, E1 times that end within 4 bytes.
A clock that turned over more than once in a pause cannot be told from one that turned once, unless the reader says
when bytes arrived (`arrived`): then times of 24 and 32 bits are unwrapped by that, and one that is more than `SLACK`
ahead of its arrival, or as far behind the one before, is believed only if what follows it makes sense.
Source: firmware text of the eDVS-4337 and the mini-eDVS (iniVation); libcaer, edvs.c. p is the chip's own bit, 0 for
ON: jAER hands it on as bit 0 of a DVS128 address (eDVS128_HardwareInterface.java), which is inverted in jAER's
DVS128.java and in libcaer's dvs128.c. Older versions of libcaer's edvs.c did not invert it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.formats.base import Bytes, Decoder, Encoder
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.words import Events, event_words
from nrt.jit import inline, jit
from nrt.packet import Records

Form = Literal[0, 1, 2, 3, 4]
"""Which of E0 to E4."""
FORMS: Final[Mapping[str, Form]] = {"none": 0, "delta": 1, "bits16": 2, "bits24": 3, "bits32": 4}
"""By the names in the camera's definition."""
VERIFY: Final = 8
"""Events that must make sense in a row before a position is believed to be the start of one."""
SIDE: Final = 128
_LONGEST: Final = 6
_GROUPS: Final = 4
_LONGEST_DELTA: Final = 1 << 28
_HOPELESS: Final = 1 << 16

SLACK: Final = 1_000_000
"""µs by which an event may seem to be ahead of its arrival, or behind the one before, and is believed at once."""

_TIME, _TICKS, _LOST, _SKIPPED, _HOST, _SEEN, _LIVE = range(7)


@jit
def _event(raw: NDArray[np.uint8], at: int, form: int) -> tuple[int, np.int64]:
    """(bytes of the event at `at`, its ticks); bytes are 0 where it makes no sense, -1 where it is incomplete."""
    ticks = np.int64(0)
    if at >= len(raw):
        return -1, ticks
    if raw[at] < 0x80:
        return 0, ticks
    if form != 1:
        size = 2 + (form if form > 1 else 0)
        if at + size > len(raw):
            return -1, ticks
        for i in range(2, size):
            ticks = ticks << 8 | np.int64(raw[at + i])
        return size, ticks
    for i in range(_GROUPS):
        place = at + 2 + i
        if place >= len(raw):
            return -1, ticks
        ticks = ticks << 7 | np.int64(raw[place] & 0x7F)
        if raw[place] & 0x80:
            return 3 + i, ticks
    return 0, ticks


@jit
def _verdict(raw: NDArray[np.uint8], at: int, form: int) -> int:
    """1 if `VERIFY` events in a row from `at` on make sense, 0 if not, -1 if there are too few bytes to say."""
    turn = np.int64(1) << (8 * form)
    before = np.int64(0)
    for k in range(VERIFY):
        size, ticks = _event(raw, at, form)
        if size <= 0:
            return size
        if k and form > 1 and (ticks - before) & (turn - 1) >= turn >> 1:
            return 0
        before = ticks
        at += size
    return 1


@inline
def _step(step: np.int64, turn: np.int64, state: NDArray[np.int64]) -> np.int64:
    """The time since the event before, of which the clock's turns leave `step`, by what the host's clock says."""
    passed = state[_HOST] - state[_SEEN]
    turns: np.int64 = (passed - step + (turn >> 1)) // turn
    return step + turn * turns


@jit
def _decode(raw: NDArray[np.uint8], out: Events, form: int, state: NDArray[np.int64]) -> tuple[int, int]:
    """(bytes used, events written)."""
    at = n = 0
    turn = np.int64(1) << (8 * form)
    while n < len(out):
        if state[_LOST]:
            verdict = _verdict(raw, at, form)
            if verdict < 0:
                break
            if verdict == 0:
                state[_SKIPPED] += 1
                at += 1
                continue
            state[_LOST] = 0
        size, ticks = _event(raw, at, form)
        if size < 0:
            break
        if size == 0:
            state[_LOST] = 1
            continue
        if form == 1:
            state[_TIME] += ticks
        elif form > 1:
            step = (ticks - state[_TICKS]) & (turn - 1)
            if form > 2 and state[_LIVE] == 2:
                step = _step(step, turn, state)
                if step > state[_HOST] - state[_SEEN] + SLACK or step < -SLACK:
                    verdict = _verdict(raw, at, form)
                    if verdict < 0:
                        break
                    if verdict == 0:
                        state[_LOST] = 1
                        continue
            if state[_LIVE]:
                state[_LIVE], state[_SEEN] = 2, state[_HOST]
            state[_TIME] += step
            state[_TICKS] = ticks
        x, y = np.int64(raw[at + 1]), np.int64(raw[at])
        out[n, 0] = state[_TIME]
        out[n, 1] = (x & 0x7F) | (y & 0x7F) << 16 | (1 - (x >> 7)) << 32
        n += 1
        at += size
    return at, n


@jit
def _encode(events: Events, out: NDArray[np.uint8], form: int, time: int) -> int:
    """Bytes written; `out` holds 6 per event. time: that of the event before."""
    at = 0
    for k in range(len(events)):
        t, word = events[k, 0], events[k, 1]
        out[at] = 0x80 | (word >> 16 & 0x7F)
        out[at + 1] = (word & 0x7F) | (1 - (word >> 32 & 1)) << 7
        at += 2
        if form == 1:
            delta = t - time
            groups = 1 + (delta >= 0x7F) + (delta >= 0x3FFF) + (delta >= 0x1FFFFF)  # as the firmware does
            for i in range(groups - 1, -1, -1):
                out[at] = (delta >> (7 * i) & 0x7F) | (0x80 if i == 0 else 0)
                at += 1
        elif form > 1:
            for i in range(form - 1, -1, -1):
                out[at] = t >> (8 * i) & 0xFF
                at += 1
        time = t
    return at


class EdvsDecoder(Decoder):
    """eDVS bytes in, events out; times count on from 0 through every turn of the clock."""

    word: ClassVar[int] = VERIFY * _LONGEST  # that many bytes may wait for a verdict

    def __init__(self, form: Form, *, joined: bool = False) -> None:
        """joined: whether the first byte may be any, as on a line that was sending already."""
        self._form = form
        self._state = np.zeros(7, np.int64)
        self._state[_LOST] = joined
        self._events = self._consumed = 0

    @property
    def skipped(self) -> int:
        """Bytes that were part of no event."""
        return int(self._state[_SKIPPED])

    def arrived(self, time: int) -> None:
        """The bytes to come arrived at `time`, µs, by a clock that starts about when the camera's does.

        E0 events, which carry no time, get this one.
        """
        if self._form == 0:
            self._state[_TIME] = time
        self._state[_HOST] = time
        self._state[_LIVE] = max(self._state[_LIVE], 1)

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        used, written = _decode(raw, event_words(events), self._form, self._state)
        self._events += written
        self._consumed += used
        return used, written

    def counters(self) -> Mapping[str, int]:
        return {"bytes skipped": self.skipped} if self.skipped else {}

    def complaint(self) -> tuple[int, str] | None:
        if self._events or self.skipped < _HOPELESS:
            return None
        return 0, f"{self.skipped} bytes without an event: no eDVS that sends E{self._form} at this baud rate"


class EdvsEncoder(Encoder):
    """Events in, eDVS bytes out. Nothing is sent between events, so a reader learns the time only from them.

    bridged: whether pauses that a reader cannot tell the length of are refused; a camera has no choice
    """

    side: ClassVar[int] = SIDE

    def __init__(self, form: Form = 4, *, bridged: bool = True) -> None:
        self._form, self._bridged = form, bridged
        self._time = 0
        self.word = 1 if form == 1 else 2 + (form if form > 1 else 0)

    def encode(self, events: Records, until: int) -> Bytes:
        require_order("eDVS", events, after=self._time)
        require_addresses("eDVS", events, SIDE, SIDE)
        pairs = event_words(np.ascontiguousarray(events))
        if self._bridged:
            self._require_short_pauses(pairs[:, 0])
        out = np.empty(_LONGEST * len(pairs), np.uint8)
        size = _encode(pairs, out, self._form, self._time)
        if len(pairs):
            self._time = int(pairs[-1, 0])
        return out[:size]

    def _require_short_pauses(self, t: NDArray[np.int64]) -> None:
        """Raises ConfigError where a pause is as long as a turn of the clock."""
        limit = {0: 1 << 62, 1: _LONGEST_DELTA}.get(self._form, 1 << 8 * self._form)
        longest = int(np.diff(t, prepend=self._time).max(initial=0))
        if longest >= limit:
            raise ConfigError(
                f"eDVS E{self._form} bridges less than {limit} µs between events, not {longest}; "
                "use E4, or start the times at 0"
            )

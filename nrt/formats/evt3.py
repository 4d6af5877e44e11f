"""EVT3, Prophesee's 16-bit event words (Gen4, IMX636), read and written.

The type is in bits 15:12. A word sets a part of the state (row, time, vector base) or yields events:

| type | word        | bits                                                        |
|------|-------------|-------------------------------------------------------------|
| 0    | ADDR_Y      | y 10:0                                                      |
| 2    | ADDR_X      | polarity 11, x 10:0: one event                              |
| 3    | VECT_BASE_X | polarity 11, x 10:0: where the next vector starts           |
| 4, 5 | VECT_12, _8 | an event at base + i for each set bit i; base += 12 or 8    |
| 6    | TIME_LOW    | µs, 12 bits                                                 |
| 8    | TIME_HIGH   | 4096 µs, 12 bits: the clock turns over every 2^24 µs        |
| A    | EXT_TRIGGER | id 11:8, value 0                                            |

All others are skipped (E, F and 7 carry counters; 1, 9 and B to D are not defined, yet cameras pad with 0x9999).
Words before the first TIME_HIGH have no time and are dropped. A TIME_HIGH that changes sets the low part to 0, one
that repeats keeps it; a fall of half the range or more is a turn of the clock. TIME_LOW may step back, as it does in
real recordings. Source: docs.prophesee.ai, EVT 3.0; OpenEB's evt3_event_types.h and evt3_decoder.h.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nrt.formats.base import Bytes, Encoder
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.prophesee import EvtDecoder, EvtRecording, EvtWriter, evt_header, read_header
from nrt.formats.words import (
    BITS,
    BLOCK,
    Events,
    bit_count,
    equals,
    event_words,
    leading_zeros,
    put,
    put_bits,
    trailing_zeros,
    word16,
)
from nrt.jit import inline, jit
from nrt.packet import Records

_TURN = 1 << 24
_SYNCED, _TRIGGERS, _TIME, _ROW, _BASE, _ROW_KNOWN = range(6)
_VECTOR_WORDS = 4  # base, 12, 12 and 8 pixels
_MAX = 0x7FFFFFFFFFFFFFFF
_ROOM = 16  # a word stores up to 12 events, and a vector store reaches 16 places


@inline
def _advance(base: int, pixels: int) -> int:
    """The vector base `pixels` further on; polarity, in bit 32, stays."""
    return (base & ~0xFFFF) | ((base + pixels) & 0x7FF)


@inline
def _position(word: int) -> int:
    """x, and polarity in bit 32, of an ADDR_X or VECT_BASE_X."""
    return (word & 0x7FF) | (word & 0x800) << 21


@inline
def _step(word: int, slab: int, n: int, t: int, row: int, base: int, table: int) -> tuple[int, int, int, int]:
    """One word of any type but a trigger: the number of events and the state after it."""
    kind = word >> 12
    if kind == 2:
        put(slab, n, t, _position(word) | row)
        n += 1
    elif kind == 0:
        row = (word & 0x7FF) << 16
    elif kind == 6:
        t = (t & ~0xFFF) | (word & 0xFFF)
    elif kind == 8:
        high, was = word & 0xFFF, (t >> 12) & 0xFFF
        if high != was:
            t = (t & ~(_TURN - 1)) | high << 12
            if was - high >= 2048:
                t += _TURN
    elif kind == 3:
        base = _position(word)
    elif kind == 4 or kind == 5:
        bits = word & (0xFFF if kind == 4 else 0xFF)
        n = put_bits(slab, n, t, base | row, bits & 0xFF, table)
        n = put_bits(slab, n, t, (base | row) + 8, bits >> 8, table)
        base = _advance(base, 12 if kind == 4 else 8)
    return n, t, row, base


@inline
def _base_after(raw: int, i: int, upto: int, bases: int, twelves: int, eights: int, base: int) -> int:
    """The vector base after those words of a block that `upto` marks: the last one set, and the vectors since."""
    bases &= upto
    if bases:
        place = 63 - leading_zeros(bases)
        base = _position(word16(raw, i + place))
        upto &= -1 << place
    return _advance(base, 12 * bit_count(twelves & upto) + 8 * bit_count(eights & upto))


@inline
def _block(
    raw: int, i: int, slab: int, n: int, t: int, row: int, base: int, table: int
) -> tuple[int, int, int, int]:
    """The 64 words from i >= 1 on, which hold no trigger and no new TIME_HIGH: as `_step` for all of them.

    Only words that yield events are visited; the row and time of each are the last ones set before it, found
    from bit masks of the block rather than carried from word to word.
    """
    singles, rows, lows = (
        equals(raw, i, 0x2000, 0xF000),
        equals(raw, i, 0, 0xF000),
        equals(raw, i, 0x6000, 0xF000),
    )
    bases, twelves, eights = (
        equals(raw, i, 0x3000, 0xF000),
        equals(raw, i, 0x4000, 0xF000),
        equals(raw, i, 0x5000, 0xF000),
    )
    left = singles | (twelves & ~equals(raw, i, 0, 0xFFF)) | (eights & ~equals(raw, i, 0, 0xFF))
    high, low = t & ~0xFFF, t & 0xFFF
    while left:
        upto = left ^ (left - 1)
        word = word16(raw, i + trailing_zeros(left))
        left &= left - 1
        # without a bit the index is i - 1: a word that exists and is not used
        found = (word16(raw, i + 63 - leading_zeros(rows & upto)) & 0x7FF) << 16
        y = found if rows & upto else row
        found = word16(raw, i + 63 - leading_zeros(lows & upto)) & 0xFFF
        now = high | (found if lows & upto else low)
        if word < 0x3000:
            put(slab, n, now, _position(word) | y)
            n += 1
        else:
            x = _base_after(raw, i, upto >> 1 & _MAX, bases, twelves, eights, base) | y
            n = put_bits(slab, n, now, x, word & 0xFF, table)
            n = put_bits(slab, n, now, x + 8, (word >> 8) & (0xF if word < 0x5000 else 0), table)
    if rows:
        row = (word16(raw, i + 63 - leading_zeros(rows)) & 0x7FF) << 16
    if lows:
        t = high | (word16(raw, i + 63 - leading_zeros(lows)) & 0xFFF)
    if bases | twelves | eights:
        base = _base_after(raw, i, -1, bases, twelves, eights, base)
    return n, t, row, base


@jit
def _decode(
    words: NDArray[np.uint16],
    out: Events,
    state: NDArray[np.int64],
    triggers: Events,
    bits: NDArray[np.uint8],
) -> tuple[int, int]:
    i, n, size = 0, 0, len(words)
    raw, slab, table, trigger_slab = (
        words.ctypes.data,
        out.ctypes.data,
        bits.ctypes.data,
        triggers.ctypes.data,
    )
    if not state[_SYNCED]:
        while i < size and word16(raw, i) >> 12 != 8:
            i += 1
        if i < size:
            state[_SYNCED] = 1
            state[_TIME] = (word16(raw, i) & 0xFFF) << 12
    t, row, base, found = state[_TIME], state[_ROW], state[_BASE], state[_TRIGGERS]
    while i < size and found < len(triggers) and (len(out) - n) >= 2 * _ROOM:
        room = (len(out) - n) // _ROOM - 1
        if i and room >= BLOCK and i + BLOCK <= size:
            same = equals(raw, i, 0x8000 | ((t >> 12) & 0xFFF), 0xFFFF)
            if not (equals(raw, i, 0x8000, 0xF000) & ~same) | equals(raw, i, 0xA000, 0xF000):
                n, t, row, base = _block(raw, i, slab, n, t, row, base, table)
                i += BLOCK
                continue
        stop = min(size, i + min(BLOCK, room))
        while i < stop and found < len(triggers):
            word = word16(raw, i)
            i += 1
            if word >> 12 == 10:
                put(trigger_slab, found, t, ((word >> 8) & 0xF) | (word & 1) << 32)
                found += 1
            else:
                n, t, row, base = _step(word, slab, n, t, row, base, table)
    state[_TIME], state[_ROW], state[_BASE], state[_TRIGGERS] = t, row, base, found
    return i, n


@jit
def _run_length(events: Events, start: int) -> int:
    """How many events from `start` on share time, row and polarity and ascend within 32 pixels."""
    t, word = events[start, 0], events[start, 1]
    base, x, i = word & 0xFFFF, word & 0xFFFF, start + 1
    while i < len(events) and events[i, 0] == t and (events[i, 1] ^ word) & 0x1FFFF0000 == 0:
        following = events[i, 1] & 0xFFFF
        if following <= x or following >= base + 32:
            break
        x = following
        i += 1
    return i - start


@jit
def _encode(events: Events, out: NDArray[np.uint16], state: NDArray[np.int64]) -> tuple[int, int]:
    """state[_TIME] is the time that a reader has by now, from 0 on."""
    used, filled, room = 0, 0, len(out) - 16
    time, row = state[_TIME], state[_ROW]
    while used < len(events) and filled < room:
        t, word = events[used, 0], events[used, 1]
        if t >> 12 != time >> 12 or not state[_SYNCED]:
            # the clock turns over every 2^24 µs: long gaps, and the way to the first time, go in quarter turns
            time = min(((time >> 12) + 1024) << 12, t & ~0xFFF) if state[_SYNCED] else 0
            state[_SYNCED] = 1
            out[filled] = 8 << 12 | ((time >> 12) & 0xFFF)
            filled += 1
            if time >> 12 != t >> 12:
                continue
            out[filled] = 6 << 12 | (t & 0xFFF)  # always, for readers that keep the low part
            filled += 1
        elif t != time:
            out[filled] = 6 << 12 | (t & 0xFFF)
            filled += 1
        time = t
        if row != (word >> 16) & 0xFFFF or not state[_ROW_KNOWN]:
            row = (word >> 16) & 0xFFFF
            state[_ROW_KNOWN] = 1
            out[filled] = row
            filled += 1
        head = (word & 0xFFFF) | ((word >> 32) & 1) << 11
        run = _run_length(events, used)
        if run <= _VECTOR_WORDS:
            out[filled] = 2 << 12 | head
            filled += 1
            used += 1
            continue
        bits = 0
        for i in range(used, used + run):
            bits |= 1 << ((events[i, 1] - word) & 31)
        # always the whole group of three, which some readers take as one
        out[filled] = 3 << 12 | head
        out[filled + 1] = 4 << 12 | (bits & 0xFFF)
        out[filled + 2] = 4 << 12 | ((bits >> 12) & 0xFFF)
        out[filled + 3] = 5 << 12 | (bits >> 24)
        filled += 4
        used += run
    state[_TIME], state[_ROW] = time, row
    return used, filled


class Evt3Decoder(EvtDecoder):
    """EVT3 words in, events and triggers out."""

    word: ClassVar[int] = 2
    words: ClassVar[np.dtype[np.uint16]] = np.dtype("<u2")

    def _run(self, raw: NDArray[np.uint16], out: Events) -> tuple[int, int]:
        return _decode(raw, out, self._state, self._edges.words, BITS)


class Evt3Recording(EvtRecording):
    """An EVT3 file. Raises BadRecording as `Recording.read` says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Evt3Decoder(), "EVT3", read_header(path)[0])


class Evt3Writer(EvtWriter):
    """Writes EVT3, with vectors where they are shorter: times below 2^34 µs, sensors up to 2048 x 2048."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        buffer = np.empty(5 * self.piece + 16, np.uint16)
        super().__init__(path, shape, "EVT3", evt_header("3.0", "EVT3", shape, {}), buffer)

    def _run(self, events: Events) -> tuple[int, int]:
        return _encode(events, self._words, self._state)


class Evt3Encoder(Encoder):
    """Events in, EVT3 words out as a camera sends them: without a header, with time words where nothing happens."""

    word = 2
    side: ClassVar[int] = 1 << 11

    def __init__(self) -> None:
        self._state = np.zeros(8, np.int64)
        self._reached = 0

    def encode(self, events: Records, until: int) -> Bytes:
        require_order("EVT3", events, after=self._reached)
        require_addresses("EVT3", events, self.side, self.side)
        if len(events):
            self._reached = int(events["t"][-1])
        self._reached = max(self._reached, until)
        rest, parts = event_words(np.ascontiguousarray(events)), [np.empty(0, np.uint16)]
        while len(rest):
            buffer = np.empty(5 * len(rest) + 32, np.uint16)
            used, filled = _encode(rest, buffer, self._state)
            parts.append(buffer[:filled])
            rest = rest[used:]
        return np.concatenate([*parts, self._time_words()]).view(np.uint8)

    def _time_words(self) -> NDArray[np.uint16]:
        """What leads a reader from the last time sent to the one reached, in quarter turns of the clock."""
        high, target = int(self._state[_TIME]) >> 12, self._reached >> 12
        highs = [*range(high + 1024, target, 1024), target] if high != target else []
        if not self._state[_SYNCED]:
            highs = [0, *highs]
        self._state[_SYNCED], self._state[_TIME] = 1, self._reached
        words = [0x8000 | (each & 0xFFF) for each in highs]
        return np.array([*words, 0x6000 | (self._reached & 0xFFF)], np.uint16)

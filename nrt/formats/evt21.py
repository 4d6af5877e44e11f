"""EVT2.1, Prophesee's 64-bit event words that carry up to 32 pixels of a row, read and written.

The type is in bits 63:60:

| type | word        | bits                                                                            |
|------|-------------|---------------------------------------------------------------------------------|
| 0, 1 | NEG, POS    | low 6 bits of t 59:54, x 53:43, y 42:32; an event at x + i for each set bit i   |
| 8    | TIME_HIGH   | 64 µs, 59:32: the clock turns over every 2^34 µs                                |
| A    | EXT_TRIGGER | low 6 bits of t 59:54, id 44:40, value 32                                       |

All others are skipped. Two byte orders exist: "little" (GenX320) is a plain little-endian word; "legacy" (IMX636,
Gen4.1) puts the high half first, each half little-endian. The upper halves are EVT2 words but for the pixels' place.
Words before the first TIME_HIGH have no time and are dropped. Source: docs.prophesee.ai, EVT 2.1; OpenEB's
evt21_event_types.h, and make_decoder.cpp for the choice of the byte order.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.formats.prophesee import ByteOrder, EvtDecoder, EvtRecording, EvtWriter, evt_header, read_header
from nrt.formats.words import (
    BITS,
    LANES,
    Events,
    next_time,
    put,
    put_bits,
    put_evt21,
    trailing_zeros,
    word32,
)
from nrt.jit import jit

_SYNCED, _TRIGGERS, _TIME = range(3)
_ROOM = 40  # a word yields up to 32 events, and a vector store reaches 8 places


@jit
def _decode(
    halves: NDArray[np.uint32],
    upper: int,
    out: Events,
    state: NDArray[np.int64],
    triggers: Events,
    bits: NDArray[np.uint8],
) -> tuple[int, int]:
    """upper: index of the high half within a word, 0 or 1. What it returns counts halves."""
    i, n, size = 0, 0, len(halves)
    raw, slab, table, trigger_slab = (
        halves.ctypes.data,
        out.ctypes.data,
        bits.ctypes.data,
        triggers.ctypes.data,
    )
    if not state[_SYNCED]:
        while i < size and word32(raw, i + upper) >> 28 != 8:
            i += 2
        if i < size:
            state[_SYNCED] = 1
            state[_TIME] = (word32(raw, i + upper) & 0xFFFFFFF) << 6
    time, found = state[_TIME], state[_TRIGGERS]
    while i < size and len(out) - n >= _ROOM and found < len(triggers):
        high, valid = word32(raw, i + upper), word32(raw, i + 1 - upper)
        kind = high >> 28
        t = time | ((high >> 22) & 0x3F)
        xyp = ((high >> 11) & 0x7FF) | (high & 0x7FF) << 16 | (kind & 1) << 32
        if kind < 2 and valid & (valid - 1):
            n = put_bits(slab, n, t, xyp, valid & 0xFF, table)
            n = put_bits(slab, n, t, xyp + 8, (valid >> 8) & 0xFF, table)
            n = put_bits(slab, n, t, xyp + 16, (valid >> 16) & 0xFF, table)
            n = put_bits(slab, n, t, xyp + 24, valid >> 24, table)
        elif kind < 2 and valid:
            if i + 2 * LANES <= size:
                count = put_evt21(raw, i >> 1, 32 - 32 * upper, slab, n, time)
                n += count
                i += 2 * count
                continue
            put(slab, n, t, xyp + trailing_zeros(valid))
            n += 1
        elif kind == 8:
            time = next_time(time, (high & 0xFFFFFFF) << 6)
        elif kind == 10:
            put(trigger_slab, found, t, ((high >> 8) & 0x1F) | (high & 1) << 32)
            found += 1
        i += 2
    state[_TIME], state[_TRIGGERS] = time, found
    return i, n


@jit
def _encode(events: Events, upper: int, out: NDArray[np.uint32], state: NDArray[np.int64]) -> tuple[int, int]:
    """Joins neighbours of one row, time and polarity that ascend within 32 aligned pixels into one word."""
    used, filled, room = 0, 0, len(out) - 8
    time = state[_TIME]
    while used < len(events) and filled < room:
        t, word = events[used, 0], events[used, 1]
        if t >> 6 != time or not state[_SYNCED]:
            # a step of more than half the clock's range would read as a step back
            time = min(time + (1 << 26), t >> 6) if state[_SYNCED] else t >> 6
            state[_SYNCED] = 1
            out[filled + upper] = (8 << 28) | (time & 0xFFFFFFF)
            out[filled + 1 - upper] = 0
            filled += 2
            if time != t >> 6:
                continue
        x, y, p = word & 0xFFFF, (word >> 16) & 0xFFFF, (word >> 32) & 1
        base = x & ~31
        bits = 1 << (x - base)
        used += 1
        while used < len(events) and events[used, 0] == t and (events[used, 1] ^ word) & 0x1FFFFFFE0 == 0:
            bit = 1 << (events[used, 1] & 31)
            if bit <= bits:  # to its left, or the same pixel: the order would be lost
                break
            bits |= bit
            used += 1
        out[filled + upper] = p << 28 | (t & 0x3F) << 22 | base << 11 | y
        out[filled + 1 - upper] = bits
        filled += 2
    state[_TIME] = time
    return used, filled


class Evt21Decoder(EvtDecoder):
    """EVT2.1 words of one byte order in, events and triggers out."""

    word: ClassVar[int] = 8
    words: ClassVar[np.dtype[np.uint32]] = np.dtype("<u4")

    def __init__(self, endianness: ByteOrder = "little") -> None:
        super().__init__()
        self._upper = 1 if endianness == "little" else 0

    def _run(self, raw: NDArray[np.uint32], out: Events) -> tuple[int, int]:
        return _decode(raw, self._upper, out, self._state, self._edges.words, BITS)


class Evt21Recording(EvtRecording):
    """An EVT2.1 file of either byte order. Raises BadRecording as `Recording.read` says."""

    def __init__(self, path: Path) -> None:
        header, body = read_header(path)
        order = header.byte_order(body)
        name = "EVT2.1 legacy" if order == "legacy" else "EVT2.1"
        super().__init__(path, Evt21Decoder(order), name, header)


class Evt21Writer(EvtWriter):
    """Writes EVT2.1 in either byte order: times below 2^34 µs, sensors up to 2048 x 2048."""

    def __init__(self, path: Path, shape: tuple[int, int, int], endianness: ByteOrder = "little") -> None:
        if endianness not in ("little", "legacy"):
            raise ConfigError(f"endianness is 'little' or 'legacy', not '{endianness}'")
        self._upper = 1 if endianness == "little" else 0
        header = evt_header("2.1", "EVT21", shape, {"endianness": endianness})
        super().__init__(path, shape, "EVT2.1", header, np.empty(4 * self.piece + 8, np.uint32))

    def _run(self, events: Events) -> tuple[int, int]:
        return _encode(events, self._upper, self._words, self._state)

"""ECF, the event compression of Prophesee's HDF5 files (HDF5 filter 36559), decoded.

Source: github prophesee-ai/hdf5_ecf, ecf_codec.cpp and its tests. All numbers are little endian. A chunk opens
with u32 `events << 2 | yxp packed << 1 | xp packed` and the time t of the first event (u64 µs); then come

times       bytes `dt << 4 | count`: dt is added to t, then `count` events have it; a count of 15 is followed by
            the count as u16. dt 15 marks bytes whose low halves, lowest first, form a number that is added to t.
if yxp packed: groups of 4 events in three u32, 24 bits each from the top: y 22:12, x 11:1, p 0
else rows   u16 `y << 5 | count`; a count of 31 is followed by the count as u16; then
  if xp packed: groups of 4 events in three u16, 12 bits each from the top: x 11:1, p 0
  else columns   u16 `x << 5 | mask`: x, and for each bit of the mask from the top also x + 1 … x + 5
       polarity  bytes `p << 7 | count`; a count of 127 is followed by the count as u16
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.formats.words import Events
from nrt.jit import inline, jit

FILTER: Final = 36559

_MALFORMED: Final = -1


@inline
def _u16(raw: NDArray[np.uint8], at: int) -> int:
    return int(np.int64(raw[at]) | np.int64(raw[at + 1]) << 8)


@inline
def _u32(raw: NDArray[np.uint8], at: int) -> int:
    return _u16(raw, at) | _u16(raw, at + 2) << 16


@jit
def _times(raw: NDArray[np.uint8], at: int, out: Events, count: int) -> int:
    t = _u32(raw, at) | _u32(raw, at + 4) << 32
    at += 8
    i = 0
    shift = 0
    while i < count:
        if at + 3 > len(raw) and (at >= len(raw) or raw[at] & 0xFF == 0xFF):
            return _MALFORMED
        code = int(np.int64(raw[at]))
        at += 1
        run = code & 15
        if code >> 4 == 15:
            if shift > 60:
                return _MALFORMED
            t += run << shift
            shift += 4
            continue
        shift = 0
        t += code >> 4
        if run == 15:
            if at + 2 > len(raw):
                return _MALFORMED
            run = _u16(raw, at)
            at += 2
        if run > count - i:
            return _MALFORMED
        for j in range(i, i + run):
            out[j, 0] = t
        i += run
        if run == 0 and at >= len(raw):
            return _MALFORMED
    return at


@jit
def _all_packed(raw: NDArray[np.uint8], at: int, out: Events, count: int) -> int:
    if at + 12 * ((count + 3) // 4) > len(raw):
        return _MALFORMED
    for i in range(0, count, 4):
        a, b, c = _u32(raw, at), _u32(raw, at + 4), _u32(raw, at + 8)
        at += 12
        group = (a >> 8, (a & 0xFF) | b >> 16 << 8, (b & 0xFFFF) | c >> 24 << 16, c & 0xFFFFFF)
        for j in range(min(4, count - i)):
            v = group[j]
            out[i + j, 1] = (v >> 1 & 0x7FF) | (v >> 12 & 0x7FF) << 16 | (v & 1) << 32
    return at


@jit
def _rows(raw: NDArray[np.uint8], at: int, out: Events, count: int) -> int:
    i = 0
    while i < count:
        if at + 2 > len(raw):
            return _MALFORMED
        code = _u16(raw, at)
        at += 2
        run = code & 31
        if run == 31:
            if at + 2 > len(raw):
                return _MALFORMED
            run = _u16(raw, at)
            at += 2
        if run > count - i:
            return _MALFORMED
        for j in range(i, i + run):
            out[j, 1] = code >> 5 << 16
        i += run
    return at


@jit
def _columns_packed(raw: NDArray[np.uint8], at: int, out: Events, count: int) -> int:
    if at + 6 * ((count + 3) // 4) > len(raw):
        return _MALFORMED
    for i in range(0, count, 4):
        a, b, c = _u16(raw, at), _u16(raw, at + 2), _u16(raw, at + 4)
        at += 6
        group = (a >> 4, (a & 0xF) | b >> 8 << 4, (b & 0xFF) | c >> 12 << 8, c & 0xFFF)
        for j in range(min(4, count - i)):
            out[i + j, 1] |= group[j] >> 1 | (group[j] & 1) << 32
    return at


@jit
def _columns_masked(raw: NDArray[np.uint8], at: int, out: Events, count: int) -> int:
    i = 0
    while i < count:
        if at + 2 > len(raw):
            return _MALFORMED
        code = _u16(raw, at)
        at += 2
        for step in range(6):
            # a group that reaches past the last event marks places that do not count
            if i < count and (step == 0 or code >> (5 - step) & 1):
                out[i, 1] |= (code >> 5) + step
                i += 1
    return at


@jit
def _polarities(raw: NDArray[np.uint8], at: int, out: Events, count: int) -> int:
    i = 0
    while i < count:
        if at >= len(raw):
            return _MALFORMED
        code = int(np.int64(raw[at]))
        at += 1
        run = code & 127
        if run == 127:
            if at + 2 > len(raw):
                return _MALFORMED
            run = _u16(raw, at)
            at += 2
        if run > count - i:
            return _MALFORMED
        for j in range(i, i + run):
            out[j, 1] |= code >> 7 << 32
        i += run
    return at


@jit
def decode_ecf(raw: NDArray[np.uint8], out: Events) -> int:
    """Decodes one chunk into `out`; returns the events, or -1 if it is no sound chunk or `out` is too short."""
    if len(raw) < 12:
        return _MALFORMED
    head = _u32(raw, 0)
    count = head >> 2
    if count > len(out):
        return _MALFORMED
    at = _times(raw, 4, out, count)
    if at < 0:
        return _MALFORMED
    if head & 2:
        at = _all_packed(raw, at, out, count)
    else:
        at = _rows(raw, at, out, count)
        if at >= 0 and head & 1:
            at = _columns_packed(raw, at, out, count)
        elif at >= 0:
            at = _columns_masked(raw, at, out, count)
            at = _polarities(raw, at, out, count) if at >= 0 else at
    return count if at >= 0 else _MALFORMED

"""Events as lines of text (.csv, .txt): columns found by `nrt.formats.columns`, numbers parsed by a kernel.

Numbers are decimal, with or without point and exponent. Time is scaled to µs and rounded to the nearest;
coordinates and polarities must be whole. Polarity is 0 or 1, -1 or 1, true or false. Lines that are empty or
begin with # or % are passed over. Addresses and times are otherwise as in the file.
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording
from nrt.formats.base import ByteRecording, Bytes, Decoder, Writer
from nrt.formats.bounds import require_addresses, require_order
from nrt.formats.columns import Columns, find_columns
from nrt.formats.words import Events, event_words
from nrt.jit import inline, jit
from nrt.packet import Records

_HEAD: Final = 1 << 16
_LINE: Final = 48  # the longest that is written: 20 + 5 + 5 + 1 digits and separators
_BLOCK: Final = 1 << 12
_EARLIEST: Final = -(1 << 63)
_BAD: Final = 1


@inline
def _power(exponent: int) -> int:
    value = 1
    for _ in range(exponent):
        value *= 10
    return value


@inline
def _scaled(digits: int, exponent: int, rounds: bool) -> tuple[int, bool]:
    """digits * 10^exponent as a whole number, and whether that is one (or may be rounded to one)."""
    if digits == 0:
        return 0, True
    if exponent >= 0:
        if exponent > 18:
            return 0, False
        factor = _power(exponent)
        return digits * factor, digits <= 9_000_000_000_000_000_000 // factor
    if exponent < -18:
        return 0, rounds
    divisor = _power(-exponent)
    whole, rest = digits // divisor, digits % divisor
    return whole + (2 * rest >= divisor), rounds or rest == 0


@jit
def parse_cell(raw: NDArray[np.uint8], at: int, unit: int, rounds: bool) -> tuple[int, int, bool]:
    """(offset behind the number or truth value at raw[at:], its value times 10^unit, whether it is one)."""
    size = len(raw)
    if at < size and (raw[at] | 32 == 116 or raw[at] | 32 == 102):  # true, false
        value = 1 if raw[at] | 32 == 116 else 0
        stop = at + (4 if value else 5)
        if stop > size or raw[stop - 1] | 32 != 101:
            return at, 0, stop > size
        return stop, value, True
    negative = at < size and raw[at] == 45
    if at < size and (raw[at] == 45 or raw[at] == 43):
        at += 1
    digits, exponent, seen, point = 0, unit, 0, False
    while at < size:
        digit = int(np.int64(raw[at])) - 48
        if digit == -2 and not point:
            point = True
        elif 0 <= digit <= 9:
            seen += 1
            if digits < 100_000_000_000_000_000:
                digits = digits * 10 + digit
                exponent -= point
            else:
                exponent += not point
        else:
            break
        at += 1
    if seen and at < size and raw[at] | 32 == 101:
        at += 1
        falls = at < size and raw[at] == 45
        if at < size and (raw[at] == 45 or raw[at] == 43):
            at += 1
        shift = 0
        while at < size and 48 <= raw[at] <= 57:
            shift = min(shift * 10 + int(np.int64(raw[at])) - 48, 1000)
            at += 1
        exponent += -shift if falls else shift
    value, sound = _scaled(digits, exponent, rounds)
    return at, -value if negative else value, seen > 0 and sound


@jit
def decode_text(
    raw: NDArray[np.uint8],
    out: Events,
    separator: int,
    roles: NDArray[np.int64],
    unit: int,
    state: NDArray[np.int64],
    cell: NDArray[np.int64],
) -> tuple[int, int]:
    """Decodes whole lines of `raw` into `out`; returns (bytes consumed, events). state[0] = 1 at a bad line.

    cell: scratch for the values of a line, by role
    """
    at, n, size = 0, 0, len(raw)
    while at < size and n < len(out):
        start, column, good, ended = at, 0, True, False
        comment = raw[at] == 35 or raw[at] == 37
        while not comment and good and at < size:
            while at < size and (raw[at] == 32 or (raw[at] == 9 and separator != 9)):
                at += 1
            if column == 0 and at < size and (raw[at] == 10 or raw[at] == 13):
                comment = True
                break
            role = roles[column] if column < len(roles) else -1
            if role == 4:
                while at < size and raw[at] != 10 and raw[at] != separator:
                    at += 1
            elif role >= 0:
                at, cell[role], good = parse_cell(raw, at, unit if role == 0 else 0, role == 0)
            spaced = at
            while at < size and (raw[at] == 32 or raw[at] == 13 or (raw[at] == 9 and separator != 9)):
                at += 1
            if at == size or not good or role < 0:
                good &= role >= 0
                break
            column += 1
            if raw[at] == 10:
                ended = True
                break
            if raw[at] == separator:
                at += 1
            elif separator != 32 or at == spaced:
                good = False
        if comment:
            while at < size and raw[at] != 10:
                at += 1
            if at == size:
                return start, n
            at += 1
            continue
        whole = ended or _has_end(raw, at)
        x, y, p = cell[1], cell[2], cell[3]
        sound = ended and good and column == len(roles) and -1 <= p <= 1
        if not whole:
            return start, n
        if not sound or x >> 16 or y >> 16:
            state[0] = 1
            return start, n
        out[n, 0] = cell[0]
        out[n, 1] = x | y << 16 | np.int64(p > 0) << 32
        n += 1
        at += 1
    return at, n


@inline
def _has_end(raw: NDArray[np.uint8], at: int) -> bool:
    while at < len(raw) and raw[at] != 10:
        at += 1
    return at < len(raw)


@inline
def _put_number(out: NDArray[np.uint8], at: int, value: int) -> int:
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    first = at
    while True:
        out[at] = 48 + value % 10
        at += 1
        value //= 10
        if value == 0:
            break
    low, high = first, at - 1
    while low < high:
        out[low], out[high] = out[high], out[low]
        low += 1
        high -= 1
    return at


@jit
def encode_text(events: Events, out: NDArray[np.uint8]) -> int:
    """Writes all `events` as lines t,x,y,p; returns the bytes. `out` holds 48 for each."""
    at = 0
    for i in range(len(events)):
        word = int(events[i, 1])
        at = _put_number(out, at, int(events[i, 0]))
        out[at] = 44
        at = _put_number(out, at + 1, word & 0xFFFF)
        out[at] = 44
        at = _put_number(out, at + 1, word >> 16 & 0xFFFF)
        out[at] = 44
        out[at + 1] = 48 + (word >> 32 & 1)
        out[at + 2] = 10
        at += 3
    return at


class CsvDecoder(Decoder):
    """Whole lines of text to events."""

    word = 1

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._roles = np.array(columns.roles, np.int64)
        self._state = np.zeros(1, np.int64)
        self._cell = np.zeros(5, np.int64)
        self._consumed = 0

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        separator = ord(self._columns.separator)
        consumed, written = decode_text(
            raw, event_words(events), separator, self._roles, self._columns.exponent, self._state, self._cell
        )
        self._consumed += consumed
        return consumed, written

    def complaint(self) -> tuple[int, str] | None:
        if not self._state[0]:
            return None
        return self._consumed, "a line that is no event: t, x and y from 0 to 65535, polarity 0 or 1"


class _WholeLines(FileIO):
    """A file that always ends with the end of a line, whether or not it does on the disk."""

    _last = 10

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got = super().readinto(buffer) or 0
        if got:
            self._last = buffer[got - 1]
        elif self._last != 10 and len(buffer):
            buffer[0] = self._last = 10
            got = 1
        return got


class CsvRecording(ByteRecording):
    """A text file of events."""

    def __init__(self, path: Path) -> None:
        file = _WholeLines(path, "rb")
        head = file.read(_HEAD)
        columns = find_columns(head, complete=len(head) < _HEAD)
        if columns is None:
            file.close()
            raise BadRecording(
                path, 0, "no lines of events: name the columns t, x, y and p in the first line"
            )
        file.seek(columns.start)
        super().__init__(path, file, CsvDecoder(columns), "CSV", columns.shape)


class CsvWriter(Writer):
    """Writes lines `t,x,y,p`, t in µs, after a line that names them."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        _, self._height, self._width = shape
        self._file = path.open("wb")
        self._file.write(f"%geometry:{self._width},{self._height}\nt,x,y,p\n".encode())
        self._buffer = np.empty(_LINE * _BLOCK, np.uint8)
        self._last = _EARLIEST

    def write(self, events: Records) -> None:
        require_order("CSV", events, after=self._last)
        require_addresses("CSV", events, self._width, self._height)
        pairs = event_words(np.ascontiguousarray(events))
        for start in range(0, len(pairs), _BLOCK):
            size = encode_text(pairs[start : start + _BLOCK], self._buffer)
            self._file.write(self._buffer[:size].data)
        if len(pairs):
            self._last = int(pairs[-1, 0])
        self.events += len(events)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

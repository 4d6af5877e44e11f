"""The few flatbuffers of AEDAT 4, read with every offset checked, and written.

A flatbuffer is read from its root (github google/flatbuffers, docs/source/internals): a u32 offset leads to
the root table; a table begins with an i32 that leads back to its vtable; a vtable is u16 sizes (its own, the
table's) and u16 offsets of the fields, 0 where a field has its default. Vectors and strings are u32 offsets
to a u32 count and the elements. Those of AEDAT 4 are size-prefixed: a u32 length precedes the whole, and four
letters at bytes 8 to 12 name the type.

| id   | content |
|------|---------|
| IOHE | compression i32, position of the data table i64 (-1 unknown), XML text |
| EVTS | vector of 16-byte structs: t i64 µs, x i16, y i16, on u8, 3 bytes of padding: EVENT but for the padding |
| TRIG | vector of tables: t i64 µs, type i8 |
| FTAB | vector of tables: offset of the content i64, packet header (stream, size i32), count, first t, last t i64 |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.formats.words import Events
from nrt.jit import inline, jit
from nrt.packet import Records

EVENTS, TRIGGERS, TABLE, HEADER = b"EVTS", b"TRIG", b"FTAB", b"IOHE"
MOST_TRIGGERS: Final = 1 << 20


@inline
def _u16(raw: NDArray[np.uint8], at: int) -> int:
    return int(np.int64(raw[at]) | np.int64(raw[at + 1]) << 8)


@inline
def _u32(raw: NDArray[np.uint8], at: int) -> int:
    return _u16(raw, at) | _u16(raw, at + 2) << 16


@inline
def _i32(raw: NDArray[np.uint8], at: int) -> int:
    value = _u32(raw, at)
    return value - (value >> 31 << 32)


@jit
def find_events(raw: NDArray[np.uint8], begin: int, end: int, have: int) -> tuple[int, int]:
    """(offset of the first event struct, their number) in the packet raw[begin:end]; (-1, -1) if it is none.

    Only raw[:have] needs to be there: the table must lie before, the structs may go on behind.
    """
    bad = (-1, -1)
    if have - begin < 12 or _u32(raw, begin) + 4 > end - begin or _u32(raw, begin + 8) != 0x53545645:
        return bad
    table = begin + 4 + _u32(raw, begin + 4)
    if table + 4 > have:
        return bad
    fields = table - _i32(raw, table)
    if fields < begin or fields + 4 > have:
        return bad
    size = _u16(raw, fields)
    if size < 4 or fields + size > have:
        return bad
    slot = _u16(raw, fields + 4) if size >= 6 else 0
    if slot == 0:
        return (begin, 0)
    if table + slot + 4 > have:
        return bad
    vector = table + slot + _u32(raw, table + slot)
    if vector + 4 > have:
        return bad
    count = _u32(raw, vector)
    if count * 16 > end - vector - 4:
        return bad
    return (vector + 4, count)


@inline
def _copy(raw: NDArray[np.uint8], data: int, out: Events, count: int) -> None:
    """Event structs to EVENT words; the structs lie at any address, which x86-64 and arm64 load as well."""
    pairs = raw[data : data + 16 * count].view(np.int64)
    for i in range(count):
        word = pairs[2 * i + 1]
        out[i, 0] = pairs[2 * i]
        out[i, 1] = (word & 0xFFFFFFFF) | np.int64((word >> 32 & 0xFF) != 0) << 32


@jit
def clean_events(out: Events) -> None:
    """Makes EVENT words of event structs that were read to where they belong: polarity 0 or 1, padding 0."""
    stray = np.int64(0)
    for i in range(len(out)):
        stray |= out[i, 1] & ~0x1FFFFFFFF
    if stray:
        for i in range(len(out)):
            word = out[i, 1]
            out[i, 1] = (word & 0xFFFFFFFF) | np.int64((word >> 32 & 0xFF) != 0) << 32


@jit
def copy_events(raw: NDArray[np.uint8], data: int, out: Events, n: int, count: int) -> None:
    """Copies `count` event structs at raw[data:] to out[n:]."""
    _copy(raw, data, out[n : n + count], count)


@jit
def unpack_events(raw: NDArray[np.uint8], begin: int, end: int, out: Events, n: int) -> tuple[int, int, int]:
    """As `find_events`, and copies what fits to out[n:]; returns (offset, number, copied)."""
    data, count = find_events(raw, begin, end, end)
    taken = min(count, len(out) - n) if data >= 0 else 0
    _copy(raw, data, out[n : n + taken], taken)
    return data, count, taken


@jit
def walk_plain(
    raw: NDArray[np.uint8],
    at: int,
    end: int,
    stream: int,
    foreign: NDArray[np.int64],
    out: Events,
    n: int,
) -> tuple[int, int]:
    """Goes through uncompressed packets of raw[at:end] while they are whole, sound, and fit `out`.

    stream: the one whose events are copied; foreign: those to pass over. Anything else stops the walk.
    Returns (where it stopped, events in out).
    """
    while at + 8 <= end:
        source, size = _i32(raw, at), _i32(raw, at + 4)
        stop = at + 8 + size
        if size < 0 or stop > end:
            break
        if source == stream:
            data, count = find_events(raw, at + 8, stop, stop)
            if data < 0 or count > len(out) - n:
                break
            _copy(raw, data, out[n : n + count], count)
            n += count
        else:
            known = False
            for number in foreign:
                known |= number == source
            if not known:
                break
        at = stop
    return at, n


class Malformed(ValueError):
    """An offset of a flatbuffer leads out of it."""


def _read(buffer: memoryview, layout: str, at: int) -> int:
    if at < 0 or at + struct.calcsize(layout) > len(buffer):
        raise Malformed("an offset leads out of a flatbuffer")
    value: int = struct.unpack_from(layout, buffer, at)[0]
    return value


def root(buffer: memoryview, identifier: bytes) -> int:
    """Where the root table of a size-prefixed flatbuffer lies. Raises Malformed."""
    if bytes(buffer[8:12]) != identifier or _read(buffer, "<I", 0) + 4 > len(buffer):
        raise Malformed(f"no whole {identifier.decode()} flatbuffer")
    return 4 + _read(buffer, "<I", 4)


def field(buffer: memoryview, table: int, index: int) -> int | None:
    """Where a field of a table lies, or None if it has its default. Raises Malformed."""
    fields = table - _read(buffer, "<i", table)
    if _read(buffer, "<H", fields) < 6 + 2 * index:
        return None
    offset = _read(buffer, "<H", fields + 4 + 2 * index)
    return table + offset if offset else None


def scalar(buffer: memoryview, table: int, index: int, layout: str, default: int) -> int:
    """A number of a table. Raises Malformed."""
    at = field(buffer, table, index)
    return default if at is None else _read(buffer, layout, at)


def vector(buffer: memoryview, table: int, index: int, width: int) -> tuple[int, int]:
    """(offset, count) of a vector or string of elements of `width` bytes; (0, 0) if absent. Raises Malformed."""
    at = field(buffer, table, index)
    if at is None:
        return 0, 0
    at += _read(buffer, "<I", at)
    count = _read(buffer, "<I", at)
    if at + 4 + count * width > len(buffer):
        raise Malformed("a vector is longer than its flatbuffer")
    return at + 4, count


def triggers(buffer: memoryview) -> Iterator[tuple[int, int]]:
    """(t µs, type) of each trigger of a TRIG packet. Raises Malformed."""
    at, count = vector(buffer, root(buffer, TRIGGERS), 0, 4)
    if count > MOST_TRIGGERS:
        raise Malformed(f"{count} triggers in one packet")
    for element in range(at, at + 4 * count, 4):
        table = element + _read(buffer, "<I", element)
        yield scalar(buffer, table, 0, "<q", 0), scalar(buffer, table, 1, "<b", 0)


_VECTOR_HEAD: Final = struct.Struct("<II4s2x3HiII")


def events_head(count: int) -> bytes:
    """What precedes `count` event structs in an EVTS packet: 32 bytes."""
    return _VECTOR_HEAD.pack(28 + 16 * count, 16, EVENTS, 6, 8, 4, 6, 4, count)


_HEADER_HEAD: Final = struct.Struct("<II4s6x5HiiIq")
TABLE_POSITION_AT: Final = 40
"""Where in the size-prefixed IOHE flatbuffer that `header` builds the data table's position lies."""


def header(compression: int, info: bytes) -> bytes:
    """The size-prefixed IOHE flatbuffer, its data table unknown."""
    text = struct.pack("<I", len(info)) + info + b"\0"
    text += b"\0" * (-len(text) % 4)
    size = _HEADER_HEAD.size + len(text) - 4
    return _HEADER_HEAD.pack(size, 24, HEADER, 10, 20, 4, 12, 8, 10, compression, 12, -1) + text


_ROW: Final = np.dtype(
    {
        "names": ["vtable", "stream", "size", "offset", "elements", "first", "last"],
        "formats": ["<i4", "<i4", "<i4", "<i8", "<i8", "<i8", "<i8"],
        "offsets": [0, 4, 8, 16, 24, 32, 40],
        "itemsize": 48,
    }
)


def data_table(rows: list[tuple[int, int, int, int, int, int]]) -> bytes:
    """The size-prefixed FTAB flatbuffer of (stream, size, offset, elements, first t, last t) of each packet."""
    count = len(rows)
    offsets_at = _VECTOR_HEAD.size
    vtable_at = offsets_at + 4 * count
    rows_at = vtable_at + 14 + (-(vtable_at + 14) % 8)
    starts = rows_at + 48 * np.arange(count, dtype=np.int64)
    table = np.zeros(count, _ROW)
    table["vtable"] = starts - vtable_at
    for i, row in enumerate(rows):
        stream, size, offset, elements, first, last = row
        table[i] = (table["vtable"][i], stream, size, offset, elements, first, last)
    offsets = (starts - offsets_at - 4 * np.arange(count)).astype("<u4")
    body = offsets.tobytes() + struct.pack("<7H", 14, 48, 16, 4, 24, 32, 40)
    body += b"\0" * (rows_at - vtable_at - 14) + table.tobytes()
    return _VECTOR_HEAD.pack(_VECTOR_HEAD.size + len(body) - 4, 16, TABLE, 6, 8, 4, 6, 4, count) + body


def event_bytes(events: Records) -> NDArray[np.uint8]:
    """Events as the structs of an EVTS packet: polarity 0 or 1 and padding of zeros."""
    pairs = np.ascontiguousarray(events).view(np.uint64).reshape(-1, 2) & np.array(
        [0xFFFF_FFFF_FFFF_FFFF, 0x1_FFFF_FFFF], np.uint64
    )
    return pairs.view(np.uint8).reshape(-1)

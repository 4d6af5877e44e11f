""".nrtraw: what arrived from a camera, byte for byte and with the host's time, so that it can be streamed again.

A file begins with `MAGIC` and a header; then come blocks. All numbers are least significant byte first.

```
MAGIC     8 bytes                  b"NRTRAW1\\n"
header    u4 length, u4 CRC-32, then JSON in UTF-8: uri, identity, shape, span, count, and what the host was
block     b"BLCK", u4 length, u4 CRC-32 of what follows, then whole records
record    u1 kind, 3 bytes 0, u4 length, i8 stamp (host monotonic ns), then `length` bytes
```

| kind | name   | bytes                                                                                      |
|------|--------|--------------------------------------------------------------------------------------------|
| 0    | BYTES  | what the camera sent                                                                       |
| 1    | EVENTS | u8 lost, then EVENT records that the camera's library had decoded (`nrt.packet`)            |
| 2    | QUIET  | none: nothing had come until then                                                          |
| 3    | BEGIN  | JSON: decoder ("module:Class", or ""), its arguments, where the stream before ended, or null |
| 4    | FINISH | none: nothing more comes                                                                    |
| 5    | HOLE   | u8: bytes that found no room in the recorder's queue, and are not here                      |

A block is written whole, a few times a second; a file that ends inside one is good up to there.
"""

from __future__ import annotations

import importlib
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from nrt.errors import BadRecording, NotFound
from nrt.formats.base import Decoder
from nrt.registry import RAW

MAGIC: Final = RAW
SUFFIX: Final = ".nrtraw"
LIMIT: Final = 1 << 26
"""Bytes of the longest block, and of the longest header, that is believed."""
RECORD: Final = struct.Struct("<B3xIq")
COUNT: Final = struct.Struct("<Q")
_BLOCK: Final = struct.Struct("<4sII")
_HEADER: Final = struct.Struct("<II")
_OURS: Final = ("nrt.", "nrt_drivers.")
"""Packages from which a file may name a decoder."""


class Kind(IntEnum):
    """What a record holds."""

    BYTES = 0
    EVENTS = 1
    QUIET = 2
    BEGIN = 3
    FINISH = 4
    HOLE = 5


@dataclass(frozen=True, slots=True)
class Record:
    """One record; stamp: host ns."""

    kind: Kind
    stamp: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """Where a recording comes from. span, count: how its packets were cut (`nrt.live.Cut`)."""

    uri: str
    identity: Mapping[str, str]
    shape: tuple[int, int, int] | None
    span: int
    count: int
    begun: str

    def to_bytes(self) -> bytes:
        """The header as it stands in the file."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        text = json.dumps({**fields, "identity": dict(self.identity)}).encode()
        return MAGIC + _HEADER.pack(len(text), zlib.crc32(text)) + text


def block(records: bytes) -> bytes:
    """Records as a block."""
    return _BLOCK.pack(b"BLCK", len(records), zlib.crc32(records)) + records


def record(kind: Kind, stamp: int, data: bytes = b"") -> bytes:
    """One record."""
    return RECORD.pack(kind, len(data), stamp) + data


class RawReader:
    """An open file; `records` yields what it holds. Raises NotFound, BadRecording."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise NotFound(str(path), f"cannot read {path}: {error.strerror or error}") from error
        try:
            self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise
        self._body = self._file.tell()

    def close(self) -> None:
        """May be called twice."""
        self._file.close()

    def records(self) -> Iterator[Record]:
        """All records from the beginning. Raises BadRecording at the first damage, after everything before it."""
        self._file.seek(self._body)
        while (records := self._next_block()) is not None:
            yield from records

    def _read_header(self) -> Header:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise BadRecording(self.path, 0, "no raw recording of nrt")
        text = self._checked(len(MAGIC), _HEADER, "header")
        try:
            fields = json.loads(text)
            shape = fields["shape"]
            return Header(
                str(fields["uri"]),
                {str(name): str(value) for name, value in dict(fields["identity"]).items()},
                None if shape is None else (int(shape[0]), int(shape[1]), int(shape[2])),
                int(fields["span"]),
                int(fields["count"]),
                str(fields["begun"]),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BadRecording(self.path, len(MAGIC), f"its header is damaged ({error!r})") from error

    def _checked(self, at: int, head: struct.Struct, what: str) -> bytes:
        """The bytes behind a length and a CRC."""
        found = self._file.read(head.size)
        if len(found) < head.size:
            raise BadRecording(self.path, at, f"the file ends inside a {what}")
        *_, length, crc = head.unpack(found)
        if length > LIMIT:
            raise BadRecording(
                self.path, at, f"a {what} of {length} bytes, more than the {LIMIT} that are allowed"
            )
        data = self._file.read(length)
        if len(data) < length:
            raise BadRecording(self.path, at, f"the file ends inside a {what}")
        if zlib.crc32(data) != crc:
            raise BadRecording(self.path, at, f"a {what} is damaged (its CRC is wrong)")
        return data

    def _next_block(self) -> list[Record] | None:
        at = self._file.tell()
        mark = self._file.read(4)
        if not mark:
            return None
        if not b"BLCK".startswith(mark):
            raise BadRecording(self.path, at, f"a block should begin here, not {mark!r}")
        self._file.seek(at)
        return list(self._split(self._checked(at, _BLOCK, "block"), at))

    def _split(self, data: bytes, offset: int) -> Iterator[Record]:
        at = 0
        while at < len(data):
            if at + RECORD.size > len(data):
                raise BadRecording(self.path, offset, "a record is longer than its block")
            kind, length, stamp = RECORD.unpack_from(data, at)
            at += RECORD.size
            if at + length > len(data) or kind >= len(Kind):
                raise BadRecording(
                    self.path, offset, f"a record of kind {kind} and {length} bytes makes no sense"
                )
            yield Record(Kind(kind), stamp, data[at : at + length])
            at += length


@dataclass(frozen=True, slots=True)
class Begin:
    """What a BEGIN says: how the bytes that follow are decoded, and the end of the stream that they continue."""

    decoder: str
    arguments: list[Any]
    named: dict[str, Any]
    resume: tuple[int, int] | None

    @classmethod
    def of(cls, decoder: Decoder | None, resume: tuple[int, int] | None) -> Begin:
        """As it is to be written."""
        if decoder is None:
            return cls("", [], {}, resume)
        made = type(decoder)
        arguments, named = decoder.made_of
        return cls(f"{made.__module__}:{made.__qualname__}", list(arguments), dict(named), resume)

    def to_bytes(self) -> bytes:
        """The data of the record."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def parse(cls, path: Path, data: bytes) -> Begin:
        """Raises BadRecording."""
        try:
            fields = json.loads(data)
            resume = fields["resume"]
            return cls(
                str(fields["decoder"]),
                list(fields["arguments"]),
                dict(fields["named"]),
                None if resume is None else (int(resume[0]), int(resume[1])),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BadRecording(path, 0, f"a stream begins with nonsense ({error!r})") from error

    def make(self, path: Path) -> Decoder | None:
        """A fresh decoder. Raises BadRecording for one that this nrt does not have."""
        if not self.decoder:
            return None
        module, _, name = self.decoder.partition(":")
        try:
            if not module.startswith(_OURS):
                raise ImportError("not one of nrt's")
            made = getattr(importlib.import_module(module), name)
            if not (isinstance(made, type) and issubclass(made, Decoder)):
                raise TypeError("no decoder")
            decoder: Decoder = made(*self.arguments, **self.named)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise BadRecording(path, 0, f"its bytes need the decoder '{self.decoder}' ({error})") from error
        return decoder

"""The spool: what was promised to be delivered, on disk until the broker has acknowledged it.

Files of about a megabyte, to which records are only appended, so that a process killed at any moment leaves a valid
beginning. A record is

    kind u1 · length u4 · number u8 · CRC-32 u4 of kind, length, number and body · body

| kind | record  | body                            | meaning                                                    |
|------|---------|---------------------------------|------------------------------------------------------------|
| 1    | PUT     | topic length u2, topic, payload | message `number` is to be delivered                        |
| 2    | DONE    | empty                           | message `number` was acknowledged                          |
| 3    | DROPPED | empty                           | message `number` had to make room, nobody was told yet     |
| 4    | UNTOLD  | u8                              | so many are dropped and untold: begins each file, and is   |
|      |         |                                 | written when that was told                                 |

Reading a file stops at the first record that is not whole: the one that was being written. A file whose messages are
all done goes when those before it are gone; that is all the tidying there is, and none of it copies anything.

What is written survives the death of the process at once, being in the kernel's page cache. A power cut may take
what was written in the second before it (`sync`); a DONE that is lost so delivers its message a second time, with the
same id. A full disk: messages are kept in memory, within the same bound, and written when there is room again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import struct
import zlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrt.errors import ConfigError

_HEAD: Final = struct.Struct("<BIQI")
_COUNT: Final = struct.Struct("<Q")
_PUT, _DONE, _DROPPED, _UNTOLD = 1, 2, 3, 4
_FILE: Final = 1 << 20
"""Bytes after which the next file is begun."""
_ROOM: Final = 4096
_OVERHEAD: Final = 128
"""Bytes that count for a message besides its own: records about it, and what this process keeps."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A message to deliver."""

    number: int
    topic: str
    payload: bytes


@dataclass(slots=True)
class _File:
    """One file; `waiting` counts its messages that are not done, `dirty`: it was written since the last `sync`."""

    path: Path
    handle: int
    size: int = 0
    waiting: int = 0
    dirty: bool = False

    def append(self, record: bytes) -> None:
        """All of the record or nothing. Raises OSError."""
        try:
            if os.pwrite(self.handle, record, self.size) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.handle, self.size)
            raise
        self.size += len(record)
        self.dirty = True


@dataclass(slots=True)
class _Entry:
    """Where a message is: at `offset` of `file`, or in `body` while the disk is full."""

    size: int
    file: _File | None
    offset: int = 0
    body: bytes = b""


class Spool:
    """Messages in the order of `put`, each until `done`; at most `limit` bytes, the oldest make room and are counted.

    folder: of its files; one process at a time uses it. Raises ConfigError if it cannot.
    """

    def __init__(self, folder: Path, *, limit: int = 64 << 20) -> None:
        self.folder, self._limit = folder, limit
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._files: deque[_File] = deque()
        self._bytes = self._next = self._untold = 0
        self._memory: deque[int] = deque()
        self._later: deque[tuple[int, int, bytes]] = deque()
        self.failure = ""
        """What the disk answered last; "" while all is well."""
        self.dropped = self.damaged = 0
        """Messages that had to make room, and bytes at ends of files that were no record, since opening."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _lock(self._lock, folder)
            self._load()
        except OSError as error:
            raise ConfigError(f"{folder}: the spool cannot be opened: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._bytes

    @property
    def untold(self) -> int:
        """Messages that were dropped and that nobody was told of."""
        return self._untold

    def put(self, topic: str, payload: bytes) -> int:
        """Takes a message; its number. It is promised from now on."""
        number, self._next = self._next, self._next + 1
        encoded = topic.encode()
        body = struct.pack("<H", len(encoded)) + encoded + payload
        self._entries[number] = _Entry(len(body), None, 0, body)
        self._bytes += len(body) + _OVERHEAD
        self._memory.append(number)
        self.flush()
        self._make_room()
        return number

    @property
    def roomy(self) -> bool:
        """Whether another message fits without one making room for it."""
        return self._bytes + _ROOM <= self._limit

    def told(self, count: int) -> None:
        """A message that was put says that `count` were dropped."""
        self._untold -= count
        self._note(_UNTOLD, 0, _COUNT.pack(self._untold))

    def after(self, number: int, count: int) -> list[Spooled]:
        """Up to `count` messages that follow message `number`, in order; -1 for the first ones."""
        found: list[Spooled] = []
        for each, entry in self._entries.items():
            if len(found) == count:
                break
            if each > number:
                found.append(self._read(each, entry))
        return found

    def done(self, number: int) -> None:
        """Message `number` was acknowledged. A number that waits no longer is left alone."""
        entry = self._forget(number)
        if entry is not None and entry.file is not None:
            self._note(_DONE, number, b"")
        self._tidy()

    def flush(self) -> None:
        """Writes what a full disk kept in memory; to be called now and then."""
        while self._later and self._write(*self._later[0]) is not None:
            self._later.popleft()
        while self._memory and not self._later:
            entry = self._entries.get(self._memory[0])
            if entry is not None:
                place = self._write(_PUT, self._memory[0], entry.body)
                if place is None:
                    return
                entry.file, entry.offset, entry.body = place[0], place[1], b""
                entry.file.waiting += 1
            self._memory.popleft()

    async def sync(self) -> None:
        """Has everything written reach the disk, in a thread: a slow card takes its time."""
        written = [each for each in self._files if each.dirty]  # more than the last, where another was begun
        if not written:
            return
        for each in written:
            each.dirty = False
        handles = [
            *(os.dup(each.handle) for each in written),
            os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC),
        ]
        try:
            await asyncio.to_thread(_sync, handles)
        except OSError as error:
            self.failure = error.strerror or str(error)

    def close(self) -> None:
        """Writes what can be written, and closes."""
        self.flush()
        for each in self._files:
            with contextlib.suppress(OSError):
                os.fdatasync(each.handle)
            os.close(each.handle)
        self._files.clear()
        os.close(self._lock)

    def _make_room(self) -> None:
        while self._bytes > self._limit and len(self._entries) > 1:
            number = next(iter(self._entries))
            entry = self._forget(number)
            self.dropped += 1
            self._untold += 1
            if entry is not None and entry.file is not None:
                self._note(_DROPPED, number, b"")
        self._tidy()

    def _forget(self, number: int) -> _Entry | None:
        entry = self._entries.pop(number, None)
        if entry is not None:
            self._bytes -= entry.size + _OVERHEAD
            if entry.file is not None:
                entry.file.waiting -= 1
        return entry

    def _read(self, number: int, entry: _Entry) -> Spooled:
        body = entry.body if entry.file is None else os.pread(entry.file.handle, entry.size, entry.offset)
        return Spooled(number, *_split(body))

    def _note(self, kind: int, number: int, body: bytes) -> None:
        """Writes a record that says something of an earlier one, now or when there is room."""
        self._later.append((kind, number, body))
        self.flush()

    def _write(self, kind: int, number: int, body: bytes) -> tuple[_File, int] | None:
        """Appends one record; the file and where its body is there, or None where that failed."""
        try:
            if not self._files or self._files[-1].size >= _FILE:
                self._begin()
            file = self._files[-1]
            file.append(_record(kind, number, body))
        except OSError as error:
            self.failure = error.strerror or str(error)
            return None
        self.failure = ""
        return file, file.size - len(body)

    def _begin(self) -> None:
        """Begins the next file."""
        after = int(self._files[-1].path.stem) + 1 if self._files else 1
        path = self.folder / f"{after:012}.spool"
        file = _File(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        try:
            file.append(_record(_UNTOLD, self._next, _COUNT.pack(self._untold)))
        except OSError:
            os.close(file.handle)
            path.unlink(missing_ok=True)
            raise
        self._files.append(file)
        self._tidy()

    def _tidy(self) -> None:
        """Removes the oldest files as far as all their messages are done; the last one is being written."""
        while len(self._files) > 1 and not self._files[0].waiting:
            file = self._files.popleft()
            os.close(file.handle)
            with contextlib.suppress(OSError):
                file.path.unlink()

    def _load(self) -> None:
        for path in sorted(self.folder.glob("*.spool")):
            file = _File(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
            self._files.append(file)
            end = os.fstat(file.handle).st_size
            while (record := _record_at(file, end)) is not None:
                self._replay(file, *record)
                file.size += _HEAD.size + len(record[2])
            self.damaged += end - file.size
            if file.size < end:
                os.ftruncate(file.handle, file.size)
        self._tidy()
        self._make_room()

    def _replay(self, file: _File, kind: int, number: int, body: bytes) -> None:
        if kind == _PUT:
            self._forget(number)
            self._entries[number] = _Entry(len(body), file, file.size + _HEAD.size)
            self._bytes += len(body) + _OVERHEAD
            file.waiting += 1
        elif kind == _UNTOLD:
            (self._untold,) = _COUNT.unpack(body)
        else:
            self._forget(number)
            self._untold += kind == _DROPPED
        self._next = max(self._next, number + (kind != _UNTOLD))


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(f"{folder}: another process has this spool open") from None


def _sync(handles: list[int]) -> None:
    try:
        for each in handles:
            os.fsync(each)
    finally:
        for each in handles:
            os.close(each)


def _record(kind: int, number: int, body: bytes) -> bytes:
    return _HEAD.pack(kind, len(body), number, _crc(kind, number, body)) + body


def _record_at(file: _File, end: int) -> tuple[int, int, bytes] | None:
    """The whole record that follows what was read of `file`; None where there is none."""
    head = os.pread(file.handle, _HEAD.size, file.size)
    if len(head) < _HEAD.size:
        return None
    kind, length, number, crc = _HEAD.unpack(head)
    if length > end - file.size - _HEAD.size or number >= 2**62:
        return None
    body = os.pread(file.handle, length, file.size + _HEAD.size)
    return (kind, number, body) if _crc(kind, number, body) == crc and _whole(kind, body) else None


def _crc(kind: int, number: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<BIQ", kind, len(body), number)))


def _whole(kind: int, body: bytes) -> bool:
    """Whether a body is one of its kind."""
    if kind == _PUT:
        with contextlib.suppress(struct.error, UnicodeDecodeError):
            _split(body)
            return True
        return False
    return len(body) == (_COUNT.size if kind == _UNTOLD else 0) and kind in (_DONE, _DROPPED, _UNTOLD)


def _split(body: bytes) -> tuple[str, bytes]:
    (length,) = struct.unpack_from("<H", body)
    if len(body) < 2 + length:
        raise struct.error("the topic is cut short")
    return body[2 : 2 + length].decode(), body[2 + length :]

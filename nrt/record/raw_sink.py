"""Recording raw: the bytes of a camera as they arrive, into a .nrtraw (`nrt.record.raw`).

The camera's thread leaves what arrived in a queue and goes on; the sink's own thread writes it. A disk that is too
slow makes holes in the recording, which are counted and marked, and never slows the stream.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import numpy as np

from nrt.errors import ConfigError, StreamError
from nrt.filters import Filtered
from nrt.formats.base import Decoder
from nrt.live import LiveSource, Reconnector
from nrt.packet import Packet, Records, words
from nrt.record.raw import COUNT, Begin, Header, Kind, block, record
from nrt.record.sink import Sink
from nrt.report import timestamp
from nrt.source import Source

Data = bytes
"""Under another name where a method has that one."""
ROOM: Final = 1 << 26
"""Bytes that may wait to be written: more than a second of USB 3 at its fullest."""
BLOCK: Final = 1 << 20
"""Bytes of records at which a block is written."""


def camera(source: Source) -> LiveSource:
    """The camera behind filters and a Reconnector. Raises ConfigError where there is none."""
    inner = source
    while isinstance(inner, Filtered | Reconnector):
        inner = inner.inner
    if not isinstance(inner, LiveSource):
        raise ConfigError(
            f"{source.uri} is no camera, so it has no raw bytes; record it as it is, without --raw"
        )
    return inner


class Queue:
    """What arrived, from the camera's thread to the one that writes; a Tap."""

    def __init__(self) -> None:
        self._items: deque[tuple[Kind, int, Data]] = deque()
        self._held = self._hole = 0
        self._lock = threading.Lock()
        self.dropped = 0
        """Bytes that found no room."""

    def begin(self, decoder: Decoder | None, resume: tuple[int, int] | None, stamp: int) -> None:
        self._put(Kind.BEGIN, stamp, Begin.of(decoder, resume).to_bytes())

    def bytes(self, data: Data, stamp: int) -> None:
        self._put(Kind.BYTES, stamp, data)

    def events(self, events: Records, stamp: int, lost: int) -> None:
        self._put(Kind.EVENTS, stamp, COUNT.pack(lost) + words(np.ascontiguousarray(events)).tobytes())

    def quiet(self, stamp: int) -> None:
        self._put(Kind.QUIET, stamp, b"")

    def finish(self, stamp: int) -> None:
        self._put(Kind.FINISH, stamp, b"")

    def _put(self, kind: Kind, stamp: int, data: Data) -> None:
        with self._lock:
            if self._held + len(data) > ROOM and kind in (Kind.BYTES, Kind.EVENTS):
                self._hole += len(data)
                self.dropped += len(data)
                return
            if self._hole:
                self._items.append((Kind.HOLE, stamp, COUNT.pack(self._hole)))
                self._hole = 0
            self._items.append((kind, stamp, data))
            self._held += len(data)

    def take(self, most: int) -> list[Data]:
        """Records of about `most` bytes at the most, oldest first."""
        found: list[Data] = []
        size = 0
        with self._lock:
            while self._items and size < most:
                kind, stamp, data = self._items.popleft()
                self._held -= len(data)
                size += len(data)
                found += [record(kind, stamp, data)]
        return found


class RawSink(Sink):
    """Records what arrives from the camera behind a source; the packets themselves are not looked at.

    replace: whether a file that exists is overwritten
    """

    def __init__(self, path: str | Path, *, replace: bool = False) -> None:
        self.path, self._replace = Path(path), replace
        self._file: BinaryIO | None = None
        self._camera: LiveSource | None = None
        self._queue = Queue()

    def open(self, source: Source) -> None:
        """Raises ConfigError (no camera, the file exists) or StreamError (it cannot be written)."""
        made = camera(source)
        if self.path.exists() and not self._replace:
            raise ConfigError(f"{self.path} exists already; to overwrite it say --force (replace=True)")
        cut = made.cut
        header = Header(made.uri, made.identity(), made.shape, cut.span, cut.count, timestamp())
        try:
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise StreamError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._write(header.to_bytes())
        self._camera, made.tap = made, self._queue

    def take(self, packet: Packet) -> None:
        pass

    def flush(self) -> None:
        while records := self._queue.take(BLOCK):
            self._write(block(b"".join(records)))

    def close(self) -> None:
        if self._camera is not None:
            self._camera.tap = None
        if self._file is None:
            return
        try:
            self.flush()
        finally:
            self._shut()

    def _shut(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, raw: bytes) -> None:
        assert self._file is not None
        rest = memoryview(raw)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._give_up(error)
        self.size += len(raw)

    def _give_up(self, error: OSError) -> NoReturn:
        """Leaves the file whole, as of the last block."""
        assert self._file is not None
        os.ftruncate(self._file.fileno(), self.size)
        self._shut()
        raise StreamError(
            f"{self.path}: {error.strerror or error}; the recording ends here, its first {self.size:,} bytes are safe"
        ) from error

    def counters(self) -> Mapping[str, int]:
        """Bytes that are missing from the recording; only if there are some."""
        return {"bytes not recorded": self._queue.dropped} if self._queue.dropped else {}

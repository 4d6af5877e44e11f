"""Unpacks the next few packets of a compressed AEDAT 4 file in threads, while the events of this one are used.

Unpacking is most of the work of reading such a file (docs/decisions/0004), and LZ4 and Zstandard do it without the
interpreter lock. The order of packets is kept, and so is that of damage: it is raised in its packet's turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from nrt.errors import BadRecording
from nrt.formats.aedat4_codec import NAMES, Undecodable, decompressor
from nrt.formats.aedat4_packets import PacketFile

_THREADS: Final = {"lz4": 1, "lz4_high": 1, "zstd": 2, "zstd_high": 2}
"""LZ4 unpacks about as fast as events are laid out: a second thread only gets in the way (measured)."""
_BYTES: Final = 1 << 18
"""Packed bytes of the batches that all threads unpack at a time; handing one over costs as much as some kilobytes."""

Content = bytes | memoryview
Packet = tuple[int, int, Content | Undecodable | None]
"""Offset in the file, stream, and what the packet unpacks to, or why not; None for a stream that nobody wants."""


class Ahead:
    """The packets of a file in order, those of the `wanted` streams unpacked. `close` ends its threads."""

    def __init__(self, packets: PacketFile, compression: int, wanted: frozenset[int]) -> None:
        self._packets, self._wanted, self._compression = packets, wanted, compression
        self._threads = _THREADS[NAMES[compression]]
        self._mine = threading.local()  # a context of the libraries serves one thread
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="aedat4")
        self._batches: deque[Future[list[Packet]]] = deque()
        self._ready: deque[Packet] = deque()
        self._end: BadRecording | bool = False

    def next(self) -> Packet | None:
        """The next packet, None at the end. Raises BadRecording after the packets before the damage."""
        while not self._ready:
            while len(self._batches) <= self._threads and self._end is False:
                self._batches.append(self._pool.submit(self._unpack, self._fetch()))
            if not self._batches:
                if isinstance(self._end, BadRecording):
                    raise self._end
                return None
            self._ready.extend(self._batches.popleft().result())
        return self._ready.popleft()

    def _fetch(self) -> list[tuple[int, int, bytes]]:
        """Reads the packets of the next batch; nothing is kept of streams that nobody wants."""
        batch: list[tuple[int, int, bytes]] = []
        size = 0
        while size < _BYTES // self._threads:
            try:
                packet = self._packets.next()
            except BadRecording as damage:
                self._end = damage
                break
            if packet is None:
                self._end = True
                break
            offset, stream, content = packet
            batch.append((offset, stream, bytes(content) if stream in self._wanted else b""))
            size += len(content)
        return batch

    def _unpack(self, batch: list[tuple[int, int, bytes]]) -> list[Packet]:
        unpack: Callable[[memoryview], Content] | None = getattr(self._mine, "unpack", None)
        if unpack is None:
            unpack = self._mine.unpack = decompressor(self._compression)
        result: list[Packet] = []
        for offset, stream, content in batch:
            try:
                raw = unpack(memoryview(content)) if stream in self._wanted else None
                result.append((offset, stream, raw))
            except Undecodable as error:
                result.append((offset, stream, error))
        return result

    def close(self) -> None:
        """Waits for what is under way and ends the threads; may be called twice."""
        self._pool.shutdown(cancel_futures=True)

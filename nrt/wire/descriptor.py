"""What serial lines and sockets share: a non-blocking file descriptor, read by one thread, written by the loop."""

from __future__ import annotations

import asyncio
import os
import select
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Final

from nrt.errors import DeviceBusy, DeviceError, DeviceLost
from nrt.wire.base import Chunk, HungUp
from nrt.wire.feed import Take
from nrt.wire.inlet import Inlet

_RETRY: Final = 0.001
"""Seconds before a descriptor is asked again that said it has room and had none: terminals do that when nearly full."""


class DescriptorWire(ABC):
    """A Wire over a file descriptor; a subclass acquires it and knows how to read and write it."""

    slice: ClassVar[int] = 1 << 16
    """Most bytes of one write, so that a long one lets the loop turn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._descriptor = self._wake = -1
        self._inlet: Inlet | None = None
        self._writing: asyncio.Future[None] | None = None
        self._torn = False
        """Whether the last write has not, or not yet, sent all of its bytes."""
        self._counts: Counter[str] = Counter()
        self._idle_ms: int | None = None

    @property
    def name(self) -> str:
        """The URI that opened it."""
        return self._name

    @abstractmethod
    async def _acquire(self) -> int:
        """Opens the line and returns its non-blocking descriptor. Raises NotFound, DeviceError."""

    @abstractmethod
    def _release(self, *, cut: bool = False) -> None:
        """Closes what `_acquire` opened. cut: the last write was not finished; no more of it is to arrive."""

    def _receive(self, descriptor: int) -> bytes:
        """What has arrived, in the reader's thread; it is called when there is something. Raises OSError."""
        data = os.read(descriptor, 1 << 16)
        if not data:
            raise HungUp(self._name, "the far side hung up")
        return data

    def _send(self, descriptor: int, data: memoryview) -> int:
        """Writes what there is room for. Raises OSError, BlockingIOError."""
        return os.write(descriptor, data)

    async def open(self) -> None:
        """Acquires the line. Raises NotFound, DeviceBusy, DeviceError."""
        if self._inlet is not None:
            raise DeviceBusy(self._name, "this wire is open already")
        descriptor = await self._acquire()
        self._descriptor, self._wake = descriptor, os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        wake = self._wake
        self._inlet = Inlet(
            self._name, lambda: self._next(poll, descriptor, wake), lambda: os.eventfd_write(wake, 1)
        )

    def _next(self, poll: select.poll, descriptor: int, wake: int) -> bytes:
        """In the thread: waits for bytes, the far side's end, or `wake`; while it feeds, no longer than `_idle_ms`."""
        found = poll.poll(self._idle_ms)
        if any(ready == wake for ready, _ in found):
            os.eventfd_read(wake)
            return b""
        if not found:
            return b""
        try:
            return self._receive(descriptor)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> DeviceLost:
        return DeviceLost(self._name, f"the line is gone ({error.strerror or error})")

    async def close(self) -> None:
        """Releases the line; may be called twice. What was received and not read is counted."""
        inlet, self._inlet = self._inlet, None
        if inlet is None:
            return
        writing, self._writing = self._writing, None
        if writing is not None:
            asyncio.get_running_loop().remove_writer(self._descriptor)
            _settle(writing)
        try:
            await inlet.close()
        finally:
            self._counts["bytes in"] += inlet.received
            self._counts["bytes never read"] += inlet.received - inlet.taken
            os.close(self._wake)
            self._release(cut=self._torn)
            self._torn = False
            self._descriptor = self._wake = -1
            self._idle_ms = None

    async def read(self) -> Chunk:
        """The next bytes. Raises DeviceLost."""
        if self._inlet is None:
            raise DeviceLost(self._name, "the wire is not open")
        return await self._inlet.take()

    def feed(self, take: Take, idle_ms: int = 10) -> None:
        """From now on `take` gets the bytes, in the reader's thread."""
        if self._inlet is None:
            raise DeviceLost(self._name, "the wire is not open")
        self._idle_ms = idle_ms
        self._inlet.feed(take)
        os.eventfd_write(self._wake, 1)  # the thread may wait for bytes since before, without an end

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of `data`; waits while the line is full. Raises DeviceLost."""
        rest, full, link = memoryview(data).cast("B"), False, self._inlet
        self._torn = True
        while rest:
            if link is None or link is not self._inlet:  # closed, and perhaps opened again, in the meantime
                raise DeviceLost(self._name, "the wire is not open")
            try:
                sent = self._send(self._descriptor, rest[: self.slice])
            except BlockingIOError:
                await self._writable(again=full)
                full = True
                continue
            except OSError as error:
                raise self._lost(error) from error
            self._counts["bytes out"] += sent
            rest, full = rest[sent:], False
            if rest:
                await asyncio.sleep(0)
        self._torn = False

    async def _writable(self, *, again: bool) -> None:
        """Waits until the descriptor says that it has room, or the wire is closed."""
        loop = asyncio.get_running_loop()
        if again:
            await asyncio.sleep(_RETRY)
        if self._inlet is None:
            return
        descriptor, waiter = self._descriptor, loop.create_future()
        self._writing = waiter
        loop.add_writer(descriptor, _settle, waiter)
        try:
            await waiter
        finally:
            if self._writing is waiter:  # close() has not done so
                loop.remove_writer(descriptor)
                self._writing = None

    def counters(self) -> Mapping[str, int]:
        """Bytes each way and what went wrong on the line; only what is not zero."""
        counts = self._counts.copy()
        if self._inlet is not None:
            counts["bytes in"] += self._inlet.received
        return {name: count for name, count in counts.items() if count}

    def _refused(self, error: OSError, hint: str) -> DeviceError:
        """An operating system's no, with what to do about it."""
        return DeviceError(self._name, f"{error.strerror or error}; {hint}")


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

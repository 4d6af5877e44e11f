"""Outlet: the one queue between a camera's thread and the event loop. Bounded: when it is full, the oldest go.

A camera cannot wait. If nobody takes its packets, whole packets leave at the old end; how many events went with them
stands in `lost` of the packet that follows, which begins where the first of them began.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections import deque
from typing import Final

from nrt.errors import Overrun
from nrt.packet import Packet

MOST: Final = 1 << 27
"""Bytes of events that may wait, however short the time they span."""


class Outlet:
    """Packets from any thread to the loop it was made on.

    span:   µs of stream that may wait
    strict: whether losing events raises Overrun where packets are taken
    """

    def __init__(self, span: int, *, strict: bool, origin: str) -> None:
        self._span, self._strict, self._origin = span, strict, origin
        self._items: deque[Packet] = deque()
        self._bytes = 0
        self._lost = 0
        self._start: int | None = None  # of the first packet that went and has not been accounted for
        self._ended = False
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.dropped = 0

    def put(self, packet: Packet) -> None:
        """Appends `packet`; drops the oldest ones if too much waits. Called from the camera's thread."""
        with self._lock:
            self._items.append(packet)
            self._bytes += packet.data.nbytes
            while len(self._items) > 1 and (
                packet.end - self._items[0].start > self._span or self._bytes > MOST
            ):
                self._drop(self._items.popleft())
        self._call()

    def _drop(self, packet: Packet) -> None:
        self._bytes -= packet.data.nbytes
        self._lost += len(packet.data) + packet.lost
        self.dropped += len(packet.data)
        if self._start is None:
            self._start = packet.start

    def end(self, error: BaseException | None = None) -> None:
        """No more packets; `take` raises `error` after the last one."""
        with self._lock:
            self._ended, self._error = True, error
        self._call()

    async def take(self) -> Packet | None:
        """The oldest packet; None at the end. Raises Overrun where events were lost and `strict` forbids it."""
        while True:
            with self._lock:
                if self._items:
                    return self._next()
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _next(self) -> Packet:
        packet = self._items.popleft()
        self._bytes -= packet.data.nbytes
        lost, self._lost = self._lost, 0
        start, self._start = self._start, None
        if start is None:
            return packet
        if self._strict and lost:
            raise Overrun(self._origin, lost)
        return dataclasses.replace(packet, start=start, lost=packet.lost + lost)

    def _call(self) -> None:
        if self._waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to take
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

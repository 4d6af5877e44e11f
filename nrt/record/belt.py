"""The queue and the thread between a source and its sink.

The queue is bounded in bytes. A source that can wait waits for room; for one that cannot, a packet that finds no
room is refused, and the caller counts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from nrt.clock import now
from nrt.packet import Packet
from nrt.record.sink import Sink

FLUSH: Final = 250_000_000
"""ns between two flushes while packets come: a process that is killed loses no more than about that."""
_OVERHEAD: Final = 256
"""Bytes that a packet counts for besides its events."""


class Belt:
    """Carries packets to `sink` on a thread; `done` is set when the sink is closed, or holds what it died of."""

    def __init__(self, sink: Sink, taken: Callable[[Packet], None], name: str) -> None:
        """taken: called on the thread, just before the sink takes a packet."""
        self._sink, self._limit, self._taken = sink, sink.queue, taken
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._items: deque[Packet] = deque()
        self._held = 0
        self._ended = False
        self._condition = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def offer(self, packet: Packet) -> bool:
        """Puts `packet` on the belt if there is room; one packet always has room on an empty belt."""
        cost = packet.data.nbytes + _OVERHEAD
        with self._condition:
            if self._items and self._held + cost > self._limit:
                self._room.clear()
                return False
            self._items.append(packet)
            self._held += cost
            self._condition.notify()
        return True

    async def put(self, packet: Packet) -> None:
        """Puts `packet` on the belt as soon as there is room."""
        while not self.done.done() and not self.offer(packet):
            await self._room.wait()

    def end(self) -> None:
        """No more packets: what is on the belt is taken, then the sink is closed."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    async def join(self) -> None:
        """Waits for the thread, which ends after `end` or with the sink's error; `done` has the error."""
        await asyncio.wait([self.done])
        self.done.exception()  # looked at, also where nobody else will
        self._thread.join()

    def _main(self) -> None:
        failure: BaseException | None = None
        try:
            self._carry()
        except BaseException as error:
            failure = error
        try:
            self._sink.close()
        except BaseException as error:
            failure = failure or error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish, failure)

    def _carry(self) -> None:
        due = 0  # no flush is due before something was taken
        while True:
            packet = self._next(due)
            if packet is None and self._ended and not self._items:
                return
            if packet is not None:
                self._taken(packet)
                self._sink.take(packet)
                due = due or now() + FLUSH
            if due and now() >= due:
                self._sink.flush()
                due = 0

    def _next(self, due: int) -> Packet | None:
        """The next packet; None at the end, and when a flush is due first."""
        with self._condition:
            if not self._items and not self._ended:
                self._condition.wait(max(due - now(), 0) / 1e9 if due else None)
            if not self._items:
                return None
            packet = self._items.popleft()
            self._held -= packet.data.nbytes + _OVERHEAD
            waited = not self._room.is_set()
        if waited:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._room.set)
        return packet

    def _finish(self, failure: BaseException | None) -> None:
        self._room.set()
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)

"""Threads at the edge of the event loop: one that produces packets, one that turns items into results.

Both hand over through a deque and wake the loop only when it was empty, so that a burst costs one hop.
Nothing is ever polled; nothing waits longer than its stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class Mailbox(Generic[Out]):
    """Items from one thread to the loop, in order; the thread side is `post`, the loop side `take`."""

    def __init__(self) -> None:
        self._items: deque[Out] = deque()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False

    def post(self, item: Out) -> None:
        """Called by the thread. Append first, then look: a wake-up too many is harmless, one too few is not."""
        self._items.append(item)
        if len(self._items) == 1:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to read
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Out:
        while not self._items:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        item = self._items.popleft()
        self.ended = isinstance(item, _End)
        return item

    def waiting(self) -> list[Out]:
        """All that waits now, taken."""
        return [self._items.popleft() for _ in range(len(self._items))]

    async def drain(self) -> None:
        """Drops everything up to the end, which the thread posts last."""
        while not self.ended:
            await self.take()


class _End:
    """The last item of a mailbox: nothing more comes, or what the thread died of."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Reader(Generic[Out]):
    """A thread that runs `produce(stop)` and hands over what it yields, at most `depth` items ahead.

    `produce` gets an Event that is set when nobody reads any more; it may wait on it to pace itself.
    """

    def __init__(self, produce: Callable[[threading.Event], Iterator[Out]], *, depth: int, name: str) -> None:
        self._produce = produce
        self._mail: Mailbox[Out | _End] = Mailbox()
        self._room = threading.Semaphore(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._produce(self._stop):
                self._room.acquire()
                if self._stop.is_set():
                    break
                self._mail.post(item)
        except BaseException as caught:
            error = caught
        self._mail.post(_End(error))

    async def items(self) -> AsyncIterator[Out]:
        """What the thread yields, in order; raises what it died of, after everything before that."""
        while True:
            item = await self._mail.take()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            self._room.release()
            yield item

    async def close(self) -> None:
        """Stops the thread and waits for it; what it produced and nobody took is dropped."""
        self._stop.set()
        self._room.release()
        await self._mail.drain()
        self._thread.join()


class Worker(Generic[In, Out]):
    """A thread that turns each item into results, in order; `put` waits while `depth` items are under way.

    An item is under way until its results were taken: a slow reader of `results` holds `put` back.
    """

    def __init__(self, work: Callable[[In], Iterable[Out]], *, depth: int, name: str) -> None:
        self._work = work
        self._inbox: queue.SimpleQueue[In | _End] = queue.SimpleQueue()
        self._mail: Mailbox[list[Out] | _End] = Mailbox()
        self._depth = depth
        self._under_way = 0
        self._room: asyncio.Event = asyncio.Event()
        self._abandoned = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        while not isinstance(item := self._inbox.get(), _End):
            if self._abandoned:
                continue
            try:
                results = list(self._work(item))
            except BaseException as error:
                self._failure = error
                self._mail.post(_End(error))
                return
            self._mail.post(results)
        self._mail.post(_End())

    async def put(self, item: In) -> None:
        """Hands over one item; waits for room. Raises what the thread died of."""
        while self._under_way >= self._depth and self._failure is None:
            self._room.clear()
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        self._under_way += 1
        self._inbox.put(item)

    def end(self) -> None:
        """No more items: `results` ends after the last one."""
        self._inbox.put(_End())

    async def results(self) -> AsyncIterator[Out]:
        """The results in order; raises what the thread died of, after everything before that."""
        while True:
            results = await self._mail.take()
            if isinstance(results, _End):
                self._room.set()
                if results.error is not None:
                    raise results.error
                return
            self._under_way -= 1
            self._room.set()
            for result in results:
                yield result

    async def close(self) -> None:
        """Drops what waits, lets the item in work finish, and waits for the thread."""
        self._abandoned = True
        self.end()
        await self._mail.drain()
        self._thread.join()

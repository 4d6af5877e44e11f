"""Feed: a source that stays open while one run after the other takes from it, so that a switch loses no event.

A run sees a `Portion` of the stream. `Portion.end` ends it between two packets: what was taken is computed and
delivered, what was not waits for the next portion. While nobody takes, `hold` lets more of the stream wait than the
few packets that usually do; what exceeds that too waits, or is dropped and counted, where the source does so anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from nrt.packet import Packet
from nrt.source import Source

DEPTH: Final = 4
"""Packets that wait here at most while a run takes them."""
HELD: Final = 64 << 20
"""Bytes of events that may wait while none does: half a second of the fastest camera, a minute of a usual one."""


class Feed:
    """One source, opened once. see: awaited with every packet, in order; it is quick, or the stream waits for it."""

    def __init__(self, source: Source, see: Callable[[Packet], Awaitable[None] | None]) -> None:
        self.source = source
        self._see = see
        self._items: deque[Packet] = deque()
        self._bytes = 0
        self._holding = False
        self.error: BaseException | None = None
        """What the source died of."""
        self._ended = False
        self._changed = asyncio.Event()
        """Set whenever whoever waits, for a packet or for room, must look again."""
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Opens the source; it streams from the first portion on. Raises what it raises."""
        await self.source.open()

    async def close(self) -> None:
        """Ends the stream and closes the source; may be called twice."""
        task, self._task = self._task, None
        try:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        finally:
            await self.source.close()
        self._items.clear()

    def portion(self) -> Portion:
        """What the next run sees, up to its `end` or the stream's."""
        if self._task is None and not self._ended:
            self._task = asyncio.create_task(self._pull(), name="nrt.feed")
        return Portion(self)

    def end(self) -> None:
        """Takes nothing more from the source; the portion ends when what waits here was taken."""
        self._ended = True
        self._changed.set()
        if self._task is not None:
            self._task.cancel()

    def hold(self) -> None:
        """Nobody takes for a while: more may wait."""
        self._holding = True
        self._room.set()

    def release(self) -> None:
        """Somebody takes again."""
        self._holding = False

    @property
    def waiting(self) -> int:
        """Packets that wait here."""
        return len(self._items)

    @property
    def ended(self) -> bool:
        """Whether the source has ended and every packet was taken."""
        return self._ended and not self._items

    def _has_room(self) -> bool:
        return self._bytes < HELD if self._holding else len(self._items) < DEPTH

    async def _pull(self) -> None:
        packets = self.source.packets()
        try:
            async for packet in packets:
                self._items.append(packet)
                self._bytes += packet.data.nbytes
                self._changed.set()
                done = self._see(packet)
                if done is not None:
                    await done
                while not self._has_room():
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self.error = error
        finally:
            self._ended = True
            self._changed.set()
            aclose = getattr(packets, "aclose", None)
            if aclose is not None:
                with contextlib.suppress(Exception):
                    await aclose()

    async def take(self, portion: Portion) -> Packet | None:
        """The next packet; None when the portion or the stream ends. Raises what the source died of."""
        while not portion.ended:
            if self._items:
                packet = self._items.popleft()
                self._bytes -= packet.data.nbytes
                self._room.set()
                return packet
            if self._ended:
                if self.error is not None:
                    raise self.error
                return None
            self._changed.clear()
            await self._changed.wait()
        return None

    def wake(self) -> None:
        """Has whoever waits for a packet look whether its portion has ended."""
        self._changed.set()


class Portion(Source):
    """A feed's stream as one run sees it: opening and closing it opens and closes nothing."""

    def __init__(self, feed: Feed) -> None:
        source = feed.source
        self._feed = feed
        self.uri, self.shape = source.uri, source.shape
        self.finite, self.scheduled = source.finite, source.scheduled
        self.ended = False

    def end(self) -> None:
        """No more packets from here on; the next one is for the next portion."""
        self.ended = True
        self._feed.wake()

    async def packets(self) -> AsyncIterator[Packet]:
        while (packet := await self._feed.take(self)) is not None:
            yield packet

    def host_time(self, t: int) -> int | None:
        return self._feed.source.host_time(t)

    def counters(self) -> Mapping[str, int]:
        return self._feed.source.counters()

    def identity(self) -> Mapping[str, str]:
        return self._feed.source.identity()

"""Reconnector: a camera that was unplugged is opened again when it is back, and its stream goes on.

Nothing can know what happened while it was away: one packet spans that time, as long as the host's clock says, so that
whoever computes with the packets sees time pass; it is empty, or, where it waited too long, begins the next one.
Counted are "reconnects" and "gap ms"; the number of events that nobody saw is unknown, and in no count.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Final

from nrt.clock import now
from nrt.errors import ConfigError, DeviceError, DeviceLost, DeviceTimeout, NotFound
from nrt.live.intake import PPM
from nrt.live.source import LiveSource
from nrt.packet import Packet, Records
from nrt.source import Source

PATIENCE: Final = 30_000_000
"""µs for which a camera may be away by default."""
FIRST: Final = 0.05
"""Seconds until the first attempt; each that fails doubles it, up to `LONGEST`."""
LONGEST: Final = 2.0


class Reconnector(Source):
    """`inner`, opened again whenever it is lost. patience: µs after which it is given up."""

    finite = False
    scheduled = True

    def __init__(self, inner: Source, patience: int = PATIENCE) -> None:
        if not isinstance(inner, LiveSource):
            raise ConfigError(f"{inner.uri}: reconnect is for cameras; this cannot be unplugged")
        if patience < 1:
            raise ConfigError(f"{inner.uri}: reconnect must be longer than 0, such as 30s")
        self.inner = inner
        self.uri, self.shape, self.finite = inner.uri, inner.shape, inner.finite
        self._patience = patience * 1_000
        self._reached: tuple[int, int] | None = None
        self._identity: Mapping[str, str] = {}
        self._delay, self._deadline = FIRST, 0
        self._opened = 0
        self._lived = True  # since it was opened: what dies at once has not come back
        self._carried: Counter[str] = Counter()  # of what was counted before a loss
        self._before: Mapping[str, int] | None = (
            None  # what stood there at the loss; None once its successor counts
        )
        self._reconnects = self._gap = 0

    async def open(self) -> None:
        """Opens the camera; one that is not there at first is not waited for. Raises what it raises."""
        await self.inner.open()
        self._opened, self._lived = now(), True
        self.shape, self._identity = self.inner.shape, dict(self.inner.identity())

    async def close(self) -> None:
        await self.inner.close()

    async def packets(self) -> AsyncIterator[Packet]:
        """The camera's packets, over every loss. Raises DeviceLost where it does not come back in time."""
        while True:
            try:
                async with contextlib.aclosing(_generator(self.inner.packets())) as packets:
                    async for packet in packets:
                        self._saw(packet)
                        yield packet
                return
            except (DeviceLost, DeviceTimeout) as error:
                lost = error
            await self._return(lost)

    def _saw(self, packet: Packet) -> None:
        if self._before is not None:
            counts = self.inner.counters()
            for name, count in self._before.items():
                if counts.get(name, 0) < count and name != PPM:  # it began anew; a wire's own goes on
                    self._carried[name] += count
            self._before = None
            self._gap += self.inner.gap
        self._reached, self._lived = (packet.end, packet.stamp), True

    async def _return(self, lost: DeviceError) -> None:
        """Waits until the camera is open again. Raises DeviceLost."""
        self._before = self._before or dict(self.inner.counters())
        if self._lived or now() - self._opened > LONGEST * 1e9:
            self._deadline, self._delay = now() + self._patience, FIRST
        why: Exception = lost
        while True:
            await self.inner.close()
            if now() >= self._deadline:
                raise DeviceLost(
                    self.uri, f"gone, and not back within {self._patience / 1e9:g} s ({why})"
                ) from lost
            await asyncio.sleep(self._delay)
            self._delay = min(2 * self._delay, LONGEST)
            try:
                await self.inner.open()
            except (NotFound, DeviceError) as error:
                why = error
                continue
            self._recognise()
            self._opened, self._lived = now(), False
            self._reconnects += 1
            if self._reached is not None:
                self.inner.resume(*self._reached)
            return

    def _recognise(self) -> None:
        """Raises DeviceLost where another camera came back."""
        if (self.inner.shape, dict(self.inner.identity())) != (self.shape, self._identity):
            raise DeviceLost(self.uri, f"another camera came back: {dict(self.inner.identity())}")

    def host_time(self, t: int) -> int | None:
        return self.inner.host_time(t)

    def attach(self, filter: Callable[[Records], Records]) -> bool:
        return self.inner.attach(filter)

    def counters(self) -> Mapping[str, int]:
        """The camera's, over all its streams, with "reconnects" and "gap ms"; only what is not zero."""
        counts = Counter(self.inner.counters())
        counts.update(self._carried)
        counts.update({"reconnects": self._reconnects, "gap ms": self._gap // 1_000})
        return {name: count for name, count in counts.items() if count}

    def identity(self) -> Mapping[str, str]:
        return {**self.inner.identity(), "uri": self.uri}


async def _generator(packets: AsyncIterator[Packet]) -> AsyncGenerator[Packet]:
    """`packets`, with an `aclose` that also closes them."""
    try:
        async for packet in packets:
            yield packet
    finally:
        aclose = getattr(packets, "aclose", None)
        if aclose is not None:
            await aclose()

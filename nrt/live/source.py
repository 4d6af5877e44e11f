"""LiveSource: what every camera shares. A driver says how to start its camera, and hands over bytes or events.

camera's thread → `Intake` (decode in place, order, cut, filter) → `Outlet` (bounded, the oldest go) → `packets`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, TypedDict

from nrt.clock import now
from nrt.errors import ConfigError
from nrt.formats.base import Decoder
from nrt.live.arrival import Arrival
from nrt.live.intake import Cut, Intake
from nrt.live.outlet import Outlet
from nrt.live.tap import Tap
from nrt.packet import Packet, Records
from nrt.registry import Duration, Uri
from nrt.source import Source

LIMIT: Final = 100_000
"""µs of stream that may wait for the consumer by default."""


class LiveOptions(TypedDict, total=False):
    """What every live source has as options, for drivers that only pass them on: `**live: Unpack[LiveOptions]`."""

    packet: Duration | None
    count: int
    queue: Duration | None
    strict: bool


class LiveSource(Source):
    """A camera that is open from `open` to `close`, and streams while somebody iterates `packets`.

    packet: length of a packet; 0 for whatever a read brings · count: events of a packet instead
    queue:  how much of the stream may wait for the consumer before the oldest packets go
    strict: raise Overrun rather than lose events
    """

    finite = False
    scheduled = True

    def __init__(
        self,
        uri: Uri,
        *,
        packet: Duration | None = None,
        count: int = 0,
        queue: Duration | None = None,
        strict: bool = False,
    ) -> None:
        if count and packet is not None:
            raise ConfigError(f"{uri}: packets are cut by packet or by count, not both")
        self.uri = str(uri)
        self._cut = Cut(0 if count else 1_000 if packet is None else int(packet), count)
        self._limit = LIMIT if queue is None else int(queue)
        if self._limit < 1:
            raise ConfigError(f"{uri}: queue must be at least 1us")
        self._strict = strict
        self._filter: Callable[[Records], Records] | None = None
        self._intake: Intake | None = None
        self._outlet: Outlet | None = None
        self._resume: tuple[int, int] | None = None
        self.tap: Tap | None = None
        """Who is told of all that arrives, from the next call of `packets` on."""

    @abstractmethod
    async def _start(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        """Lets the camera stream into `intake`; `end` is called when it ends, with what it died of.

        From then on nothing else calls `intake`.
        """

    @abstractmethod
    async def _stop(self) -> None:
        """The camera streams no more, and nothing calls `intake` any more; may be called twice."""

    def _decoder(self) -> Decoder | None:
        """A fresh decoder of the camera's bytes; None for one that hands over events."""
        return None

    async def packets(self) -> AsyncIterator[Packet]:
        """The packets from now on. Raises DeviceLost, Overrun, StreamError."""
        outlet = self._outlet = Outlet(self._limit, strict=self._strict, origin=self.uri)
        resume, self._resume = self._resume, None
        intake = self._intake = Intake(
            outlet.put,
            cut=self._cut,
            origin=self.uri,
            decoder=self._decoder(),
            filter=self._filter,
            begin=now(),
            resume=resume,
            tap=self.tap,
        )

        def end(error: BaseException | None) -> None:
            intake.finish(now())  # what it saw since its last packet
            outlet.end(error)

        try:
            await self._start(intake, end)
            while (packet := await outlet.take()) is not None:
                yield packet
        finally:
            await self._stop()

    def resume(self, end: int, stamp: int) -> None:
        """The next call of `packets` continues a stream that ended at `end` µs, host time `stamp` ns."""
        self._resume = (end, stamp)

    @property
    def gap(self) -> int:
        """µs that nobody saw before the stream that it continues went on."""
        return self._intake.gap if self._intake is not None else 0

    @property
    def cut(self) -> Cut:
        """When its packets are complete."""
        return self._cut

    def host_time(self, t: int) -> int | None:
        """By its fastest arrivals: what every packet is late by is not in it."""
        clock = self.clock
        return clock.host(t) if clock is not None and clock.known else None

    def attach(self, filter: Callable[[Records], Records]) -> bool:
        self._filter = filter
        return True

    @property
    def clock(self) -> Arrival | None:
        """How the camera's clock relates to the host's; None before it streamed."""
        return self._intake.arrival if self._intake is not None else None

    def counters(self) -> Mapping[str, int]:
        """What was repaired or dropped, by name; only what is not zero."""
        counts = dict(self._intake.counters()) if self._intake is not None else {}
        if self._outlet is not None and self._outlet.dropped:
            counts["dropped"] = self._outlet.dropped
        return counts

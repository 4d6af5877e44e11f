"""Merge: several sources as one, side by side, on one clock: two cameras for stereo, or their recordings.

Cameras have clocks of their own, so each is mapped to the host's by when its packets arrive (`Arrival`): the offset is
that of the least delay, followed slowly, so that times never jump. Merged time begins at 0 with the first event of
any of them. Recordings that are read as fast as they go have no arrival times; theirs are taken to be of one clock.

A packet leaves when every source has passed its end. It does not wait for one that is `window` behind another and by
as much later than it should be: what comes of that is moved to the start of the next packet, and counted ("late").
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import numpy as np

from nrt import registry
from nrt.clock import now
from nrt.errors import ConfigError
from nrt.live.arrival import Arrival
from nrt.live.intake import PPM
from nrt.packet import EVENT, Packet, Records, join, words
from nrt.registry import Duration, Uri
from nrt.source import Source

WINDOW: Final = 5_000
"""µs for which a source that is behind is waited for."""
SETTLE: Final = 100_000
"""µs of every camera's packets from which its clock is first learnt; the stream begins that much later."""
PATIENCE: Final = 1_000_000
"""µs of a source that are kept while another has not begun."""
SLEW: Final = 500
"""µs of correction per second of stream at most."""
_FIELD: Final = 1 << 16


class Merge(Source):
    """`sources` side by side: each one's x behind the widths of those before it.

    window: µs for which a packet waits for a source that is behind · packet: length of a packet in µs
    """

    def __init__(self, sources: Sequence[Source], *, window: int = WINDOW, packet: int = 1_000) -> None:
        if len(sources) < 2:
            raise ConfigError("merge needs two sources or more")
        if window < 0 or packet < 1:
            raise ConfigError("merge: the window must not be negative, and a packet at least 1us long")
        if len({source.scheduled for source in sources}) > 1:
            raise ConfigError(
                "merge: all of the sources must keep time, or none; play recordings with speed=1 beside a camera"
            )
        self.sources = tuple(sources)
        self.uri = "merge:" + ",".join(source.uri for source in sources)
        self.scheduled = sources[0].scheduled
        self.finite = all(source.finite for source in sources)
        self._window, self._span = window, packet
        self._late = self._base = 0
        self.lanes: list[Lane] = []
        """The sources' clocks, while it streams."""

    async def open(self) -> None:
        """Opens all sources. Raises what they raise, and ConfigError where one does not know its size."""
        async with AsyncExitStack() as stack:
            for source in self.sources:
                stack.push_async_callback(source.close)
                await source.open()
            self.shape = self._side_by_side()
            stack.pop_all()

    async def close(self) -> None:
        async with AsyncExitStack() as stack:
            for source in self.sources:
                stack.push_async_callback(source.close)

    def _side_by_side(self) -> tuple[int, int, int]:
        shapes = [source.shape for source in self.sources]
        known = [shape for shape in shapes if shape is not None]
        if len(known) < len(shapes):
            raise ConfigError(f"{self.uri}: a source does not say how large its sensor is")
        polarities, heights, widths = zip(*known, strict=True)
        if sum(widths) > _FIELD:
            raise ConfigError(f"{self.uri}: {sum(widths)} pixels side by side are more than {_FIELD}")
        return max(polarities), max(heights), sum(widths)

    async def packets(self) -> AsyncIterator[Packet]:
        """The merged packets from time 0 on. Raises what a source raises."""
        widths = [source.shape[2] if source.shape else 0 for source in self.sources]
        changed = asyncio.Event()
        self._late = 0
        self.lanes = [
            Lane(source, sum(widths[:k]), changed, paced=self.scheduled)
            for k, source in enumerate(self.sources)
        ]
        try:
            await self._settle(changed)
            horizon = 0
            while (reached := self._reached()) is not None:
                while horizon + self._span <= reached:
                    yield self._packet(horizon, horizon + self._span)
                    horizon += self._span
                await self._more(changed)
            while any(lane.events for lane in self.lanes):
                yield self._packet(horizon, horizon + self._span)
                horizon += self._span
        finally:
            for lane in self.lanes:
                await lane.close()

    async def _settle(self, changed: asyncio.Event) -> None:
        """Waits until every source has begun, and shown its clock."""
        needed = SETTLE if self.scheduled else 1
        while any(not lane.ended and lane.span < needed for lane in self.lanes):
            await self._more(changed)
        self._base = min((lane.first for lane in self.lanes if lane.waiting), default=0)
        for lane in self.lanes:
            lane.begin(self._base)

    async def _more(self, changed: asyncio.Event) -> None:
        """Waits for something new; of sources that do not keep time, only those that are furthest behind go on."""
        if not self.scheduled:
            behind = min((lane.reached for lane in self.lanes if not lane.ended), default=0)
            for lane in self.lanes:
                if lane.reached <= behind:
                    lane.room.set()
        await changed.wait()
        await asyncio.sleep(0)  # what has arrived of the others comes in before anybody is given up
        changed.clear()
        for lane in self.lanes:
            lane.check()

    def _reached(self) -> int | None:
        """Up to where packets may leave; None at the end."""
        running = [lane.reached for lane in self.lanes if not lane.ended]
        if not running:
            return None
        if not self.scheduled:
            return min(running)
        overdue = now() // 1_000 - self._base - self._window  # what happened before should have arrived
        return max(min(running), min(overdue, max(running) - self._window))

    def _packet(self, start: int, end: int) -> Packet:
        parts = [lane.cut(start, end) for lane in self.lanes]
        self._late += sum(late for _, late in parts)
        found = [events for events, _ in parts if len(events)]
        events = join(found) if found else np.empty(0, EVENT)
        if len(found) > 1:
            pairs = words(events)
            events = pairs[np.argsort(pairs[:, 0], kind="stable")].view(EVENT).reshape(len(events))
        lost = sum(lane.spare() for lane in self.lanes)
        stamp = max(lane.stamp for lane in self.lanes)
        return Packet(events, start, end, stamp, lost, self.uri)

    def counters(self) -> Mapping[str, int]:
        """Those of all sources together, and the events that came after their packet; only what is not zero."""
        counts: Counter[str] = Counter()
        for k, source in enumerate(self.sources):
            found = dict(source.counters())
            if PPM in found:
                found[f"{PPM} {k}"] = found.pop(PPM)
            counts.update(found)
        counts["late"] += self._late
        return {name: count for name, count in counts.items() if count}

    def identity(self) -> Mapping[str, str]:
        """That of each source, by its place."""
        found = {"uri": self.uri}
        for k, source in enumerate(self.sources):
            found |= {f"{k} {name}": value for name, value in source.identity().items()}
        return found


class Lane:
    """One source of a merge: its clock, and what of it has not left yet.

    left: the x of its first column · changed: is set whenever something came
    """

    def __init__(self, source: Source, left: int, changed: asyncio.Event, *, paced: bool) -> None:
        self._packets = source.packets()
        self._left, self._paced = left, paced
        self.room = asyncio.Event()
        """Set where a source that does not keep time may go on."""
        self._clock = Arrival()
        self._first: int | None = None
        self._seen = 0
        self.offset = 0
        """µs that are added to its times."""
        self._settled, self._base = False, 0
        self.waiting: list[Packet] = []  # until its clock is known
        self.events: deque[Records] = deque()
        self.reached = 0
        """Merged time in µs that it has passed."""
        self.ended = False
        self.stamp = 0
        self._lost = 0
        self._task = asyncio.create_task(self._run(changed), name="nrt.merge")

    @property
    def first(self) -> int:
        """Host time in µs at which the oldest packet that waits began."""
        return self.waiting[0].start + self._known()

    def _known(self) -> int:
        """µs from its time to the host's, as far as it is known; 0 where sources do not keep time."""
        return self._clock.offset // 1_000 if self._paced and self._clock.known else 0

    @property
    def span(self) -> int:
        """µs of it that were seen."""
        return 0 if self._first is None else self._seen - self._first

    async def _run(self, changed: asyncio.Event) -> None:
        try:
            async for packet in self._packets:
                self._take(packet)
                changed.set()
                if not self._paced:
                    self.room.clear()
                    await self.room.wait()
        finally:
            self.ended = True
            changed.set()

    def check(self) -> None:
        """Raises what the source raised."""
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    def _take(self, packet: Packet) -> None:
        self._first = packet.start if self._first is None else self._first
        self._seen = packet.end
        self.stamp = packet.stamp
        self._clock.saw(packet.end, packet.stamp)
        if self._settled:
            self._follow(packet)
            self._keep(packet)
            return
        self.waiting.append(packet)
        while packet.end - self.waiting[0].start > PATIENCE:
            oldest = self.waiting.pop(0)
            self._lost += len(oldest) + oldest.lost

    def begin(self, base: int) -> None:
        """Merged time begins at host time `base`, µs: takes in what has waited."""
        self._settled, self._base = True, base
        self.offset = self._known() - base
        for packet in self.waiting:
            self._keep(packet)
        self.waiting = []

    def _follow(self, packet: Packet) -> None:
        """Lets the offset follow what is known by now, slowly."""
        if not self._paced:
            return
        error = self._known() - self._base - self.offset
        most = max((packet.end - packet.start) * SLEW // 1_000_000, 1)
        self.offset += max(-most, min(error, most))

    def _keep(self, packet: Packet) -> None:
        self._lost += packet.lost
        if len(packet.data):
            pairs = words(np.ascontiguousarray(packet.data)).view(np.int64).copy()
            pairs[:, 0] += self.offset
            np.maximum(pairs[:, 0], self.reached, out=pairs[:, 0])  # the offset may have gone back by a µs
            pairs[:, 1] += self._left
            self.events.append(pairs.view(EVENT).reshape(len(pairs)))
        self.reached = max(self.reached, packet.end + self.offset)

    def cut(self, start: int, end: int) -> tuple[Records, int]:
        """Its events before `end`, those before `start` moved there, and how many these were."""
        found: list[Records] = []
        while self.events and int(self.events[0]["t"][0]) < end:
            events = self.events.popleft()
            count = int(events["t"].searchsorted(end))
            found.append(events[:count])
            if count < len(events):
                self.events.appendleft(events[count:])
                break
        if not found:
            return np.empty(0, EVENT), 0
        events = join(found)
        late = int(events["t"].searchsorted(start))
        if late:
            events["t"][:late] = start
        return events, late

    def spare(self) -> int:
        """Events that were lost since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    async def close(self) -> None:
        """Fetches no more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # looked at, also where nobody else will
        aclose = getattr(self._packets, "aclose", None)
        if aclose is not None:
            await aclose()


def merge_uri(
    uri: Uri, *, a: str = "", b: str = "", window: Duration | None = None, packet: Duration | None = None
) -> Merge:
    """`merge:?a=URI&b=URI`: two sources side by side; a `?`, `&` or `=` inside a URI is written %3F, %26, %3D."""
    if not a or not b:
        raise ConfigError("merge: name two sources, as in merge:?a=left.aedat4&b=right.aedat4")
    sources = registry.source(a), registry.source(b)
    return Merge(
        sources, window=WINDOW if window is None else window, packet=1_000 if packet is None else packet
    )

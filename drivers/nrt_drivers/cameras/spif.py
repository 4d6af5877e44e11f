"""`spif://host:port`: address events over UDP, from AEStream, a SPIF board, or `nrt play --to spif://…`.

Words: `nrt.live.aer`. Nothing numbers datagrams, so what is lost on the way cannot be counted, only noticed:

dropped   by the kernel of this machine, for want of room: counted exactly, in datagrams; `lost` is an estimate of the
          events in them (as many as in the last datagram)
suspected with times: between two datagrams more time passed than within either of them, though both were dense.
          Without times: a tenth of a second brought less than half of the rate before and after it

A scene that pauses looks the same as a loss, so what is suspected is a counter and not in `lost`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, Unpack

import numpy as np

from nrt.errors import ConfigError
from nrt.live import Intake
from nrt.live.aer import AerDecoder
from nrt.packet import EVENT, Records, join
from nrt.registry import Uri
from nrt.wire import Wire
from nrt.wire.listen import UdpListener
from nrt_drivers.cameras.network import NetworkOptions, NetworkSource

BATCH: Final = 500_000
"""ns for which datagrams are gathered before they are handed on: each costs 0.1 ms otherwise."""
MOST: Final = 64
"""Datagrams that are gathered."""
DENSE: Final = 8
"""Events of a datagram from which its span says something about the time to the next one."""
WINDOW: Final = 100_000
"""µs over which a rate is taken."""


class SpifSource(NetworkSource):
    """Listens on host:port for one sender; `spif://:3333` on every address of this machine.

    width, height: of the sender's sensor, which no word tells; events outside it are dropped and counted
    """

    datagrams = True
    idle_ms = 1

    def __init__(
        self,
        uri: Uri,
        *,
        width: int = 0,
        height: int = 0,
        **network: Unpack[NetworkOptions],
    ) -> None:
        super().__init__(uri, **network)
        if (width > 0) != (height > 0) or min(width, height) < 0:
            raise ConfigError(f"{uri}: give width and height, both positive, or neither")
        self._size = (width, height) if width else None
        if self._size is not None:
            self.shape = (2, height, width)
        self._reset()

    def _reset(self) -> None:
        self._decoder_ = AerDecoder()
        self._gathered: list[tuple[bytes, int]] = []
        self._since = self._begin = self._dropped = self._lost = 0
        self._outside = 0
        self._gaps, self._rates = Gaps(), Rates()

    def _line(self, uri: Uri) -> Wire:
        return UdpListener(uri)

    async def open(self) -> None:
        """Binds the port. Raises NotFound, DeviceBusy."""
        self._reset()
        await super().open()

    def _take(self, intake: Intake, data: bytes, stamp: int) -> None:
        if data:
            self._begin = self._begin or stamp
            self._since = self._since if self._gathered else stamp
            self._gathered.append((data, (stamp - self._begin) // 1_000))
        due = not data or len(self._gathered) >= MOST or stamp - self._since >= BATCH
        if self._gathered and due:
            events = self._decoded()
            lost, self._lost = self._lost, 0
            intake.events(events, stamp, lost)
        elif not data:
            intake.quiet(stamp)

    def _decoded(self) -> Records:
        """The events of what was gathered."""
        parts = [part for part in self._decoder_.decode_all(self._gathered) if len(part)]
        self._gathered = []
        for part in parts:
            self._watch_for_losses(part)
        self._count_dropped(len(parts[-1]) if parts else 0)
        return self._inside(join(parts)) if parts else np.empty(0, EVENT)

    def _inside(self, events: Records) -> Records:
        if self._size is None:
            return events
        inside = (events["x"] < self._size[0]) & (events["y"] < self._size[1])
        kept = events[inside] if not inside.all() else events
        self._outside += len(events) - len(kept)
        return kept

    def _count_dropped(self, events: int) -> None:
        dropped = self._wire.counters().get("datagrams dropped", 0)
        self._lost += (dropped - self._dropped) * events
        self._dropped = dropped

    def _watch_for_losses(self, events: Records) -> None:
        if self._decoder_.times:
            self._gaps.saw(events)
        else:
            self._rates.saw(int(events["t"][0]), len(events))

    def _last(self, intake: Intake) -> None:
        self._take(intake, b"", self._since)

    def counters(self) -> Mapping[str, int]:
        """What was repaired, dropped or suspected; only what is not zero."""
        own = {
            "bytes torn": self._decoder_.torn,
            "outside": self._outside,
            "gaps suspected": self._gaps.count,
            "dips suspected": self._rates.count,
        }
        return {**super().counters(), **{name: count for name, count in own.items() if count}}


class Gaps:
    """Counts pauses between datagrams that are longer than the datagrams themselves."""

    def __init__(self) -> None:
        self.count = 0
        self._end: int | None = None
        self._span = 0

    def saw(self, events: Records) -> None:
        """A datagram's events, with times."""
        first, last = int(events["t"][0]), int(events["t"][-1])
        span = max(last - first, 1)
        dense = len(events) >= DENSE
        if self._end is not None and dense and self._span and first - self._end > span + self._span:
            self.count += 1
        self._end, self._span = last, span if dense else 0


class Rates:
    """Counts windows whose rate is less than half of that before and after them."""

    def __init__(self) -> None:
        self.count = 0
        self._begin: int | None = None
        self._now = 0
        self._last: deque[int] = deque(maxlen=3)

    def saw(self, t: int, count: int) -> None:
        """`count` events arrived at t, µs."""
        if self._begin is None:
            self._begin = t
        for _ in range(min((t - self._begin) // WINDOW, 3)):
            self._last.append(self._now)
            self._now = 0
            if len(self._last) == 3:
                before, low, after = self._last
                self.count += 2 * low < min(before, after)
        self._begin += (t - self._begin) // WINDOW * WINDOW
        self._now += count

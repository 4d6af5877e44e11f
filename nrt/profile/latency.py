"""Latency of a run: how late output is, where the time went, and what it cannot fall below.

An output packet that reaches stream time `end` was made possible by the first input packet that reaches it too. Of
both, moments on the host's clock are kept:

| moment   | what                                                                            |
|----------|---------------------------------------------------------------------------------|
| stamp    | the input was due (paced), had arrived (a camera) or was decoded (a file)        |
| taken    | the run took it from the source's queue                                         |
| accepted | `Device.send` returned: the wait for room in the device is over                 |
| begun    | the device began with it, where it says so (`Packet.begun`)                     |
| done     | the device was done with it, where it says so (`Packet.done`)                   |
| out      | the output packet was on the host (`Packet.stamp` of the output)                |
| user     | the user took it                                                                |

Latency is stamp → out. A stall of whatever kind delays every packet that was due behind it, and each is counted with
its whole delay: nothing is measured from when its turn came (coordinated omission; Tene, "How NOT to measure latency").
Each difference goes into a histogram; the moments of packets are kept in blocks, so that a packet costs a few appends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from nrt.clock import readable
from nrt.packet import Packet
from nrt.profile.histogram import Histogram
from nrt.profile.spread import Spread, figures, milliseconds

Since = Literal["schedule", "read"]
HOST: Final = "host"

_BLOCK: Final = 512
"""Packets whose moments are kept before they are counted together."""
_SENSED, _STAMP, _TAKEN, _ACCEPTED, _BEGUN, _DONE, _OUT, _USER = range(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase(Spread):
    """One stretch of a packet's way. clock: whose clock measured it."""

    name: str
    what: str
    clock: str = HOST


@dataclass(frozen=True, slots=True)
class Deadline:
    """What was later than `limit_ms` of `packets`; worst_ms: the latest. Packets never answered count once overdue."""

    limit_ms: float
    missed: int
    packets: int
    worst_ms: float

    def __str__(self) -> str:
        share = f" ({100 * self.missed / self.packets:.1f} %)" if self.packets else ""
        worst = f"worst {milliseconds(self.worst_ms)} ms"
        return f"{self.missed:,} of {self.packets:,}{share} later than {self.limit_ms:g} ms, {worst}"


@dataclass(frozen=True, slots=True)
class Floor:
    """What an event waits for by design. None of it is in the figures of latency, except what a device adds.

    packet_us: how long packets are on average, longest_us at most: an event waits for its packet's end
    step_us:   the time step of a clocked device, 0 for others: an event waits for its step's end
    device_us: what the device adds to every packet by design, by name
    """

    packet_us: float
    longest_us: int
    step_us: int
    device_us: Mapping[str, int] = field(default_factory=dict[str, int])

    def __str__(self) -> str:
        waits = [f"up to {readable(self.packet_us)} for its packet's end"]
        if self.longest_us > 1.01 * self.packet_us:
            waits[0] += f" (at most {readable(self.longest_us)})"
        if self.step_us:
            waits.append(f"up to {readable(self.step_us)} for its step's end")
        added = [f"{name} adds {readable(us)}" for name, us in self.device_us.items()]
        return "; ".join([f"before that an event waits {' and '.join(waits)}", *added])


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Spread):
    """How late output was, in ms. since: the moment it is counted from.

    "schedule": when the events were due; a stall delays everything queued behind it and is counted in full
    "read": when a packet had been decoded; a recording played as fast as possible has no other moment

    phases:     the way of a packet, in order; "sensor" and "user" lie before and after what latency counts
    unanswered: packets that were sent and whose output never came
    """

    since: Since
    phases: tuple[Phase, ...] = ()
    unanswered: int = 0
    deadline: Deadline | None = None
    floor: Floor | None = None

    @classmethod
    def of(cls, histogram: Histogram, since: Since) -> Self:
        """The figures of a histogram of ns alone."""
        return cls(since=since, **figures(histogram))

    def rows(self) -> list[tuple[str, str]]:
        """As (name, text) for people."""
        name = f"latency ({self.since})"
        if not self.packets:
            return [(name, "no packets")]
        p50, p99, p999, most, iqr, jitter = map(
            milliseconds, (self.p50, self.p99, self.p999, self.maximum, self.iqr, self.jitter)
        )
        text = f"p50 {p50} ms, p99 {p99}, p99.9 {p999}, max {most}"
        rows = [(name, f"{text}; middle half within {iqr}, p99 - p50 {jitter}")]
        if self.phases:
            ways = (f"{each.name} {milliseconds(each.p50)}/{milliseconds(each.p99)}" for each in self.phases)
            rows.append(("on the way", f"{', '.join(ways)} ms (p50/p99){self._clocks()}"))
        if self.floor is not None:
            rows.append(("latency floor", str(self.floor)))
        if self.unanswered:
            rows.append(("unanswered", f"{self.unanswered:,} packets"))
        if self.deadline is not None:
            rows.append(("deadline", str(self.deadline)))
        return rows

    def _clocks(self) -> str:
        """Whose clock measured what the host's did not."""
        others = [each for each in self.phases if each.clock != HOST]
        return f"; {', '.join(each.name for each in others)} by {others[0].clock}" if others else ""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A phase as two moments."""

    name: str
    what: str
    begin: int
    end: int


_SAID: Final = (
    _Stretch("sensor", "the event → here, by the sensor's clock and its fastest arrivals", _SENSED, _STAMP),
    _Stretch("source", "due, or here → taken from the source's queue", _STAMP, _TAKEN),
    _Stretch("submit", "taken → accepted by the device", _TAKEN, _ACCEPTED),
    _Stretch("wait", "accepted → the device begins", _ACCEPTED, _BEGUN),
    _Stretch("device", "begins → done", _BEGUN, _DONE),
    _Stretch("return", "done → output on the host", _DONE, _OUT),
    _Stretch("user", "output on the host → taken by the user", _OUT, _USER),
)
_WHOLE: Final = _Stretch("device", "accepted → output on the host, with queue and line", _ACCEPTED, _OUT)
_SILENT: Final = (*_SAID[:3], _WHOLE, _SAID[-1])
"""Of a device that does not say when it began."""


class Stopwatch:
    """Follows a run's packets. deadline: µs after which an answer is late, or None."""

    def __init__(self, deadline: int | None = None) -> None:
        self._deadline = deadline
        self._total = Histogram()
        self._phases: dict[_Stretch, Histogram] = {}
        self._missed = 0
        # [end, sensed, stamp, taken, accepted] of what is not answered
        self._sent: deque[list[int]] = deque()
        self._last: list[int] = [0] * 5
        self._reached: int | None = None
        self._moments: list[int] = []
        self._packets = self._stream = self._longest = 0

    def sent(self, packet: Packet, taken: int, sensed: int | None) -> None:
        """An input packet was taken from its source at host ns `taken`; its end was at `sensed` or nobody knows."""
        if self._reached is None:
            self._reached = packet.start
        span = packet.end - packet.start
        self._packets += 1
        self._stream += span
        self._longest = max(self._longest, span)
        self._last = [packet.end, sensed or 0, packet.stamp, taken, 0]
        self._sent.append(self._last)

    def accepted(self, at: int) -> None:
        """The device took the packet that was sent last."""
        self._last[4] = at

    def answered(self, packet: Packet, at: int) -> int | None:
        """The user took an output packet at host ns `at`. Returns the stamp of its cause, None if it is no answer.

        Of packets that reach the same time (of several populations) only the first is one.
        """
        if self._reached is None or packet.end <= self._reached:
            return None
        self._reached = packet.end
        while self._sent and self._sent[0][0] < packet.end:
            self._sent.popleft()
        if not self._sent:
            return None
        _, sensed, stamp, taken, accepted = self._sent[0]
        # send may not have returned yet: then it did not wait for room
        self._moments += (
            sensed, stamp, taken, accepted or taken, packet.begun, packet.done, packet.stamp, at
        )  # fmt: skip
        if len(self._moments) >= 8 * _BLOCK:
            self._count()
        return stamp

    def _count(self) -> None:
        """Puts what is kept into the histograms."""
        moments = np.array(self._moments, np.int64).reshape(-1, 8)
        self._moments = []
        total = moments[:, _OUT] - moments[:, _STAMP]
        self._total.record_all(total)
        if self._deadline is not None:
            self._missed += int(np.count_nonzero(total > self._deadline * 1_000))
        said = (moments[:, _BEGUN] != 0) & (moments[:, _DONE] != 0)
        for stretches, chosen in ((_SAID, moments[said]), (_SILENT, moments[~said])):
            for stretch in stretches if len(chosen) else ():
                self._measure(stretch, chosen)

    def _measure(self, stretch: _Stretch, moments: NDArray[np.int64]) -> None:
        begin, end = moments[:, stretch.begin], moments[:, stretch.end]
        known = begin != 0
        if known.any():  # a thread may begin before `send` has returned: less than nothing counts as no wait
            self._phases.setdefault(stretch, Histogram()).record_all((end - begin)[known])

    def latency(
        self, since: Since, *, ended: int, step: int, device_us: Mapping[str, int], clock: str
    ) -> Latency:
        """What was measured up to now. ended: host ns; step: µs of a time step, 0 where there is none.

        device_us: what the device adds by design; clock: whose its moments are.
        """
        self._count()
        order = [*_SAID[:-1], _WHOLE, _SAID[-1]]
        phases = tuple(
            Phase(
                name=each.name,
                what=each.what,
                clock=clock if each.name in ("wait", "device", "return") and each is not _WHOLE else HOST,
                **figures(self._phases[each]),
            )
            for each in order
            if each in self._phases
        )
        missing = [entry[2] for entry in self._sent if self._reached is None or entry[0] > self._reached]
        return Latency(
            since=since,
            phases=phases,
            unanswered=len(missing),
            deadline=self._judged([ended - stamp for stamp in missing]),
            floor=self._floor(step, device_us),
            **figures(self._total),
        )

    def _judged(self, waiting: list[int]) -> Deadline | None:
        """waiting: for how many ns each packet that was never answered has been due."""
        if self._deadline is None:
            return None
        overdue = [wait for wait in waiting if wait > self._deadline * 1_000]
        return Deadline(
            self._deadline / 1e3,
            self._missed + len(overdue),
            self._total.total + len(overdue),
            max([self._total.maximum, *overdue]) / 1e6,
        )

    def _floor(self, step: int, device_us: Mapping[str, int]) -> Floor | None:
        if not self._packets:
            return None
        return Floor(self._stream / self._packets, self._longest, step, dict(device_us))

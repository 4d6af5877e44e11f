"""What a pipeline counts over all its runs, and the figures that are published of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from nrt.clock import now
from nrt.daemon.notice import Json, State
from nrt.device import Energy
from nrt.plain import encode
from nrt.profile import Latency
from nrt.report import Report

BOUNDS_MS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0)
"""Upper bounds of the latency histogram that is published, ms; what is above them is counted in one more."""
_BOUNDS_NS: Final = np.array(BOUNDS_MS) * 1e6


@dataclass(frozen=True, slots=True)
class Stats:
    """A pipeline at one moment. Counts are of all runs since the daemon started; latency is of the present run.

    uptime_s: since it last began to run, 0 while it does not
    lost: events before the device; dropped: events and spikes that a recording or a receiver did not take in time
    spikes_of: per output · queues: packets that wait, by where · counts: what was repaired or lost besides, by name
    energy: of the present run, each figure with its label · temperature: of the machine, °C
    """

    state: State
    reason: str
    uptime_s: float
    restarts: int
    packets: int
    events: int
    spikes: int
    lost: int
    dropped: int
    decisions: int
    alarms: int
    misses: int
    real_time_factor: float | None
    spikes_of: Mapping[str, int] = field(default_factory=dict[str, int])
    queues: Mapping[str, int] = field(default_factory=dict[str, int])
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    latency: Latency | None = None
    latency_counts: tuple[int, ...] = ()
    """Packets of all runs within each of `BOUNDS_MS`, and above the last."""
    latency_sum_s: float = 0.0
    energy: tuple[Energy, ...] = ()
    temperature: float | None = None

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON; what is no number is null. Of the latency without its long histograms."""
        short = dataclasses.replace(self.latency, buckets=(), phases=()) if self.latency is not None else None
        result: dict[str, Json] = encode(dataclasses.replace(self, latency=short))
        return result


class Totals:
    """Additions per packet, nothing per event."""

    def __init__(self) -> None:
        self.restarts = self.packets = self.answers = self.events = self.lost = 0
        """packets: from the source · answers: packets from the device"""
        self.dropped = self.decisions = self.alarms = 0
        self.spikes: Counter[str] = Counter()
        self.last_in = self.last_out = now()
        """Host time of the last packet from the source, and of the last from the device."""
        self._latency = [0] * (len(BOUNDS_MS) + 1)
        self._latency_sum = 0.0
        self._misses = 0

    def ended(self, report: Report) -> None:
        """Keeps what only a run's report has, when the run is over."""
        self._latency = [a + b for a, b in zip(self._latency, coarse(report.latency), strict=True)]
        self._latency_sum += _sum_s(report.latency)
        self._misses += _missed(report)

    def misses(self, report: Report | None) -> int:
        """Output packets of all runs that were later than the deadline, those of the present run included."""
        return self._misses + (_missed(report) if report is not None else 0)

    def latency(self, report: Report | None) -> tuple[tuple[int, ...], float]:
        """The published histogram of all runs, the present one included, and the sum of its values in s."""
        if report is None:
            return tuple(self._latency), self._latency_sum
        counts = (a + b for a, b in zip(self._latency, coarse(report.latency), strict=True))
        return tuple(counts), self._latency_sum + _sum_s(report.latency)


def coarse(latency: Latency) -> list[int]:
    """A report's histogram in the published buckets; a bucket that lies across a bound is counted above it."""
    if not latency.buckets:
        return [0] * (len(BOUNDS_MS) + 1)
    table = np.array(latency.buckets, np.float64)
    counts = np.bincount(np.searchsorted(_BOUNDS_NS, table[:, 1]), table[:, 2], minlength=len(BOUNDS_MS) + 1)
    return [round(count) for count in counts.tolist()]


def _sum_s(latency: Latency) -> float:
    return latency.mean * latency.packets / 1e3 if latency.packets else 0.0


def _missed(report: Report) -> int:
    return report.latency.deadline.missed if report.latency.deadline is not None else 0

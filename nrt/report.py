"""Report: what a run measured, and everything it depended on."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nrt.clock import readable
from nrt.device import Counters
from nrt.network import Semantics
from nrt.profile import ClockMap, Energy, Histogram
from nrt.version import __version__


@dataclass(frozen=True, slots=True)
class Latency:
    """How late output was, in ms. since: the moment it is counted from.

    "schedule": when the events were due; a stall delays everything queued behind it and is counted in full
    "read": when a packet had been decoded; a recording played as fast as possible has no other moment
    """

    since: Literal["schedule", "read"]
    packets: int
    minimum: float
    mean: float
    p50: float
    p99: float
    p999: float
    maximum: float
    buckets: tuple[tuple[int, int, int], ...] = ()
    """(lowest ns, highest ns, packets) of each histogram bucket that is not empty."""

    @classmethod
    def of(cls, histogram: Histogram, since: Literal["schedule", "read"]) -> Latency:
        """The figures of a histogram of ns."""
        p50, p99, p999 = (histogram.percentile(q) / 1e6 for q in (50, 99, 99.9))
        return cls(
            since,
            histogram.total,
            histogram.minimum / 1e6,
            histogram.mean / 1e6,
            p50,
            p99,
            p999,
            histogram.maximum / 1e6,
            tuple(histogram.buckets()),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """What one run measured. Figures that were not had are absent, never zero.

    stream_s: seconds of the stream's own clock · wall_s: seconds on the host
    events, lost: taken in, and dropped before they reached the device
    counts: per firing output, the sum of payloads of each neuron; per readout, its mean membrane
    source_counts: what the source repaired (late, resets, gaps) · error: what ended the run early, or ""
    energy: figures of the run, each of something else; never added up
    clock: offset and drift of the device's clock against the host's, None where it has none of its own
    """

    network: Mapping[str, str]
    device: str
    source: Mapping[str, str]
    semantics: Mapping[str, Any]
    started: str
    stream_s: float
    wall_s: float
    packets: int
    events: int
    lost: int
    source_counts: Mapping[str, int]
    counters: Counters
    counts: Mapping[str, tuple[float, ...]]
    latency: Latency
    energy: tuple[Energy, ...] = ()
    clock: ClockMap | None = None
    error: str = ""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    host: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def real_time_factor(self) -> float:
        """Seconds of stream per second of wall time; above 1 is faster than real time."""
        return self.stream_s / self.wall_s if self.wall_s else math.nan

    @property
    def winner(self) -> int | None:
        """The output neuron that fired most (highest mean membrane of a readout); None on a tie or no output."""
        if len(self.counts) != 1:
            return None
        (values,) = self.counts.values()
        best = [k for k, value in enumerate(values) if value == max(values)]
        return best[0] if len(best) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """As plain numbers, strings, lists and dictionaries."""
        result = dataclasses.asdict(self)
        result["real_time_factor"] = self.real_time_factor
        result["winner"] = self.winner
        result["energy"] = [figure.to_dict() for figure in self.energy]
        if self.clock is not None:
            result["clock"]["offset_us"] = self.clock.offset_us
        return _plain(result)  # type: ignore[no-any-return]

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON; what is not a number is null."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def rows(self) -> list[tuple[str, str]]:
        """The report as (name, text) for people."""
        lat = self.latency
        rows = [
            ("network", f"{self.network['name']}  {self.network['hash'][:12]}"),
            ("device", self.device),
            ("source", self.source.get("uri", "")),
            ("semantics", _choices(self.semantics)),
            ("stream", f"{readable(self.stream_s * 1e6)} in {readable(self.wall_s * 1e6)}"),
            ("real time", f"{self.real_time_factor:.3g} x"),
            ("steps", f"{self.counters.steps:,} of {readable(self.semantics.get('dt', 0))}"),
            ("events", f"{self.events:,} in {self.packets:,} packets{_rate(self.events, self.wall_s, 'ev')}"),
            ("lost", _losses(self)),
            ("spikes", ", ".join(f"{k} {v:,}" for k, v in self.counters.spikes.items()) or "none"),
            ("synaptic ops", f"{sum(self.counters.synops.values()):,}"),
            (
                f"latency ({lat.since})",
                f"p50 {lat.p50:.3g} ms, p99 {lat.p99:.3g}, p99.9 {lat.p999:.3g}, max {lat.maximum:.3g}"
                if lat.packets
                else "no packets",
            ),
        ]
        rows += [
            ("energy" if k == 0 else "", line)
            for figure in self.energy
            for k, line in enumerate(figure.lines())
        ] or [("energy", "nothing is known of it on this device")]
        if self.clock:
            rows.append(("device clock", str(self.clock)))
        if self.error:
            rows.append(("ended by", self.error))
        return rows

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _choices(semantics: Mapping[str, Any]) -> str:
    """The preset, and whatever differs from nrt's default reading."""
    usual = dataclasses.asdict(Semantics())
    chosen = [f"{k} {v}" for k, v in semantics.items() if k not in ("dt", "name") and v != usual.get(k)]
    return ", ".join([str(semantics.get("name", "")), *chosen])


def _rate(count: int, seconds: float, unit: str) -> str:
    if not seconds or not count:
        return ""
    rate = count / seconds
    return f", {rate / 1e6:.3g} M{unit}/s" if rate >= 1e5 else f", {rate / 1e3:.3g} k{unit}/s"


def _losses(report: Report) -> str:
    parts = [f"{report.lost:,} events"]
    if report.counters.outside:
        parts.append(f"{report.counters.outside:,} outside the network's input (choose a crop or a pool)")
    parts += [f"{count:,} times {what}" for what, count in report.counters.doubts.items()]
    if report.counters.cropped:
        parts.append(f"{report.counters.cropped:,} left out by the encoding")
    parts += [f"{count:,} {name}" for name, count in report.source_counts.items()]
    return ", ".join(parts)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@functools.cache
def versions() -> dict[str, str]:
    """Versions of nrt and of what its arithmetic depends on."""
    found = {"nrt": __version__}
    for name in ("numpy", "numba", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def host() -> dict[str, str]:
    """The machine a figure was measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            model = next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")), model
            )
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def timestamp() -> str:
    """Now, as ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

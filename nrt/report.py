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
from typing import Any, Final, Self

from nrt import plain
from nrt.clock import readable
from nrt.device import Counters
from nrt.errors import ConfigError
from nrt.network import Semantics
from nrt.profile import ClockMap, Decisions, Energy, Latency
from nrt.version import __version__

FORMAT: Final = "nrt report 1"
"""How the JSON of a report begins, so that other documents are told from it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What was chosen for a run besides network, device and source.

    taps, membranes: populations that were watched besides the outputs
    decide_us:   length of the windows that are decided · label: the right answer · deadline_us: what counts as late
    excerpt:     output spikes that the report keeps, from the first on, to be looked at
    """

    taps: tuple[str, ...] = ()
    membranes: tuple[str, ...] = ()
    decide_us: int | None = None
    label: int | None = None
    deadline_us: int | None = None
    excerpt: int = 0


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first spikes of an output: t in µs from the start of the run, and the neuron of each.

    neurons: of the output · end: µs up to which all spikes are here
    """

    population: str
    neurons: int
    end: int
    t: tuple[int, ...]
    n: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What one run measured. Figures that were not had are absent, never zero.

    reading:  the file that the network was read from, and how (`Network.loaded`) · semantics, encoding: what came of it
    source:   what the source says of itself: URI, format, fingerprint, serial number
    stream_s: seconds of the stream's own clock · wall_s: seconds on the host
    events, lost: taken in, and dropped before they reached the device
    counts: per firing output, the sum of payloads of each neuron; per readout, its mean membrane
    sizes:    neurons of each population · excerpts: the first spikes of each output, if they were asked for
    digests:  per output, SHA-256 over all its records: equal where every spike was
    decisions: what was decided and when; None where nothing fired and nothing was asked
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
    decisions: Decisions | None = None
    energy: tuple[Energy, ...] = ()
    clock: ClockMap | None = None
    error: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict[str, Any])
    encoding: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Settings = field(default_factory=Settings)
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    excerpts: tuple[Excerpt, ...] = ()
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
        derived = {
            "real_time_factor": self.real_time_factor,
            "winner": self.winner,
            "energy": [figure.to_dict() for figure in self.energy],
        }
        result: dict[str, Any] = {"format": FORMAT, **plain.encode(self), **plain.encode(derived)}
        if self.clock is not None:
            result["clock"]["offset_us"] = self.clock.offset_us
        return result

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON; what is not a number is null."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """As one page that needs nothing else, for screen and paper."""
        from nrt.page import of_report

        return of_report(self)

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """What `to_dict` gave. Raises ConfigError where it is something else."""
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise ConfigError(
                f"this is no report of a run: the document does not begin with format '{FORMAT}'"
            )
        return plain.decode(cls, document)

    def rows(self) -> list[tuple[str, str]]:
        """The report as (name, text) for people."""
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
            *self.latency.rows(),
            *(self.decisions.rows() if self.decisions is not None else ()),
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

"""What pages show besides frames: a pipeline as it stands, its figures, and those of the last minutes."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Final

from nrt.daemon.config import SETTABLE
from nrt.daemon.node import bare
from nrt.daemon.notice import Json
from nrt.daemon.pipeline import Pipeline
from nrt.daemon.stats import Stats
from nrt.daemon.web.raster import Band
from nrt.device import Placement
from nrt.network import Network
from nrt.profile import Latency

KEPT: Final = 300
"""Seconds of figures that a page gets when it is opened."""
BARS: Final = 4
"""Bars of the latency histogram for each power of two."""

DRAWN: Final = ("time", "state", "packets", "events", "spikes", "lost", "dropped", "energy", "temperature")
"""Figures that a page draws over time."""


def describe(pipeline: Pipeline, bands: Iterable[Band], layout: int) -> dict[str, Json]:
    """What a page must know of a pipeline before its figures make sense; it changes with a deployment.

    bands, layout: of the frames that are being made of it
    """
    config, shape = pipeline.config, pipeline.input_shape
    return {
        "name": pipeline.name,
        "state": str(pipeline.state),
        "reason": pipeline.reason,
        "source": bare(config.source),
        "filter": config.filter,
        "device": bare(config.device),
        "network": config.network.name,
        "labels": list(config.labels),
        "decide_us": config.decide,
        "options": list(SETTABLE),
        "shape": None if shape is None else list(shape),
        "layout": layout,
        "bands": list[Json](band.to_dict() for band in bands),
        "populations": _populations(pipeline.network),
        "placement": _placement(pipeline.placement),
    }


def _populations(network: Network | None) -> Json:
    if network is None:
        return []
    return [
        {
            "name": each.name,
            "shape": list(each.shape),
            "size": each.size,
            "kind": "input" if each.neuron is None else type(each.neuron).__name__,
            "output": each.name in network.outputs,
        }
        for each in network.populations
    ]


def _placement(placement: Placement | None) -> Json:
    if placement is None:
        return None
    rows: list[Json] = [
        {"layer": row.layer, "what": row.what, "where": row.where, "note": row.note} for row in placement.rows
    ]
    return {
        "device": placement.device,
        "network": placement.network,
        "rows": rows,
        "notes": list(placement.notes),
    }


def figures(stats: Stats) -> dict[str, Json]:
    """The figures of a moment; the latency with bars of a quarter of a power of two, and its phases by name."""
    found = stats.to_dict()
    latency = stats.latency
    if latency is not None:
        phases: list[Json] = [
            [each.name, each.what, each.p50, each.p99] for each in latency.phases if each.packets
        ]
        bars: list[Json] = [list(bar) for bar in _bars(latency)]
        few = found["latency"]
        found["latency"] = {**few, "bars": bars, "phases": phases} if isinstance(few, dict) else None
    return {**found, "time": time.time()}


def _bars(latency: Latency) -> tuple[tuple[int, int, int], ...]:
    """(lowest ns, highest ns, packets) of each bar with packets. A bucket belongs to the bar it begins in."""
    counts: defaultdict[int, int] = defaultdict(int)
    for low, _, count in latency.buckets:
        counts[_bar(low)] += count
    return tuple((_edge(bar), _edge(bar + 1) - 1, count) for bar, count in sorted(counts.items()))


def _bar(value: int) -> int:
    """Powers of two in `BARS` linear parts, as in `nrt.profile.Histogram`, only coarser."""
    shift = max(value.bit_length() - BARS.bit_length(), 0)
    return shift * BARS + (value >> shift)


def _edge(bar: int) -> int:
    shift = max(bar // BARS - 1, 0)
    return (bar - shift * BARS) << shift


class History:
    """A pipeline's figures of the last minutes, one set for each second."""

    def __init__(self) -> None:
        self._kept: deque[Json] = deque(maxlen=KEPT)
        self._due = 0.0

    @property
    def due(self) -> bool:
        """Whether the next figures are kept."""
        return time.monotonic() >= self._due

    def take(self, stats: Stats) -> Json:
        """The figures of `stats` for the page; those of every second are kept, without what is not drawn over time."""
        made = figures(stats)
        if self.due:
            self._due = time.monotonic() + 0.99
            self._kept.append({name: made[name] for name in DRAWN})
        return made

    def kept(self) -> list[Json]:
        """From the oldest to the newest."""
        return list(self._kept)

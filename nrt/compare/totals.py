"""Figures of many runs as one: latencies and energies of the recordings of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nrt.profile import Energy, Histogram
from nrt.profile.latency import Latency, Phase
from nrt.profile.spread import Spread, figures


def latency(parts: Sequence[Latency]) -> Latency | None:
    """All packets of all runs, of which the histograms' buckets (within 0.8 %) are known; None for no run."""
    if not parts:
        return None
    names = [phase.name for phase in parts[0].phases]
    phases = [[each for part in parts for each in part.phases if each.name == name] for name in names]
    return replace(
        parts[0],
        **figures(_joined(parts)),
        phases=tuple(_phase(same) for same in phases),
        unanswered=sum(part.unanswered for part in parts),
        deadline=None,
    )


def _phase(same: Sequence[Phase]) -> Phase:
    return replace(same[0], **figures(_joined(same)))


def _joined(parts: Sequence[Spread]) -> Histogram:
    whole = Histogram()
    for part in parts:
        for low, high, count in part.buckets:
            whole.record(min((low + high) // 2, round(part.maximum * 1e6)), count)
    return whole


def energy(runs: Sequence[Sequence[Energy]]) -> tuple[Energy, ...]:
    """The sum over runs of each figure that was had the same way, of the same thing; never of different ones.

    A figure that some runs do not have is left out: its sum would be of other recordings than the rest.
    """
    kept: dict[tuple[str, str, str], list[Energy]] = {}
    for run in runs:
        for each in run:
            kept.setdefault((each.kind, each.source, each.boundary), []).append(each)
    return tuple(_sum(same) for same in kept.values() if len(same) == len(runs))


def _sum(same: Sequence[Energy]) -> Energy:
    if len(same) == 1:
        return same[0]
    seconds = [each.seconds for each in same if each.seconds is not None]
    idle = [each.idle_watts * each.seconds for each in same if each.idle_watts is not None and each.seconds]
    samples = [each.samples for each in same if each.samples is not None]
    whole = len(seconds) == len(same)
    return replace(
        same[0],
        joules=sum(each.joules for each in same),
        seconds=sum(seconds) if whole else None,
        idle_watts=sum(idle) / sum(seconds) if whole and len(idle) == len(same) else None,
        interval=None,
        net_interval=None,
        samples=sum(samples) if len(samples) == len(same) else None,
        notes=tuple(dict.fromkeys(note for each in same for note in each.notes)),
    )


def counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The sum of each name."""
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total

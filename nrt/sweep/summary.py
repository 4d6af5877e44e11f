"""A sweep in figures: per model and device accuracy, latency and energy over its recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from nrt.profile.energy import Kind
from nrt.statistics import wilson
from nrt.sweep.item import Row


@dataclass(frozen=True, slots=True)
class Joules:
    """One kind of energy figure of one boundary and source: the mean over `of` recordings, gross and net."""

    kind: Kind
    boundary: str
    source: str
    joules: float
    net: float | None
    of: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One model on one device.

    right, of:  answers that were right, of recordings with a label that ran · low, high: 95 % interval (Wilson)
    ties:       recordings without a winner; they count as wrong · failed: recordings that ended in an error
    p50_ms:     median of the recordings' medians · p99_ms: the worst recording's
    since:      what latency is counted from; "mixed" where it differs
    """

    model: str
    device: str
    recordings: int
    failed: int
    right: int
    of: int
    low: float
    high: float
    ties: int
    events: int
    lost: int
    synops: int
    since: str
    p50_ms: float | None
    p99_ms: float | None
    energy: tuple[Joules, ...]


def summaries(rows: Sequence[Row]) -> list[Summary]:
    """One for every model and device of `rows`, in the order in which they first appear."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.model, row.device), []).append(row)
    return [_summary(model, device, group) for (model, device), group in found.items()]


def _summary(model: str, device: str, rows: Sequence[Row]) -> Summary:
    ran = [row for row in rows if not row.error]
    answers = [row.right for row in ran if row.right is not None]
    low, high = wilson(sum(answers), len(answers))
    p50 = [row.latency_p50_ms for row in ran if row.latency_p50_ms is not None]
    p99 = [row.latency_p99_ms for row in ran if row.latency_p99_ms is not None]
    since = {row.latency_since for row in ran if row.latency_p50_ms is not None}
    return Summary(
        model,
        device,
        recordings=len(rows),
        failed=len(rows) - len(ran),
        right=sum(answers),
        of=len(answers),
        low=low,
        high=high,
        ties=sum(row.winner is None for row in ran if row.label is not None),
        events=sum(row.events for row in ran),
        lost=sum(row.lost for row in ran),
        synops=sum(row.synops for row in ran),
        since="mixed" if len(since) > 1 else "".join(since),
        p50_ms=median(p50) if p50 else None,
        p99_ms=max(p99) if p99 else None,
        energy=_energy(ran),
    )


def _energy(rows: Sequence[Row]) -> tuple[Joules, ...]:
    found: dict[tuple[Kind, str, str], list[tuple[float, float | None]]] = {}
    for row in rows:
        for figure in row.energy:
            key = (figure.kind, figure.boundary, figure.source)
            found.setdefault(key, []).append((figure.joules, figure.net))
    result: list[Joules] = []
    for key, figures in found.items():
        nets = [net for _, net in figures if net is not None]
        mean_net = sum(nets) / len(nets) if len(nets) == len(figures) else None
        result.append(Joules(*key, sum(gross for gross, _ in figures) / len(figures), mean_net, len(figures)))
    return tuple(result)

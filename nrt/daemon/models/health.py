"""Health of a new model on trial: what speaks against it, by comparison with the one before.

Only what a model can be blamed for counts. A source that is lost, or brings no events, says nothing of the model; the
trial waits until there was something to judge by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nrt.daemon.notice import Alarm, AlarmKind, Notice, State
from nrt.daemon.stats import Stats

EVIDENCE: Final = 1_000
"""Events that a model must have seen before its silence counts."""
_LOSS: Final = 0.01
"""The share of events that may be lost on top of what the model before lost."""
_GRAVE: Final[tuple[AlarmKind, ...]] = ("device stalled", "deadline", "restarts", "failed")


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the model before did: spikes per event, and the share of events that it lost."""

    activity: float
    loss: float

    @classmethod
    def of(cls, stats: Stats) -> Baseline:
        """Of all runs so far."""
        return cls(stats.spikes / max(stats.events, 1), _share(stats.lost, stats.events))


class Health:
    """Judges a pipeline from when a new model began. before: its figures at that moment."""

    def __init__(self, before: Stats) -> None:
        self._before, self._baseline = before, Baseline.of(before)
        self._grave = ""

    def hear(self, notice: Notice) -> None:
        """Takes every notice of the pipeline."""
        if isinstance(notice, Alarm) and notice.kind in _GRAVE and not self._grave:
            self._grave = f"{notice.kind}: {notice.text}"

    def verdict(self, stats: Stats) -> str:
        """What speaks against the model, one sentence; "" as long as nothing does."""
        if self._grave:
            return self._grave
        if stats.state in (State.backoff, State.failed) and stats.restarts > self._before.restarts:
            return f"it cannot run: {stats.reason}"
        events, lost = stats.events - self._before.events, stats.lost - self._before.lost
        if events < EVIDENCE:
            return ""
        if self._baseline.activity > 0 and stats.spikes == self._before.spikes:
            return f"it is silent: {events:,} events and no spike, where the model before fired"
        if _share(lost, events) > self._baseline.loss + _LOSS:
            shares = f"{_share(lost, events):.1%} of the events are lost, before {self._baseline.loss:.1%}"
            return f"it is too slow: {shares}"
        return ""

    def judged(self, stats: Stats) -> bool:
        """Whether it has seen enough to be judged."""
        return stats.events - self._before.events >= EVIDENCE


def _share(lost: int, taken: int) -> float:
    return lost / max(lost + taken, 1)

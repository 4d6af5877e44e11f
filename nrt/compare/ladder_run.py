"""Running one rung of the ladder: a network on a device, over all recordings, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt import registry
from nrt.compare.ladder_load import busiest
from nrt.compare.lane import Lane, said
from nrt.compare.recorded import Recorded
from nrt.compare.trace import Trace
from nrt.device import Rung
from nrt.errors import StreamError

Floats = NDArray[np.float64]

KEPT: Final = 1 << 24
"""Events of all recordings together that stay in memory, 256 MiB; what is beyond is read again for every rung."""
_LOSSES: Final = 4
"""How often a device may be lost on one rung."""


@dataclass(frozen=True, slots=True)
class Case:
    """A recording for the ladder. name: of its own; source: its URI or path, or its packets in memory; label: the right
    answer, the number of an output neuron."""

    name: str
    source: str | Recorded
    label: int | None = None


class Cases:
    """The recordings that can be read: taken once, and kept in memory while there is room.

    unreadable: the others, name and error
    """

    def __init__(self, cases: Sequence[Case], limit_us: int | None = None) -> None:
        self.cases = tuple(cases)
        self.unreadable: tuple[tuple[str, str], ...] = ()
        self._limit = limit_us
        self._kept: dict[Case, Recorded] = {}
        self._room = KEPT

    def __len__(self) -> int:
        return len(self.cases)

    async def read(self) -> None:
        """Reads every recording once, and leaves out those that cannot be read. Raises StreamError where none can."""
        good: list[Case] = []
        bad: list[tuple[str, str]] = []
        for case in self.cases:
            try:
                await self._take(case)
                good.append(case)
            except Exception as error:
                bad.append((case.name, said(error)))
        self.cases, self.unreadable = tuple(good), tuple(bad)
        if not good:
            name, why = bad[0]
            raise StreamError(f"not one recording can be read; the first, {name}: {why}")

    async def get(self, index: int) -> Recorded:
        """Its packets. Raises what its source raises."""
        return await self._take(self.cases[index])

    async def _take(self, case: Case) -> Recorded:
        if isinstance(case.source, Recorded):
            return case.source
        if case in self._kept:
            return self._kept[case]
        source = registry.source(case.source)
        taken = await Recorded.take(source, self._limit)
        if taken.events <= self._room or not source.finite:  # a live source would show something else again
            self._room -= taken.events
            self._kept[case] = taken
        return taken


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one recording came to on one rung.

    counts:  per output, spikes of each neuron, or the mean membrane of a readout · answer: the winner, None on a tie
    spikes:  per population that was seen · lost: spikes that the device says it lost
    busiest: per projection's target, the most synaptic operations per second in any window
    doubts:  what may have happened where nobody can see it, and how often
    error:   why it did not run, or ""
    """

    counts: Mapping[str, Floats]
    answer: int | None
    spikes: Mapping[str, int]
    busiest: Mapping[str, float]
    lost: int = 0
    doubts: Mapping[str, int] = field(default_factory=dict[str, int])
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Walked:
    """One rung's outcomes, in the order of the cases; none, and `error`, where less than half of them ran."""

    outcomes: tuple[Outcome, ...]
    error: str = ""


async def run(rung: Rung, cases: Cases) -> Walked:
    """Runs every case on a rung; a case that fails says so in its outcome, and the others go on.

    A device that is lost is opened again for the next case, a few times.
    """
    outcomes: list[Outcome] = []
    lost = ""
    for _ in range(_LOSSES):
        async with AsyncExitStack() as stack:
            lane = Lane(rung.on)
            await lane.start(stack, rung.network, 1)
            before = len(outcomes)
            while not lane.error and len(outcomes) < len(cases):
                outcomes.append(await _one(rung, lane, cases, len(outcomes)))
        lost = lane.error
        if len(outcomes) in (before, len(cases)):
            break
    failed = [each.error for each in outcomes if each.error]
    if 2 * len(failed) > len(cases) or len(outcomes) < len(cases):
        ran = len(outcomes) - len(failed)
        why = next(iter(failed), lost)
        return Walked((), f"{ran} of {len(cases)} recordings ran: {why}" if ran else why)
    return Walked(tuple(outcomes))


async def _one(rung: Rung, lane: Lane, cases: Cases, index: int) -> Outcome:
    try:
        recorded = await cases.get(index)
        return _outcome(rung, recorded, await lane.run(recorded, 0.0))
    except Exception as error:
        return Outcome({}, None, {}, {}, error=said(error))


def _count(name: str, trace: Trace) -> Floats:
    """Spikes of each neuron of an output, or the mean membrane of a readout; a report has those of small outputs."""
    if name in trace.report.counts:
        return np.array(trace.report.counts[name])
    if name in trace.trains:
        return trace.trains[name].per_neuron().astype(np.float64)
    if name in trace.readouts:
        mean: Floats = np.asarray(np.mean(trace.readouts[name], axis=0), np.float64)
        return mean
    raise StreamError(f"output {name} is too large to be kept, so its recordings cannot be compared")


def _outcome(rung: Rung, recorded: Recorded, trace: Trace) -> Outcome:
    report = trace.report
    spikes = {**{n: t.spikes for n, t in trace.trains.items()}, **report.counters.spikes}
    return Outcome(
        {name: _count(name, trace) for name in rung.network.outputs},
        report.winner,
        spikes,
        busiest(rung.network, recorded, trace.trains) if rung.capacity else {},
        trace.lost,
        report.counters.doubts,
        report.error,
    )

"""Running one rung of the ladder: a network on a device, over all recordings, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt import registry
from nrt.compare.lane import Lane, said
from nrt.compare.recorded import Recorded, Replay
from nrt.compare.trace import Trace
from nrt.compare.train import Train
from nrt.device import Rung
from nrt.errors import NrtError, StreamError
from nrt.network import Network
from nrt.network.operators import fan
from nrt.packet import EVENT, MEMBRANE, SPIKE
from nrt.session import open

Floats = NDArray[np.float64]

KEPT: Final = 1 << 24
"""Events of all recordings together that stay in memory, 256 MiB; what is beyond is read again for every rung."""
_LOSSES: Final = 4
"""How often a device may be lost on one rung."""
WINDOW_US: Final = 10_000
"""Over which the rate of synaptic operations is taken: shorter bursts wait in queues."""


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
        taken = await Recorded.take(registry.source(case.source), self._limit)
        if taken.events <= self._room:
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


def _outcome(rung: Rung, recorded: Recorded, trace: Trace) -> Outcome:
    report = trace.report
    spikes = {**{n: t.spikes for n, t in trace.trains.items()}, **report.counters.spikes}
    return Outcome(
        {name: np.array(values) for name, values in report.counts.items()},
        report.winner,
        spikes,
        _busiest(rung.network, recorded, trace.trains) if rung.capacity else {},
        trace.lost,
        report.counters.doubts,
        report.error,
    )


def _busiest(network: Network, recorded: Recorded, trains: Mapping[str, Train]) -> dict[str, float]:
    """Per population that receives spikes which were seen: synaptic operations per second, in its busiest window."""
    span = max(recorded.end - recorded.start, 1)
    windows = -(-span // WINDOW_US)
    arrived: dict[str, Floats] = {}
    for projection in network.projections:
        fired = _fired(network, projection.source, recorded, trains)
        if fired is None:
            continue
        t, neuron, count = fired
        ways = fan(projection.operators, network[projection.source].shape).ravel()
        work = np.bincount(np.minimum(t // WINDOW_US, windows - 1), ways[neuron] * count, windows)
        arrived[projection.target] = arrived.get(projection.target, np.zeros(windows)) + work
    return {name: float(work.max()) / (min(WINDOW_US, span) / 1e6) for name, work in arrived.items()}


def _fired(
    network: Network, name: str, recorded: Recorded, trains: Mapping[str, Train]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] | None:
    """Spikes of a population: µs since the start, neuron, how many. Of an input, the events of the recording."""
    if name in trains:
        train = trains[name]
        return train.t, train.key % train.neurons, train.count
    data = [packet.data for packet in recorded.packets]
    if name not in network.inputs or any(each.dtype not in (EVENT, SPIKE) for each in data):
        return None
    t = np.concatenate([each["t"] for each in data]).astype(np.int64) - recorded.start
    if data[0].dtype == SPIKE:
        neuron = np.concatenate([each["n"] for each in data]).astype(np.int64)
        count = np.concatenate([each["v"] for each in data]).astype(np.int64)
    else:
        neuron = np.concatenate([network.encoding.index(each, network[name].shape) for each in data])
        count = np.ones(len(neuron), np.int64)
    inside = (neuron >= 0) & (neuron < network[name].size)
    return t[inside], neuron[inside], np.abs(count[inside])


async def at_bounds(rung: Rung, cases: Cases, indices: Sequence[int]) -> dict[str, float]:
    """Per population, the share of (neuron, step) at which its membrane is at the device's bounds or beyond them.

    Of the cases `indices`. Nothing where what runs the rung cannot show membranes, or a case cannot be run.
    """
    if rung.bounds is None:
        return {}
    low, high = rung.bounds
    names = [p.name for p in rung.network.populations if p.neuron is not None]
    beyond, of = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    try:
        async with open(rung.on) as session:
            await session.deploy(rung.network, membranes=names)
            for index in indices:
                async with session.stream(Replay(await cases.get(index))) as run:
                    async for packet in run:
                        name = packet.origin.removesuffix(".v")
                        if packet.data.dtype == MEMBRANE and name in of:
                            v = packet.data["v"]
                            beyond[name] += int(np.count_nonzero((v <= low) | (v >= high)))
                            of[name] += len(v)
    except NrtError:
        return {}
    return {name: beyond[name] / of[name] for name in names if of[name]}

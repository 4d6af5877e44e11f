"""One device over all recordings: activity, answers, workload, latency, energy, and the layers that deserve a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.compare import totals
from nrt.compare.figures import Accuracy, Activity, Concern, Participant
from nrt.compare.lane import Lane
from nrt.compare.trace import Trace
from nrt.compare.train import Train
from nrt.compare.workload import WorkloadTally
from nrt.network import Network, Population
from nrt.profile import Energy
from nrt.profile.latency import Latency
from nrt.statistics import wilson

SATURATED: Final = 0.95
"""Share of all steps in which a neuron fires that counts as saturated."""


class ParticipantTally:
    """Adds up one device's recordings."""

    def __init__(self, lane: Lane, network: Network) -> None:
        self._lane, self._network = lane, network
        self._activity = {
            p.name: _ActivityTally(p)
            for p in network.populations
            if p.neuron is not None and p.neuron.fires and p.name in lane.watched
        }
        self._workload = WorkloadTally(network, clocked=lane.clocked)
        self._latency: list[Latency] = []
        self._energy: list[tuple[Energy, ...]] = []
        self._synops: dict[str, int] = {}
        self._doubts: dict[str, int] = {}
        self._wall = 0.0
        self._recordings = self._outside = self._lost = self._right = self._of = 0

    def add(self, trace: Trace, inputs: Mapping[str, Train], steps: int, label: int | None) -> None:
        """One recording. inputs: what the input populations were given."""
        report = trace.report
        self._recordings += 1
        self._wall += report.wall_s
        self._latency.append(replace(report.latency, deadline=None))
        self._energy.append(report.energy)
        self._synops = totals.counts([self._synops, report.counters.synops])
        self._doubts = totals.counts([self._doubts, report.counters.doubts])
        self._outside += report.counters.outside
        self._lost += trace.lost
        if label is not None:
            self._of += 1
            self._right += report.winner == label
        self._workload.add(trace.trains, inputs, steps)
        for name, tally in self._activity.items():
            tally.add(trace.trains.get(name), steps)
        if len(self._latency) > 64:  # a list of histograms of thousands of recordings would be large
            self._latency = [one for one in [totals.latency(self._latency)] if one is not None]

    def result(self) -> Participant:
        """Over all recordings so far; without the concerns, which need the other devices."""
        lane, dt = self._lane, self._network.semantics.dt
        ran = self._recordings > 0
        return Participant(
            lane.uri,
            lane.clocked,
            lane.placement,
            lane.error,
            lane.watched,
            lane.unwatched,
            self._recordings,
            self._wall,
            tuple(tally.result(dt) for tally in self._activity.values()) if ran else (),
            Accuracy(self._right, self._of, *wilson(self._right, self._of)) if self._of else None,
            totals.latency(self._latency),
            totals.energy(self._energy),
            self._workload.result(),
            self._synops,
            self._doubts,
            self._outside,
            tuple(self._losses()),
        )

    def _losses(self) -> list[Concern]:
        found = [
            Concern("overloaded", "device", f"{count:,} times {what}") for what, count in self._doubts.items()
        ]
        if self._lost:
            found.append(Concern("lossy", "device", f"{self._lost:,} spikes were lost on the way"))
        if self._outside:
            text = f"{self._outside:,} events lie outside the network's input (choose a crop or a pool)"
            found.append(Concern("lossy", "input", text))
        return found


class _ActivityTally:
    """How one population fired."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._spikes = self._active = self._steps = 0
        self._fired: NDArray[np.int64] = np.zeros(
            population.size, np.int64
        )  # steps in which each neuron fired

    def add(self, train: Train | None, steps: int) -> None:
        self._steps += steps
        if train is not None:
            self._spikes += train.spikes
            self._active += len(train.key)
            self._fired += np.bincount(train.key % train.neurons, minlength=train.neurons)

    def result(self, dt: int) -> Activity:
        size, places = self._population.size, self._population.size * self._steps
        return Activity(
            self._population.name,
            size,
            self._spikes,
            self._spikes * 1e6 / (places * dt) if places else None,
            int(np.count_nonzero(self._fired == 0)),
            int(np.count_nonzero(self._fired >= max(SATURATED * self._steps, 1))),
            1 - self._active / places if places else None,
        )


def with_concerns(participants: Sequence[Participant]) -> tuple[Participant, ...]:
    """The same, each with its silent and saturated layers named. A layer silent elsewhere too says so."""
    return tuple(
        replace(each, concerns=(*_layers(each, [p for p in participants if p is not each]), *each.concerns))
        for each in participants
    )


def _layers(device: Participant, others: Sequence[Participant]) -> list[Concern]:
    found: list[Concern] = []
    for layer in device.activity:
        name = layer.population
        if not layer.spikes:
            fires = [p.uri for p in others for a in p.activity if a.population == name and a.spikes]
            where = f"; it fires on {', '.join(dict.fromkeys(fires))}" if fires else ""
            found.append(Concern("silent", name, f"none of its {layer.neurons:,} neurons fired{where}"))
        elif layer.saturated:
            text = f"{layer.saturated:,} of {layer.neurons:,} neurons fire in {SATURATED:.0%} of all steps or more"
            found.append(Concern("saturating", name, text))
    return found

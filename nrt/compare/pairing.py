"""One device against another over all recordings: agreement, readouts, answers, the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nrt.compare import divergence
from nrt.compare.agreement import AgreementTally
from nrt.compare.figures import Divergence, Paired
from nrt.compare.lane import Lane
from nrt.compare.readout import ReadoutTally
from nrt.compare.recorded import Recorded
from nrt.compare.result import Options, Pair
from nrt.compare.trace import Trace
from nrt.network import Network
from nrt.statistics import mcnemar


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The first recording in which the two differ."""

    index: int
    recorded: Recorded
    traces: tuple[Trace, Trace]


class PairTally:
    """Adds up two devices' recordings; `first` and `second` are their places."""

    def __init__(
        self, first: int, second: int, lanes: Sequence[Lane], network: Network, options: Options
    ) -> None:
        self.first, self.second = first, second
        self._network, self._lanes, self._options = network, lanes, options
        ours, theirs = lanes[first], lanes[second]
        self._clocked = ours.clocked and theirs.clocked
        self._spikes: dict[str, AgreementTally] = {}
        self._readouts: dict[str, ReadoutTally] = {}
        self._one_sided: dict[str, str] = {}
        for population in network.populations:
            name, neuron = population.name, population.neuron
            shown = [lane.uri for lane in (ours, theirs) if name in lane.watched]
            if neuron is None or not shown:
                continue
            if len(shown) == 1:
                self._one_sided[name] = f"only {shown[0]} shows it"
            elif neuron.fires:
                dt = network.semantics.dt
                self._spikes[name] = AgreementTally(name, population.size, options, dt, clocked=self._clocked)
            else:
                self._readouts[name] = ReadoutTally(name, population.size, options.reach)
        self._answers = {"both": 0, "only_first": 0, "only_second": 0, "neither": 0, "same": 0}
        self._labelled = self._recordings = 0
        self._kept: _Kept | None = None
        self._dropped: set[str] = set()

    def add(
        self, index: int, recorded: Recorded, first: Trace, second: Trace, label: int | None
    ) -> float | None:
        """One recording that both ran. Returns the F1 of the outputs' spikes, None where there were none."""
        self._recordings += 1
        matched = total = 0
        differs = False
        for name, tally in self._spikes.items():
            if name in first.trains and name in second.trains:
                same, all_of_them = tally.add(first.trains[name], second.trains[name])
                differs |= 2 * same < all_of_them
                if name in self._network.outputs:
                    matched, total = matched + same, total + all_of_them
        for name, readout in self._readouts.items():
            if name in first.readouts and name in second.readouts:
                readout.add(first.readouts[name], second.readouts[name])
        self._dropped |= {*first.dropped, *second.dropped}
        self._answer(first.report.winner, second.report.winner, label)
        if differs and self._kept is None:
            self._kept = _Kept(index, recorded, (first, second))
        return 2 * matched / total if total else None

    def _answer(self, first: int | None, second: int | None, label: int | None) -> None:
        if label is None:
            return
        self._labelled += 1
        rights = (first == label, second == label)
        names = {(True, True): "both", (True, False): "only_first", (False, True): "only_second"}
        self._answers[names.get(rights, "neither")] += 1
        self._answers["same"] += first == second

    @property
    def lags(self) -> Mapping[str, int]:
        """Delay of each population, in steps."""
        return {name: tally.lag for name, tally in self._spikes.items()}

    async def result(self) -> Pair | None:
        """Over all recordings so far; None where not one ran on both."""
        if not self._recordings:
            return None
        answers = self._answers
        readouts = (tally.result() for tally in self._readouts.values())
        return Pair(
            self.first,
            self.second,
            tuple(tally.result() for tally in self._spikes.values()),
            tuple(readout for readout in readouts if readout is not None),
            self._one_sided,
            await self._divergence(),
            Paired(**answers, p=mcnemar(answers["only_first"], answers["only_second"]))
            if self._labelled
            else None,
            notes=tuple(self._notes()),
        )

    def _notes(self) -> list[str]:
        lanes = self._lanes[self.first], self._lanes[self.second]
        notes = [
            f"{lane.uri} works event by event: a spike counts in the step of dt that it falls into"
            for lane in lanes
            if not lane.clocked
        ]
        for name, tally in self._spikes.items():
            notes += tally.notes
            result = tally.result()
            if not result.first and not result.second:
                notes.append(f"{name}: silent on both, so that nothing can be said of its agreement")
            neuron = self._network[name].neuron
            if neuron is not None and neuron.spikes == "graded":
                notes.append(
                    f"{name}: graded spikes match by neuron and step; their payloads are not compared"
                )
        notes += [f"{name}: too many membranes to keep; not compared" for name in sorted(self._dropped)]
        return notes

    async def _divergence(self) -> Divergence | None:
        if self._kept is None:
            return None
        kept, network, lags = self._kept, self._network, self.lags
        place = divergence.differences(network, *kept.traces, lags, self._options.tolerance)
        if place is None:
            return None
        found = divergence.explained(place, network, kept.recorded, kept.index, kept.traces, lags)
        if not self._options.membranes:
            return found
        shifts: list[int | None] = [None] * len(self._lanes)
        shifts[self.first], shifts[self.second] = 0, lags[place.population]
        return await divergence.with_membranes(found, network, kept.recorded, self._lanes, shifts)

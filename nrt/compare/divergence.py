"""The first spike that only one of two devices has, and what came before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nrt.compare import kernels
from nrt.compare.figures import Divergence, InputSpike, Membrane
from nrt.compare.lane import Lane, said
from nrt.compare.receptive import receptive_field
from nrt.compare.recorded import Recorded
from nrt.compare.trace import Trace
from nrt.compare.train import Train
from nrt.network import Network, Projection
from nrt.packet import join

WINDOW: Final = 10
"""Steps before a difference that are shown."""
AFTER: Final = 2
"""Steps after it for which membranes are shown."""
INPUTS: Final = 256
"""Input spikes that are kept, the last ones before the difference."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A difference: of which population, in which step of the first device, of which neuron, and the spikes."""

    population: str
    step: int
    key: int
    first: int
    second: int


def differences(
    network: Network, first: Trace, second: Trace, lags: Mapping[str, int], tolerance: int
) -> _Place | None:
    """The earliest difference over all populations that both show; of several in one step, in the earliest layer."""
    found: _Place | None = None
    for population in network.populations:
        name = population.name
        if name in first.trains and name in second.trains and name in lags:
            place = _first(name, first.trains[name], second.trains[name], lags[name], tolerance)
            if place is not None and (found is None or place.step < found.step):
                found = place
    return found


def _first(population: str, first: Train, second: Train, lag: int, tolerance: int) -> _Place | None:
    low, high = max(0, -lag), min(first.steps, first.steps - lag)
    first, second = first.within(low, high), second.within(low + lag, high + lag)
    ours, theirs = first.count.copy(), second.count.copy()
    kernels.match(first.key, first.step, ours, second.key, second.step, theirs, lag, tolerance)
    alone = [
        (int(step), int(key))
        for train, left, shift in ((first, ours, 0), (second, theirs, lag))
        for step, key in _earliest(train, left, shift)
    ]
    if not alone:
        return None
    step, key = min(alone)
    return _Place(population, step, key, _spikes(first, key, step), _spikes(second, key, step + lag))


def _earliest(train: Train, left: kernels.Ints, shift: int) -> list[tuple[int, int]]:
    """(step, key) of the earliest entry of which spikes are left over."""
    rest = np.flatnonzero(left)
    if not len(rest):
        return []
    best = rest[np.lexsort((train.key[rest], train.step[rest]))[0]]
    return [(int(train.step[best]) - shift, int(train.key[best]))]


def _spikes(train: Train, key: int, step: int) -> int:
    return int(train.count[(train.key == key) & (train.step == step)].sum())


def explained(
    place: _Place,
    network: Network,
    recorded: Recorded,
    index: int,
    traces: tuple[Trace, Trace],
    lags: Mapping[str, int],
) -> Divergence:
    """The difference with the spikes that reached its neuron in the steps before. index: of the recording."""
    dt = network.semantics.dt
    population = network[place.population]
    neuron = place.key % population.size
    begin = max(place.step - WINDOW, 0)
    inputs: list[InputSpike] = []
    notes: list[str] = []
    bias = 0.0
    for projection in network.into(population.name):
        if projection.bias is not None:
            bias += float(projection.bias.reshape(-1)[neuron])
        sources, weights = receptive_field(projection, network[projection.source].shape, neuron)
        span = (begin - projection.delay, place.step - projection.delay + 1)
        trains = _sources(projection, network, recorded, traces)
        if trains is None:
            notes.append(f"it also sees {projection.source}, whose spikes neither device shows")
            continue
        lag = lags.get(projection.source, 0)
        inputs += _inputs(
            projection, dict(zip(sources.tolist(), weights.tolist(), strict=True)), trains, span, lag, dt
        )
    inputs.sort(key=lambda each: (each.t, each.source, each.neuron))
    where = tuple(int(k) for k in np.unravel_index(neuron, population.shape))
    return Divergence(
        index,
        population.name,
        neuron,
        where,
        place.step * dt,
        place.step,
        place.first,
        place.second,
        (begin * dt, (place.step + 1) * dt),
        tuple(inputs[-INPUTS:]),
        max(len(inputs) - INPUTS, 0),
        bias,
        notes=tuple(notes),
    )


def _sources(
    projection: Projection, network: Network, recorded: Recorded, traces: tuple[Trace, Trace]
) -> tuple[Train | None, Train | None] | None:
    """A projection's source on both devices; None where it fires on neither, or nobody shows it."""
    source = network[projection.source]
    if source.neuron is None:
        train = encoded(network, source.name, recorded)
        return (train, train)
    first, second = (trace.trains.get(source.name) for trace in traces)
    return None if first is None and second is None else (first, second)


def _inputs(
    projection: Projection,
    weights: Mapping[int, float],
    trains: tuple[Train | None, Train | None],
    span: tuple[int, int],
    lag: int,
    dt: int,
) -> list[InputSpike]:
    """Spikes of the receptive field in the steps `span`, on the first device's time."""
    source = projection.source
    counts: dict[tuple[int, int], list[int | None]] = {}
    for which, train in enumerate(trains):
        if train is None:
            continue
        shift = lag if which and trains[0] is not trains[1] else 0
        part = train.within(span[0] + shift, span[1] + shift)
        for key, step, count in zip(part.key.tolist(), part.step.tolist(), part.count.tolist(), strict=True):
            if key % train.neurons in weights:
                row = counts.setdefault(
                    (step - shift, key % train.neurons), [None if t is None else 0 for t in trains]
                )
                row[which] = (row[which] or 0) + (count if key < train.neurons else -count)
    return [
        InputSpike(source, neuron, step * dt, weights[neuron], row[0], row[1])
        for (step, neuron), row in counts.items()
    ]


def encoded(network: Network, name: str, recorded: Recorded) -> Train:
    """What the recording is to the input population `name`: spikes per neuron and step, after the encoding."""
    dt = network.semantics.dt
    records = join([packet.data for packet in recorded.packets])
    return Train.encoded(records, network[name], network.encoding, recorded.start, recorded.steps(dt), dt)


async def with_membranes(
    divergence: Divergence,
    network: Network,
    recorded: Recorded,
    lanes: Sequence[Lane],
    lags: Sequence[int | None],
) -> Divergence:
    """The same with the neuron's membrane on every device that can show it, in a second pass up to the difference.

    lags: per device its delay in steps in this population against the first of the pair, None where it is not known
    """
    dt = network.semantics.dt
    name = f"{divergence.population}.v"
    found: list[Membrane] = []
    notes = list(divergence.notes)
    for device, (lane, lag) in enumerate(zip(lanes, lags, strict=True)):
        if lane.error or lag is None:
            continue
        last = divergence.step + lag + AFTER
        try:
            values = (
                await lane.membranes(recorded.until((last + 1) * dt), divergence.population)
            ).readouts.get(name)
        except Exception as error:
            notes.append(f"{lane.uri} shows no membrane: {said(error)}")
            continue
        if values is None:
            notes.append(f"{lane.uri} shows no membrane")
            continue
        begin = max(divergence.window[0] // dt + lag, 0)
        steps = range(begin, min(last + 1, len(values)))
        found.append(
            Membrane(
                device,
                _threshold(network, divergence),
                tuple((step - lag) * dt for step in steps),
                tuple(float(values[step, divergence.neuron]) for step in steps),
            )
        )
    return dataclasses.replace(divergence, membranes=tuple(found), notes=tuple(notes))


def _threshold(network: Network, divergence: Divergence) -> float | None:
    population = network[divergence.population]
    if population.neuron is None:
        return None
    return float(
        np.broadcast_to(population.neuron.threshold, population.shape).reshape(-1)[divergence.neuron]
    )

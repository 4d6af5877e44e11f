"""The reference engine: slow, obvious, float64. It is the definition of what a Network computes.

One step takes the populations in order. What arrives at one is, for each projection in order, the source's
output (of this step, or of `delay` steps ago) through the projection's operators, plus its bias: in every
step, spikes or not. The neuron equations are `charge`, `fired` and `reset` below; `nrt.network.neuron` says
them in words. An input's output is the count of its events in the step (or 1, by the encoding), or the sum
of the payloads v where SPIKE records are sent. A population that does not fire outputs its membrane.

What is counted: a spike is one record, whatever its payload. Synaptic operations of a projection: in every
step, for every element of the source that is not zero when it arrives, its `nrt.network.operators.fan`: the
ways from there to the target. Biases and leaks are no synaptic operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nrt.device import Counters
from nrt.errors import ConfigError, Unsupported
from nrt.network import Network, Neuron, Population, Projection
from nrt.network.operators import fan
from nrt.packet import MEMBRANE, SPIKE, Records
from nrt_sim.engine import Engine, edges

Array = NDArray[np.float64]
_PAYLOAD: Final = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """State of one population: membrane v, synaptic current i (unused without a synapse), last spikes s."""

    v: Array
    i: Array
    s: Array


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """State of a network: its cells, and what each population put out in the steps before, latest first."""

    cells: Mapping[str, Cell]
    past: Mapping[str, tuple[Array, ...]]


def at_rest(population: Population, neuron: Neuron) -> Cell:
    """The state at reset: v0, no current, no spike."""
    zero = np.zeros(population.shape)
    return Cell(zero + neuron.v0, zero, zero)


def current(neuron: Neuron, i: Array, x: Array) -> Array:
    """i ← synapse_decay · i + synapse_gain · x, or x itself without a synapse."""
    if neuron.synapse_decay is None or neuron.synapse_gain is None:
        return x
    return neuron.synapse_decay * i + neuron.synapse_gain * x


def charge(neuron: Neuron, v: Array, i: Array) -> Array:
    """v ← decay · v + gain · i + drive, from left to right."""
    return neuron.decay * v + neuron.gain * i + neuron.drive


def fired(neuron: Neuron, v: Array) -> Array:
    """s of the membrane v, by `fire` and `spikes`."""
    theta = neuron.threshold
    over = v >= theta if neuron.fire == ">=" else v > theta
    match neuron.spikes:
        case "binary":
            return over.astype(np.float64)
        case "signed":
            under = -v >= theta if neuron.fire == ">=" else -v > theta
            return over.astype(np.float64) - under
        case "count":
            return np.where(over, np.minimum(np.floor(v / theta), neuron.max_spikes), 0.0)
        case "round":
            return np.rint(np.clip(v / theta, 0.0, neuron.max_spikes))
        case "graded":
            return np.where(over, np.clip(np.trunc(v), _PAYLOAD.min, _PAYLOAD.max), 0.0)
        case "none":
            return np.zeros_like(v)


def hard(neuron: Neuron, v: Array, s: Array) -> Array:
    """A hard reset: v_reset where there was a spike."""
    return np.where(s != 0, neuron.v_reset, v) if neuron.reset == "hard" else v


def soft(neuron: Neuron, v: Array, s: Array) -> Array:
    """A reset by subtraction: what the spikes s were worth is taken off."""
    if neuron.reset != "soft":
        return v
    return v - (s if neuron.spikes == "graded" else s * neuron.threshold)


def advance(neuron: Neuron, cell: Cell, x: Array) -> tuple[Cell, Array]:
    """One step with input x: the new state, and the output (spikes, or the membrane of what never fires)."""
    i = current(neuron, cell.i, x)
    if neuron.timing == "immediate":
        v = _floored(neuron, charge(neuron, cell.v, i))
        s = fired(neuron, v)
        v = soft(neuron, hard(neuron, v, s), s)
    else:
        before = fired(neuron, cell.v) if neuron.timing == "fire-first" else cell.s
        v = charge(neuron, hard(neuron, cell.v, before), i)
        v = _floored(neuron, soft(neuron, v, before))
        s = before if neuron.timing == "fire-first" else fired(neuron, v)
    return Cell(v, i, s), (s if neuron.fires else v)


def _floored(neuron: Neuron, v: Array) -> Array:
    return v if neuron.v_min is None else np.maximum(v, neuron.v_min)


def initial(network: Network) -> State:
    """The network at reset: nothing was ever put out."""
    cells = {p.name: at_rest(p, p.neuron) for p in network.populations if p.neuron is not None}
    longest = {p.name: 0 for p in network.populations}
    for projection in network.projections:
        longest[projection.source] = max(longest[projection.source], projection.delay)
    past = {p.name: (np.zeros(p.shape),) * longest[p.name] for p in network.populations}
    return State(cells, past)


def step(
    network: Network, state: State, inputs: Mapping[str, Array]
) -> tuple[State, Mapping[str, Array], Sequence[Array]]:
    """One step of the network: the new state, every population's output, and what entered each projection."""
    outputs: dict[str, Array] = {}
    cells: dict[str, Cell] = {}
    for population in network.populations:
        name = population.name
        if population.neuron is None:
            outputs[name] = inputs[name]
            continue
        x = np.zeros(population.shape)
        for projection in network.into(name):
            x = x + arriving(projection, _source(projection, state, outputs), population)
        cells[name], outputs[name] = advance(population.neuron, state.cells[name], x)
    past = {n: (outputs[n], *kept)[: len(kept)] for n, kept in state.past.items()}
    entered = [_source(p, state, outputs) for p in network.projections]
    return State(cells, past), outputs, entered


def _source(projection: Projection, state: State, outputs: Mapping[str, Array]) -> Array:
    """What the source put out `delay` steps ago."""
    if projection.delay == 0:
        return outputs[projection.source]
    return state.past[projection.source][projection.delay - 1]


def arriving(projection: Projection, output: Array, target: Population) -> Array:
    """What a projection adds to its target's input."""
    for operator in projection.operators:
        output = operator.apply(output)
    x = output.reshape(target.shape)
    return x if projection.bias is None else x + projection.bias


class ReferenceEngine(Engine):
    """Runs a network by the functions above."""

    def __init__(self, network: Network, watched: Sequence[str]) -> None:
        if len(network.inputs) != 1:
            raise Unsupported(", ".join(network.inputs), "events can go to exactly one input population")
        self.network = network
        self.watched = tuple(watched)
        names = {p.name for p in network.populations}
        states = {f"{p.name}.v" for p in network.populations if p.neuron is not None}
        for name in self.watched:
            if name not in names | states:
                raise ConfigError(f"no population '{name}' to watch; there is {', '.join(sorted(names))}")
        self._fan = [fan(p.operators, network[p.source].shape) for p in network.projections]
        self.reset()

    def reset(self) -> None:
        self._state = initial(self.network)
        self._steps = self._events = self._outside = self._cropped = 0
        self._spikes = {
            p.name: 0 for p in self.network.populations if p.neuron is not None and p.neuron.fires
        }
        self._synops = [0] * len(self.network.projections)

    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        dt = self.network.semantics.dt
        bounds = edges(inputs, start, steps, dt)
        seen: dict[str, list[Records]] = {name: [] for name in self.watched}
        for k in range(steps):
            x = self._encoded(inputs[bounds[k] : bounds[k + 1]])
            self._state, outputs, entered = step(self.network, self._state, {self.network.inputs[0]: x})
            self._count(outputs, entered)
            for name in self.watched:
                seen[name].append(self._records(name, outputs, start + (k + 1) * dt - 1))
        return {name: np.concatenate([_none(self._kind(name)), *parts]) for name, parts in seen.items()}

    def _encoded(self, events: Records) -> Array:
        """The input population's output in one step, from the records of that step."""
        population = self.network[self.network.inputs[0]]
        spikes = events.dtype == SPIKE
        if spikes:
            index = events["n"].astype(np.int64)
            index[index >= population.size] = -2
        else:
            index = self.network.encoding.index(events, population.shape)
        valid = index >= 0
        self._events += int(np.count_nonzero(valid))
        self._outside += int(np.count_nonzero(index == -2))
        self._cropped += int(np.count_nonzero(index == -1))
        x = np.zeros(population.size)
        np.add.at(x, index[valid], events["v"][valid].astype(np.float64) if spikes else 1.0)
        if not spikes and self.network.encoding.values == "binary":
            x = np.minimum(x, 1.0)
        return x.reshape(population.shape)

    def _count(self, outputs: Mapping[str, Array], entered: Sequence[Array]) -> None:
        self._steps += 1
        for name in self._spikes:
            self._spikes[name] += int(np.count_nonzero(outputs[name]))
        for k, signal in enumerate(entered):
            self._synops[k] += int(self._fan[k][signal != 0].sum())

    def _kind(self, name: str) -> np.dtype[np.void]:
        """SPIKE for a population that fires or an input, MEMBRANE for anything else."""
        for population in self.network.populations:
            if population.name == name:
                return SPIKE if population.neuron is None or population.neuron.fires else MEMBRANE
        return MEMBRANE

    def _records(self, name: str, outputs: Mapping[str, Array], t: int) -> Records:
        """What `name` did in the step that ends with t."""
        if self._kind(name) == SPIKE:
            flat = outputs[name].ravel()
            n = np.flatnonzero(flat)
            values = np.clip(flat[n], _PAYLOAD.min, _PAYLOAD.max)
        else:
            flat = outputs[name].ravel() if name in outputs else self._state.cells[name[:-2]].v.ravel()
            n, values = np.arange(flat.size), flat
        records = np.empty(n.size, self._kind(name))
        records["t"], records["n"], records["v"] = t, n, values
        return records

    def counters(self) -> Counters:
        synops: dict[str, int] = {}
        for projection, count in zip(self.network.projections, self._synops, strict=True):
            key = f"{projection.source} → {projection.target}"
            synops[key] = synops.get(key, 0) + count
        return Counters(self._steps, self._events, self._outside, self._cropped, dict(self._spikes), synops)

    def fork(self) -> Self:
        return type(self)(self.network, self.watched)


def _none(kind: np.dtype[np.void]) -> Records:
    return np.empty(0, kind)

"""Runs a Program step by step, spike by spike: work proportional to neurons and to synapses that spikes reach."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nrt.device import Counters
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import MEMBRANE, SPIKE, Records, join
from nrt_sim.chips.loihi2 import kernels
from nrt_sim.chips.loihi2.kernels import Ints
from nrt_sim.chips.loihi2.program import SPEC, WIDTH, Cells, Program
from nrt_sim.engine import Engine, edges

_UNITY: Final = SPEC.limit("decay_unity")
_POINT: Final = 1 << WIDTH.activation_shift
_PAYLOAD: Final = SPEC.format("payload")

Spikes = tuple[Ints, Ints]
"""Neurons in order and their payloads."""


class _State:
    """One population's states and constants in the shape that the kernel takes."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.kept = (_UNITY - cells.decay_u, _UNITY - cells.decay_v)
        self.threshold = cells.threshold * _POINT
        self.reset()

    def reset(self) -> None:
        self.a = np.zeros(len(self.cells.v0), np.int64)
        self.u = np.zeros_like(self.a)
        self.v = self.cells.v0.copy()
        self.fired = np.zeros_like(self.a)

    def step(self) -> Spikes:
        self.a += self.cells.constant
        count = kernels.update(
            self.a,
            self.u,
            self.v,
            *self.kept,
            self.cells.bias,
            self.threshold,
            self.cells.fires,
            WIDTH,
            self.fired,
        )
        return self.fired[:count].copy(), np.ones(count, np.int64)


class LoihiEngine(Engine):
    """Membranes ("name.v") are in units of the network, as the chip holds them: v / 64 / scale + v_reset."""

    def __init__(self, program: Program, watched: Sequence[str]) -> None:
        self.network: Network = program.network
        self.program = program
        self.watched = tuple(watched)
        self._input = self.network.inputs[0]
        known = {p.name for p in self.network.populations} | {f"{c.name}.v" for c in program.cells}
        for name in self.watched:
            if name not in known:
                raise ConfigError(f"no population '{name}' to watch; there is {', '.join(sorted(known))}")
        self._states = {cells.name: _State(cells) for cells in program.cells}
        self.reset()

    def reset(self) -> None:
        for state in self._states.values():
            state.reset()
        longest = {p.name: 1 for p in self.network.populations}
        for one in self.program.synapses:
            longest[one.source] = max(longest[one.source], one.delay)
        self._past: dict[str, deque[Spikes]] = {n: deque(maxlen=size) for n, size in longest.items()}
        self._counts = dict.fromkeys(("steps", "events", "outside", "cropped"), 0)
        self._spikes = {c.name: 0 for c in self.program.cells if c.fires}
        self._synops = [0] * len(self.program.synapses)

    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        dt = self.network.semantics.dt
        bounds = edges(inputs, start, steps, dt)
        seen: dict[str, list[Records]] = {name: [] for name in self.watched}
        for k in range(steps):
            spikes = self._step(self._encoded(inputs[bounds[k] : bounds[k + 1]]))
            for name in self.watched:
                seen[name].append(self._records(name, spikes, start + (k + 1) * dt - 1))
        return {name: join([np.empty(0, self._kind(name)), *parts]) for name, parts in seen.items()}

    def _step(self, events: Spikes) -> dict[str, Spikes]:
        """One time step: what arrives was sent at least one step ago, but for what the host writes."""
        for k, one in enumerate(self.program.synapses):
            past = self._past[one.source]
            if len(past) >= one.delay:
                neurons, payloads = past[one.delay - 1] if one.delay else events
                if one.only is not None:
                    taken = one.only[neurons]
                    neurons, payloads = neurons[taken], payloads[taken]
                if len(neurons):
                    one.activate(neurons, payloads, self._states[one.target].a)
                    self._synops[k] += int(one.fan[neurons].sum())
        spikes = {self._input: events} | {name: state.step() for name, state in self._states.items()}
        for name, sent in spikes.items():
            self._past[name].appendleft(sent)
            if name in self._spikes:
                self._spikes[name] += len(sent[0])
        self._counts["steps"] += 1
        return spikes

    def _encoded(self, events: Records) -> Spikes:
        """The input's spikes of one step, their payloads added up where there are several of one neuron."""
        population = self.network[self._input]
        if events.dtype == SPIKE:
            index = events["n"].astype(np.int64)
            index[index >= population.size] = -2
            payloads = events["v"].astype(np.int64)
        else:
            index = self.network.encoding.index(events, population.shape)
            payloads = np.ones(len(events), np.int64)
        valid = index >= 0
        self._counts["events"] += int(np.count_nonzero(valid))
        self._counts["outside"] += int(np.count_nonzero(index == -2))
        self._counts["cropped"] += int(np.count_nonzero(index == -1))
        # float64 adds whole numbers of this size without rounding
        totals = np.bincount(index[valid], payloads[valid], population.size).astype(np.int64)
        if events.dtype != SPIKE and self.network.encoding.values == "binary":
            totals = np.minimum(totals, 1)
        neurons = np.flatnonzero(totals)
        return neurons, np.clip(totals[neurons], _PAYLOAD.low, _PAYLOAD.high)

    def _kind(self, name: str) -> np.dtype[np.void]:
        return SPIKE if name == self._input or name in self._spikes else MEMBRANE

    def _records(self, name: str, spikes: Mapping[str, Spikes], t: int) -> Records:
        if self._kind(name) == SPIKE:
            return _row(SPIKE, t, *spikes[name])
        membrane = self._membrane(self._states[name if name in self._states else name.removesuffix(".v")])
        return _row(MEMBRANE, t, np.arange(len(membrane)), membrane)

    def _membrane(self, state: _State) -> NDArray[np.float64]:
        return state.v / (_POINT * state.cells.scale) + state.cells.origin

    def state(self, name: str) -> tuple[Ints, Ints]:
        """u and v of a population as the chip holds them, whole numbers; copies."""
        state = self._states[name]
        return state.u.copy(), state.v.copy()

    def clear(self, name: str) -> None:
        """Sets u and v of one population to 0, as lava's resetters do; spikes under way stay. Between two `run`s."""
        state = self._states[name]
        state.u[:] = 0
        state.v[:] = 0

    def counters(self) -> Counters:
        synops: dict[str, int] = {}
        for one, count in zip(self.program.synapses, self._synops, strict=True):
            key = f"{one.source} → {one.target}"
            synops[key] = synops.get(key, 0) + count
        c = self._counts
        return Counters(c["steps"], c["events"], c["outside"], c["cropped"], dict(self._spikes), synops)

    def fork(self) -> Self:
        return type(self)(self.program, self.watched)


def _row(kind: np.dtype[np.void], t: int, n: Ints, values: NDArray[np.float64] | Ints) -> Records:
    records = np.empty(len(n), kind)
    records["t"], records["n"], records["v"] = t, n, values
    return records

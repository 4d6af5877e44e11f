"""Simulation: a layout on a device, advancing one recording or many side by side, chunk by chunk.

It cuts calls into chunks, chooses how each route is computed, and turns what comes back into records. What device it is
on, it does not know: that is `Ops`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.device import Counters
from nrt.errors import ConfigError
from nrt.packet import EVENT, MEMBRANE, SPIKE, Records, join, words
from nrt_sim import engine
from nrt_sim.gpu.layout import Layout, Watch
from nrt_sim.gpu.memory import room
from nrt_sim.gpu.ops import Advance, Chunk, Collect, Encode, Fetched, MakeOps, Program, Project, Tally, Way

Projections = Literal["measured", "sparse", "dense"]

REACH: Final = 1.5
"""How far the density must be beyond the turning point before a route is computed the other way."""


class Simulation:
    """`run` advances every recording of the batch by the same number of steps.

    span: steps that are computed layer by layer; 1 in networks with loops
    projections: the way of routes that have two; "measured" chooses by how many elements were not zero
    """

    def __init__(
        self,
        layout: Layout,
        make: MakeOps,
        batch: int = 1,
        span: int = 1,
        projections: Projections = "measured",
    ) -> None:
        self.layout, self.batch = layout, batch
        self._span = 1 if layout.loops else span
        largest = max((layout.layers[watch.layer].size for watch in layout.watches), default=1)
        self._room = room(largest, batch, self._span)
        self._ops = make(layout, batch, self._span, self._room)
        self._projections: Projections = projections
        self._ways: dict[int, Way] = {}
        self.reset()

    def reset(self, recordings: Sequence[int] | None = None) -> None:
        """The start of those recordings, or of all."""
        self._ops.reset(recordings)
        self._tally = self._ops.fetch().tally
        some = list(range(self.batch)) if recordings is None else list(recordings)
        if recordings is None or len(some) == self.batch:
            self._steps = np.zeros(self.batch, np.int64)
            self._ways = {route.index: self._first_way(route.index) for route in self.layout.routes}
            self._program = program(self.layout, self._ways)
        else:
            self._steps[some] = 0

    def run(
        self,
        inputs: Sequence[Records],
        starts: Sequence[int],
        steps: int,
        active: Sequence[int] | None = None,
    ) -> list[dict[str, Records]]:
        """`Engine.run` for every recording: its records, where its steps start; all take the same number of steps.

        active: recordings whose steps count; the others' state is lost
        """
        parts: list[list[dict[str, Records]]] = []
        dt = self.layout.network.semantics.dt
        edges = [_edges(records, start, steps, dt) for records, start in zip(inputs, starts, strict=True)]
        cuts = [*range(0, steps, self._room), steps]
        chunks = list(pairwise(cuts))
        for k, (done, until) in enumerate(chunks):
            self._ops.load(_chunk(inputs, edges, done, until - done))
            self._ops.run(self._program, until - done)
            if k > 0:  # while this one is computed
                parts.append(self._fetched(starts, *chunks[k - 1]))
        if chunks:
            parts.append(self._fetched(starts, *chunks[-1]))
        self._steps[list(range(self.batch) if active is None else active)] += steps
        return [_joined(self.layout, [part[b] for part in parts]) for b in range(self.batch)]

    def counters(self, recording: int | None = 0) -> Counters:
        """What was counted since that recording's reset; nothing of None."""
        layout, tally = self.layout, self._tally

        def number(counts: NDArray[np.int64]) -> int:
            return 0 if recording is None else int(counts[recording])

        synops: dict[str, int] = {}
        for route in layout.routes:
            synops[route.name] = synops.get(route.name, 0) + number(tally.synops[route.index])
        spikes = {
            layer.name: number(tally.spikes[layer.index])
            for layer in layout.layers
            if layer.neuron is not None and layer.neuron.fires
        }
        events, outside, cropped = map(number, tally.encoded)
        return Counters(number(self._steps), events, outside, cropped, spikes, synops)

    @property
    def tally(self) -> Tally:
        """The counts of all recordings, at the end of the last run."""
        return self._tally

    @property
    def ways(self) -> Mapping[str, Way]:
        """How each route is computed at present, by its name."""
        return {route.name: self._ways[route.index] for route in self.layout.routes}

    def empty(self) -> dict[str, Records]:
        """What no step at all gives."""
        return _joined(self.layout, [])

    def close(self) -> None:
        """Gives the device's memory back."""
        self._ops.close()

    def _first_way(self, route: int) -> Way:
        chosen = self.layout.routes[route]
        if chosen.table is None or self._projections == "dense":
            return "dense"
        if self._projections == "sparse":
            return "sparse"
        return self._ways.get(route, "dense")

    def _choose(self, fetched: Fetched, steps: int) -> None:
        """The way of each route in the next chunk, by the share of its source that was not zero in this one."""
        before, self._tally = self._tally, fetched.tally
        if self._projections != "measured":
            return
        fired = (self._tally.spikes - before.spikes).sum(1)
        ways = dict(self._ways)
        for route in self.layout.routes:
            if route.table is None:
                continue
            density = fired[route.source] / (steps * self.batch * self.layout.layers[route.source].size)
            turn = self._ops.sparse_below(route)
            if density < turn / REACH:
                ways[route.index] = "sparse"
            elif density > turn * REACH:
                ways[route.index] = "dense"
        if ways != self._ways:
            self._ways, self._program = ways, program(self.layout, ways)

    def _fetched(self, starts: Sequence[int], done: int, until: int) -> list[dict[str, Records]]:
        """The records of steps [done, until), when they are there."""
        dt = self.layout.network.semantics.dt
        fetched = self._ops.fetch()
        self._choose(fetched, until - done)
        return self._records(fetched, [start + done * dt for start in starts], until - done)

    def _records(self, fetched: Fetched, begins: Sequence[int], steps: int) -> list[dict[str, Records]]:
        found: list[dict[str, Records]] = [{} for _ in range(self.batch)]
        dt = self.layout.network.semantics.dt
        for k, watch in enumerate(self.layout.watches):
            spikes, membranes = fetched.spikes[k], fetched.membranes[k]
            if spikes is not None:
                made = self._spike_records(watch, spikes, begins, dt)
            else:
                assert membranes is not None
                made = self._membrane_records(watch, membranes, begins, steps, dt)
            for recording, records in zip(found, made, strict=True):
                recording[watch.name] = records
        return found

    def _spike_records(
        self, watch: Watch, rows: NDArray[np.int32], begins: Sequence[int], dt: int
    ) -> list[Records]:
        layer = self.layout.layers[watch.layer]
        step, recording, place, value = (rows[:, k].astype(np.int64) for k in range(4))
        n = layer.neuron_at[place].astype(np.int64)
        key = (recording * self._room + step) * layer.size + n
        if bool(np.any(key[1:] < key[:-1])):
            order = np.argsort(key, kind="stable")
            step, recording, n, value = step[order], recording[order], n[order], value[order]
        records = np.empty(len(n), SPIKE)
        records["t"] = np.asarray(begins, np.int64)[recording] + (step + 1) * dt - 1
        records["n"], records["v"] = n, value
        cuts = np.searchsorted(recording, np.arange(self.batch + 1)).tolist()
        return [records[a:b] for a, b in pairwise(cuts)]

    def _membrane_records(
        self, watch: Watch, values: NDArray[Any], begins: Sequence[int], steps: int, dt: int
    ) -> list[Records]:
        layer = self.layout.layers[watch.layer]
        made: list[Records] = []
        for recording, begin in enumerate(begins):
            records = np.empty((steps, layer.size), MEMBRANE)
            records["t"] = (begin + (np.arange(steps) + 1) * dt - 1)[:, None]
            records["n"] = np.arange(layer.size)
            records["v"][:, layer.neuron_at] = values[:, recording]
            made.append(records.reshape(-1))
        return made


def nothing() -> Records:
    """No events."""
    return np.empty(0, EVENT)


def program(layout: Layout, ways: Mapping[int, Way]) -> Program:
    """One pass: the input, then layer by layer what arrives and what becomes of it, then what is watched."""
    instructions: list[Encode | Project | Advance | Collect] = [Encode()]
    for layer in layout.layers:
        if layer.neuron is None:
            continue
        into = layout.into(layer.index)
        instructions += [Project(route.index, ways[route.index], k == 0) for k, route in enumerate(into)]
        instructions.append(Advance(layer.index, bool(into)))
    instructions += [Collect(k) for k in range(len(layout.watches))]
    return tuple(instructions)


def _edges(records: Records, start: int, steps: int, dt: int) -> NDArray[np.int64]:
    """`engine.edges` of records of a kind that the kernels read. Raises ConfigError."""
    if records.dtype not in (EVENT, SPIKE):
        raise ConfigError("inputs are EVENT or SPIKE records")
    return engine.edges(records, start, steps, dt)


def _chunk(inputs: Sequence[Records], edges: Sequence[NDArray[np.int64]], done: int, now: int) -> Chunk:
    """Steps [done, done + now) of every recording."""
    bounds = np.empty((len(inputs), now + 1), np.int32)
    parts: list[Records] = []
    total = 0
    for b, (records, edge) in enumerate(zip(inputs, edges, strict=True)):
        some = edge[done : done + now + 1]
        bounds[b] = some - some[0] + total
        parts.append(records[some[0] : some[-1]])
        total += len(parts[-1])
    filled = [part for part in parts if len(part)]
    kinds = {part.dtype == SPIKE for part in filled}
    if len(kinds) > 1:
        raise ConfigError("recordings of events and of spikes cannot run side by side")
    together = filled[0] if len(filled) == 1 else join(filled) if filled else nothing()
    if not together.flags.c_contiguous:
        together = together.copy()
    return Chunk(words(together), bounds, True in kinds)


def _joined(layout: Layout, parts: Sequence[Mapping[str, Records]]) -> dict[str, Records]:
    if len(parts) == 1:
        return dict(parts[0])
    kinds = {w.name: MEMBRANE if w.membrane else SPIKE for w in layout.watches}
    return {
        name: join([part[name] for part in parts]) if parts else np.empty(0, kind)
        for name, kind in kinds.items()
    }

"""Plan: a network laid out for the kernels. Made once; shared by every engine of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, Unsupported
from nrt.network import Network, Neuron, Population, Projection
from nrt.network.encoding import volume
from nrt.network.operators import fan
from nrt_sim.cpu import program
from nrt_sim.cpu.arena import Arena
from nrt_sim.cpu.dense import NEVER, Choice, Gathered, gather_patch, gather_rows
from nrt_sim.cpu.fire import SILENT
from nrt_sim.cpu.lazy import can_wait, leak_powers
from nrt_sim.cpu.placed import Placed, alike_bits, place_patch, place_rows, plane_for
from nrt_sim.cpu.plane import Plane
from nrt_sim.cpu.scatter import shape_for
from nrt_sim.cpu.stage import Pairs, Patch, Rows, Stage, Volume, cut
from nrt_sim.cpu.tile import LANES

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """Elements of the arenas that an engine needs for itself."""

    state: int
    bits: int
    last: int
    ids: int
    values: int
    counts: int
    aim: int
    factors: int
    ones: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Constants of the kernels; see `nrt_sim.cpu.program` for the records.

    start: (offset in state, membranes at reset) · awake: (offset in bits, set of blocks) to compute first
    spikes, synops, dense_steps: names, and offsets in counts
    """

    network: Network
    dtype: np.dtype[np.floating[Any]]
    order: NDArray[np.int64]
    nodes: NDArray[np.void]
    stages: NDArray[np.void]
    watches: NDArray[np.void]
    encodings: NDArray[np.void]
    table: NDArray[np.int32]
    weights: NDArray[Any]
    sizes: Sizes
    start: tuple[tuple[int, NDArray[Any]], ...]
    awake: tuple[tuple[int, NDArray[np.uint64]], ...]
    spikes: tuple[tuple[str, int], ...]
    synops: tuple[tuple[str, int], ...]
    dense_steps: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class _Node:
    """A population, or a relay between stages (without a population)."""

    volume: Volume
    population: Population | None
    lists: int = 1
    plane: Plane = field(default_factory=lambda: Plane((1, 1, 1)))
    widest: int = 0


@dataclass(frozen=True, slots=True)
class _Link:
    """A stage between two nodes; the first of a projection counts the synapses of all of it."""

    stage: Stage
    source: int
    target: int
    delay: int
    first: bool
    projection: int


def make_plan(
    network: Network, watched: Sequence[str], dtype: np.dtype[np.floating[Any]], dense: Choice = "measured"
) -> Plan:
    """Lays out `network`. Raises ConfigError for a name that cannot be watched, Unsupported."""
    return _Planner(network, dtype, dense).plan(watched)


class _Planner:
    def __init__(self, network: Network, dtype: np.dtype[np.floating[Any]], dense: Choice) -> None:
        if len(network.inputs) != 1:
            raise Unsupported(", ".join(network.inputs), "events can go to exactly one input population")
        self.network = network
        self.dtype = dtype
        self.dense: Choice = dense
        self.inputs = 0
        self.index = {p.name: k for k, p in enumerate(network.populations)}
        self.nodes = [_Node(v, p) for v, p in zip(_volumes(network), network.populations, strict=True)]
        self.links: list[_Link] = []
        self.order: list[int] = []
        self.table, self.weights = Arena(np.int32), Arena(dtype)
        self.state, self.bits, self.last = Arena(dtype), Arena(np.uint64), Arena(np.int64)
        self.ids, self.values, self.counts = Arena(np.int32), Arena(dtype), Arena(np.int64)
        self.start: list[tuple[int, NDArray[Any]]] = []
        self.awake: list[tuple[int, NDArray[np.uint64]]] = []

    def plan(self, watched: Sequence[str]) -> Plan:
        self._link()
        for k, node in enumerate(self.nodes):
            arriving = [link.stage for link in self.links if link.target == k]
            node.plane = plane_for(node.volume, arriving)
        self.counts.reserve(program.FIRST_COUNT)
        synops = [self.counts.reserve(1) for _ in self.network.projections]
        stages = program.records(program.STAGE, [self._stage(link, synops) for link in self.links])
        largest = max(n.plane.floats for n in self.nodes) + LANES
        self.values.reserve(largest)  # the ones
        rows = [self._node(k, node) for k, node in enumerate(self.nodes)]
        watches = program.records(program.WATCH, [self._watch(name, rows) for name in watched])
        encoding = self._encoding()
        nodes = program.records(program.NODE, rows)
        sizes = Sizes(
            self.state.size, self.bits.size, self.last.size, self.ids.size, self.values.size,
            self.counts.size, largest, max(largest, self.inputs + LANES), largest,
        )  # fmt: skip
        firing = [(p.name, rows[k]["spikes"]) for k, p in enumerate(self.network.populations)]
        gathered = [(link.projection, int(stages[k]["dense_steps"])) for k, link in enumerate(self.links)]
        labels = [f"{p.source} → {p.target}" for p in self.network.projections]
        return Plan(
            self.network, self.dtype, np.array(self.order, np.int64), nodes, stages, watches,
            program.records(program.ENCODING, [encoding]), self.table.build(), self.weights.build(), sizes,
            tuple(self.start), tuple(self.awake), tuple(f for f in firing if f[1] >= 0),
            tuple(zip(labels, synops, strict=True)), tuple((labels[k], at) for k, at in gathered if at),
        )  # fmt: skip

    def _link(self) -> None:
        """Cuts the projections into stages, in the order of a step."""
        for k, population in enumerate(self.network.populations):
            if population.neuron is not None:
                for number, projection in enumerate(self.network.projections):
                    if projection.target == population.name:
                        self._link_projection(number, projection, k)
            self.order.append(-1 - k)

    def _link_projection(self, number: int, projection: Projection, target: int) -> None:
        source = self.index[projection.source]
        self.nodes[source].lists = max(self.nodes[source].lists, projection.delay + 1)
        stages = cut(projection.operators, self.nodes[source].volume)
        if isinstance(stages[-1], Patch) and stages[-1].outputs != self.nodes[target].volume:
            stages += cut((), stages[-1].outputs)
        for k, stage in enumerate(stages):
            last = k == len(stages) - 1
            if not last:
                self.nodes.append(_Node(stage.outputs, None))
            towards = target if last else len(self.nodes) - 1
            delay = projection.delay if k == 0 else 0
            self.order.append(len(self.links))
            self.links.append(_Link(stage, source, towards, delay, k == 0, number))
            if not last:
                self.order.append(-1 - towards)
            source = towards

    def _stage(self, link: _Link, synops: Sequence[int]) -> dict[str, int]:
        source, target = self.nodes[link.source], self.nodes[link.target]
        ways = np.zeros(source.plane.neurons, np.int64)
        if link.first:
            projection = self.network.projections[link.projection]
            ways = fan(projection.operators, self.network[projection.source].shape).reshape(-1)
        common = {
            "source": link.source,
            "target": link.target,
            "delay": link.delay,
            "synops": synops[link.projection],
        }
        stage = link.stage
        if isinstance(stage, Pairs):
            return common | self._pairs(stage, source.plane, target.plane, ways)
        plane = target.plane
        placed = place_patch(stage, plane) if isinstance(stage, Patch) else place_rows(stage, plane)
        return common | self._tiles(placed, source.plane, target, ways, isinstance(stage, Rows))

    def _pairs(self, stage: Pairs, source: Plane, target: Plane, ways: Index) -> dict[str, int]:
        at = source.places()
        reached = stage.target.reshape(-1)
        table = np.zeros((source.floats, program.ENTRY), np.int64)
        table[:, program.PLACE] = -1
        table[at, program.PLACE] = np.where(reached >= 0, target.places()[reached], -1)
        table[at, program.FAN] = ways
        weight = np.zeros(source.floats)
        weight[at] = stage.weight.reshape(-1)
        return {"kind": program.PAIRS, "table": self.table.add(table), "weights": self.weights.add(weight)}

    def _tiles(
        self, placed: Placed, source: Plane, target: _Node, ways: Index, matrix: bool
    ) -> dict[str, int]:
        phases, channels, rows, segments, run = placed.weight.shape
        kernel, vectors = shape_for(rows, segments, -(-run // LANES))
        target.widest = max(target.widest, vectors * LANES)
        weight = np.zeros((phases, channels, rows, segments, vectors * LANES), self.dtype)
        weight[..., :run] = placed.weight
        step = rows * segments * vectors
        if phases * channels * step >= 2**31:
            raise Unsupported(self.network.name, "a projection with more than 2^31 blocks of weights")
        volume_ways = ways.reshape(source.volume)
        shift = alike_bits(placed.place, volume_ways)
        table = np.full((source.floats >> shift, program.ENTRY), -1, np.int64)
        chosen = (slice(None, None, 1 << shift),)
        at = source.places().reshape(source.volume)[chosen] >> shift
        row = placed.phase * channels + np.arange(channels)[:, None, None]
        alike = bool(np.all(placed.place == 0)) and bool(np.all(ways == ways[0]))
        whole = alike and np.array_equal(row.reshape(-1), source.places())
        table[at, program.PLACE] = placed.place[chosen]
        table[at, program.WEIGHTS] = (row * step)[chosen]
        table[at, program.FAN] = volume_ways[chosen]
        row_floats = vectors * LANES
        gathered = (
            gather_rows(placed, row_floats) if matrix else gather_patch(placed, target.plane, row_floats)
        )
        return self._gathered(gathered, target, at, chosen, source.floats >> shift) | {
            "kind": program.PATCH,
            "kernel": kernel,
            "table": self.table.add(table),
            "shift": shift,
            "weights": self.weights.add(weight),
            "weights_step": step * LANES,
            "rows": rows,
            "row_step": placed.row_step,
            "segments": segments,
            "segment_step": placed.segment_step,
            "run": run,
            "vectors": vectors,
            "whole": int(ways[0]) if whole else 0,
        }

    def _gathered(
        self, gathered: Gathered | None, target: _Node, at: Index, chosen: tuple[slice], entries: int
    ) -> dict[str, int]:
        if gathered is None:
            return {"dense_from": NEVER}
        target.widest = max(target.widest, gathered.room)
        self.inputs = max(self.inputs, gathered.inputs)
        slots = np.full(entries, -1, np.int64)
        slots[at] = gathered.slots[chosen]
        return gathered.record(self.dense) | {
            "dense_steps": self.counts.reserve(1),
            "slots": self.table.add(slots),
            "taps": self.table.add(gathered.taps),
        }

    def _node(self, index: int, node: _Node) -> dict[str, int]:
        plane = node.plane
        capacity = plane.floats + LANES
        neuron = None if node.population is None else node.population.neuron
        unit = neuron is not None and neuron.spikes == "binary"
        row = {
            "kind": program.RELAY,
            "neurons": plane.neurons,
            "blocks": plane.blocks,
            "words": plane.words,
            "current": self.state.reserve(plane.floats + node.widest),
            "membrane": -1,
            "synapse": -1,
            "previous": -1,
            "touched": self.bits.reserve(plane.words),
            "valid": self.table.add(plane.valid()),
            "neuron_at": self.table.add(plane.neuron_at()),
            "ids": self.ids.reserve(capacity * node.lists),
            "values": 0 if unit else self.values.reserve(capacity * node.lists),
            "values_step": 0 if unit else 1,
            "capacity": capacity,
            "lists": node.lists,
            "counts": self.counts.reserve(node.lists),
            "spikes": -1,
            "emits": 1,
        }
        if neuron is None:
            return row
        assert node.population is not None
        return row | self._neuron(node.population, neuron, plane, row)

    def _neuron(
        self, population: Population, neuron: Neuron, plane: Plane, row: dict[str, int]
    ) -> dict[str, int]:
        bias = sum((p.bias for p in self.network.into(population.name) if p.bias is not None), np.zeros(()))
        kind = program.LAZY if can_wait(neuron, bias) else program.DENSE
        limit = 2.0**31 - (128 if self.dtype.itemsize == 4 else 1)
        values = {
            "decay": neuron.decay,
            "gain": neuron.gain,
            "drive": neuron.drive,
            "threshold": neuron.threshold,
            "v_reset": neuron.v_reset,
            "v_min": np.zeros(()) if neuron.v_min is None else neuron.v_min,
            "synapse_decay": np.zeros(()) if neuron.synapse_decay is None else neuron.synapse_decay,
            "synapse_gain": np.ones(()) if neuron.synapse_gain is None else neuron.synapse_gain,
            "bias": bias,
            "most": np.asarray(limit if neuron.spikes == "graded" else float(neuron.max_spikes)),
        }
        result = {
            "kind": kind,
            "membrane": self.state.reserve(plane.floats),
            "spikes": self.counts.reserve(1) if neuron.fires else -1,
            "emits": int(neuron.fires or any(p.source == population.name for p in self.network.projections)),
            "strict": int(neuron.fire == ">"),
            "spike_kind": program.SPIKE_KINDS.index(neuron.spikes),
            "reset": program.RESETS.index(neuron.reset),
            "timing": program.TIMINGS.index(neuron.timing),
            "floored": int(neuron.v_min is not None),
            "silent": self.weights.add(np.full(LANES, SILENT)),
        }
        for name in program.PARAMETERS:
            result |= self._parameter(name, values[name], plane)
        result["each"] = int(any(result[f"{name}_step"] for name in program.PARAMETERS))
        self.start.append((result["membrane"], plane.spread(neuron.v0, 0.0)))
        if kind == program.LAZY:
            powers, complete = leak_powers(float(neuron.decay), self.dtype)
            result |= {
                "last": self.last.reserve(plane.blocks),
                "powers": self.weights.add(powers),
                "powers_count": len(powers),
                "powers_complete": int(complete),
            }
            if bool(np.any(neuron.v0 != 0)):
                self.awake.append((row["touched"], plane.everything()))
        else:
            result["synapse"] = -1 if neuron.synapse_decay is None else self.state.reserve(plane.floats)
            result["previous"] = self.state.reserve(plane.floats) if neuron.timing == "delayed" else -1
        return result

    def _parameter(self, name: str, value: Floats, plane: Plane) -> dict[str, int]:
        if value.size == 1:
            return {name: self.weights.add(np.full(LANES, float(value.reshape(())))), f"{name}_step": 0}
        return {name: self.weights.add(plane.spread(value, 1.0)), f"{name}_step": LANES}

    def _watch(self, name: str, nodes: Sequence[dict[str, int]]) -> dict[str, int]:
        states = [f"{p.name}.v" for p in self.network.populations if p.neuron is not None]
        if name not in self.index and name not in states:
            raise ConfigError(f"no population '{name}' to watch; there is {', '.join(sorted(self.index))}")
        node = self.index[name if name in self.index else name[:-2]]
        neuron = self.network.populations[node].neuron
        size = self.nodes[node].plane.neurons
        return {
            "node": node,
            "membrane": int(name not in self.index or (neuron is not None and not neuron.fires)),
            "seen": self.bits.reserve(-(-size // 64)),
            "payload": self.state.reserve(size),
        }

    def _encoding(self) -> dict[str, int]:
        encoding = self.network.encoding
        name = self.network.inputs[0]
        plane = self.nodes[self.index[name]].plane
        left, top, width, height = encoding.crop or (0, 0, 2**16, 2**16)
        channels, rows, columns = volume(self.network[name].shape)
        return {
            "node": self.index[name],
            "channels": channels,
            "height": rows,
            "width": columns,
            "left": left,
            "top": top,
            "crop_width": width,
            "crop_height": height,
            "pool": encoding.pool,
            "polarity": program.POLARITIES.index(encoding.polarity),
            "swap": int(encoding.swap),
            "binary": int(encoding.values == "binary"),
            "places": self.table.add(plane.places()),
        }


def _volumes(network: Network) -> list[Volume]:
    """How each population's neurons are seen in rows and columns; flat ones as what arrives there, if it has any."""
    volumes: list[Volume] = []
    for population in network.populations:
        shape = population.shape
        for projection in network.into(population.name):
            arriving = network[projection.source].shape
            for operator in projection.operators:
                arriving = operator.shape(arriving)
            if len(shape) < 3 and len(arriving) == 3:
                shape = arriving
        volumes.append(volume(shape))
    return volumes

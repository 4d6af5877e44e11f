"""What a time step must cost on a GPU, counted: launches, bytes, operations, and the time below which it cannot fall.

`python -m nrt_sim.gpu.count [--against FOLDER]` prints it for nets (a) and (b) of `nrt bench engine` and for a net of
ten million neurons. Launches are those that `cuda_pass` would make; what they move follows from their own arguments,
and from how many spikes a run of the CPU engine had per step. No GPU is needed, and no figure was measured on one.

Bytes are those that each kernel must move between the multiprocessors and memory or its caches, each number once. The
floor of a launch is the longer of two times, bytes at the full bandwidth of the memory and operations at the full rate
of the multiprocessors, plus what lies between two kernels of a graph. State that stays in a GPU's second-level cache
(50 MB on an H100, 4 MB on an Orin) moves faster than its memory does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from nrt.network import Conv, Dense, Network, Pool, Population, Projection, neuron
from nrt_sim.bench import Case, cases
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.gpu.cuda_ops import made_with
from nrt_sim.gpu.cuda_slab import Tallies
from nrt_sim.gpu.kernels import Kernel
from nrt_sim.gpu.layout import Layout, Route
from nrt_sim.gpu.ops import Chunk
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import program
from nrt_sim.yardstick import Yardstick

BETWEEN_S: Final = 0.5e-6
"""Between two kernels of a CUDA graph: 3.4 µs per kernel of 2.9 µs on a V100 (A. Gray, Getting Started with CUDA
Graphs, NVIDIA Technical Blog, 2019)."""
NEURON: Final = 8
"""Operations of a plain neuron in a step: two multiplications, three additions, three comparisons."""
PARAMETERS: Final = (
    "decay", "gain", "drive", "threshold", "v_reset", "v_min", "synapse_decay", "synapse_gain", "bias"
)  # fmt: skip
"""Of a neuron that may differ from place to place."""
STEPS: Final = 50
FIRING: Final = 0.01
"""Share of the ten million neurons that is taken to fire in a step."""
EVENTS: Final = 20_000
"""Events that the net of ten million neurons is taken to see in a step."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Published figures. bandwidth: bytes/s of its memory · rate: float32 operations/s."""

    name: str
    bandwidth: float
    rate: float


GPUS: Final = (
    Gpu("H100", 3.35e12, 66.9e12),  # SXM5: NVIDIA H100 Tensor Core GPU Architecture (white paper), table 3
    Gpu("Orin", 204.8e9, 5.3e12),  # Jetson AGX Orin 64 GB: NVIDIA Jetson AGX Orin Series technical brief v1.2
)


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens in a step: events, spikes of each layer, synaptic operations of each route."""

    events: float
    spikes: Sequence[float]
    synops: Sequence[float]


@dataclass(frozen=True, slots=True)
class Cost:
    """One launch. what: the layer or route it is for."""

    kernel: str
    what: str
    moved: float
    operations: float

    def floor(self, gpu: Gpu) -> tuple[float, str]:
        """Seconds, and what bounds it."""
        times = {"bytes": self.moved / gpu.bandwidth, "operations": self.operations / gpu.rate}
        longest = max(times, key=lambda name: times[name])
        return times[longest] + BETWEEN_S, "launch" if times[longest] < BETWEEN_S else longest


class _Recorder:
    """A Launcher that launches nothing and remembers what it was to launch."""

    def __init__(self) -> None:
        self.launches: list[tuple[Kernel, NDArray[np.void]]] = []

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        self.launches.append((kernel, arguments))


def costs(network: Network, activity: Activity) -> list[Cost]:
    """The launches of one step, every projection spike by spike."""
    recorder = _Recorder()
    layout = lay_out(network, network.outputs, np.dtype("float32"))
    ops = made_with(recorder, torch.device("cpu"), "sorted")(layout, 1, 1, 1)
    ops.load(Chunk(np.empty((0, 2), np.uint64), np.zeros((1, 2), np.int32), False))
    ops.run(program(layout, {r.index: "dense" if r.table is None else "sparse" for r in layout.routes}), 1)
    counter = _Counter(layout, activity, ops.tallies)
    return [counter.cost(kernel, arguments) for kernel, arguments in recorder.launches]


class _Counter:
    """Bytes and operations of launches, by kernel."""

    def __init__(self, layout: Layout, activity: Activity, tallies: Tallies) -> None:
        self._layout, self._activity = layout, activity
        self._layers = {tallies.spikes_at(layer.index): layer for layer in layout.layers}
        self._routes = {tallies.synops_at(route.index): route for route in layout.routes}

    def cost(self, kernel: Kernel, a: NDArray[np.void]) -> Cost:
        count: Callable[[NDArray[np.void]], tuple[str, float, float]] = getattr(
            self, f"_{kernel.name.split('_')[0]}"
        )
        what, moved, operations = count(a)
        return Cost(kernel.name, what, moved, operations)

    def _of_layer(self, a: NDArray[np.void]) -> tuple[str, float, int]:
        layer = self._layers[int(a["spikes"])]
        return layer.name, self._activity.spikes[layer.index], 4 if layer.unit else 8

    def _of_route(self, a: NDArray[np.void]) -> tuple[Route, float, float, float]:
        """The route, its list's entries and bytes, and its synaptic operations."""
        route = self._routes[int(a["synops"])]
        source = self._layout.layers[route.source]
        spikes = self._activity.spikes[route.source]
        return route, spikes, spikes * (4 if source.unit else 8), self._activity.synops[route.index]

    def _forget(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        return "input", 8 * self._activity.events, 0

    def _encode(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        """Words are read, a count and a bit are changed."""
        return "input", (8 + 8 + 8) * self._activity.events, 10 * self._activity.events

    def _compact(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        name, spikes, entry = self._of_layer(a)
        return name, int(a["ids"]) / 4 + spikes * (4 + 4 + entry), spikes

    def _advance(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        """Every neuron reads and writes its state, reads what arrived, and perhaps parameters of its own."""
        name, spikes, entry = self._of_layer(a)
        parameters = sum(int(a["neuron"][field]["each"]) != 0 for field in PARAMETERS)
        both = 8 * (1 + int(a["i"] != 0) + int(a["s"] != 0))
        current = 4 * (int(a["current"] != 0) + int(a["clear"]))
        each = both + current + 4 * int(a["plane"] != 0) + 4 * parameters
        return name, each * int(a["size"]) + entry * spikes, NEURON * int(a["size"])

    def _rows(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        route, spikes, listed, synops = self._of_route(a)
        written = 4 * int(a["outputs"]) * (1 if a["first"] else 2)
        return route.name, listed + 4 * spikes + 4 * synops + written, 2 * synops

    def _patch(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        """Weights are few and stay in a cache: they move once."""
        route, spikes, listed, synops = self._of_route(a)
        cells = int(a["height"]) * int(a["width"]) * int(a["outputs"])
        written = 4 * cells * (1 if a["first"] else 2)
        assert route.table is not None
        weights = min(4 * route.table.weight.size, 4 * synops)
        return route.name, listed + 12 * spikes + weights + written, 2 * synops

    def _pairs(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        route, spikes, listed, synops = self._of_route(a)
        return route.name, listed + 8 * spikes + 8 * synops, 2 * synops

    def _count(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        route, *_ = self._of_route(a)
        return route.name, 4 * int(a["ids"]) * (2 if a["copy"] else 1), int(a["ids"])

    def _collect(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        layer = next(w.layer for w in self._layout.watches)
        return self._layout.layers[layer].name, 24 * self._activity.spikes[layer], 0

    def _tick(self, a: NDArray[np.void]) -> tuple[str, float, float]:
        return "", 24, 0


def measured(case: Case) -> Activity:
    """A case's activity on the CPU engine, on average over its first steps."""
    steps = min(STEPS, case.steps)
    engine = CpuEngine(case.network, ())
    engine.run(case.records[: case.bounds[steps]], 0, steps)
    counted = engine.counters()
    fired: Mapping[str, int] = counted.spikes
    labels = [f"{p.source} → {p.target}" for p in case.network.projections]
    return Activity(
        counted.events / steps,
        [fired.get(p.name, counted.events) / steps for p in case.network.populations],
        [counted.synops[label] / steps for label in labels],
    )


def large() -> tuple[Network, Activity]:
    """Ten million neurons behind a megapixel sensor, and what they are taken to do."""
    cells = neuron(decay=0.95)
    shape, side = (10, 1000, 1000), 50
    network = Network(
        (
            Population("input", (2, 1000, 1000)),
            Population("conv", shape, cells),
            Population("dense", (11,), cells),
        ),
        (
            Projection("input", "conv", (Conv(np.ones((10, 2, 3, 3)), (1, 1), (1, 1)),)),
            Projection("conv", "dense", (Pool((20, 20), (20, 20)), Dense(np.ones((11, 10 * side * side))))),
        ),
        ("input",),
        ("dense",),
        name="10 M neurons",
    )
    fired = FIRING * network["conv"].size
    return network, Activity(EVENTS, [EVENTS, fired, 11 * FIRING], [90 * EVENTS, 11 * fired])


def table(name: str, found: Sequence[Cost]) -> str:
    """The launches of a step and their sum, as text."""
    head = "".join(f"{gpu.name + ' µs':>9} {'bound':10}" for gpu in GPUS)
    lines = [name, f"{'kernel':18} {'for':22} {'kB':>9} {'kop':>9} {head}"]
    for cost in found:
        floors = "".join(f"{1e6 * s:9.2f} {by:10}" for s, by in (cost.floor(gpu) for gpu in GPUS))
        lines.append(
            f"{cost.kernel:18} {cost.what:22} {cost.moved / 1e3:9.1f} {cost.operations / 1e3:9.1f} {floors}"
        )
    total = "".join(f"{1e6 * sum(cost.floor(gpu)[0] for cost in found):9.2f} {'':10}" for gpu in GPUS)
    moved, operations = sum(c.moved for c in found) / 1e3, sum(c.operations for c in found) / 1e3
    lines.append(f"{f'{len(found)} launches':18} {'':22} {moved:9.1f} {operations:9.1f} {total}")
    return "\n".join(line.rstrip() for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, help="folder of yardsticks, whose nets are counted")
    options = parser.parse_args(arguments)
    if options.against is None:
        _print(cases(None))
        return
    with Yardstick.built(options.against, None) as yardstick:
        _print(cases(yardstick))


def _print(several: Any) -> None:
    for case in several:
        kind = "events" if case.net == "a" else "spikes"
        title = f"net ({case.net}), {case.rate:.0f} {kind} per ms"
        print(table(title, costs(case.network, measured(case))), end="\n\n")
    network, activity = large()
    assumed = f"{EVENTS} events and {FIRING:.0%} of the neurons firing per step, assumed"
    print(table(f"net of {network.neurons:,} neurons, {assumed}", costs(network, activity)))


if __name__ == "__main__":
    main()

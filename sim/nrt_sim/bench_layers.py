"""What one layer costs scattered and gathered, by the share of its inputs that fire; which one the engine takes.

Inputs fire in every step, at places drawn at random, and without events: a population that drives itself. Its own
time is subtracted, that of the neurons behind the layer is not. Ways take turns, so that a slow spell of the machine
meets all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.network import Conv, Network, Operator, Population, Projection, neuron
from nrt.packet import EVENT
from nrt_sim.cpu.engine import CpuEngine

Shape = tuple[int, int, int]

DENSITIES: Final = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
LAYERS: Final[Sequence[tuple[Shape, int]]] = (((32, 32, 32), 32), ((16, 64, 64), 32))
"""Inputs and output channels of 3x3 convolutions: the second and third of net (a), without the pool."""
SHORTEST: Final = 2e-3
"""Seconds of one timing, at least."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer at one density. scatter, gather: medians in ms per step; gathers: what the engine takes by itself."""

    layer: str
    density: float
    scatter: float
    gather: float
    gathers: bool


def layers(repeat: int = 15) -> list[LayerRow]:
    """Measures every layer at every density, `repeat` times each."""
    return [_measure(inputs, channels, share, repeat) for inputs, channels in LAYERS for share in DENSITIES]


def crossover(rows: Sequence[LayerRow]) -> float | None:
    """Density at which gathering begins to pay, between the two that were measured; None where it never does."""
    behind = [(row.density, row.scatter - row.gather) for row in rows]
    for (low, loss), (high, gain) in pairwise(behind):
        if loss < 0 <= gain:
            return low + (high - low) * loss / (loss - gain)
    return None


def layer_table(rows: Sequence[LayerRow]) -> str:
    """The rows as text, with the crossover of each layer."""
    lines = ["layer                  density  ms scattered  ms gathered  engine"]
    for name in dict.fromkeys(row.layer for row in rows):
        own = [row for row in rows if row.layer == name]
        lines += [
            f"{r.layer:21}  {r.density:7.0%}  {r.scatter:12.4f}  {r.gather:11.4f}  "
            f"{'gathers' if r.gathers else 'scatters'}"
            for r in own
        ]
        at = crossover(own)
        lines.append(f"{name:21}  " + ("never crosses" if at is None else f"crosses at {at:.0%}"))
    return "\n".join(lines)


def _measure(inputs: Shape, channels: int, share: float, repeat: int) -> LayerRow:
    random = np.random.default_rng(0)
    kernel = random.standard_normal((channels, inputs[0], 3, 3))
    layer = Conv(kernel, padding=(1, 1))
    fires = random.random(inputs) < share
    bare, network = (_network(fires, channels, operators) for operators in ((), (layer,)))
    engines = [
        CpuEngine(bare, ()),
        CpuEngine(network, (), dense="never"),
        CpuEngine(network, (), dense="always"),
    ]
    base, scatter, gather = (median(times) * 1e3 for times in _by_turns([_timed(e) for e in engines], repeat))
    own = CpuEngine(network, ())
    _steps(own, 1)
    name = f"conv {inputs[0]}→{channels} 3x3 {inputs[1]}x{inputs[2]}"
    return LayerRow(name, share, scatter - base, gather - base, any(own.dense_steps.values()))


def _network(fires: NDArray[np.bool_], channels: int, layer: Sequence[Operator]) -> Network:
    """A population that fires where it is told to, with a layer behind it, or with none."""
    driven = neuron(decay=0.0, drive=fires.astype(np.float64), threshold=0.5)
    populations = (
        Population("input", (1,)),
        Population("source", fires.shape, driven),
        Population("target", (channels, *fires.shape[1:]), neuron(decay=0.95, threshold=1e9)),
    )
    projections = (Projection("source", "target", tuple(layer)),) if layer else ()
    return Network(populations, projections, ("input",), ("target",))


def _steps(engine: CpuEngine, steps: int) -> None:
    engine.run(np.empty(0, EVENT), 0, steps)


def _timed(engine: CpuEngine) -> Callable[[], float]:
    """Something that gives seconds per step, of enough steps."""
    steps = 1

    def run() -> float:
        begin = perf_counter()
        _steps(engine, steps)
        return perf_counter() - begin

    while run() < SHORTEST:
        steps *= 2
    return lambda: run() / steps


def _by_turns(ways: Sequence[Callable[[], float]], repeat: int) -> list[list[float]]:
    """What each of `ways` gives, `repeat` times."""
    return [list(times) for times in zip(*([way() for way in ways] for _ in range(repeat)), strict=True)]

"""When a projection is dense: what can be gathered (`nrt_sim.cpu.gather`), and from how many spikes on it pays.

Gathered are matrices, and convolutions and overlapping pools whose outputs are a multiple of 16 channels in one
group, whatever their stride, dilation and padding, with the pools and scales that are folded into them, delays and
several projections to one target included. Everything else is scattered at any density: fewer or odd channels,
groups, neuron to neuron, weights that are not finite (a silent input would make them NaN).

The choice is made in each step, by the number of spikes (numbers that are not zero) in the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nrt_sim.cpu.gather import TILES
from nrt_sim.cpu.placed import Placed
from nrt_sim.cpu.plane import Plane
from nrt_sim.cpu.tile import FUSES, LANES, WIDE

Index = NDArray[np.int64]
Choice = Literal["measured", "always", "never"]
"""When to gather what can be gathered: from the measured crossover on, in every step with a spike, or never."""

CROSSOVER: Final = 0.375 if WIDE else 0.65 if FUSES else 0.9
"""Share of the spikes of equal work from which a convolution is gathered.

Measured with `nrt bench engine` and other layers of 16 to 128 channels, at random spikes: lines cross at 0.31 (128
channels) to 0.44 (32) with AVX-512, at 0.55 to 0.77 with AVX2 and at 0.85 to 1.05 with SSE2 (the same machine, compiled
for lesser ones with NUMBA_CPU_NAME).
"""
ROWS_CROSSOVER: Final = 1.3
"""The same of a matrix, in spikes per row of weights: only where several neurons share a row, as under a pool.

With one spike to a row both ways read the same weights, and take the same time at density 1 (measured: 8192 x 256
and 1024 x 1024, both at the speed of the cache that holds them).
"""
NEVER: Final = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A stage as its target sees it; the fields of the same names in `nrt_sim.cpu.program.STAGE`.

    slots: of each source neuron [C, H, W], its place in the plane of inputs; -1 where it reaches nothing
    taps: rows of (input, weight) for pixel 0, one per weight that an output has in each input channel
    even: spikes whose scattering takes as many multiply-adds as the gathering
    """

    tile: int
    slots: Index
    taps: Index
    inputs: int
    channels: int
    outputs: int
    first: int
    end: int
    even: float

    def spikes(self, choice: Choice) -> int:
        """Spikes in a step from which this way is taken."""
        if choice != "measured":
            return 1 if choice == "always" else NEVER
        return max(1, ceil(self.even * (CROSSOVER if self.end - self.first > 1 else ROWS_CROSSOVER)))

    def record(self, choice: Choice) -> dict[str, int]:
        """The fields that need no room in an arena."""
        return {
            "dense_from": self.spikes(choice),
            "tile": self.tile,
            "inputs": self.inputs,
            "channels": self.channels,
            "tap_count": len(self.taps),
            "outputs": self.outputs,
            "first": self.first,
            "end": self.end,
        }

    @property
    def room(self) -> int:
        """Numbers that the target may be written over its end: the last tile is a whole one."""
        return TILES[self.tile][0] * self.outputs


def gather_patch(placed: Placed, target: Plane, row: int) -> Gathered | None:
    """A patch; row: numbers from one row of its weights to the next. None where it can only be scattered."""
    phases, channels, rows, segments, run = placed.weight.shape
    outputs = target.channels
    if segments != 1 or outputs % LANES or run % outputs or not _countable(placed):
        return None
    pitch, columns = target.pitch // outputs, run // outputs
    tile = 0 if outputs % (2 * LANES) == 0 else 1
    first = target.top * pitch + target.left
    tiles = -(-((target.volume[1] - 1) * pitch + target.volume[2]) // TILES[tile][0])
    end = first + tiles * TILES[tile][0]
    before = (rows - 1) * pitch + columns - 1
    plane = (before + end) * channels
    within = (before + placed.place // outputs) * channels + np.arange(channels)[:, None, None]
    taps = [
        (
            phase * plane + (before - j * pitch - i) * channels,
            (phase * channels * rows + j) * row + i * outputs,
        )
        for phase in range(phases)
        for j in range(rows)
        for i in range(columns)
        if np.any(placed.weight[phase, :, j, 0, i * outputs : (i + 1) * outputs])
    ]
    work = (end - first) * len(taps) * channels * outputs
    return _small(
        Gathered(
            tile,
            np.where(placed.place >= 0, placed.phase * plane + within, -1),
            np.array(taps, np.int64).reshape(-1, 2),
            phases * plane,
            channels,
            outputs,
            first,
            end,
            work / (rows * row),
        )
    )


def gather_rows(placed: Placed, row: int) -> Gathered | None:
    """Rows of a matrix, each of `row` numbers. None where they can only be scattered."""
    phases, channels = placed.weight.shape[:2]
    if not _countable(placed):
        return None
    tile = next(k for k, (pixels, blocks) in enumerate(TILES) if pixels == 1 and row % (blocks * LANES) == 0)
    index = placed.phase * channels + np.arange(channels)[:, None, None]
    slots = np.where(placed.place >= 0, index, -1)
    inputs = phases * channels
    return _small(Gathered(tile, slots, np.zeros((1, 2), np.int64), inputs, inputs, row, 0, 1, inputs))


def _countable(placed: Placed) -> bool:
    return bool(np.all(np.isfinite(placed.weight)))


def _small(found: Gathered) -> Gathered | None:
    """`found`, unless its numbers exceed the 32 bits of the tables."""
    return found if max(found.inputs, int(found.taps.max(initial=0))) < 2**31 else None

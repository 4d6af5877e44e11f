"""Plane: where a population's neurons lie in memory.

Row, column, channel order, so that what a spike adds to a row of pixels is one run of numbers; with a margin
around, so that a patch of weights may hang over the edge without a test. Left and right margin share their
columns: the end of one row is the beginning of the next. What falls into a margin is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrt_sim.cpu.stage import Volume
from nrt_sim.cpu.tile import LANES


@dataclass(frozen=True, slots=True)
class Plane:
    """top, bottom, left, right: margins in pixels; slack: numbers that may be written after the last pixel."""

    volume: Volume
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    slack: int = 0

    @property
    def channels(self) -> int:
        return self.volume[0]

    @property
    def neurons(self) -> int:
        channels, height, width = self.volume
        return channels * height * width

    @property
    def pitch(self) -> int:
        """Numbers from one row to the next."""
        return (self.volume[2] + max(self.left, self.right)) * self.channels

    @property
    def floats(self) -> int:
        """Numbers of the plane, a whole number of blocks."""
        rows = self.top + self.volume[1] + self.bottom
        used = rows * self.pitch + max(self.left, self.right) * self.channels + self.slack
        return -(-used // LANES) * LANES

    @property
    def blocks(self) -> int:
        return self.floats // LANES

    @property
    def words(self) -> int:
        """64-bit words of a set with one bit per block."""
        return -(-self.blocks // 64)

    def place(self, y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the first channel of pixels, also of such in the margin."""
        return (y + self.top) * self.pitch + (x + self.left) * self.channels

    def places(self) -> NDArray[np.int64]:
        """Index of every neuron, in C, H, W order; int64[neurons]."""
        channel, y, x = np.indices(self.volume)
        result: NDArray[np.int64] = (self.place(y, x) + channel).reshape(-1)
        return result

    def neuron_at(self) -> NDArray[np.int32]:
        """The neuron (C, H, W order) at every index, -1 in the margin; int32[floats]."""
        result = np.full(self.floats, -1, np.int32)
        result[self.places()] = np.arange(self.neurons)
        return result

    def valid(self) -> NDArray[np.int32]:
        """Of each block, one bit per lane that is a neuron."""
        lanes = (self.neuron_at() >= 0).reshape(-1, LANES)
        result: NDArray[np.int32] = (lanes << np.arange(LANES)).sum(axis=1).astype(np.int32)
        return result

    def everything(self) -> NDArray[np.uint64]:
        """The set of all blocks."""
        bits = np.arange(64 * self.words).reshape(-1, 64) < self.blocks
        result: NDArray[np.uint64] = (bits.astype(np.uint64) << np.arange(64, dtype=np.uint64)).sum(axis=1)
        return result

    def spread(self, values: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
        """A number per neuron in C, H, W order, or one for all, in the order of the plane."""
        result = np.full(self.floats, margin)
        result[self.places()] = values.reshape(-1)
        return result

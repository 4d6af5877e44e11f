"""Random pictures that look natural to a pixel: noise of all sizes, the coarse ones stronger."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
from nrt_sim.scenes.scene import Frame
from nrt_sim.sensors.arithmetic import uniform
from nrt_sim.sensors.noise import keys


def texture(shape: tuple[int, int], seed: int = 0, *, coarsest: int = 64, finest: int = 2) -> Frame:
    """A picture of values 0 to 1: an octave of value noise for each size from `coarsest` to `finest` pixels.

    Amplitude falls with the size, as natural pictures have amplitude spectra of 1/f (Field, "Relations between the
    statistics of natural images and the response properties of cortical cells", JOSA A 4(12), 1987).
    """
    out = np.zeros(shape, np.float32)
    size, octave = coarsest, 0
    while size >= finest:
        _add_octave(out, size, np.float32(size), keys(seed), octave)
        size, octave = size // 2, octave + 1
    low, high = out.min(), out.max()
    return np.ascontiguousarray((out - low) / max(high - low, np.float32(1e-9)), np.float32)


@jit
def _add_octave(
    out: Frame, size: int, amplitude: np.float32, streams: NDArray[np.uint64], octave: int
) -> None:
    """Bilinear interpolation between random values on a grid of `size` pixels."""
    rows, columns = out.shape
    wide = columns // size + 2
    base = octave << 32
    for y in range(rows):
        top, fy = y // size, np.float32(y % size) / np.float32(size)
        for x in range(columns):
            left, fx = x // size, np.float32(x % size) / np.float32(size)
            k = base + top * wide + left
            a = uniform(streams[0], np.uint64(k))
            b = uniform(streams[0], np.uint64(k + 1))
            c = uniform(streams[0], np.uint64(k + wide))
            d = uniform(streams[0], np.uint64(k + wide + 1))
            upper, lower = a + (b - a) * fx, c + (d - c) * fx
            out[y, x] += np.float32(amplitude * (upper + (lower - upper) * fy))

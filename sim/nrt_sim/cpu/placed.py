"""Stages onto planes: weights in the order of the target's plane, and where each spike of the source begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrt_sim.cpu.plane import Plane
from nrt_sim.cpu.stage import Patch, Rows, Stage, Volume

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


def plane_for(seen: Volume, arriving: Sequence[Stage]) -> Plane:
    """The plane of a population, with margins for the patches that arrive."""
    top = bottom = left = right = 0
    for stage in arriving:
        if isinstance(stage, Patch) and bool(np.any(reached := stage.phase >= 0)):
            y, x = stage.top[reached], stage.left[reached]
            rows = stage.weight.shape[2]
            top, bottom = max(top, int(-y.min())), max(bottom, int(y.max()) + rows - seen[1])
            left, right = max(left, int(-x.min())), max(right, int(x.max()) + stage.columns - seen[2])
    return Plane(seen, top, bottom, left, right)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A stage on its target's plane.

    weight: [phases, channels, rows, segments, run] · phase: of each source pixel [H, W], as in the stage
    place: of each source neuron [C, H, W], index in the plane of its first number; -1 where it reaches nothing
    row_step, segment_step: numbers of the plane from one row, or segment, of the patch to the next
    """

    weight: Floats
    phase: Index
    place: Index
    row_step: int
    segment_step: int


def place_patch(stage: Patch, target: Plane) -> Placed:
    """A patch: the same weights wherever it is."""
    corner = target.place(stage.top, stage.left)
    place = np.where(stage.phase >= 0, corner + stage.shift[:, None, None], -1)
    return Placed(stage.weight, stage.phase, place, target.pitch, target.channels)


def place_rows(stage: Rows, target: Plane) -> Placed:
    """Rows of a matrix: each fills the whole plane, zero in its margins."""
    phases, channels, _ = stage.weight.shape
    weight = np.zeros((phases, channels, 1, 1, target.floats))
    weight[:, :, 0, 0, target.places()] = stage.weight
    place = np.broadcast_to(np.where(stage.phase >= 0, 0, -1), (channels, *stage.phase.shape))
    return Placed(weight, stage.phase, place, 0, 0)


def alike_bits(place: Index, ways: Index) -> int:
    """How many low bits of a channel make no difference to where its spikes go and how many synapses they reach."""
    shift = 0
    while shift < 4 and place.shape[0] % (2 << shift) == 0:
        step = 2 << shift
        for what in (place, ways):
            grouped = what.reshape(-1, step, *what.shape[1:])
            if not bool(np.all(grouped == grouped[:, :1])):
                return shift
        shift += 1
    return shift

"""Records that kernels read: a network as data, so that one compiled kernel runs every network.

Offsets point into the arenas of `nrt_sim.cpu.plan.Plan` (constants) and of an engine (state).
All fields are int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Row = Any
"""One record inside a kernel; type checkers see nothing of it."""

PATCH: Final = 0
PAIRS: Final = 1

RELAY: Final = 0
LAZY: Final = 1
DENSE: Final = 2

BINARY: Final = 0
SIGNED: Final = 1
COUNT: Final = 2
ROUND: Final = 3
GRADED: Final = 4
NONE: Final = 5
SPIKE_KINDS: Final = ("binary", "signed", "count", "round", "graded", "none")

HARD: Final = 0
SOFT: Final = 1
RESETS: Final = ("hard", "soft", "none")

IMMEDIATE: Final = 0
DELAYED: Final = 1
FIRE_FIRST: Final = 2
TIMINGS: Final = ("immediate", "delayed", "fire-first")

PARAMETERS: Final = (
    "decay",
    "gain",
    "drive",
    "threshold",
    "v_reset",
    "v_min",
    "synapse_decay",
    "synapse_gain",
    "bias",
    "most",
)


def _record(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in names])


def _paired(names: Sequence[str]) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_step")]


NODE: Final = _record(
    "kind",  # RELAY, LAZY, DENSE
    "neurons",
    "blocks",
    "words",
    "current",  # offset in state: sums of this step's input
    "membrane",
    "synapse",  # -1 without
    "previous",  # spikes of the step before, for delayed resets; -1 without
    "touched",  # offset in bits: blocks that got input
    "last",  # offset in last: step at which a block was brought up to date
    "valid",  # offset in table: lanes of each block that are neurons
    "neuron_at",  # offset in table, for what is watched
    "ids",  # offset in ids of the ring of spike lists
    "values",  # offset in values
    "values_step",  # 0 where all values are 1
    "capacity",  # of one list
    "lists",  # in the ring
    "counts",  # offset in counts of the lengths of the lists
    "spikes",  # offset in counts: spikes so far; -1 where they are not counted
    "emits",  # whether a list is wanted
    "strict",  # > instead of >=
    "spike_kind",
    "reset",
    "timing",
    "floored",  # whether there is a v_min
    "each",  # whether some parameter differs from neuron to neuron
    "powers",  # offset in weights: decay to the power of 0, 1, 2, …
    "powers_count",
    "powers_complete",  # whether the last one holds for all that follow
    "silent",  # offset in weights: a state of smaller magnitude is zero
    *_paired(PARAMETERS),  # offsets in weights; step 0 where one number serves all
)

STAGE: Final = _record(
    "kind",  # PATCH, PAIRS
    "kernel",  # index in scatter.SHAPES
    "source",  # node
    "target",  # node
    "delay",
    "table",  # offset in table: rows (place, weights, fan) of each 2^shift neurons of the source
    "shift",
    "weights",  # offset in weights
    "weights_step",  # from one channel to the next
    "rows",
    "row_step",
    "segments",
    "segment_step",
    "run",  # numbers of a segment that count
    "vectors",  # blocks of a segment, zeros included
    "synops",  # offset in counts
    "whole",  # synapses of every source neuron, where all are alike and index i has row i of the weights; else 0
    "dense_from",  # spikes from which it is gathered
    "dense_steps",  # offset in counts: steps in which it was
    "tile",  # index in gather.TILES
    "slots",  # offset in table: place in the plane of inputs of each 2^shift neurons of the source
    "inputs",  # numbers of that plane
    "channels",  # of it
    "taps",  # offset in table: rows (input, weight), both for pixel 0
    "tap_count",
    "outputs",  # channels of the target, or all of it
    "first",  # pixel of the target
    "end",
)

WATCH: Final = _record(
    "node",
    "membrane",  # whether the membrane is watched, not the spikes
    "rows",  # offset in out, in records
    "capacity",
    "seen",  # offset in bits of a set over neurons in C, H, W order
    "payload",  # offset in state of a plane in C, H, W order
)

ENCODING: Final = _record(
    "node",
    "channels",
    "height",
    "width",
    "left",
    "top",
    "crop_width",
    "crop_height",
    "pool",
    "polarity",  # split, merge, on, off
    "swap",
    "binary",
    "places",  # offset in table: index in the plane of each neuron in C, H, W order
)

POLARITIES: Final = ("split", "merge", "on", "off")
PLACE: Final = 0
WEIGHTS: Final = 1
FAN: Final = 2
ENTRY: Final = 3
"""Numbers of one row of a stage's table."""

STEP: Final = 0
EVENTS: Final = 1
OUTSIDE: Final = 2
CROPPED: Final = 3
FIRST_COUNT: Final = 4
"""What the first numbers of the counts are; the rest are laid out by the plan."""


def records(dtype: np.dtype[np.void], rows: Sequence[dict[str, int]]) -> NDArray[np.void]:
    """One record per row, zero where a row says nothing."""
    result = np.zeros(len(rows), dtype)
    for record, row in zip(result, rows, strict=True):
        for name, value in row.items():
            record[name] = value
    return result

"""Spikes into currents.

Two passes over a list of spikes. `aim` looks up where each begins in the target and which weights it adds, and
finds runs of spikes that begin at the same place (the channels of a pixel, the pixels of a pool, every spike of
a dense matrix). `scatter` keeps a run's sums in registers and touches memory once per run. Sums are made in the
order of the spikes, which is the order of the source's plane.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import bare, inline
from nrt_sim.cpu.program import ENTRY, FAN, PLACE, WEIGHTS, Row
from nrt_sim.cpu.vector import LANES, add, add_scaled, load_tile, prefetch, scaled, store_tile

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]

SHAPES: Final = ((1, 1), (1, 2), (1, 3), (1, 4), (1, 6), (1, 8), (1, 16), (2, 1), (2, 2), (2, 4), (3, 1), (3, 3), (3, 6))
"""(rows, blocks) of the tiles that kernels are compiled for; several rows only where they make up the patch."""


def shape_for(rows: int, segments: int, vectors: int) -> tuple[int, int]:
    """The kernel for patches of `rows` x `segments` runs of `vectors` blocks, and the blocks it will use."""
    if segments == 1 and (rows, vectors) in SHAPES:
        return SHAPES.index((rows, vectors)), vectors
    fitting = [
        (-(-vectors // width) * width, -width, k) for k, (height, width) in enumerate(SHAPES) if height == 1
    ]
    least = min(used for used, _, _ in fitting)
    used, _, kernel = min((f for f in fitting if f[0] <= max(least, vectors * 9 // 8)), key=lambda f: f[1])
    return kernel, used


@inline
def mark(bits: Bits, touched: int, first: int, last: int) -> None:
    """Adds the blocks first … last to the set that begins at word `touched`."""
    begin, end = first >> 6, last >> 6
    low = np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(first & 63)
    high = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(63 - (last & 63))
    if begin == end:
        bits[touched + begin] |= low & high
        return
    bits[touched + begin] |= low
    for word in range(begin + 1, end):
        bits[touched + word] = np.uint64(0xFFFFFFFFFFFFFFFF)
    bits[touched + end] |= high


@bare
def aim(
    stage: Row,
    listed: int,
    count: int,
    ids: NDArray[np.int32],
    values: Floats,
    values_at: int,
    values_step: int,
    table: NDArray[np.int32],
    places: Ints,
    rows: Ints,
    factors: Floats,
    runs: Ints,
) -> tuple[int, int]:
    """Writes each spike's place, weights and value, and where runs begin; returns runs and synapses reached."""
    shift, low = stage.shift, (1 << stage.shift) - 1
    used, found, synops, before = 0, 0, 0, -1
    for k in range(count):
        spike = np.int64(ids[listed + k])
        at = stage.table + ENTRY * (spike >> shift)
        place = np.int64(table[at + PLACE])
        if place < 0:
            continue
        places[used] = place
        rows[used] = stage.weights + np.int64(table[at + WEIGHTS]) * LANES + (spike & low) * stage.weights_step
        factors[used] = values[values_at + k * values_step]
        synops += table[at + FAN]
        runs[found] = used
        found += place != before
        before = place
        used += 1
    runs[found] = used
    return found, synops


def _patches(height: int, blocks: int) -> Any:
    """The kernel for patches of exactly `height` rows of `blocks` blocks."""

    @bare
    def patches(
        stage: Row,
        current: int,
        weights: Floats,
        state: Floats,
        places: Ints,
        rows: Ints,
        factors: Floats,
        runs: Ints,
        found: int,
    ) -> None:
        for r in range(found):
            first, end = runs[r], runs[r + 1]
            at = current + places[first]
            tile = scaled(weights, rows[first], factors[first], height, blocks)
            for k in range(first + 1, end):
                tile = add_scaled(tile, weights, rows[k], factors[k])
            store_tile(state, at, stage.row_step, add(load_tile(state, at, stage.row_step, height, blocks), tile))

    return patches


def _segments(blocks: int) -> Any:
    """The kernel for any number of rows and segments, each a whole number of times `blocks` blocks."""
    lanes = blocks * LANES

    @bare
    def segments(
        stage: Row,
        current: int,
        weights: Floats,
        state: Floats,
        places: Ints,
        rows: Ints,
        factors: Floats,
        runs: Ints,
        found: int,
    ) -> None:
        width = stage.vectors * LANES
        for r in range(found):
            first, end = runs[r], runs[r + 1]
            offset = 0
            for row in range(stage.rows):
                for segment in range(stage.segments):
                    at = current + places[first] + row * stage.row_step + segment * stage.segment_step
                    for lane in range(0, width, lanes):
                        tile = scaled(weights, rows[first] + offset, factors[first], 1, blocks)
                        for k in range(first + 1, end):
                            tile = add_scaled(tile, weights, rows[k] + offset, factors[k])
                        store_tile(state, at + lane, 0, add(load_tile(state, at + lane, 0, 1, blocks), tile))
                        offset += lanes

    return segments


_1x1, _1x2, _1x3, _1x4, _1x6, _1x8, _1x16 = (_segments(blocks) for height, blocks in SHAPES if height == 1)
_2x1, _2x2, _2x4, _3x1, _3x3, _3x6 = (_patches(height, blocks) for height, blocks in SHAPES if height > 1)


@bare
def scatter(
    stage: Row,
    current: int,
    weights: Floats,
    state: Floats,
    places: Ints,
    rows: Ints,
    factors: Floats,
    runs: Ints,
    found: int,
) -> None:
    """Adds what `aim` found to the target's currents."""
    kernel = stage.kernel
    if kernel == 0:
        _1x1(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 1:
        _1x2(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 2:
        _1x3(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 3:
        _1x4(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 4:
        _1x6(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 5:
        _1x8(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 6:
        _1x16(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 7:
        _2x1(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 8:
        _2x2(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 9:
        _2x4(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 10:
        _3x1(stage, current, weights, state, places, rows, factors, runs, found)
    elif kernel == 11:
        _3x3(stage, current, weights, state, places, rows, factors, runs, found)
    else:
        _3x6(stage, current, weights, state, places, rows, factors, runs, found)


@bare
def mark_runs(stage: Row, touched: int, places: Ints, runs: Ints, found: int, bits: Bits) -> None:
    """Adds the blocks that the runs touch to the target's set."""
    for r in range(found):
        place = places[runs[r]]
        for row in range(stage.rows):
            for segment in range(stage.segments):
                at = place + row * stage.row_step + segment * stage.segment_step
                mark(bits, touched, at >> 4, (at + stage.run - 1) >> 4)


@bare
def pair_up(
    stage: Row,
    listed: int,
    count: int,
    ids: NDArray[np.int32],
    values: Floats,
    values_at: int,
    values_step: int,
    table: NDArray[np.int32],
    current: int,
    touched: int,
    weights: Floats,
    state: Floats,
    bits: Bits,
) -> int:
    """Adds one number to one neuron per spike; returns the synapses reached."""
    synops = 0
    for k in range(count):
        spike = np.int64(ids[listed + k])
        at = stage.table + ENTRY * spike
        place = np.int64(table[at + PLACE])
        if place >= 0:
            state[current + place] += weights[stage.weights + spike] * values[values_at + k * values_step]
            bits[touched + (place >> 10)] |= np.uint64(1) << np.uint64((place >> 4) & 63)
            synops += table[at + FAN]
    return synops


__all__ = ["SHAPES", "aim", "mark_runs", "pair_up", "prefetch", "scatter", "shape_for"]

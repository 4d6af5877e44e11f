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
from nrt_sim.cpu.tile import LANES
from nrt_sim.cpu.vector import add, add_scaled, get, load_tile, prefetch, put, scaled, store_tile

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Bits = NDArray[np.uint64]

AHEAD: Final = 3
"""Spikes whose weights are asked for in advance."""

SHAPES: Final = (
    (1, 1),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 6),
    (1, 8),
    (1, 16),
    (2, 1),
    (2, 2),
    (2, 4),
    (3, 1),
    (3, 3),
    (3, 6),
)
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
        put(bits, touched + begin, get(bits, touched + begin) | (low & high))
        return
    put(bits, touched + begin, get(bits, touched + begin) | low)
    for word in range(begin + 1, end):
        put(bits, touched + word, np.uint64(0xFFFFFFFFFFFFFFFF))
    put(bits, touched + end, get(bits, touched + end) | high)


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
    if stage.whole != 0:
        return _aim_whole(
            stage, listed, count, ids, values, values_at, values_step, places, rows, factors, runs
        )
    entries, weights, weights_step = stage.table, stage.weights, stage.weights_step
    shift, low = stage.shift, (1 << stage.shift) - 1
    used, found, synops, before = 0, 0, 0, -1
    for k in range(listed, listed + count):
        spike = np.int64(get(ids, k))
        at = entries + ENTRY * (spike >> shift)
        place = np.int64(get(table, at + PLACE))
        put(factors, used, get(values, values_at))
        values_at += values_step
        if place < 0:
            continue
        put(places, used, place)
        put(rows, used, weights + np.int64(get(table, at + WEIGHTS)) * LANES + (spike & low) * weights_step)
        synops += int(get(table, at + FAN))
        put(runs, found, used)
        found += int(place != before)
        before = int(place)
        used += 1
    put(runs, found, used)
    return found, synops


@inline
def _aim_whole(
    stage: Row,
    listed: int,
    count: int,
    ids: NDArray[np.int32],
    values: Floats,
    values_at: int,
    values_step: int,
    places: Ints,
    rows: Ints,
    factors: Floats,
    runs: Ints,
) -> tuple[int, int]:
    """As `aim`, where every spike adds its row of weights to all of the target."""
    weights, step = stage.weights, stage.weights_step
    for k in range(count):
        put(rows, k, weights + np.int64(get(ids, listed + k)) * step)
        put(factors, k, get(values, values_at + k * values_step))
    put(places, 0, 0)
    put(runs, 0, 0)
    put(runs, 1, count)
    return 1, count * stage.whole


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
        step, first = stage.row_step, 0
        for r in range(1, found + 1):
            end = get(runs, r)
            at = current + get(places, first)
            tile = scaled(weights, get(rows, first), get(factors, first), height, blocks)
            for k in range(first + 1, end):
                tile = add_scaled(tile, weights, get(rows, k), get(factors, k))
            store_tile(state, at, step, add(load_tile(state, at, step, height, blocks), tile))
            first = end

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
        row_step, segment_step = stage.row_step, stage.segment_step
        first = 0
        for r in range(1, found + 1):
            end = get(runs, r)
            offset = 0
            for row in range(stage.rows):
                for segment in range(stage.segments):
                    at = current + get(places, first) + row * row_step + segment * segment_step
                    for lane in range(0, width, lanes):
                        tile = scaled(weights, get(rows, first) + offset, get(factors, first), 1, blocks)
                        for k in range(first + 1, end):
                            prefetch(weights, get(rows, k + AHEAD) + offset, blocks)
                            tile = add_scaled(tile, weights, get(rows, k) + offset, get(factors, k))
                        store_tile(state, at + lane, 0, add(load_tile(state, at + lane, 0, 1, blocks), tile))
                        offset += lanes
            first = end

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
    last = stage.run - 1
    for row in range(stage.rows):
        for segment in range(stage.segments):
            offset = row * stage.row_step + segment * stage.segment_step
            for r in range(found):
                at = get(places, get(runs, r)) + offset
                mark(bits, touched, at >> 4, (at + last) >> 4)


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
            synops += int(table[at + FAN])
    return synops


__all__ = ["SHAPES", "aim", "mark_runs", "pair_up", "prefetch", "scatter", "shape_for"]

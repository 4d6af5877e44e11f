"""Currents from whole planes: every output takes from all of its inputs, silent ones too.

`scatter` pays for each spike: it looks the spike up, and reads and writes all the currents that the spike
reaches. From a certain number of spikes in a step on, `compute_stage` turns to this way instead. `fill` spreads
the spikes over a plane of numbers, zero where nothing fired (pixels of a pool are added up there). `gather` then
keeps the currents of a tile of pixels in registers until all of their inputs are added: one load of a weight
serves all pixels of the tile, and currents go through memory once.

It is the scatter of `nrt_sim.cpu.placed` read backwards, with its weights and its places: where a spike at p adds
weight k to p + k, output q takes input q - k times weight k. Strides, pools, dilations and margins need nothing of
their own; each phase of a stride has a plane of inputs to itself. A matrix is a single pixel with many inputs.
Sums are made tap by tap, in the order of channels, with fused multiply-adds where the processor has them. What
is gathered, and from when on, is decided in `nrt_sim.cpu.dense`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import bare
from nrt_sim.cpu.program import ENTRY, FAN, Row
from nrt_sim.cpu.tile import LANES, WIDE
from nrt_sim.cpu.vector import add, add_outer, get, load_tile, put, store_tile, zeros_like

Floats = NDArray[Any]

PIXELS: Final = 12 if WIDE else 3
"""Pixels of a tile that is two blocks wide: its sums fill 24 registers of 32 with AVX-512, 12 of 16 with AVX2."""

TILES: Final = ((PIXELS, 2), (2 * PIXELS, 1), (1, 16), (1, 8), (1, 4), (1, 1))
"""(pixels, blocks) of the tiles that kernels are compiled for: two for planes, the rest for matrices."""


@bare
def fill(
    stage: Row,
    listed: int,
    count: int,
    ids: NDArray[np.int32],
    values: Floats,
    values_at: int,
    values_step: int,
    table: NDArray[np.int32],
    inputs: Floats,
) -> int:
    """Makes `inputs` the plane that a list of spikes stands for; returns the synapses reached."""
    zero = zeros_like(load_tile(inputs, 0, 0, 1, 1))
    for at in range(0, stage.inputs, LANES):
        store_tile(inputs, at, 0, zero)
    entries, slots = stage.table, stage.slots
    shift, low = stage.shift, (1 << stage.shift) - 1
    synops = 0
    for k in range(listed, listed + count):
        spike = np.int64(get(ids, k))
        slot = np.int64(get(table, slots + (spike >> shift)))
        if slot >= 0:
            slot += spike & low
            put(inputs, slot, get(inputs, slot) + get(values, values_at))
            synops += int(get(table, entries + ENTRY * (spike >> shift) + FAN))
        values_at += values_step
    return synops


def _tiles(pixels: int, blocks: int) -> Any:
    """The kernel that computes `pixels` pixels of `blocks` blocks at a time."""
    lanes = blocks * LANES

    @bare
    def tiles(
        stage: Row,
        current: int,
        table: NDArray[np.int32],
        weights: Floats,
        state: Floats,
        inputs: Floats,
    ) -> None:
        channels, outputs, step = stage.channels, stage.outputs, stage.weights_step
        taps, after = stage.taps, stage.taps + 2 * stage.tap_count
        for pixel in range(stage.first, stage.end, pixels):
            for lane in range(0, outputs, lanes):
                at = current + pixel * outputs + lane
                tile = zeros_like(load_tile(state, at, outputs, pixels, blocks))
                for tap in range(taps, after, 2):
                    source = pixel * channels + np.int64(get(table, tap))
                    weight = stage.weights + np.int64(get(table, tap + 1)) + lane
                    for channel in range(channels):
                        tile = add_outer(
                            tile, weights, weight + channel * step, inputs, source + channel, channels
                        )
                store_tile(state, at, outputs, add(load_tile(state, at, outputs, pixels, blocks), tile))

    return tiles


_planes2, _planes1, _rows16, _rows8, _rows4, _rows1 = (_tiles(pixels, blocks) for pixels, blocks in TILES)


@bare
def gather(
    stage: Row,
    current: int,
    table: NDArray[np.int32],
    weights: Floats,
    state: Floats,
    inputs: Floats,
) -> None:
    """Adds what `fill` spread to the target's currents."""
    kernel = stage.tile
    if kernel == 0:
        _planes2(stage, current, table, weights, state, inputs)
    elif kernel == 1:
        _planes1(stage, current, table, weights, state, inputs)
    elif kernel == 2:
        _rows16(stage, current, table, weights, state, inputs)
    elif kernel == 3:
        _rows8(stage, current, table, weights, state, inputs)
    elif kernel == 4:
        _rows4(stage, current, table, weights, state, inputs)
    else:
        _rows1(stage, current, table, weights, state, inputs)

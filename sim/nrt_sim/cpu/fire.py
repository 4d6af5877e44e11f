"""Currents into membranes, membranes into spikes: one pass over blocks of 16 neurons each.

`relay` passes sums on and forgets them. `lazy` serves the common neuron (one state, no drive, cannot fire
without input): only blocks that got input are computed, and the leak of the steps in between is one factor.
`dense` serves all of `nrt.network.neuron`, every block in every step. Each writes the list of what fired: indices
in the plane, in ascending order, and their values.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import bare, inline
from nrt_sim.cpu import program
from nrt_sim.cpu.program import Row
from nrt_sim.cpu.tile import LANES, Tile
from nrt_sim.cpu.vector import (
    above,
    add,
    append,
    choose,
    differs,
    divide,
    floor,
    get,
    largest,
    load_tile,
    lowest_bit,
    magnitude,
    multiply,
    nearest_even,
    not_below,
    ones_like,
    put,
    smallest,
    splat,
    store_tile,
    subtract,
    truncate,
    zeros_like,
)

Floats = NDArray[Any]
Bits = NDArray[np.uint64]
Ids = NDArray[np.int32]
Table = NDArray[np.int32]

SILENT: Final = 1e-30
"""A state of smaller magnitude is zero, before subnormal numbers make the processor slow (`dense` only)."""

_HARD, _SOFT = program.HARD, program.SOFT
_DELAYED, _FIRE_FIRST, _IMMEDIATE = program.DELAYED, program.FIRE_FIRST, program.IMMEDIATE
_SIGNED, _COUNT, _ROUND, _GRADED, _NONE = (
    program.SIGNED,
    program.COUNT,
    program.ROUND,
    program.GRADED,
    program.NONE,
)
_BINARY = program.BINARY


@inline
def _append_values(
    ids: Ids, values: Floats, end: int, values_end: int, block: int, fired: np.uint64, s: Tile
) -> int:
    """Appends the lanes `fired` of `block` to a list, with their values; `values` has room for a whole block."""
    store_tile(values, values_end, 0, s)  # lane k moves to its rank, which is at most k
    rank = 0
    while fired != 0:
        lane = lowest_bit(fired)
        put(ids, end + rank, np.int32(block * LANES + lane))
        put(values, values_end + rank, get(values, values_end + lane))
        fired &= fired - np.uint64(1)
        rank += 1
    return end + rank


@bare
def relay(
    node: Row, ids: Ids, at: int, values: Floats, values_at: int, state: Floats, bits: Bits, table: Table
) -> int:
    """Lists and clears the sums that are not zero; returns how many."""
    end = at
    sums, valid, touched = node.current, node.valid, node.touched
    for word in range(node.words):
        left = get(bits, touched + word)
        if left == 0:
            continue
        put(bits, touched + word, np.uint64(0))
        while left != 0:
            block = word * 64 + lowest_bit(left)
            left &= left - np.uint64(1)
            x = load_tile(state, sums + block * LANES, 0, 1, 1)
            store_tile(state, sums + block * LANES, 0, zeros_like(x))
            some = differs(x, zeros_like(x)) & np.uint64(get(table, valid + block))
            end = _append_values(ids, values, end, values_at + end - at, block, some, x)
    return end - at


@bare
def lazy(
    node: Row,
    step: int,
    ids: Ids,
    at: int,
    weights: Floats,
    state: Floats,
    bits: Bits,
    last: NDArray[np.int64],
    table: Table,
) -> int:
    """One step of the blocks with input; returns the number of spikes."""
    end = at
    gain = splat(weights[node.gain])
    threshold = splat(weights[node.threshold])
    v_reset = splat(weights[node.v_reset])
    v_min = splat(weights[node.v_min])
    decay = splat(weights[node.decay])
    zero = zeros_like(decay)
    currents, membranes, touched, since, lanes = (
        node.current,
        node.membrane,
        node.touched,
        node.last,
        node.valid,
    )
    strict, floored, hard, soft = (
        node.strict != 0,
        node.floored != 0,
        node.reset == _HARD,
        node.reset == _SOFT,
    )
    powers, longest = node.powers, node.powers_count
    for word in range(node.words):
        left = get(bits, touched + word)
        if left == 0:
            continue
        put(bits, touched + word, np.uint64(0))
        while left != 0:
            block = word * 64 + lowest_bit(left)
            left &= left - np.uint64(1)
            lane = block * LANES
            alone = step - get(last, since + block)
            factor = get(weights, powers + alone) if alone < longest else leak(node, alone, weights)
            put(last, since + block, step)
            x = load_tile(state, currents + lane, 0, 1, 1)
            v = load_tile(state, membranes + lane, 0, 1, 1)
            store_tile(state, currents + lane, 0, zero)
            v = add(multiply(splat(factor), v), multiply(gain, x))
            if floored:
                v = largest(v, v_min)
            valid = np.uint64(get(table, lanes + block))
            fired = valid & (above(v, threshold) if strict else not_below(v, threshold))
            if hard:
                v = choose(fired, v_reset, v)
            elif soft:
                v = choose(fired, subtract(v, threshold), v)
            store_tile(state, membranes + lane, 0, v)
            end = append(ids, end, lane, fired)
            if not hard and fired != 0:  # what is left may fire again without input
                ahead = multiply(decay, v)
                if valid & (above(ahead, threshold) if strict else not_below(ahead, threshold)):
                    again = np.uint64(1) << np.uint64(block & 63)
                    put(bits, touched + word, get(bits, touched + word) | again)
    return end - at


@inline
def leak(node: Row, steps: int, weights: Floats) -> float:
    """decay to the power of `steps`, in the arena's precision."""
    if steps < node.powers_count:
        return weights[node.powers + steps]  # type: ignore[no-any-return]  # an element of the arena
    if node.powers_complete != 0:
        return weights[node.powers + node.powers_count - 1]  # type: ignore[no-any-return]  # as above
    return weights[node.decay] ** steps  # type: ignore[no-any-return]  # an element of the arena


@inline
def _spikes(kind: int, strict: bool, v: Tile, threshold: Tile, most: Tile) -> Tile:
    """`fired` of `nrt_sim.reference`, for one block."""
    zero, one = zeros_like(v), ones_like(v)
    if kind == _ROUND:
        return nearest_even(smallest(largest(divide(v, threshold), zero), most))
    over = above(v, threshold) if strict else not_below(v, threshold)
    if kind == _BINARY:
        return choose(over, one, zero)
    if kind == _SIGNED:
        negative = subtract(zero, v)
        under = above(negative, threshold) if strict else not_below(negative, threshold)
        return subtract(choose(over, one, zero), choose(under, one, zero))
    if kind == _COUNT:
        return choose(over, smallest(floor(divide(v, threshold)), most), zero)
    if kind == _GRADED:
        return choose(over, largest(smallest(truncate(v), most), subtract(zero, most)), zero)
    return zero


@inline
def _less(kind: int, v: Tile, s: Tile, threshold: Tile) -> Tile:
    """`soft` of `nrt_sim.reference`, for one block."""
    if kind == _GRADED:
        return subtract(v, s)
    return subtract(v, multiply(s, threshold))


@inline
def _parameter(weights: Floats, at: int, step: int, block: int) -> Tile:
    """Sixteen values of a parameter; `step` is 0 where one number serves all."""
    return load_tile(weights, at + block * step, 0, 1, 1)


@inline
def _silenced(x: Tile, silent: Tile) -> Tile:
    return choose(not_below(magnitude(x), silent), x, zeros_like(x))


@bare
def dense(
    node: Row,
    ids: Ids,
    at: int,
    values: Floats,
    values_at: int,
    weights: Floats,
    state: Floats,
    table: Table,
) -> int:
    """One step of every block; returns the number of spikes (or of membranes, where they are the output)."""
    end = at
    silent = splat(weights[node.silent])
    decay = _parameter(weights, node.decay, 0, 0)
    gain = _parameter(weights, node.gain, 0, 0)
    drive = _parameter(weights, node.drive, 0, 0)
    threshold = _parameter(weights, node.threshold, 0, 0)
    v_reset = _parameter(weights, node.v_reset, 0, 0)
    v_min = _parameter(weights, node.v_min, 0, 0)
    synapse_decay = _parameter(weights, node.synapse_decay, 0, 0)
    synapse_gain = _parameter(weights, node.synapse_gain, 0, 0)
    bias = _parameter(weights, node.bias, 0, 0)
    most = _parameter(weights, node.most, 0, 0)
    zero = zeros_like(silent)
    lanes, currents, membranes = node.valid, node.current, node.membrane
    synapses, previous, each = node.synapse, node.previous, node.each != 0
    hard, soft, floored = node.reset == _HARD, node.reset == _SOFT, node.floored != 0
    timing, emits, unit = node.timing, node.emits != 0, node.values_step == 0
    kind, strict = node.spike_kind, node.strict != 0
    for block in range(node.blocks):
        lane = block * LANES
        valid = np.uint64(get(table, lanes + block))
        if valid == 0:
            continue
        if each:  # some parameter differs from neuron to neuron
            decay = _parameter(weights, node.decay, node.decay_step, block)
            gain = _parameter(weights, node.gain, node.gain_step, block)
            drive = _parameter(weights, node.drive, node.drive_step, block)
            threshold = _parameter(weights, node.threshold, node.threshold_step, block)
            v_reset = _parameter(weights, node.v_reset, node.v_reset_step, block)
            v_min = _parameter(weights, node.v_min, node.v_min_step, block)
            synapse_decay = _parameter(weights, node.synapse_decay, node.synapse_decay_step, block)
            synapse_gain = _parameter(weights, node.synapse_gain, node.synapse_gain_step, block)
            bias = _parameter(weights, node.bias, node.bias_step, block)
        i = add(load_tile(state, currents + lane, 0, 1, 1), bias)
        store_tile(state, currents + lane, 0, zero)
        if synapses >= 0:
            kept = multiply(synapse_decay, load_tile(state, synapses + lane, 0, 1, 1))
            i = _silenced(add(kept, multiply(synapse_gain, i)), silent)
            store_tile(state, synapses + lane, 0, i)
        v = load_tile(state, membranes + lane, 0, 1, 1)
        s = zero
        if timing == _DELAYED:
            s = load_tile(state, previous + lane, 0, 1, 1)
        elif timing == _FIRE_FIRST:
            s = _spikes(kind, strict, v, threshold, most)
        if hard and timing != _IMMEDIATE:
            v = choose(differs(s, zero), v_reset, v)
        v = add(add(multiply(decay, v), multiply(gain, i)), drive)
        if soft and timing != _IMMEDIATE:
            v = _less(kind, v, s, threshold)
        if floored:
            v = largest(v, v_min)
        if timing != _FIRE_FIRST:
            s = _spikes(kind, strict, v, threshold, most)
        if timing == _IMMEDIATE:
            if hard:
                v = choose(differs(s, zero), v_reset, v)
            elif soft:
                v = _less(kind, v, s, threshold)
        elif timing == _DELAYED:
            store_tile(state, previous + lane, 0, s)
        v = _silenced(v, silent)
        store_tile(state, membranes + lane, 0, v)
        if emits:
            output = v if kind == _NONE else s
            fired = valid & differs(output, zero)
            if unit:
                end = append(ids, end, lane, fired)
            else:
                end = _append_values(ids, values, end, values_at + end - at, block, fired, output)
    return end - at

"""Time steps: the one kernel that a network runs in, from event records to spike records.

A network is data to it (`nrt_sim.cpu.program`), so it is compiled once per machine and not per network. It needs
nothing of Python while it runs, and holds no lock.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import bare, inline
from nrt_sim.cpu import fire, program
from nrt_sim.cpu.gather import fill, gather
from nrt_sim.cpu.program import Row
from nrt_sim.cpu.scatter import aim, mark, mark_runs, pair_up, scatter
from nrt_sim.cpu.vector import lowest_bit

Floats = NDArray[Any]
Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Table = NDArray[np.int32]
Bits = NDArray[np.uint64]

_STEP, _EVENTS, _OUTSIDE, _CROPPED = program.STEP, program.EVENTS, program.OUTSIDE, program.CROPPED
_PAIRS, _RELAY, _LAZY, _NONE = program.PAIRS, program.RELAY, program.LAZY, program.NONE
_SPLIT, _MERGE, _OFF = 0, 1, 3
_LARGEST: Final = 2.0**31


@inline
def _neuron_of(encoding: Row, word: int) -> int:
    """`Encoding.index` of one event, from its second word."""
    x, y, p = word & 0xFFFF, (word >> 16) & 0xFFFF, (word >> 32) & 0xFF
    x -= encoding.left
    y -= encoding.top
    if x < 0 or y < 0 or x >= encoding.crop_width or y >= encoding.crop_height:
        return -1
    channel = 0
    if encoding.polarity == _SPLIT:
        channel = p ^ encoding.swap
    elif encoding.polarity != _MERGE and p != (0 if encoding.polarity == _OFF else 1):
        return -1
    if encoding.pool != 1:
        x //= encoding.pool
        y //= encoding.pool
    if x >= encoding.width or y >= encoding.height or channel >= encoding.channels:
        return -2
    return (channel * encoding.height + y) * encoding.width + x  # type: ignore[no-any-return]  # a record's int


@bare
def encode(
    encoding: Row,
    node: Row,
    records: Ints,
    begin: int,
    until: int,
    spikes: bool,
    table: Table,
    state: Floats,
    bits: Bits,
    counts: Ints,
) -> int:
    """Adds the records from `begin` on with t < until to the input's sums; returns where it stopped."""
    one = state.dtype.type(1)
    neurons = node.neurons
    k, end = begin, records.size // 2
    while k < end and records[2 * k] < until:
        word = records[2 * k + 1]
        neuron = np.int64(word & 0xFFFFFFFF) if spikes else _neuron_of(encoding, word)
        k += 1
        if neuron >= neurons:
            neuron = -2
        if neuron < 0:
            counts[_OUTSIDE if neuron == -2 else _CROPPED] += 1
            continue
        counts[_EVENTS] += 1
        place = np.int64(table[encoding.places + neuron])
        at = node.current + place
        if spikes:
            state[at] += one * (word >> 32)
        elif encoding.binary != 0:
            state[at] = one
        else:
            state[at] += one
        bits[node.touched + (place >> 10)] |= np.uint64(1) << np.uint64((place >> 4) & 63)
    return k


@bare
def write_spikes(
    watch: Row,
    node: Row,
    first: int,
    count: int,
    time: int,
    ids: Ids,
    values: Floats,
    values_at: int,
    table: Table,
    state: Floats,
    bits: Bits,
    out: Ints,
    row: int,
) -> int:
    """Writes the records of one list from `row` on, in order of neurons; returns the row after them."""
    for k in range(count):
        neuron = np.int64(table[node.neuron_at + ids[first + k]])
        bits[watch.seen + (neuron >> 6)] |= np.uint64(1) << np.uint64(neuron & 63)
        state[watch.payload + neuron] = values[values_at + k * node.values_step]
    for word in range((node.neurons + 63) >> 6):
        seen = bits[watch.seen + word]
        bits[watch.seen + word] = 0
        while seen != 0:
            neuron = word * 64 + lowest_bit(seen)
            seen &= seen - np.uint64(1)
            value = min(max(np.float64(state[watch.payload + neuron]), -_LARGEST), _LARGEST - 1)
            out[2 * row] = time
            out[2 * row + 1] = neuron | (np.int64(value) << 32)
            row += 1
    return row


@bare
def write_membranes(
    watch: Row,
    node: Row,
    step: int,
    time: int,
    table: Table,
    weights: Floats,
    state: Floats,
    last: Ints,
    out: Ints,
    out_floats: NDArray[np.float32],
    row: int,
) -> int:
    """Writes every membrane of a population from `row` on; returns the row after them."""
    for place in range(node.blocks * 16):
        neuron = np.int64(table[node.neuron_at + place])
        if neuron < 0:
            continue
        v = state[node.membrane + place]
        if node.kind == _LAZY:
            v *= fire.leak(node, step - int(last[node.last + (place >> 4)]), weights)
        out[2 * (row + neuron)] = time
        out[2 * (row + neuron) + 1] = neuron
        out_floats[4 * (row + neuron) + 3] = v
    return row + node.neurons  # type: ignore[no-any-return]  # a record's int


@bare
def compute_stage(
    stage: Row,
    source: Row,
    target: Row,
    step: int,
    table: Table,
    weights: Floats,
    state: Floats,
    bits: Bits,
    ids: Ids,
    values: Floats,
    counts: Ints,
    places: Ints,
    rows: Ints,
    factors: Floats,
    runs: Ints,
) -> None:
    """Adds to the target's currents what the source put out `delay` steps ago."""
    which = (step - stage.delay) % source.lists
    count = int(counts[source.counts + which])
    if count == 0:
        return
    first = source.ids + which * source.capacity
    values_at = source.values + which * source.capacity * source.values_step
    if stage.kind == _PAIRS:
        counts[stage.synops] += pair_up(
            stage, first, count, ids, values, values_at, source.values_step, table,
            target.current, target.touched, weights, state, bits,
        )  # fmt: skip
        return
    if count >= stage.dense_from:
        counts[stage.dense_steps] += 1
        counts[stage.synops] += fill(
            stage, first, count, ids, values, values_at, source.values_step, table, factors
        )
        gather(stage, target.current, table, weights, state, factors)
        if target.kind != program.DENSE:
            reached = (stage.end * stage.outputs - 1) >> 4
            mark(bits, target.touched, (stage.first * stage.outputs) >> 4, min(reached, target.blocks - 1))
        return
    found, synops = aim(
        stage, first, count, ids, values, values_at, source.values_step, table, places, rows, factors, runs
    )
    counts[stage.synops] += synops
    scatter(stage, target.current, weights, state, places, rows, factors, runs, found)
    if target.kind != program.DENSE:
        mark_runs(stage, target.touched, places, runs, found, bits)


@bare
def compute_node(
    node: Row,
    step: int,
    table: Table,
    weights: Floats,
    state: Floats,
    bits: Bits,
    last: Ints,
    ids: Ids,
    values: Floats,
    counts: Ints,
) -> None:
    """Turns a population's currents into its list of this step."""
    which = step % node.lists
    at = node.ids + which * node.capacity
    values_at = node.values + which * node.capacity * node.values_step
    if node.kind == _RELAY:
        count = fire.relay(node, ids, at, values, values_at, state, bits, table)
    elif node.kind == _LAZY:
        count = fire.lazy(node, step, ids, at, weights, state, bits, last, table)
    else:
        count = fire.dense(node, ids, at, values, values_at, weights, state, table)
    counts[node.counts + which] = count
    if node.spikes >= 0:
        counts[node.spikes] += count


@bare
def run(
    program: Ints,
    nodes: Any,
    stages: Any,
    watches: Any,
    encodings: Any,
    table: Table,
    weights: Floats,
    state: Floats,
    bits: Bits,
    last: Ints,
    ids: Ids,
    values: Floats,
    counts: Ints,
    places: Ints,
    rows: Ints,
    factors: Floats,
    runs: Ints,
    out: Ints,
    out_floats: NDArray[np.float32],
    written: Ints,
    records: Ints,
    spikes: bool,
    begin: int,
    start: int,
    dt: int,
    steps: int,
) -> tuple[int, int]:
    """Computes up to `steps` steps; fewer where `out` is full. Returns the steps and the records taken in.

    program: 0 … for a stage, -1 … for a node. written: records in `out` of each watch.
    """
    encoding = encodings[0]
    taken = begin
    for k in range(steps):
        for w in range(watches.size):
            if written[w] + nodes[watches[w].node].neurons > watches[w].capacity:
                return k, taken
        step, until = counts[_STEP], start + (k + 1) * dt
        taken = encode(
            encoding, nodes[encoding.node], records, taken, until, spikes, table, state, bits, counts
        )
        for what in program:
            if what < 0:
                compute_node(nodes[-1 - what], step, table, weights, state, bits, last, ids, values, counts)
            else:
                stage = stages[what]
                compute_stage(
                    stage, nodes[stage.source], nodes[stage.target], step, table, weights, state, bits,
                    ids, values, counts, places, rows, factors, runs,
                )  # fmt: skip
        for w in range(watches.size):
            watch = watches[w]
            node = nodes[watch.node]
            row = watch.rows + written[w]
            if watch.membrane != 0:
                row = write_membranes(
                    watch, node, step, until - 1, table, weights, state, last, out, out_floats, row
                )
            else:
                which = step % node.lists
                count = int(counts[node.counts + which])
                row = write_spikes(
                    watch, node, node.ids + which * node.capacity, count, until - 1,
                    ids, values, node.values + which * node.capacity * node.values_step,
                    table, state, bits, out, row,
                )  # fmt: skip
            written[w] = row - watch.rows
        counts[_STEP] = step + 1
    return steps, taken

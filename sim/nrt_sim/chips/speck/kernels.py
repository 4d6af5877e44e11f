"""The chip as a discrete-event simulation: events in the order in which the cores begin them.

Every core is a server with a queue per sender. It takes the event that arrived first, applies all of that event's
synapses at once, and sends a spike to at most two targets as soon as the neuron crosses its threshold:

    v ← clip(v + w, threshold_low, 32767);   v ≥ threshold_high: one spike, v ← v − threshold_high  or  v ← 0

A spike leaves LATENCY after the event began, plus the synapses before it; the core is busy for its synapses.
A core begins nothing while a queue that it sends to is full, which is how an overloaded core holds up the whole
chip; with its congestion balancer on, a full queue drops instead. Ticks of the slow clock add the bias to every
neuron of a core, between events.

Neurons lie in order of y, x, channel, as their documented addresses do; within one event they are updated, and
spike, in that order. The order on the chip is not published.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrt.jit import bare
from nrt_sim.chips.speck.columns import (
    BALANCER,
    BIASES,
    COUNT,
    DECIMATE,
    DECIMATED,
    DROPPED,
    EVENTS,
    FIFO,
    FREE,
    HEAD,
    HIGH,
    IN_F,
    IN_X,
    IN_Y,
    KERNEL,
    LATENCY,
    LAYER,
    LOW,
    MONITOR,
    NEURONS,
    NEVER,
    OPEN,
    OUT_F,
    OUT_X,
    OUT_Y,
    OUTSIDE,
    PAD_X,
    PAD_Y,
    POOL_X,
    POOL_Y,
    RING,
    ROOM,
    SENDER,
    SHIFT,
    SPIKE,
    SPIKES,
    STILL,
    STRIDE_X,
    STRIDE_Y,
    SYNOP,
    SYNOPS,
    TARGET,
    THINNED,
    TICKS,
    TO_ZERO,
    UNBLOCKED,
    WAITING,
    WEIGHTS,
    WHAT,
    WHEN,
    F,
    X,
    Y,
)

I64 = NDArray[np.int64]
I16 = NDArray[np.int16]
I8 = NDArray[np.int8]

_TOP = 32767


@bare
def put(out: I64, used: int, when: int, what: int, layer: int, x: int, y: int, f: int) -> int:
    """One row of `out`; returns how many are used now."""
    out[used, WHEN], out[used, WHAT], out[used, LAYER] = when, what, layer
    out[used, X], out[used, Y], out[used, F] = x, y, f
    return used + 1


@bare
def push(
    core: I64, state: I64, link: I64, board: I64, ring: I64, k: int, when: int, x: int, y: int, f: int
) -> None:
    """Queues an event on link `k`, unless the target's congestion balancer drops it. There is always room."""
    target = link[k, TARGET]
    if core[target, BALANCER] and link[k, COUNT] >= board[FIFO]:
        state[target, DROPPED] += 1
        return
    at = link[k, HEAD] + link[k, COUNT]
    if at >= link[k, ROOM]:
        at -= link[k, ROOM]
    at += link[k, RING]
    ring[at, 0] = when
    ring[at, 1] = (f << 32) | (y << 16) | x
    link[k, COUNT] += 1
    board[WAITING] += 1


@bare
def fire(
    core: I64, state: I64, link: I64, board: I64, ring: I64, out: I64, used: int,
    c: int, when: int, x: int, y: int, f: int,
) -> int:  # fmt: skip
    """A spike of core `c`: decimator, then monitor and targets. Returns how many rows of `out` are used."""
    state[c, SPIKES] += 1
    if core[c, DECIMATE]:
        state[c, DECIMATED] += 1
        if state[c, DECIMATED] < core[c, DECIMATE]:
            state[c, THINNED] += 1
            return used
        state[c, DECIMATED] = 0
    if core[c, MONITOR]:
        used = put(out, used, when, SPIKE, c, x, y, f)
    for k in range(2 * c, 2 * c + 2):
        if link[k, OPEN]:
            px, py = x >> link[k, POOL_X], y >> link[k, POOL_Y]
            push(core, state, link, board, ring, k, when, px, py, f + link[k, SHIFT])
    return used


@bare
def convolve(
    core: I64, state: I64, link: I64, board: I64, ring: I64, out: I64, used: int,
    weights: I8, neurons: I16, c: int, begin: int, x: int, y: int, f: int,
) -> int:  # fmt: skip
    """One event on core `c`, all its synapses. Returns how many rows of `out` are used."""
    row = core[c]
    if x >= row[IN_X] or y >= row[IN_Y] or f >= row[IN_F]:
        state[c, OUTSIDE] += 1
        return used
    state[c, EVENTS] += 1
    state[c, STILL] = 0
    kernel, channels, high, low = row[KERNEL], row[OUT_F], np.int32(row[HIGH]), np.int32(row[LOW])
    sx, sy, px, py = row[STRIDE_X], row[STRIDE_Y], x + row[PAD_X], y + row[PAD_Y]
    synop, to_zero = row[SYNOP], row[TO_ZERO]
    y0, y1 = max(0, -((kernel - 1 - py) // sy)), min(row[OUT_Y] - 1, py // sy)
    x0, x1 = max(0, -((kernel - 1 - px) // sx)), min(row[OUT_X] - 1, px // sx)
    done = 0
    for oy in range(y0, y1 + 1):
        for ox in range(x0, x1 + 1):
            w = row[WEIGHTS] + ((f * kernel + py - oy * sy) * kernel + px - ox * sx) * channels
            v = row[NEURONS] + (oy * row[OUT_X] + ox) * channels
            top = np.int32(-32768)
            for k in range(channels):
                value = np.int32(neurons[v + k] + weights[w + k])  # casts keep the loop at 32 bits
                value = min(max(value, low), np.int32(_TOP))
                neurons[v + k] = np.int16(value)
                top = max(top, value)
            if top >= high:
                for k in range(channels):
                    if neurons[v + k] >= high:
                        neurons[v + k] = np.int16(0 if to_zero else neurons[v + k] - high)
                        when = begin + row[LATENCY] + (done + k) * synop
                        used = fire(core, state, link, board, ring, out, used, c, when, ox, oy, k)
            done += channels
    state[c, SYNOPS] += done
    state[c, FREE] = begin + done * synop
    return used


@bare
def leak(
    core: I64, state: I64, link: I64, board: I64, ring: I64, out: I64, used: int,
    neurons: I16, biases: I16, c: int, begin: int,
) -> int:  # fmt: skip
    """One tick of the slow clock on core `c`: its biases on all neurons. Returns how many rows of `out` are used."""
    row = core[c]
    state[c, TICKS] += 1
    channels, high, low = row[OUT_F], row[HIGH], row[LOW]
    moved, done = False, 0
    for oy in range(row[OUT_Y]):
        for ox in range(row[OUT_X]):
            v = row[NEURONS] + (oy * row[OUT_X] + ox) * channels
            for k in range(channels):
                before = np.int32(neurons[v + k])
                value = before + np.int32(biases[row[BIASES] + k])
                value = min(max(value, np.int32(low)), np.int32(_TOP))
                if value >= high:
                    value = np.int32(0 if row[TO_ZERO] else value - high)
                    when = begin + row[LATENCY] + (done + k) * row[SYNOP]
                    used = fire(core, state, link, board, ring, out, used, c, when, ox, oy, k)
                    moved = True
                moved = moved or value != before
                neurons[v + k] = np.int16(value)
            done += channels
    state[c, STILL] = 0 if moved else 1
    state[c, SYNOPS] += done
    state[c, FREE] = begin + done * row[SYNOP]
    return used


@bare
def blocked(link: I64, core: I64, board: I64, k: int) -> bool:
    """Whether link `k` is full and its target does not drop."""
    return bool(link[k, OPEN] and link[k, COUNT] >= board[FIFO] and not core[link[k, TARGET], BALANCER])


@bare
def first(link: I64, ring: I64, into: I64, target: int) -> tuple[int, int]:
    """The earliest event waiting for `target`: its link and its time; NEVER if there is none."""
    best, when = -1, NEVER
    for j in range(1, into[target, 0] + 1):
        k = into[target, j]
        if link[k, COUNT] > 0:
            t = ring[link[k, RING] + link[k, HEAD], 0]
            if t < when:
                best, when = k, t
    return best, when


@bare
def pop(state: I64, link: I64, board: I64, ring: I64, k: int, begin: int) -> int:
    """Takes the first event of link `k` at the time `begin`; returns its packed address."""
    if link[k, COUNT] == board[FIFO]:
        state[link[k, SENDER], UNBLOCKED] = begin
    packed = ring[link[k, RING] + link[k, HEAD], 1]
    head = link[k, HEAD] + 1
    link[k, HEAD] = 0 if head == link[k, ROOM] else head
    link[k, COUNT] -= 1
    board[WAITING] -= 1
    return int(packed)

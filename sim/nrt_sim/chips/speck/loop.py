"""The loop of the simulation: which server begins next, and what the host's events do."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import bare, inline
from nrt_sim.chips.speck.columns import (
    CUT_AWAY,
    CUT_X,
    CUT_Y,
    DIAGONAL,
    DVS_LINK,
    DVS_MONITOR,
    DVS_POOL_X,
    DVS_POOL_Y,
    DVS_RAW,
    ENABLED,
    EVENTS,
    FREE,
    HOST,
    HOST_LINK,
    INTERNAL,
    KILL,
    LATEST,
    LAYER,
    LEAK,
    LEAK_INTERNAL,
    MERGE,
    MIRROR_X,
    MIRROR_Y,
    NEURON,
    NEVER,
    OFF,
    ON,
    OPEN,
    ORIGIN_X,
    ORIGIN_Y,
    OUT_F,
    OUT_X,
    OUT_Y,
    PERIOD,
    PIXEL,
    PIXELS_SEEN,
    READ,
    READOUT,
    SHIFT,
    SPIKE,
    STILL,
    SYNOP,
    SYNOPS,
    TAKEN,
    TICK,
    TICKS,
    UNBLOCKED,
    WAITING,
    WHAT,
    WHEN,
    WRITE,
    F,
    X,
    Y,
)
from nrt_sim.chips.speck.figures import DVS_LAYER, PIXELS
from nrt_sim.chips.speck.kernels import I8, I16, I64, blocked, convolve, first, leak, pop, push, put
from nrt_sim.chips.speck.readout import count, tick_readout

I32 = NDArray[np.int32]

DONE, FULL, DEADLOCK = 0, 1, 2
"""How `advance` ended: nothing more to do by then; no room in `out`; every core waits for another."""


REST: Final = 64
"""So many ticks are computed one by one even where they change nothing; only longer rests are skipped."""


@bare
def skip_rest(core: I64, state: I64, board: I64, when: int) -> None:
    """Takes the cores whose ticks change nothing to about REST ticks before `when`, all but the last few at once.

    The ticks are counted, and keep the cores busy: m ticks from `first` on, each taking b, end when the last of
    them has been served, be they slower than the clock or not.
    """
    period = board[PERIOD]
    for c in range(READOUT + 1):
        if not (core[c, ENABLED] and core[c, LEAK] and state[c, STILL]) or period == 0:
            continue
        first, m = state[c, TICK], (when - state[c, TICK]) // period - REST // 2
        if first == NEVER or m <= 0:
            continue
        neurons = core[c, OUT_X] * core[c, OUT_Y] * core[c, OUT_F]
        busy = neurons * core[c, SYNOP]
        if busy:
            state[c, FREE] = max(max(state[c, FREE], first) + m * busy, first + (m - 1) * period + busy)
        state[c, TICK] += m * period
        state[c, TICKS] += m
        state[c, SYNOPS] += m * neurons


@inline
def after_tick(core: I64, state: I64, board: I64, c: int) -> None:
    """Sets the tick after this one; the internal clock sets its own."""
    if core[c, LEAK_INTERNAL] or board[PERIOD] == 0:
        state[c, TICK] = NEVER
    else:
        state[c, TICK] += board[PERIOD]


@bare
def pixel(
    core: I64, state: I64, link: I64, board: I64, ring: I64, out: I64, used: int,
    dvs: I64, dead: I8, when: int, x: int, y: int, p: int,
) -> int:  # fmt: skip
    """An event of a pixel through the DVS layer: polarity, pooling, region, mirror. Returns the rows of `out` used."""
    if dead[y * PIXELS + x]:
        return used
    board[PIXELS_SEEN] += 1
    if board[INTERNAL] and board[PIXELS_SEEN] % board[INTERNAL] == 0:
        for c in range(READOUT + 1):
            if core[c, LEAK_INTERNAL] and not state[c, STILL] and state[c, TICK] == NEVER:
                state[c, TICK] = when
    if dvs[DVS_RAW]:
        used = put(out, used, when, PIXEL, DVS_LAYER, x, y, p)
    if not (dvs[ON] if p else dvs[OFF]):
        return used
    f = 0 if dvs[MERGE] else p
    x, y = x >> dvs[DVS_POOL_X], y >> dvs[DVS_POOL_Y]
    if x < dvs[ORIGIN_X] or x > dvs[CUT_X] or y < dvs[ORIGIN_Y] or y > dvs[CUT_Y]:
        board[CUT_AWAY] += 1
        return used
    x = dvs[CUT_X] - x if dvs[MIRROR_X] else x - dvs[ORIGIN_X]
    y = dvs[CUT_Y] - y if dvs[MIRROR_Y] else y - dvs[ORIGIN_Y]
    if dvs[DIAGONAL]:
        x, y = y, x
    if dvs[DVS_MONITOR]:
        used = put(out, used, when, SPIKE, DVS_LAYER, x, y, f)
    for k in range(DVS_LINK, DVS_LINK + 2):
        if link[k, OPEN]:
            push(core, state, link, board, ring, k, when, x, y, f + link[k, SHIFT])
    return used


@bare
def access(
    core: I64, state: I64, board: I64, out: I64, used: int, neurons: I16, reader: I32, alias: I32,
    words: I64, event: I64, when: int,
) -> int:  # fmt: skip
    """A neuron read or written. Addresses of no neuron read 0 and take no value. Returns the rows of `out` used."""
    c, address = event[LAYER], event[X]
    at = reader[words[c] + address]
    if event[WHAT] == READ:
        value = int(neurons[at]) if at >= 0 else 0
        return int(put(out, used, when, NEURON, c, address, value, 0))
    state[c, STILL] = 0
    while at >= 0:
        neurons[at] = event[Y]
        at = alias[at]
    return used


@inline
def host_blocked(link: I64, core: I64, board: I64, event: I64) -> bool:
    """Whether the next event of the host has to wait for room in the chip."""
    if event[WHAT] == SPIKE:
        return bool(blocked(link, core, board, HOST_LINK + event[LAYER]))
    if event[WHAT] == PIXEL:
        return bool(blocked(link, core, board, DVS_LINK) or blocked(link, core, board, DVS_LINK + 1))
    return False


@bare
def advance(
    until: int, horizon: int, queue: I64, core: I64, state: I64, link: I64, board: I64, ring: I64, into: I64,
    out: I64, reserve: int, weights: I8, neurons: I16, biases: I16, dvs: I64, dead: I8, reader: I32, alias: I32,
    words: I64, counts: I64,
) -> tuple[int, int]:  # fmt: skip
    """Runs until nothing begins by `until`, and not past `horizon` or the host's last event, whichever is later.

    Takes the events of `queue` in order, writes what leaves the chip to `out`, and returns how many rows it used
    and how it ended. reserve: rows of `out` that one event may take.
    """
    used = 0
    while True:
        if used + reserve > len(out):
            return used, FULL
        taken = board[TAKEN]
        best, who, via, awake, resting = NEVER, -1, -1, NEVER, NEVER
        if taken < len(queue) and not host_blocked(link, core, board, queue[taken]):
            best = max(queue[taken, WHEN], state[HOST, FREE], state[HOST, UNBLOCKED])
            who, awake = HOST, best
        for c in range(READOUT + 1):
            if not core[c, ENABLED]:
                continue
            k, head = first(link, ring, into, c)
            when = head
            tick = state[c, TICK] if core[c, LEAK] else NEVER
            if tick <= when:
                k, when = -1, tick
            if when == NEVER or (
                c < READOUT and (blocked(link, core, board, 2 * c) or blocked(link, core, board, 2 * c + 1))
            ):
                continue
            begin = max(when, state[c, FREE], state[c, UNBLOCKED])
            if begin < best:
                best, who, via = begin, c, k
            if k < 0 and state[c, STILL]:
                resting, awake = min(resting, tick), min(awake, head)
            else:
                awake = min(awake, begin)
        if resting < NEVER and board[PERIOD] > 0:
            target = min(awake, until if taken < len(queue) else min(until, max(horizon, state[HOST, FREE])))
            if target - resting > REST * board[PERIOD]:
                skip_rest(core, state, board, target)
                continue
        if who < 0:
            return used, DEADLOCK if taken < len(queue) or board[WAITING] > 0 else DONE
        if best > until or (taken == len(queue) and best >= max(horizon, state[HOST, FREE])):
            return used, DONE
        if who == HOST:
            event = queue[taken]
            board[TAKEN] += 1
            state[HOST, LATEST] = max(state[HOST, LATEST], best - event[WHEN])
            state[HOST, FREE] = best
            state[HOST, EVENTS] += 1
            what = event[WHAT]
            if what == SPIKE:
                k = HOST_LINK + event[LAYER]
                push(core, state, link, board, ring, k, best, event[X], event[Y], event[F])
            elif what == PIXEL:
                x, y, p = event[X], event[Y], event[F]
                used = pixel(core, state, link, board, ring, out, used, dvs, dead, best, x, y, p)
            elif what in (READ, WRITE):
                used = access(core, state, board, out, used, neurons, reader, alias, words, event, best)
            else:
                dead[event[Y] * PIXELS + event[X]] = 1 if what == KILL else 0
        elif via < 0:
            if who == READOUT:
                used = tick_readout(core, state, board, out, used, counts, best)
            else:
                used = leak(core, state, link, board, ring, out, used, neurons, biases, who, best)
            after_tick(core, state, board, who)
        else:
            packed = pop(state, link, board, ring, via, best)
            x, y, f = packed & 0xFFFF, (packed >> 16) & 0xFFFF, packed >> 32
            if who == READOUT:
                count(state, counts, x, y, f)
            else:
                used = convolve(
                    core, state, link, board, ring, out, used, weights, neurons, who, best, x, y, f
                )

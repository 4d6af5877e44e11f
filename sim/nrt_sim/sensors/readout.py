"""The readout: an arbiter that grants rows one after the other, a bounded FIFO, a clock of finite resolution.

A pixel that fires asks for its row; rows are granted in the order of their first request, when the bus is free. A
granted row sends all its waiting events with one time stamp. That takes `row` + `event` per event of bus time, so
that a busy scene is delayed, its rows grouped, and, when `depth` events wait already, thinned: what comes then is
dropped and counted. Where `row` is 0 there are no rows: events leave one by one. (Such arbiters: K. Boahen,
"Point-to-point connectivity between neuromorphic chips using address events", IEEE TCAS-II 47(5), 2000; the numbers
of a sensor are in `presets`.)
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import inline, jit
from nrt.packet import Records
from nrt_sim.sensors.parameters import Readout

Ints = NDArray[np.int64]
XYP: Final = 0x1_FFFF_FFFF
PS: Final = 1_000_000
"""Picoseconds per µs."""


class Bus:
    """State of one readout between steps: what waits, in which rows, and until when the bus is busy."""

    def __init__(self, readout: Readout, height: int) -> None:
        self._readout = readout
        self._height = height
        self.reset()

    def reset(self) -> None:
        """Empties everything."""
        depth = self._readout.depth
        self._waiting = np.zeros(depth, np.int64)  # polarity << 32 | y << 16 | x
        self._next = np.arange(1, depth + 1, dtype=np.int64)  # list of free places, and of each row's events
        self._head = np.zeros(self._height, np.int64)
        self._tail = np.zeros(self._height, np.int64)
        self._counts = np.zeros(self._height, np.int64)
        self._rows = np.zeros(self._height, np.int64)  # ring of rows that asked, and when (ps)
        self._asked = np.zeros(self._height, np.int64)
        # first of ring, rows in it, first free place, events waiting, bus busy until (ps), dropped
        self._state = np.zeros(6, np.int64)

    @property
    def waiting(self) -> int:
        """Events that were not read out yet."""
        return int(self._state[3])

    @property
    def dropped(self) -> int:
        """Events that found the FIFO full."""
        return int(self._state[5])

    def step(self, events: Ints, count: int, start: int, span: int, out: Records) -> int:
        """Passes `count` sorted events on; fills `out` with what leaves in [start, start + span); how many."""
        r = self._readout
        rows = out.view(np.int64).reshape(len(out), 2)
        if not r.row:
            return queue(
                events, count, start, span, round(r.event * 1_000), r.quantum, self._waiting, self._next,
                self._state, rows,
            )  # fmt: skip
        return transfer(
            events, count, start, span, round(r.row * 1_000), round(r.event * 1_000), r.quantum, self._waiting,
            self._next, self._head, self._tail, self._counts, self._rows, self._asked, self._state,
            rows,
        )  # fmt: skip


@jit
def transfer(
    events: Ints,
    count: int,
    start: int,
    span: int,
    row_time: int,
    event_time: int,
    quantum: int,
    waiting: Ints,
    following: Ints,
    head: Ints,
    tail: Ints,
    counts: Ints,
    rows: Ints,
    asked: Ints,
    state: Ints,
    out: Ints,
) -> int:
    """See `Bus.step`; times in ps. A row is granted only before the next arrival: what comes at once goes at once.

    What comes in one µs to an idle bus that manages it within that µs leaves with that stamp, whatever the order.
    """
    height = len(counts)
    room = len(waiting) - state[3]
    first, asking, free, busy = state[0], state[1], state[2], state[4]
    n = 0
    easy = PS // max(row_time + event_time, 1)  # as many a µs the bus manages, whichever rows they are in
    k = 0
    while k <= count:
        if asking == 0 and k < count and busy <= (start + (events[k] >> 33)) * PS:
            offset = events[k] >> 33
            after = k + 1
            while after < count and events[after] >> 33 == offset:
                after += 1
            if after - k <= min(easy, room):
                stamp = start + offset
                if quantum > 1:
                    stamp = max(stamp // quantum * quantum, start)
                for i in range(k, after):
                    out[np.uint64(n), 0] = stamp
                    out[np.uint64(n), 1] = events[i] & XYP
                    n += 1
                k = after
                continue
        arrival = (start + span if k == count else start + (events[k] >> 33)) * PS
        while asking > 0 and max(busy, asked[first]) < arrival:
            row, granted = rows[first], max(busy, asked[first])
            busy = granted + row_time + event_time * counts[row]
            stamp = granted // PS
            if quantum > 1:
                stamp = max(stamp // quantum * quantum, start)
            place = head[row]
            for _ in range(counts[row]):
                out[n, 0] = stamp
                out[n, 1] = waiting[place]
                n += 1
                following_place = following[place]
                following[place] = free
                free = place
                place = following_place
            room += counts[row]
            counts[row] = 0
            first = first + 1 if first + 1 < height else 0
            asking -= 1
        if k == count:
            break
        k += 1
        if room == 0:
            state[5] += 1
            continue
        room -= 1
        place = free
        free = following[place]
        waiting[place] = events[k - 1] & XYP
        row = (events[k - 1] >> 16) & 0xFFFF
        if counts[row]:
            following[tail[row]] = place
        else:
            head[row] = place
            last = first + asking
            last = last if last < height else last - height
            rows[last], asked[last] = row, arrival
            asking += 1
        tail[row] = place
        counts[row] += 1
    state[0], state[1], state[2], state[3], state[4] = first, asking, free, len(waiting) - room, busy
    return n


@jit
def queue(
    events: Ints,
    count: int,
    start: int,
    span: int,
    event_time: int,
    quantum: int,
    waiting: Ints,
    leaves: Ints,
    state: Ints,
    out: Ints,
) -> int:
    """A bus without rows: events leave one by one, in the order in which they came. Times in ps.

    When an event leaves is known as soon as it comes: after those before it. `waiting` and `leaves` are a ring of
    those that leave in a later step; state as in `Bus`, of which the ring's first place, what waits, until when the
    bus is busy, and what was dropped are used.
    """
    depth = len(waiting)
    first, held, busy = state[0], state[3], state[4]
    end, limit, n = (start + span) * PS, (depth - 1) * event_time, 0
    while held > 0 and leaves[first] < end:
        n = _emit(out, n, leaves[first] // PS, waiting[first], quantum, start)
        first = first + 1 if first + 1 < depth else 0
        held -= 1
    for k in range(count):
        arrival = (start + (events[k] >> 33)) * PS
        if busy - arrival > limit:
            state[5] += 1
            continue
        time = max(busy, arrival)
        busy = time + event_time
        if time < end:
            n = _emit(out, n, time // PS, events[k] & XYP, quantum, start)
            continue
        last = first + held
        last = last if last < depth else last - depth
        waiting[last], leaves[last] = events[k] & XYP, time
        held += 1
    state[0], state[3], state[4] = first, held, busy
    return n


@inline
def _emit(out: Ints, n: int, stamp: int, xyp: int, quantum: int, start: int) -> int:
    if quantum > 1:
        stamp = max(stamp // quantum * quantum, start)
    out[np.uint64(n), 0] = stamp
    out[np.uint64(n), 1] = xyp
    return n + 1


@jit
def release(events: Ints, count: int, start: int, out: Ints) -> None:
    """Without a readout: every event at its own time."""
    for k in range(count):
        out[k, 0] = start + (events[k] >> 33)
        out[k, 1] = events[k] & XYP

"""The readout: an arbiter that grants rows one after the other, a bounded FIFO, a clock of finite resolution.

A pixel that fires asks for its row; rows are granted in the order of their first request, when the bus is free. A
granted row sends all its waiting events with one time stamp. That takes `row` + `event` per event of bus time, so
that a busy scene is delayed, its rows grouped, and, when `depth` events wait already, thinned: what comes then is
dropped and counted. (K. Boahen, "Point-to-point connectivity between neuromorphic chips using address events", IEEE
TCAS-II 47(5), 2000, describes such arbiters; the numbers of a sensor are in `presets`.)
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
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
        return transfer(
            events, count, start, span, round(r.row * 1_000), round(r.event * 1_000), r.quantum, self._waiting,
            self._next, self._head, self._tail, self._counts, self._rows, self._asked, self._state,
            out.view(np.int64).reshape(len(out), 2),
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
    """See `Bus.step`; times in ps. A row is granted only before the next arrival: what comes at once goes at once."""
    height = len(counts)
    room = len(waiting) - state[3]
    first, asking, free, busy = state[0], state[1], state[2], state[4]
    n = 0
    for k in range(count + 1):
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
        if room == 0:
            state[5] += 1
            continue
        room -= 1
        place = free
        free = following[place]
        waiting[place] = events[k] & XYP
        row = (events[k] >> 16) & 0xFFFF
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
def release(events: Ints, count: int, start: int, out: Ints) -> None:
    """Without a readout: every event at its own time."""
    for k in range(count):
        out[k, 0] = start + (events[k] >> 33)
        out[k, 1] = events[k] & XYP

"""The development kit around the chip: its queue of input, stop watch, slow clock, power meter, and what may go wrong.

Nothing here runs by itself: whoever waits for output computes it (`Tap.take`), without the interpreter lock.

pace 0, virtual time: the stop watch stands at the time of the last event that was handed to the chip. Nothing
later happens until a later event is queued, so results depend neither on this machine's speed nor on how the input
was cut into writes. Any other pace: board time is wall time times pace.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

import numpy as np

from nrt_sim.chips.speck import columns as c
from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.chip import Chip
from nrt_sim.chips.speck.configuration import SpeckConfiguration
from nrt_sim.chips.speck.faults import Faults
from nrt_sim.chips.speck.kernels import I64

US: Final = 1_000_000
"""Picoseconds in a microsecond."""
QUEUE: Final = 1 << 18
"""Input events that wait in the board before a write computes, or waits; the real size is not published."""
_WRAP: Final = 1 << 32


class Tap:
    """One reader of a stream: rows that have arrived for it."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._rows: deque[I64] = deque()

    def put(self, rows: I64) -> None:
        self._rows.append(rows)

    def take(self, timeout: float) -> I64:
        """Everything that has arrived; waits up to `timeout` s for the first. Raises RuntimeError when unplugged."""
        deadline = time.monotonic() + timeout
        with self._board.changed:
            while True:
                self._board.pull()
                if self._rows:
                    rows = np.concatenate(self._rows)
                    self._rows.clear()
                    return rows
                left = deadline - time.monotonic()
                if left <= 0:
                    return np.zeros((0, c.N_EVENT), np.int64)
                self._board.changed.wait(min(left, self._board.due()))


class Board:
    """A Speck2f development kit. Its methods may be called from any thread."""

    def __init__(self, chip: Chip, faults: Faults, pace: float = 0.0) -> None:
        self.changed = threading.Condition()
        self.chip = chip
        self.events: list[Tap] = []
        self.power: list[Tap] = []
        self._faults = faults
        self._pace = pace
        self._begun = time.monotonic()
        self._queue: I64 = np.zeros((0, c.N_EVENT), np.int64)
        self._fresh: list[I64] = []  # written since the last pull
        self._tail = 0  # time of the last event in the queue, ps
        self._zero = 0  # when the stop watch was reset, ps
        self._stamping = True
        self._seen = 0
        self._silent = False
        self._unplugged = False
        self._meter = PowerMeter()
        self._slow_hz = 0
        self._slow_on = False

    # What the host does

    def configure(self, config: SpeckConfiguration) -> None:
        """Plays what was queued, then loads `config`. Raises ValueError, RuntimeError."""
        with self.changed:
            self.pull()
            self.chip.configure(config)
            self._meter.recount()
            self._silent = self._faults.silent(self._seen)

    def write(self, rows: I64) -> None:
        """Queues input rows whose WHEN is a 32-bit stamp, or -1. Raises RuntimeError when unplugged."""
        with self.changed:
            self._alive()
            while len(self._queue) + sum(map(len, self._fresh)) > QUEUE:
                self.pull()
                if len(self._queue) > QUEUE:
                    self.changed.wait(self.due())
            self._seen += len(rows)
            rows = rows[: self._faults.swallow(self._seen, len(rows))]
            if len(rows):
                self._fresh.append(self._timed(rows))
            if self._faults.unplugged(self._seen):
                self._unplugged = True
            self.changed.notify_all()

    def reset_stop_watch(self) -> None:
        with self.changed:
            self.pull()
            self._zero = self._tail = max(self._tail, self._now())

    def stamp(self, on: bool) -> None:
        """Whether the stop watch runs; while it does not, events go to the chip at once."""
        with self.changed:
            self.pull()
            self._stamping = on

    def slow_clock(self, on: bool, rate_hz: int) -> None:
        """The external slow clock. Raises ValueError outside 1 Hz to 10 kHz."""
        low, high = figures.SLOW_CLOCK_HZ
        if on and not low <= rate_hz <= high:
            raise ValueError(f"a slow clock of {rate_hz} Hz; allowed are {low} to {high}")
        with self.changed:
            self.pull()
            self.chip.slow_clock(10**12 // rate_hz if on else 0)

    def measure_power(self, rate_hz: float) -> None:
        """Starts the meter, or stops it with 0. Raises ValueError above 100 Hz."""
        if not 0 <= rate_hz <= figures.POWER_HZ:
            raise ValueError(f"a power sampling rate of {rate_hz} Hz; at most {figures.POWER_HZ:g} Hz")
        with self.changed:
            self.pull()
            self._meter.start(max(self._tail, self._now()), rate_hz, self._synops())

    def unplug(self) -> None:
        """The cable comes off: from now on everything raises."""
        with self.changed:
            self._unplugged = True
            self.changed.notify_all()

    def plug(self) -> None:
        """The cable is back; the chip lost its configuration."""
        with self.changed:
            self._unplugged = False
            self._queue = self._queue[:0]
            self._fresh.clear()
            self.chip.configure(SpeckConfiguration())
            self._meter = PowerMeter()

    # What the board does

    def pull(self) -> None:
        """Computes what can be computed by now and gives it to the readers. The caller holds `changed`."""
        self._alive()
        self._queue = np.concatenate((self._queue, *self._fresh)) if self._fresh else self._queue
        self._fresh.clear()
        wall = self._now() if self._pace else 0
        while True:
            until = self._meter.next if not self._pace else min(self._meter.next, wall)
            out, taken, stuck = self.chip.run(self._queue, until, wall)
            self._queue = self._queue[taken:]
            self._silent |= stuck or self._faults.overloaded(int(self.chip.state[c.HOST, c.LATEST]))
            if self._silent:
                self._queue = self._queue[:0]
                return
            if len(out):
                self._send(out, self.events)
            if self._meter.next > max(self.chip.now, wall) and (
                self._pace or not len(self._queue) or self._meter.next == c.NEVER
            ):
                return
            sample = self._meter.sample(self._synops())
            sample[:, c.WHEN] = max(self.chip.now, wall)
            self._send(sample, self.power)

    def due(self) -> float:
        """How long until something may happen by itself, s of wall time."""
        if not self._pace:
            return threading.TIMEOUT_MAX
        if len(self._queue):
            return max(1e-4, (int(self._queue[0, c.WHEN]) - self._now()) / 1e12 / self._pace)
        return 1e-3

    def _alive(self) -> None:
        if self._unplugged:
            raise RuntimeError("the USB device is disconnected")

    def _now(self) -> int:
        """Board time, ps."""
        if not self._pace:
            return self.chip.now
        return int((time.monotonic() - self._begun) * self._pace * 1e12)

    def _synops(self) -> int:
        return int(self.chip.state[: figures.CORES, c.SYNOPS].sum())

    def _timed(self, rows: I64) -> I64:
        """The rows with WHEN in ps of board time: never before what is queued already."""
        least = max(self._tail, self._now())
        timed = rows[:, c.WHEN] >= 0
        when: I64 = np.full(len(rows), least, np.int64)
        if self._stamping:
            base = (least - self._zero) // US
            ahead = (rows[timed, c.WHEN] - base + _WRAP // 2) % _WRAP - _WRAP // 2
            when[timed] = np.maximum(least, self._zero + (base + ahead) * US)
        rows[:, c.WHEN] = np.maximum.accumulate(when)
        self._tail = int(rows[-1, c.WHEN])
        return rows

    def _send(self, rows: I64, taps: list[Tap]) -> None:
        """Stamps rows by the stop watch and gives them to the readers."""
        rows[:, c.WHEN] = ((rows[:, c.WHEN] - self._zero) // US) % _WRAP
        for tap in taps:
            tap.put(rows)


class PowerMeter:
    """The model of the power monitor: idle power per rail, and energy per synaptic operation on RAM and logic.

    The figures and which of them are estimates: `figures`. Samples are stamped when they are delivered, in bursts,
    as users report of the real board; so integrate by their number.
    """

    def __init__(self) -> None:
        self.next: int = c.NEVER
        self._period = 0
        self._synops = 0

    def start(self, now: int, rate_hz: float, synops: int) -> None:
        self._period = int(1e12 / rate_hz) if rate_hz else 0
        self.next = now + self._period if rate_hz else c.NEVER
        self._synops = synops

    def recount(self) -> None:
        """The chip's counters began anew."""
        self._synops = 0

    def sample(self, synops: int) -> I64:
        """A row per rail; X is its channel, Y its power in pW, averaged since the last sample."""
        watts = np.array(figures.IDLE_W)
        watts[1:3] += figures.SYNOP_J * (synops - self._synops) / (self._period * 1e-12) / 2
        self._synops = synops
        self.next += self._period
        rows: I64 = np.zeros((len(watts), c.N_EVENT), np.int64)
        rows[:, c.X] = np.arange(len(watts))
        rows[:, c.Y] = np.round(watts * 1e12)
        return rows

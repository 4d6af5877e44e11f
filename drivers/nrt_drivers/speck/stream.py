"""Packets out of a chip that has no packets: spikes in the order of their stamps, cut where markers come back.

The driver ends every packet that it sends with a marker of the packet's end. The board hands events to the chip at
their times and reports what leaves it in the order of times, so when a marker returns, every spike of an earlier
time has been reported: the output packet is complete. Nothing waits for a time to pass, and no settling time is
guessed, but at the end of a run: there one more marker goes `settle` µs after the end, for the spikes that the last
events cause; if there are any they make one packet more, which ends with the last of them.

A spike's t is the time at which it left the chip, on the stream's clock. What is reported later than its packet is
given the start of the next one and counted (`late`): a promise once made is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nrt.packet import SPIKE, Packet, Records
from nrt_drivers.speck.chip import Layer
from nrt_drivers.speck.edge import FEATURE, LAYER, TIME, Int, Marker, X, Y, unwrapped

DEPTH = 8
"""Packets on the board at once; more wait in the source."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet on the board, in stream time; `deadline`: host ns at which its marker must be back; `last` of a run.

    due: host ns at which the board's clock reaches its end; 0 where nobody asks · begun: the same, or when it was
         given to the board if that was later
    """

    number: int
    start: int
    end: int
    deadline: int
    last: bool = False
    due: int = 0
    begun: int = 0

    def done(self, time: int) -> int:
        """Host ns of its marker's time on the board's clock, given as stream time."""
        return self.due and self.due + (time - self.end) * 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A layer whose spikes the chip reports, and the core it is on."""

    layer: Layer
    core: int

    def spikes(self, rows: Int, times: Int) -> Records:
        """SPIKE records of this layer's rows."""
        _, height, width = self.layer.outputs
        out = np.zeros(len(rows), SPIKE)
        out["t"] = times
        out["n"] = (rows[:, FEATURE] * height + rows[:, Y]) * width + rows[:, X]
        out["v"] = 1
        return out


START = 0
"""Number of the marker that begins a run: what was reported before it is of no run."""


class Flight:
    """One run on the board: what was sent and has not come back, and the packets that are ready.

    Until `begin` and the start marker nothing counts; `next` waits.
    """

    def __init__(self, watched: Mapping[str, Watched], marker: Marker) -> None:
        self._watched, self._marker = watched, marker
        self._offset = 0
        self._begun = False
        self._landed = START
        self._sent: deque[Sent] = deque()
        self._kept: list[tuple[Int, Int]] = []  # rows and their times, of packets whose marker is not back
        self._board_time = 0
        self._out: asyncio.Queue[Packet | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._ended = False
        self.counts = {name: np.zeros(w.layer.outputs, np.int64).reshape(-1) for name, w in watched.items()}
        """Spikes of each neuron of each watched layer."""
        self.lag = 0
        """How far the board has fallen behind its input, µs: the largest delay of a marker."""
        self.late = 0
        self.strange = 0

    def begin(self, offset: int, deadline: int) -> None:
        """The start marker is on its way. offset: stream time minus board time, µs."""
        self._offset = offset
        self._sent.append(Sent(START, offset, offset, deadline))

    @property
    def _ready(self) -> int:
        """Input packets whose output nobody has taken."""
        return self._out.qsize() // max(1, len(self._watched))

    async def landed(self) -> None:
        """Waits until everything that was sent is back, or the run has failed."""
        while self._sent and not self._ended:
            self._room.clear()
            await self._room.wait()

    @property
    def overdue(self) -> int | None:
        """Host ns at which the oldest marker must be back, None if none is out."""
        return self._sent[0].deadline if self._sent else None

    async def room(self) -> None:
        """Waits until another packet may go to the board: not too many are on it or wait for the user."""
        while not self._ended and len(self._sent) + self._ready >= DEPTH:
            self._room.clear()
            await self._room.wait()

    def launch(self, sent: Sent) -> None:
        """A packet and its marker are on their way."""
        self._sent.append(sent)

    def receive(self, rows: Int, stamp: int) -> None:
        """Takes reported spikes int64[n, 5] in the order in which they came; host time of the last."""
        if not self._begun:
            rows = self._from_start(rows)
        if not len(rows) or self._ended:
            return
        times = unwrapped(rows[:, TIME], self._board_time)
        self._board_time = int(times[-1])
        times = times + self._offset
        marks = np.flatnonzero(rows[:, LAYER] == self._marker.layer)
        numbers = Marker.numbers(rows[marks])
        begin = 0
        for at, number in zip(marks.tolist(), numbers.tolist(), strict=True):
            self._keep(rows[begin:at], times[begin:at])
            begin = at + 1
            self._land(number, int(times[at]), stamp)
        self._keep(rows[begin:], times[begin:])

    def _from_start(self, rows: Int) -> Int:
        """The rows after the start marker; none if it is not among them."""
        starts = np.flatnonzero((rows[:, LAYER] == self._marker.layer) & (Marker.numbers(rows) == START))
        if not self._sent or not len(starts):
            return rows[:0]
        self._begun = True
        self._board_time = int(rows[starts[-1], TIME])
        self._sent.popleft()
        self._room.set()
        return rows[starts[-1] + 1 :]

    def _keep(self, rows: Int, times: Int) -> None:
        if len(rows):
            self._kept.append((rows, times))

    def _land(self, number: int, time: int, stamp: int) -> None:
        """A marker is back: its packet, and any before whose marker was lost, are complete."""
        if all(sent.number % 256 != number for sent in self._sent):
            self.strange += number != self._landed % 256  # a marker's second copy is no stranger
            return
        while self._sent:
            sent = self._sent.popleft()
            self.lag = max(self.lag, time - sent.end)
            self._landed = sent.number
            self._emit(sent, stamp, sent.done(time))
            if sent.last:
                self.end()
            if sent.number % 256 == number:
                break
        self._room.set()

    def _emit(self, sent: Sent, stamp: int, done: int) -> None:
        rows = np.concatenate([np.empty((0, 5), np.int64), *(part for part, _ in self._kept)])
        times = np.concatenate([np.empty(0, np.int64), *(part for _, part in self._kept)])
        end = sent.end
        if sent.last:  # a board that is behind stamps later than `settle` what its last events cause
            end = max(end, int(times.max(initial=end - 1)) + 1)
        due = times < end
        if sent.last and not bool(np.any(due)):
            return  # nothing came after the last packet of the input
        self._kept = [(rows[~due], times[~due])]
        rows, times = rows[due], times[due]
        self.late += int(np.count_nonzero(times < sent.start))
        times = np.maximum(times, sent.start)
        order = np.argsort(times, kind="stable")
        rows, times = rows[order], times[order]
        taken = 0
        for name, watched in self._watched.items():
            mine = rows[:, LAYER] == watched.core
            data = watched.spikes(rows[mine], times[mine])
            data, wrong = _inside(data, watched.layer)
            self.strange += wrong
            taken += len(data) + wrong
            self.counts[name] += np.bincount(data["n"], minlength=len(self.counts[name]))
            packet = Packet(
                data, sent.start, end, stamp, origin=name, begun=sent.begun, done=min(done, stamp)
            )
            self._out.put_nowait(packet)
        self.strange += len(rows) - taken

    def end(self, failure: BaseException | None = None) -> None:
        """No more packets: `next` gives what is ready, then None or raises `failure`."""
        if not self._ended:
            self._ended = True
            self._out.put_nowait(failure)
            self._room.set()

    async def next(self) -> Packet | None:
        """The next output packet; None at the end. Raises what the run died of."""
        item = await self._out.get()
        self._room.set()
        if item is None or isinstance(item, BaseException):
            self._out.put_nowait(item)  # whoever asks again gets the same answer
            if item is not None:
                raise item
            return None
        return item


def _inside(data: Records, layer: Layer) -> tuple[Records, int]:
    """The records of neurons that exist, and how many are of others."""
    f, height, width = layer.outputs
    good = data["n"] < f * height * width
    if bool(np.all(good)):
        return data, 0
    kept = np.zeros(int(np.count_nonzero(good)), SPIKE)
    kept[:] = data[good]
    return kept, len(data) - len(kept)

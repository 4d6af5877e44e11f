"""Sequencer: the part of the emulated bridge's firmware that hands events to the chip and collects its spikes.

Events wait in a FIFO until their device time has come; each is offered when the chip is quiet. Spikes wait in
another FIFO until the link takes them; when that is full the chip is held, or spikes are dropped and a gap says how
many. A mark comes out behind everything that was caused before it.

A bridge knows no more of its chip than its acknowledgements and the times that `Stream` gives it; `unsettled` and
`cascades_over` are what it can tell from that. Paced, execution takes the time that those give, on the device clock;
otherwise everything happens as soon as it may.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import Batch, Stream, events
from nrt.bridge.events import Times, Words
from nrt_sim.chips.tinyodin.core import SPEC, Chip

CHUNK: Final = 1024  # words that are handed to the emulated chip at a time

_NO_WORDS: Final = np.empty(0, np.uint32)
_NO_TIMES: Final = np.empty(0, np.int64)


class Sequencer:
    """Input FIFO, chip, output FIFO. Times are device µs.

    depth_in, depth_out: words that the FIFOs take
    stalled: the chip did not acknowledge an event; what was waiting has been thrown away and counted
    """

    def __init__(self, chip: Chip, clock: int, *, depth_in: int, depth_out: int, paced: bool) -> None:
        self._chip, self._clock, self._paced = chip, clock, paced
        self._depth_in, self._depth_out = depth_in, depth_out
        self.counts: Counter[str] = Counter()
        self.stream = Stream(())
        self.dies_after: int | None = None
        self._waiting: deque[tuple[Words, Times]] = deque()
        self._out, self._out_times = _NO_WORDS, _NO_TIMES
        self.begin()

    def begin(self) -> None:
        """A new session: what was waiting is thrown away and counted."""
        self.flush()
        self.received = self.executed = 0
        self._until = 0.0  # µs at which the chip has done what it was given

    def flush(self) -> None:
        """Throws away what waits, both ways."""
        self.counts["events_flushed"] += sum(_events(words) for words, _ in self._waiting)
        self.counts["spikes_flushed"] += _events(self._out)
        self._waiting.clear()
        self._out, self._out_times = _NO_WORDS, _NO_TIMES
        self.stalled = False

    def unsent(self, spikes: int) -> None:
        """Spikes that were given to a link which ended before they were acknowledged."""
        self.counts["spikes_sent"] -= spikes
        self.counts["spikes_flushed"] += spikes

    @property
    def credit(self) -> int:
        """Words of this session that may have been sent: those executed and what the FIFO takes."""
        return self.executed + self._depth_in

    @property
    def idle(self) -> bool:
        """Whether every word was executed, and what it caused was taken."""
        return not self._waiting and not len(self._out)

    def put(self, batch: Batch) -> None:
        """Takes the words of one message."""
        self.received += len(batch.words)
        self.counts["events_in"] += _events(batch.words)
        self._waiting.append((batch.words, batch.times()))

    # ------------------------------------------------------------------------------------------- the chip

    def advance(self, time: int) -> bool:
        """Executes what may be executed by now; returns whether anything was."""
        moved = False
        while self._waiting and not self.stalled and not self._held:
            count = self._ready(time)
            if not count:
                break
            words, times = self._waiting.popleft()
            if count < len(words):
                self._waiting.appendleft((words[count:], times[count:]))
            self._execute(words[:count], times[:count], time)
            moved = True
        return moved

    @property
    def _held(self) -> bool:
        """Whether the output FIFO is full and holds the chip."""
        return len(self._out) >= self._depth_out and not self.stream.drop

    def _ready(self, time: int) -> int:
        """How many of the next words may be executed."""
        _, times = self._waiting[0]
        count = min(int(np.searchsorted(times, time, "right")), CHUNK)
        if not self._paced or not count:
            return count
        if self._until > time:
            return 0
        quickest = min((s.time_ns for s in self.stream.services), default=0) / 1e3
        return count if quickest == 0 else min(count, 1 + int((time - self._until) / quickest))

    def _execute(self, words: Words, times: Times, time: int) -> None:
        kinds = events.KINDS.classify(words)
        at = np.flatnonzero(kinds == events.EVENT)
        addresses = events.addresses(words[at])
        if not self._answers(addresses):
            self.stalled = True
            self.counts["events_flushed"] += len(at)
            return
        spikes, cause = self._offer(addresses)
        ends = self._ends(addresses, cause, times[at], time)
        marks = np.flatnonzero(kinds == events.MARK)
        place = np.concatenate([at[cause] if len(at) else cause, marks])
        order = np.argsort(place, kind="stable")
        out = np.concatenate([events.pack_events(spikes), events.pack_marks(events.tags(words[marks]))])
        when = self._when(place[order], at, ends, time)
        self._emit(out[order], when)
        self.executed += len(words)
        self.counts["events_executed"] += len(at)

    def _answers(self, addresses: NDArray[np.uint16]) -> bool:
        """Whether the chip acknowledges these events: not with its gate closed, and not what its bus cannot carry."""
        if not len(addresses):
            return True
        if self.dies_after is not None and self.counts["events_executed"] >= self.dies_after:
            return False
        return self._chip.ready and bool((SPEC.kinds("aer_in").classify(addresses) >= 0).all())

    def _offer(self, addresses: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        if not len(addresses):
            return np.empty(0, np.uint8), np.empty(0, np.int64)
        gap = max(1, self.stream.settle_us * self._clock // 1_000_000)
        spikes, cause = self._chip.aer_in(addresses, gap)
        cause = np.maximum(cause, 0)  # what earlier events still caused comes with the first of these
        self.counts["spikes_seen"] += len(spikes)
        self.counts["unsettled"] += not self._chip.at_rest
        if self.stream.loop and self.stream.cascade and len(cause):
            self.counts["cascades_over"] += int(np.count_nonzero(np.bincount(cause) > self.stream.cascade))
        return spikes, cause

    # ------------------------------------------------------------------------------------------- time

    def _ends(self, addresses: NDArray[np.uint16], cause: NDArray[np.int64], due: Times, time: int) -> Times:
        """Device µs at which the chip is quiet after each event."""
        if not self._paced:
            return np.full(len(addresses), time, np.int64)
        spent = self._service(addresses) + np.bincount(cause, minlength=len(addresses)) * (
            self.stream.spike_ns if self.stream.loop else 0
        )
        ends = np.empty(len(addresses), np.float64)
        until = self._until
        for k, (begin, ns) in enumerate(zip(due.tolist(), spent.tolist(), strict=True)):
            until = max(until, float(begin)) + ns / 1e3
            ends[k] = until
        self._until = max(until, self._until, float(time) if not len(addresses) else 0.0)
        result: Times = np.ceil(ends).astype(np.int64)
        return result

    def _service(self, addresses: NDArray[np.uint16]) -> NDArray[np.int64]:
        """ns that each event keeps the chip busy, by the first service that fits."""
        out = np.zeros(len(addresses), np.int64)
        for service in reversed(self.stream.services):
            out[(addresses & service.mask) == service.match] = service.time_ns
        return out

    def _when(self, places: NDArray[np.int64], at: NDArray[np.int64], ends: Times, time: int) -> Times:
        """The time of each output word: the end of the event that caused it, or that comes last before a mark."""
        last = np.searchsorted(at, places, "right") - 1
        before = int(self._until) if self._paced and not len(ends) else time
        times = np.where(last >= 0, ends[np.maximum(last, 0)] if len(ends) else before, before)
        floor = int(self._out_times[-1]) if len(self._out_times) else 0
        result: Times = np.maximum.accumulate(np.maximum(times, floor)) if len(times) else _NO_TIMES
        return result

    # ------------------------------------------------------------------------------------------- spikes out

    def _emit(self, words: Words, times: Times) -> None:
        """Into the output FIFO. Marks always find room; spikes may have to be dropped, a gap says how many."""
        if self.stream.drop:
            words, times = self._fitting(words, times)
        self._out = np.concatenate([self._out, words])
        self._out_times = np.concatenate([self._out_times, times])

    def _fitting(self, words: Words, times: Times) -> tuple[Words, Times]:
        room = max(0, self._depth_out - len(self._out))
        spikes = events.KINDS.classify(words) == events.EVENT
        lost = spikes & (np.cumsum(spikes) > room)
        count = int(lost.sum())
        if not count:
            return words, times
        self.counts["spikes_dropped"] += count
        first = int(np.argmax(lost))
        words = np.concatenate([words[:first], events.pack_gap(count), words[first:][~lost[first:]]])
        times = np.concatenate([times[:first], times[first : first + 1], times[first:][~lost[first:]]])
        return words, times

    def take(self, most: int, time: int) -> Batch | None:
        """Up to `most` words whose time has come, in one batch; None where there is nothing."""
        count = min(most, int(np.searchsorted(self._out_times, time, "right")))
        if not count:
            return None
        far = np.flatnonzero(np.diff(self._out_times[:count]) > events.LONGEST_DELTA)
        count = int(far[0]) + 1 if len(far) else count
        batch = events.timed(self._out[:count], self._out_times[:count])
        self._out, self._out_times = self._out[count:], self._out_times[count:]
        self.counts["spikes_sent"] += _events(batch.words)
        return batch

    def due(self) -> int | None:
        """Device µs at which `advance` or `take` has something to do next; None while only the link can change that."""
        times: list[int] = []
        if len(self._out_times):
            times.append(int(self._out_times[0]))
        if self._waiting and not self.stalled and not self._held:
            times.append(max(int(self._waiting[0][1][0]), int(np.ceil(self._until)) if self._paced else 0))
        return min(times, default=None)


def _events(words: Words) -> int:
    return int(np.count_nonzero(events.KINDS.classify(words) == events.EVENT))

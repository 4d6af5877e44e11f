"""From decoded events to packets: order, reused memory, cuts in time.

Decoding is exact and unordered as the bytes have it (`nrt.formats`); a stream needs order. Three things can
break it, and each is repaired in one named way and counted:

late     an event a little earlier than its predecessor is sorted in; if its packet has left already, it is
         moved to the start of the next one
resets   time jumps back by more than `RESET` (a camera's clock was reset): time goes on from the last event
gaps     time jumps forward by more than `gap` without an event (a damaged stamp, a paused recording): closed
         to `gap`
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.packet import Packet, Records

SLAB: Final = 1 << 16
"""Events decoded at a time: 1 MB, which stays in the second-level cache."""
RESET: Final = 1_000_000
"""A step back in time of more than this many µs is a clock that was reset."""
GAP: Final = 600_000_000
"""The longest time in µs without an event that is believed."""

Times = NDArray[np.int64]


class Slabs:
    """Reused arrays for packets to be views of. An array is taken again only when no packet refers to it."""

    def __init__(self, dtype: np.dtype[np.void], keep: int = 16) -> None:
        self._dtype = dtype
        self._keep = keep
        self._slabs: list[Records] = []

    def take(self) -> Records:
        """An array that nobody else sees: fresh memory costs a page fault per 4 KiB, so a used one first."""
        for k in range(len(self._slabs)):
            if sys.getrefcount(self._slabs[k]) == 2:  # the list and the call's own argument
                return self._slabs[k]
        slab = np.zeros(SLAB, self._dtype)
        if len(self._slabs) < self._keep:
            self._slabs.append(slab)
        return slab


class Order:
    """Puts a decoded stream in order, one array after the other; see the module's three repairs."""

    def __init__(self, gap: int) -> None:
        self.counts = {"late": 0, "resets": 0, "gaps": 0}
        self._gap = gap
        self.shift = 0
        """µs that events are later here than on their own clock: after resets and gaps, or as somebody else has it."""
        self._last: int | None = None

    @property
    def last(self) -> int | None:
        """Time of the last event; None before the first."""
        return self._last

    def passed(self, last: int) -> None:
        """Somebody else found all events up to one at `last` to be in order, and shifted them."""
        self._last = last

    def arrange(self, events: Records, kept: int, horizon: int) -> Times:
        """Orders `events` in place, of which the first `kept` are ordered already; none stays before `horizon`.

        Returns their times as a contiguous array.
        """
        t = np.array(events["t"])
        t[kept:] += self.shift
        steps = np.diff(t[kept:], prepend=t[kept] if self._last is None else self._last)
        lowest = int(steps.min())
        if lowest < -RESET or int(steps.max()) > self._gap:
            self._close_jumps(t[kept:], steps)
        self._last = int(t[-1])
        joined = not kept or int(t[kept]) >= int(t[kept - 1])  # the last one to come may be a late one
        if lowest >= 0 and joined and not self.shift and int(t[0]) >= horizon:
            return t
        late = int(np.count_nonzero(t < horizon))
        self.counts["late"] += late
        np.maximum(t, horizon, out=t)
        order = np.argsort(t, kind="stable")
        events["t"] = t
        events[:] = events[order]
        return t[order]

    def _close_jumps(self, t: Times, steps: Times) -> None:
        """Shifts everything after a reset or a gap, now and from now on."""
        for k in np.flatnonzero((steps < -RESET) | (steps > self._gap)).tolist():
            step = int(steps[k])
            self.counts["resets" if step < 0 else "gaps"] += 1
            correction = -step if step < 0 else self._gap - step
            t[k:] += correction
            self.shift += correction


class Cutter:
    """Cuts ordered events into packets of `span` µs, beginning at the first event.

    stamp, of each method: host time in ns that the packets carry
    merge:   whether a silence of several spans becomes one empty packet (not when playing in real time)
    horizon: where the next packet starts; no event before it can be delivered in order any more
    """

    def __init__(self, span: int, origin: str, *, merge: bool) -> None:
        self.horizon = -(2**62)
        self._started = False
        self._span = span
        self._origin = origin
        self._merge = merge

    def cut(self, events: Records, t: Times, stamp: int) -> Generator[Packet, None, Records]:
        """Yields the packets that `events`, with times `t`, complete; returns the events after them."""
        if not self._started:
            self._started, self.horizon = True, int(t[0])
        last, begin = int(t[-1]), 0
        while (edge := self.horizon + self._span) <= last:
            end = begin + int(t[begin:].searchsorted(edge))
            if end == begin and self._merge:
                edge += (int(t[begin]) - edge) // self._span * self._span
            yield self._packet(events[begin:end], edge, stamp)
            begin = end
        return events[begin:]

    def split(self, events: Records, stamp: int) -> Generator[Packet, None, Records]:
        """Yields a shorter packet from a span that holds too many events; returns those of its last instant."""
        t = np.array(events["t"])
        edge = int(t[-1])
        cut = int(t.searchsorted(edge))
        if not cut:
            cut, edge = len(events), edge + 1
        yield self._packet(events[:cut], edge, stamp)
        return events[cut:]

    def finish(self, events: Records, stamp: int) -> Iterator[Packet]:
        """Yields the last packet, if there is one."""
        if len(events):
            yield self._packet(events, int(events["t"][-1]) + 1, stamp)

    def _packet(self, events: Records, end: int, stamp: int) -> Packet:
        packet = Packet(events, self.horizon, end, stamp, origin=self._origin)
        self.horizon = end
        return packet

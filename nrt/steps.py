"""Steps: packets cut into whole time steps, for devices that are clocked.

Steps are aligned to multiples of dt from the start of the run's first packet. Packets need not be: events of an
unfinished step wait for the packet that completes it, or for the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrt.packet import EVENT, Packet, Records, join


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Whole steps of a stream. records: all events of [start, end), in time order; steps: how many they are."""

    records: Records
    start: int
    end: int
    steps: int


class Steps:
    """Cuts one run's packets into steps of `dt` µs."""

    def __init__(self, dt: int) -> None:
        self._dt = dt
        self._begin: int | None = None  # where the next step starts
        self._end = 0  # how far the input reaches
        self._rest: list[Records] = []  # of the unfinished step; joined once, however many packets it takes

    def advance(self, packet: Packet) -> Span:
        """The steps that `packet` completes, possibly none."""
        if self._begin is None:
            self._begin = packet.start
        self._end = packet.end
        steps = (packet.end - self._begin) // self._dt
        edge = self._begin + steps * self._dt
        cut = len(packet) if edge == packet.end else int(np.searchsorted(np.array(packet.data["t"]), edge))
        records = self._waiting(packet.data[:cut]) if steps else np.empty(0, EVENT)
        if cut < len(packet):
            self._rest.append(join([packet.data[cut:]]))
        return self._span(self._begin, steps, records)

    def finish(self) -> Span | None:
        """The last step, if it is unfinished, completed with silence."""
        if self._begin is None or self._begin >= self._end:
            return None
        return self._span(self._begin, -(-(self._end - self._begin) // self._dt), self._waiting(None))

    def _span(self, start: int, steps: int, records: Records) -> Span:
        self._begin = start + steps * self._dt
        return Span(records, start, self._begin, steps)

    def _waiting(self, more: Records | None) -> Records:
        """What waited for its step to end, and `more`."""
        parts = [*self._rest, *([] if more is None else [more])]
        self._rest = []
        return parts[0] if len(parts) == 1 else join(parts) if parts else np.empty(0, EVENT)

"""Decisions of a run: which output neuron wins in each window of the stream, how late that was known, and from when on
it was right.

A window [start + k·w, start + (k+1)·w) begins to count at the run's first packet. Its winner is the neuron with the
highest sum of payloads (of a readout: of membranes); on a tie, or where nothing fired, nothing is decided. It is known
when an output packet reaches the window's end; it is late by what that packet is late. The unfinished window at the end
of a run is not decided. Without a window and with a label, what counts is the sum since the start, after every packet.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.clock import readable
from nrt.packet import SPIKE, Packet
from nrt.profile.histogram import Histogram
from nrt.profile.latency import Deadline
from nrt.profile.spread import Spread, figures, milliseconds

KEPT: Final = 10_000
"""Answers that a report lists; all are counted."""


@dataclass(frozen=True, slots=True)
class Moment:
    """stream_ms: since the start of the stream, on its clock · host_ms: since its first packet was due, on the host's.

    late_ms: what the output packet that says it was late.
    """

    stream_ms: float
    host_ms: float
    late_ms: float

    def __str__(self) -> str:
        host = readable(self.host_ms * 1e3)
        return f"{readable(self.stream_ms * 1e3)} of stream, {host} on the host, {readable(self.late_ms * 1e3)} late"


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided. Figures that were not asked for are None.

    window_us: length of a window; 0 where only the running sum was judged
    answers:   the first of the winners, -1 where nothing was decided · count, undecided, right: over all windows
    first_spike: of any output · first_right: the first time that the label won · stable: since when it won to the end
    late:      from a window's end to its decision, deadline judged by it
    """

    window_us: int = 0
    label: int | None = None
    count: int = 0
    undecided: int = 0
    right: int | None = None
    answers: tuple[int, ...] = ()
    first_spike: Moment | None = None
    first_right: Moment | None = None
    stable: Moment | None = None
    late: Spread | None = None
    deadline: Deadline | None = None

    def rows(self) -> list[tuple[str, str]]:
        """As (name, text) for people."""
        rows: list[tuple[str, str]] = []
        if self.late is not None:
            right = "" if self.right is None else f", {self.right:,} right (label {self.label})"
            p50, p99 = milliseconds(self.late.p50), milliseconds(self.late.p99)
            when = f", known p50 {p50} ms, p99 {p99} after the window's end"
            text = f"{self.count:,} every {readable(self.window_us)}{right}, {self.undecided:,} undecided"
            rows.append(("decisions", text + (when if self.count else "")))
        if self.deadline is not None:
            rows.append(("their deadline", str(self.deadline)))
        for name, moment in (("first spike", self.first_spike), ("first right", self.first_right)):
            if moment is not None:
                rows.append((name, str(moment)))
        if self.label is not None:
            rows.append(
                ("right for good", str(self.stable or f"never: label {self.label} does not win at the end"))
            )
        return rows


class Decider:
    """Follows the packets of one output of `size` neurons. window, deadline: µs; label: the right answer."""

    def __init__(self, size: int, window: int | None, label: int | None, deadline: int | None) -> None:
        self._window, self._label, self._deadline = window, label, deadline
        self._sums: NDArray[np.float64] = np.zeros(size)
        self._begin = self._due = self._reached = 0
        self._late = Histogram()
        self._missed = self._undecided = self._right = 0
        self._answers = array("i")
        self._count = 0
        self._first_spike: Moment | None = None
        self._first_right: Moment | None = None
        self._stable: Moment | None = None

    def begin(self, start: int, due: int) -> None:
        """The stream begins at `start` µs; its first packet was due at host ns `due`."""
        self._begin = self._reached = start
        self._due = due

    def took(self, packet: Packet, cause: int) -> None:
        """A packet of the output was taken; `cause`: stamp of the input packet that made it possible."""
        data = packet.data
        if self._first_spike is None and len(data) and data.dtype == SPIKE:
            self._first_spike = self._moment(int(data["t"][0]), packet, cause)
        if self._window is not None:
            self._cut(packet, cause, self._window)
        elif self._label is not None:
            self._add(packet, 0, len(data))
            if packet.end > self._reached:
                self._reached = packet.end
                self._judge(self._winner(), packet.end, packet, cause)

    def _cut(self, packet: Packet, cause: int, window: int) -> None:
        """Decides the windows whose end the packet reaches."""
        at, times = 0, packet.data["t"]
        while (edge := self._reached + window) <= packet.end:
            upto = int(np.searchsorted(times, edge))
            self._add(packet, at, upto)
            at, empty = upto, not self._sums.any()
            if (
                empty
            ):  # a silence of any length is decided at once: as many windows as end before the next spike
                until = packet.end if at == len(times) else min(int(times[at]), packet.end)
                edge += (until - edge) // window * window
            self._decide(edge, (edge - self._reached) // window, packet, cause)
            self._reached = edge
            self._sums[:] = 0
        self._add(packet, at, len(packet.data))

    def _add(self, packet: Packet, begin: int, end: int) -> None:
        if end > begin:
            part = packet.data[begin:end]
            self._sums += np.bincount(part["n"], part["v"], minlength=len(self._sums))

    def _winner(self) -> int:
        best = self._sums.max(initial=-np.inf)
        winners = np.flatnonzero(self._sums == best)
        return int(winners[0]) if len(winners) == 1 and best else -1

    def _decide(self, edge: int, windows: int, packet: Packet, cause: int) -> None:
        """The winner of the window that ends at `edge`; several are windows of silence."""
        winner, late = self._winner(), packet.stamp - cause
        self._count += windows
        self._undecided += windows * (winner < 0)
        self._answers.extend([winner] * min(windows, KEPT - len(self._answers)))
        self._late.record(late, windows)
        self._missed += windows * (self._deadline is not None and late > self._deadline * 1_000)
        self._judge(winner, edge, packet, cause)

    def _judge(self, winner: int, edge: int, packet: Packet, cause: int) -> None:
        """Whether the label wins, first and for good."""
        if winner != self._label:
            self._stable = None
            return
        self._right += 1
        moment = self._moment(edge, packet, cause)
        self._first_right = self._first_right or moment
        self._stable = self._stable or moment

    def _moment(self, time: int, packet: Packet, cause: int) -> Moment:
        return Moment(
            (time - self._begin) / 1e3, (packet.stamp - self._due) / 1e6, max(packet.stamp - cause, 0) / 1e6
        )

    def decisions(self) -> Decisions:
        """What was decided up to now."""
        if self._window is None:
            return Decisions(
                label=self._label,
                first_spike=self._first_spike,
                first_right=self._first_right,
                stable=self._stable,
            )
        limit = self._deadline
        worst = self._late.maximum / 1e6
        return Decisions(
            self._window,
            self._label,
            self._count,
            self._undecided,
            None if self._label is None else self._right,
            tuple(self._answers),
            self._first_spike,
            self._first_right,
            self._stable,
            Spread(**figures(self._late)),
            None if limit is None else Deadline(limit / 1e3, self._missed, self._count, worst),
        )

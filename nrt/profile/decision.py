"""Decisions of a run: which output neuron wins in each window of the stream, how late that was known, and from when on
it was right.

Windows and their winners are those of `nrt.profile.window`; on a tie, or where nothing fired, nothing is decided. A
decision is known when an output packet reaches the window's end, and late by what that packet is late. The unfinished
window at the end of a run is not decided. Without a window and with a label, what counts is the sum since the start,
after every packet.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.clock import readable
from nrt.network import Network
from nrt.packet import SPIKE, Packet
from nrt.profile.histogram import Histogram
from nrt.profile.latency import Deadline
from nrt.profile.spread import Spread, figures, milliseconds
from nrt.profile.window import Windows

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
    """Follows the output of `network`. window, deadline: µs; label: the right answer of its one output."""

    def __init__(self, network: Network, window: int | None, label: int | None, deadline: int | None) -> None:
        self._window, self._label, self._deadline = window, label, deadline
        self._windows = None if window is None else Windows(network, window)
        self._skipped = 0
        self._sums: NDArray[np.float64] = np.zeros(network[network.outputs[0]].size)
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
        """A packet of an output was taken; `cause`: stamp of the input packet that made it possible."""
        data = packet.data
        if self._first_spike is None and len(data) and data.dtype == SPIKE:
            self._first_spike = self._moment(int(data["t"][0]), packet, cause)
        if self._windows is not None:
            for verdict in self._windows.take(packet):
                self._pass_silence(self._windows, packet, cause)
                self._decide(verdict.winner, verdict.end, 1, packet, cause)
            self._pass_silence(self._windows, packet, cause)
        elif self._label is not None:
            self._add_up(packet, cause)

    def _add_up(self, packet: Packet, cause: int) -> None:
        """Without windows: the winner of all that fired up to now."""
        if len(packet.data):
            self._sums += np.bincount(packet.data["n"], packet.data["v"], minlength=len(self._sums))
        if packet.end > self._reached:
            self._reached = packet.end
            best = np.flatnonzero(self._sums == self._sums.max())
            winner = int(best[0]) if len(best) == 1 and self._sums.any() else None
            self._judge(winner, packet.end, packet, cause)

    def _pass_silence(self, windows: Windows, packet: Packet, cause: int) -> None:
        """Windows of a long silence have no verdict of their own: nothing was decided in any of them."""
        silent = windows.skipped - self._skipped
        if silent:
            self._skipped = windows.skipped
            self._decide(None, packet.end, silent, packet, cause)

    def _decide(self, winner: int | None, edge: int, windows: int, packet: Packet, cause: int) -> None:
        """What was decided in a window that ends at `edge`, or in several."""
        late = packet.stamp - cause
        self._count += windows
        self._undecided += windows * (winner is None)
        room = min(windows, KEPT - len(self._answers))
        self._answers.extend([-1 if winner is None else winner] * room)
        self._late.record(late, windows)
        self._missed += windows * (self._deadline is not None and late > self._deadline * 1_000)
        self._judge(winner, edge, packet, cause)

    def _judge(self, winner: int | None, edge: int, packet: Packet, cause: int) -> None:
        """Whether the label wins, first and for good."""
        if winner is None or winner != self._label:
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

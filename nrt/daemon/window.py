"""Decision windows: the output's spikes counted in equal stretches of the stream, one decision for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.network import Network
from nrt.packet import SPIKE, Packet

GAP: Final = 1_000
"""Empty windows in a row that are decided upon."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One complete window: [start, end) µs of the stream, and per output what each neuron made of it."""

    start: int
    end: int
    counts: dict[str, tuple[float, ...]]

    @property
    def winner(self) -> int | None:
        """The neuron with most; None on a tie, where nothing fired, and where there are several outputs."""
        if len(self.counts) != 1:
            return None
        (values,) = self.counts.values()
        best = max(values, default=0.0)
        leading = [k for k, value in enumerate(values) if value == best]
        return leading[0] if len(leading) == 1 else None

    def label(self, names: Sequence[str]) -> str:
        """The winner's name, "" where it has none."""
        return names[self.winner] if self.winner is not None and self.winner < len(names) else ""


@dataclass(slots=True)
class _Count:
    """What one output has said in the windows that are not complete: a row for each."""

    size: int
    rows: list[NDArray[np.float64]] = field(default_factory=list[NDArray[np.float64]])
    steps: list[int] = field(default_factory=list[int])
    """Membranes per neuron, for a readout's mean; 0 where spikes are counted."""
    reached: int = 0


class Windows:
    """Fed with a run's output packets, yields the windows that they complete. Windows begin with the first packet.

    A window is complete when every output's packets have reached its end. What fires later is of another window:
    output packets are in order and their `end` is a promise.
    """

    def __init__(self, network: Network, span: int) -> None:
        """span: µs."""
        self._span = span
        self._counts = {name: _Count(network[name].size) for name in network.outputs}
        self._begin: int | None = None
        self.skipped = 0
        """Windows without a decision: the stream had a gap of more than a thousand of them."""

    def take(self, packet: Packet) -> Iterator[Verdict]:
        """The windows that `packet` completes, in order."""
        count = self._counts.get(packet.origin)
        if count is None:
            return
        if self._begin is None:
            self._begin = packet.start
        if len(packet.data):
            self._add(count, packet)
        count.reached = max(count.reached, packet.end)
        reached = min(each.reached for each in self._counts.values())
        self._skip(reached)
        while self._begin + self._span <= reached:
            yield self._complete()

    def _add(self, count: _Count, packet: Packet) -> None:
        assert self._begin is not None
        t = packet.data["t"]
        first = max(int(t[0]) - self._begin, 0) // self._span
        last = max(int(t[-1]) - self._begin, 0) // self._span
        for window in range(first, last + 1):
            edge = self._begin + window * self._span
            low = 0 if window == first else int(t.searchsorted(edge))
            high = len(t) if window == last else int(t.searchsorted(edge + self._span))
            while len(count.rows) <= window:
                count.rows.append(np.zeros(count.size))
                count.steps.append(0)
            data = packet.data[low:high]
            count.rows[window] += np.bincount(data["n"], data["v"], minlength=count.size)
            if data.dtype != SPIKE:
                count.steps[window] += len(data) // count.size

    def _skip(self, reached: int) -> None:
        """Leaves out the windows of a gap: nobody needs a thousand times that nothing was seen."""
        assert self._begin is not None
        empty = (reached - self._begin) // self._span - max(len(each.rows) for each in self._counts.values())
        if empty > GAP:
            self._begin += empty * self._span
            self.skipped += empty
            for each in self._counts.values():
                each.rows.clear()
                each.steps.clear()

    def _complete(self) -> Verdict:
        assert self._begin is not None
        counts: dict[str, tuple[float, ...]] = {}
        for name, count in self._counts.items():
            row = count.rows.pop(0) if count.rows else np.zeros(count.size)
            steps = count.steps.pop(0) if count.steps else 0
            counts[name] = tuple((row / max(steps, 1)).tolist())
        start, self._begin = self._begin, self._begin + self._span
        return Verdict(start, self._begin, counts)

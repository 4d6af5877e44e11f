"""Decision windows: the output's spikes counted in equal stretches of the stream, one verdict for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.network import Network
from nrt.packet import SPIKE, Packet

GAP: Final = 1_000
"""Silent windows in a row that get a verdict."""


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
        return leading[0] if len(leading) == 1 and any(values) else None

    def label(self, names: Sequence[str]) -> str:
        """The winner's name, "" where it has none."""
        return names[self.winner] if self.winner is not None and self.winner < len(names) else ""


@dataclass(slots=True)
class _Output:
    """What one output has said in the windows that are not complete, by the window's number.

    steps: membranes per neuron, for a readout's mean; nothing where spikes are counted
    """

    size: int
    sums: dict[int, NDArray[np.float64]] = field(default_factory=dict[int, NDArray[np.float64]])
    steps: dict[int, int] = field(default_factory=dict[int, int])
    reached: int = 0


class Windows:
    """Fed with a run's output packets, yields the windows that they complete. Windows begin with the first packet.

    A window is complete when every output's packets have reached its end. What fires later is of another window:
    output packets are in order and their `end` is a promise.
    """

    def __init__(self, network: Network, span: int) -> None:
        """span: µs."""
        self._span = span
        self._outputs = {name: _Output(network[name].size) for name in network.outputs}
        self._begin: int | None = None
        self._next = 0  # number of the first window that is not complete
        self.skipped = 0
        """Windows without a verdict: in silences of more than a thousand of them."""

    def take(self, packet: Packet) -> Iterator[Verdict]:
        """The windows that `packet` completes, in order."""
        output = self._outputs.get(packet.origin)
        if output is None:
            return
        if self._begin is None:
            self._begin = packet.start
        if len(packet.data):
            self._add(output, packet, self._begin)
        output.reached = max(output.reached, packet.end)
        complete = (min(each.reached for each in self._outputs.values()) - self._begin) // self._span
        while self._next < complete:
            silent = self._busy(complete) - self._next
            if silent > GAP:
                self.skipped += silent
                self._next += silent
            else:
                yield self._complete(self._begin)

    def _busy(self, complete: int) -> int:
        """The first window up to `complete` in which something fired; windows are kept in the order of time."""
        return min([complete, *(next(iter(each.sums)) for each in self._outputs.values() if each.sums)])

    def _add(self, output: _Output, packet: Packet, begin: int) -> None:
        data = packet.data
        windows = np.maximum((data["t"] - begin) // self._span, self._next)
        edges = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(data)]
        for low, high in pairwise(edges):
            window, part = int(windows[low]), data[low:high]
            sums = np.bincount(part["n"], part["v"], minlength=output.size).astype(np.float64)
            output.sums[window] = output.sums[window] + sums if window in output.sums else sums
            if part.dtype != SPIKE:
                output.steps[window] = output.steps.get(window, 0) + len(part) // output.size

    def _complete(self, begin: int) -> Verdict:
        counts: dict[str, tuple[float, ...]] = {}
        for name, output in self._outputs.items():
            sums = output.sums.pop(self._next, None)
            steps = output.steps.pop(self._next, 1)
            counts[name] = tuple((np.zeros(output.size) if sums is None else sums / max(steps, 1)).tolist())
        start = begin + self._next * self._span
        self._next += 1
        return Verdict(start, start + self._span, counts)

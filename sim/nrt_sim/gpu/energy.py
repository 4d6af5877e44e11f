"""Energy of runs, by a GPU's own counter.

The counter is refreshed some tens of times a second, so windows under 5 s are refused: such a run has no figure rather
than a wrong one. It counts all of the GPU, whoever uses it; what it takes when idle is measured before the first run
and printed beside the figure, never subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from nrt.device import Energy

SHORTEST_S: Final = 5.0


class Meter:
    """Reads a counter of J at the beginning of a run and at its end.

    read: J so far · seconds: a clock · name: whose counter it is · idle_watts: as measured before, None if it was not
    """

    def __init__(
        self,
        read: Callable[[], float],
        name: str,
        idle_watts: float | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._name, self._idle, self._seconds = read, name, idle_watts, seconds
        self.begin()

    def begin(self) -> None:
        """A run begins."""
        self._joules, self._since = self._read(), self._seconds()

    def energy(self) -> Energy | None:
        """What was taken since `begin`; None if that was too short a time ago."""
        window = self._seconds() - self._since
        if window < SHORTEST_S:
            return None
        joules = self._read() - self._joules
        source = f"energy counter of {self._name}"
        return Energy(joules, "measured", source, "GPU", seconds=window, idle_watts=self._idle)


def per_work(
    meter: Meter,
    work: Callable[[], int],
    windows: int = 3,
    seconds: Callable[[], float] = time.monotonic,
) -> list[float]:
    """J for each unit of what `work` says it did: one figure per window, each just long enough for the counter."""
    figures: list[float] = []
    for _ in range(windows):
        meter.begin()
        done, since = work(), seconds()
        while (energy := meter.energy()) is None:
            done += work()
            if seconds() - since > 4 * SHORTEST_S:
                return figures
        figures.append(energy.joules / done)
    return figures


def idle_watts(
    read: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
    seconds: Callable[[], float] = time.monotonic,
) -> float:
    """W while nothing runs, over the shortest window."""
    joules, since = read(), seconds()
    sleep(SHORTEST_S)
    return (read() - joules) / (seconds() - since)

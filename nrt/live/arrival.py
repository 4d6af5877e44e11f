"""Arrival: what a camera's own clock says against the host's, learnt from when its events arrive.

An event that the camera stamps t (µs) cannot arrive before it happened: arrival - 1000·t (ns) is the difference of the
two clocks plus a delay that is never negative, and now and then nearly zero. The least of it in a window is the best
guess of the difference there; a line through the least of many windows gives the drift. The constant part of the
delay (exposure of the sensor to the wire) is in the offset: nothing that only listens can tell the two apart.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

WINDOW: Final = 250_000
"""µs of the camera's time over which the least is taken."""
KEPT: Final = 240
"""Windows that the line goes through: one minute."""
FEWEST: Final = 20
"""Windows before a drift is believed: five seconds."""


class Arrival:
    """Learns from `(t, stamp)` of every read; a few operations per read, nothing per event."""

    def __init__(self) -> None:
        self._windows: deque[tuple[int, int]] = deque(maxlen=KEPT)
        self._begin: int | None = None
        self._least: tuple[int, int] = (0, 0)

    def saw(self, t: int, stamp: int) -> None:
        """An event of camera time `t`, µs, had arrived at host time `stamp`, ns."""
        offset = stamp - 1_000 * t
        if self._begin is None or t - self._begin >= WINDOW or t < self._begin:
            if self._begin is not None:
                self._windows.append(self._least)
            self._begin, self._least = t, (t, offset)
        elif offset < self._least[1]:
            self._least = (t, offset)

    def reset(self) -> None:
        """The camera's clock was set anew."""
        self._windows.clear()
        self._begin = None

    @property
    def known(self) -> bool:
        """Whether anything has been seen."""
        return self._begin is not None

    @property
    def drift_ppm(self) -> float | None:
        """How much faster than the host's the camera's clock runs, ppm; None while too little is known."""
        if len(self._windows) < FEWEST:
            return None
        t, offset = np.array(self._windows, np.float64).T
        slope = np.polyfit(t - t[0], offset - offset[0], 1)[0]
        return float(-slope * 1e3)

    @property
    def offset(self) -> int:
        """Host ns at camera time 0, by the least delay of the last windows."""
        recent = [*list(self._windows)[-4:], self._least]
        return min(offset for _, offset in recent)

    def host(self, t: int) -> int:
        """Host time in ns of camera time `t`, µs."""
        return self.offset + 1_000 * t

    def camera(self, stamp: int) -> int:
        """Camera time in µs at host time `stamp`, ns."""
        return (stamp - self.offset) // 1_000

"""How long to wait before something that failed is tried again: longer each time, never too long, never in step."""

from __future__ import annotations

import random
from collections import deque
from typing import Final

from nrt.clock import now, readable

FIRST: Final = 0.5
"""Seconds before the first attempt."""
MOST: Final = 30.0
CALM: Final = 60.0
"""Seconds that it must have worked for, to begin anew with the shortest delay."""
SPREAD: Final = 0.25
"""Part of a delay by which it is longer or shorter at random, so that many nodes do not come back at once."""
STORM: Final = (5, 120_000_000_000)
"""So many restarts within so many ns are worth telling."""


class Backoff:
    """Delays in s: doubled with every failure up to `most`."""

    def __init__(self, first: float = FIRST, most: float = MOST, chance: random.Random | None = None) -> None:
        self._first, self._most = first, most
        self._delay = first
        self._chance = chance or random.Random()

    def next(self, worked: float = 0.0) -> float:
        """The delay after it worked for `worked` seconds and failed."""
        if worked >= CALM:
            self._delay = self._first
        delay, self._delay = self._delay, min(2 * self._delay, self._most)
        return delay * self._chance.uniform(1 - SPREAD, 1 + SPREAD)

    def reset(self) -> None:
        """Begins anew with the shortest delay."""
        self._delay = self._first


class Storm:
    """Tells, once for each time, that there are many restarts."""

    def __init__(self) -> None:
        self._restarts: deque[int] = deque(maxlen=STORM[0])
        self._told = 0

    def restarted(self) -> str:
        """To be called at every restart; a phrase where there are too many and nobody was told of it, else ""."""
        count, span = STORM
        self._restarts.append(now())
        if len(self._restarts) < count or now() - self._restarts[0] >= span:
            return ""
        before, self._told = self._told, now()
        known = before and self._told - before <= span
        return "" if known else f"restarted {count} times within {readable(span / 1e3)}"

"""Where one lap of a stream of samples ends and the next begins, and what was in it.

Without a marker a lap ends with the first bytes that arrive after it was asked for: late by one transfer, about 1 ms.
With one it ends at the sample in which the marker's logic input changes: exact to 10 µs, however late the bytes come.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nrt.profile.meters import Lap
from nrt_drivers.ppk2.samples import Samples


@dataclass(frozen=True, slots=True)
class Edge:
    """What ends a lap. since: ns of the host · channel, high: the logic input that then has changed; None without"""

    since: int
    channel: int | None = None
    high: bool = False

    def find(self, samples: Samples, stamp: int) -> int | None:
        """Samples of these, arrived at `stamp`, that still belong to the lap; None if it goes on."""
        if self.channel is None:
            return len(samples.amps) if stamp >= self.since else None
        levels = (samples.logic >> self.channel & 1).astype(bool)
        changed = np.flatnonzero(levels == self.high)
        return int(changed[0]) if len(changed) else None


@dataclass(slots=True)
class Window:
    """Adds up samples. began: ns of the host"""

    began: int
    volts: float
    rate: float
    _sum: float = 0.0
    _count: int = 0
    _lost: int = 0
    _low: float = field(default=np.inf)
    _high: float = field(default=-np.inf)

    def add(self, samples: Samples, first: int, last: int) -> None:
        """Samples `first` up to, without, `last`."""
        if first == last:
            return
        part = slice(first, last)
        self._sum += float(samples.amps[part].sum())
        self._count += last - first
        self._lost += int(samples.lost[part].sum())
        self._low = min(self._low, float(samples.adc[part].min()))
        self._high = max(self._high, float(samples.adc[part].max()))

    def lap(self, ended: int) -> Lap:
        """What was in it, lost samples as the mean of the others. ended: ns of the host"""
        seconds = (ended - self.began) / 1e9
        mean = self._sum / self._count if self._count else 0.0
        joules = (self._sum + self._lost * mean) * self.volts / self.rate
        still = seconds if self._low == self._high else 0.0
        return Lap(joules, seconds, self._count, still=still, lost=self._lost)

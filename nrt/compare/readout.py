"""How far the membranes of a readout, a population that does not fire, are apart on two devices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nrt.compare.figures import Readout

Floats = NDArray[np.float32]


class ReadoutTally:
    """Adds up one readout over recordings, for every delay up to `reach` steps either way."""

    def __init__(self, population: str, neurons: int, reach: int) -> None:
        self._population, self._neurons, self._reach = population, neurons, reach
        self._sums = np.zeros((2 * reach + 1, 6))  # count, Σa, Σb, Σa², Σb², Σab
        self._largest = np.zeros(2 * reach + 1)

    def add(self, first: Floats, second: Floats) -> None:
        """One recording, float32[steps, neurons] each."""
        steps = min(len(first), len(second))
        ours, theirs = (np.ascontiguousarray(each, np.float64) for each in (first, second))
        for lag in range(-self._reach, self._reach + 1):
            low, high = max(0, -lag), min(steps, steps - lag)
            if high <= low:
                continue
            a, b = ours[low:high].reshape(-1), theirs[low + lag : high + lag].reshape(-1)
            row = lag + self._reach
            self._sums[row] += (len(a), a.sum(), b.sum(), a @ a, b @ b, a @ b)
            self._largest[row] = max(self._largest[row], float(np.abs(a - b).max()))

    @property
    def lag(self) -> int:
        """The delay at which the two differ least, in steps; the smallest of equal ones."""
        lags = range(-self._reach, self._reach + 1)
        return min(lags, key=lambda lag: (self._rms(lag), abs(lag), -lag))

    def result(self) -> Readout | None:
        """Over all recordings so far; None before the first."""
        lag = self.lag
        count, a, b, aa, bb, ab = self._sums[lag + self._reach].tolist()
        if not count:
            return None
        spread = math.sqrt(max(count * aa - a * a, 0.0) * max(count * bb - b * b, 0.0))
        return Readout(
            self._population,
            self._neurons,
            lag,
            self._rms(lag),
            float(self._largest[lag + self._reach]),
            math.sqrt(aa / count),
            (count * ab - a * b) / spread if spread else None,
        )

    def _rms(self, lag: int) -> float:
        count, _, _, aa, bb, ab = self._sums[lag + self._reach].tolist()
        return math.sqrt(max(aa + bb - 2 * ab, 0.0) / count) if count else math.inf

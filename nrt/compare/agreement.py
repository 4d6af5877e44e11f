"""How well the spikes of one population agree on two devices: fit the delay, match, measure distances.

Recordings are added one after the other and not kept. The delay of a pair is constant, so that one shift fits all of
them: it is the one at which most spikes of all recordings so far match. Distances of a recording use the shift known
when it is added, which a note says if it changed later.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.compare import kernels
from nrt.compare.figures import Agreement, Delay
from nrt.compare.result import Options
from nrt.compare.train import Train

Ints = NDArray[np.int64]

BINS: Final = 1_000
"""Bins per step of the histogram of times between matched spikes."""
CHANCE: Final = 3.0
"""Standard deviations of a count by which a recording must prefer another shift before the delay counts as varying."""


class AgreementTally:
    """Adds up one population over recordings. clocked: whether both devices advance in steps of dt."""

    def __init__(self, population: str, neurons: int, options: Options, dt: int, *, clocked: bool) -> None:
        self._population, self._neurons = population, neurons
        self._options, self._dt, self._clocked = options, dt, clocked
        self._scores = np.zeros((2 * options.reach + 1, 4), np.int64)
        self._halves: list[Ints] = []
        self._width = 1 if clocked else max(dt // BINS, 1)
        self._apart = np.zeros(1 if clocked else 2 * self._half + 1, np.int64)
        self._victor_purpura: float | None = 0.0
        self._van_rossum = self._dot = self._first = self._second = 0.0
        self._lags: set[int] = set()

    @property
    def lag(self) -> int:
        """The shift at which most spikes match, in steps; of equals the smallest, of opposite ones the later."""
        reach = self._options.reach
        matched = self._scores[:, 0]
        best = np.flatnonzero(matched == matched.max()) - reach
        return int(min(best.tolist(), key=lambda lag: (abs(lag), -lag)))

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the distances."""
        notes: list[str] = []
        if len(self._lags - {self.lag}) > 0:
            notes.append(
                f"{self._population}: distances of the first recordings were taken at another delay than that of all"
            )
        if self._victor_purpura is None:
            notes.append(f"{self._population}: too many spikes for the Victor-Purpura distance")
        return notes

    def add(self, first: Train, second: Train) -> tuple[int, int]:
        """One recording; returns its matched spikes at the delay known now, and the spikes of both together."""
        options = self._options
        found = kernels.scores(first, second, options.reach, options.tolerance)
        self._scores += found
        self._halves += [found[:, 3], found[:, 0] - found[:, 3]]
        lag = self.lag
        if first.spikes and second.spikes:
            self._lags.add(lag)
        row = found[lag + options.reach]
        low, high = max(0, -lag), min(first.steps, first.steps - lag)
        first, second = first.within(low, high), second.within(low + lag, high + lag)
        self._residuals(first, second, lag)
        self._distances(first, second.later(-self._shift()))
        return int(row[0]), int(row[1] + row[2])

    def result(self) -> Agreement:
        """Over all recordings so far."""
        lag, reach = self.lag, self._options.reach
        matched, firsts, seconds, _ = self._scores[lag + reach].tolist()
        norm = math.sqrt(self._first * self._second)
        quartiles = None if self._clocked else self._quartiles()
        us = float(lag * self._dt) if quartiles is None else quartiles[1]
        spread = None if quartiles is None else quartiles[2] - quartiles[0]
        return Agreement(
            self._population,
            self._neurons,
            Delay(lag, us, spread, self._constant()),
            matched,
            firsts - matched,
            seconds - matched,
            int(self._scores[reach, 0]),
            self._victor_purpura,
            math.sqrt(self._van_rossum),
            1 - self._dot / norm if norm else None,
        )

    def _constant(self) -> bool:
        """Whether no half of a recording prefers another shift by more than chance."""
        centre, slack = self.lag + self._options.reach, 0 if self._clocked else 1
        near = slice(max(centre - slack, 0), centre + slack + 1)
        for matched in self._halves:
            here, best = int(matched[near].max()), int(matched.max())
            if best > here + CHANCE * math.sqrt(best):
                return False
        return True

    # Time between matched spikes, where a device is not clocked

    @property
    def _half(self) -> int:
        """Bins on either side of zero: as far as two spikes can be apart in steps that match."""
        span = (self._options.reach + self._options.tolerance + 1) * self._dt
        return span // self._width + 1

    def _residuals(self, first: Train, second: Train, lag: int) -> None:
        if self._clocked:
            return
        steps = first.steps + 2 * self._options.reach
        ours, theirs = first.key * steps + first.step, second.key * steps + second.step - lag
        _, here, there = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
        apart = (second.t[there] - first.t[here]) // self._width + self._half
        np.add.at(self._apart, np.clip(apart, 0, len(self._apart) - 1), 1)

    def _quartiles(self) -> tuple[float, float, float] | None:
        """Of the µs between matched spikes; None where nothing matched."""
        total = int(self._apart.sum())
        if not total:
            return None
        edges = np.searchsorted(np.cumsum(self._apart), [math.ceil(total * q) for q in (0.25, 0.5, 0.75)])
        low, middle, high = ((edges - self._half) * self._width).tolist()
        return float(low), float(middle), float(high)

    def _shift(self) -> int:
        """The delay in µs as known now."""
        quartiles = None if self._clocked else self._quartiles()
        return self.lag * self._dt if quartiles is None else round(quartiles[1])

    def _distances(self, first: Train, second: Train) -> None:
        options = self._options
        ours, theirs = first.expanded(), second.expanded()
        if ours is None or theirs is None:
            self._victor_purpura = None
        elif self._victor_purpura is not None:
            self._victor_purpura += kernels.victor_purpura(*ours, *theirs, options.q)
        self._van_rossum += kernels.van_rossum(
            first.key, first.t, first.count, second.key, second.t, second.count, float(options.tau_us)
        )
        a, b = first.per_neuron().astype(np.float64), second.per_neuron().astype(np.float64)
        self._dot, self._first, self._second = (
            self._dot + float(a @ b),
            self._first + float(a @ a),
            self._second + float(b @ b),
        )

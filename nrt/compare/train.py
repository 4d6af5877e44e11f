"""Trains: the spikes of one population in one recording, in the form that everything here compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nrt.network import Encoding, Population
from nrt.packet import EVENT, Records

Ints = NDArray[np.int64]

EXPANDED: Final = 20_000_000
"""Spikes that Victor-Purpura takes one by one; payloads may claim more than there is memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Train:
    """Spikes sorted by neuron, then time; those of one neuron in one step are one entry.

    key:   the neuron; spikes of -1 count as of neuron key + neurons, so that only equal signs match
    step:  since the start of the recording · t: µs since then, of the entry's first spike
    count: spikes of the entry
    steps: how many the recording has
    """

    key: Ints
    step: Ints
    t: Ints
    count: Ints
    neurons: int
    steps: int

    @classmethod
    def of(cls, records: Records, population: Population, start: int, steps: int, dt: int) -> Self:
        """From SPIKE records of a recording that begins at `start` µs; what lies outside of it is left out.

        The payload is the number of spikes, but for a graded population, where every record is one spike.
        """
        t = np.ascontiguousarray(records["t"]) - start
        inside = (t >= 0) & (t < steps * dt) & (records["v"] != 0) & (records["n"] < population.size)
        v = records["v"][inside].astype(np.int64)
        if population.neuron is not None and population.neuron.spikes == "graded":
            v = np.sign(v)
        return cls.build(records["n"][inside].astype(np.int64), t[inside], v, population.size, steps, dt)

    @classmethod
    def encoded(
        cls, records: Records, population: Population, encoding: Encoding, start: int, steps: int, dt: int
    ) -> Self:
        """What events, or SPIKE records, are to an input population."""
        if records.dtype != EVENT:
            train = cls.of(records, population, start, steps, dt)
        else:
            index = encoding.index(records, population.shape)
            t = np.ascontiguousarray(records["t"])[index >= 0] - start
            index = index[index >= 0]
            train = cls.build(index, t, np.ones(len(t), np.int64), population.size, steps, dt)
            if encoding.values == "binary":
                train.count[:] = 1
        return train

    @classmethod
    def build(cls, n: Ints, t: Ints, v: Ints, neurons: int, steps: int, dt: int) -> Self:
        """From neurons, times since the start in any order, and payloads but 0; negative ones are keys apart."""
        key, step = n + neurons * (v < 0), t // dt
        in_time = bool(np.all(t[1:] >= t[:-1]))
        order = np.argsort(key, kind="stable") if in_time else np.lexsort((t, key))
        key, step, t, count = key[order], step[order], t[order], np.abs(v[order])
        fresh = np.flatnonzero((np.diff(key, prepend=-1) != 0) | (np.diff(step, prepend=-1) != 0))
        if len(fresh) < len(t):
            count = np.add.reduceat(count, fresh)
        return cls(key[fresh], step[fresh], t[fresh], count, neurons, steps)

    @property
    def spikes(self) -> int:
        """All spikes."""
        return int(self.count.sum())

    def within(self, low: int, high: int) -> Self:
        """The entries of the steps [low, high)."""
        return self._only((self.step >= low) & (self.step < high))

    def _only(self, keep: NDArray[np.bool_]) -> Self:
        return type(self)(
            self.key[keep], self.step[keep], self.t[keep], self.count[keep], self.neurons, self.steps
        )

    def later(self, us: int) -> Self:
        """The same with every t later by `us`; steps stay."""
        return type(self)(self.key, self.step, self.t + us, self.count, self.neurons, self.steps)

    def expanded(self) -> tuple[Ints, Ints] | None:
        """key and t with one entry per spike; None where that would be more than EXPANDED."""
        if self.spikes > EXPANDED:
            return None
        return np.repeat(self.key, self.count), np.repeat(self.t, self.count)

    def per_neuron(self) -> Ints:
        """Spikes of each neuron, int64[neurons]; those of -1 too."""
        result = np.zeros(self.neurons, np.int64)
        np.add.at(result, self.key % self.neurons, self.count)
        return result

"""A latency histogram of constant size and constant relative error (HDR: high dynamic range).

A value is counted in one of 2^(B-1) linear buckets per power of two, so its bucket is known to a relative
width of 2^-(B-1): with B = 8 better than 0.8 %, over the whole range of a 64-bit integer. Recording is a few
integer operations; nothing is allocated. The bucket layout is that of Gil Tene's HdrHistogram.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

BITS = 8
_HALF = 1 << (BITS - 1)


class Histogram:
    """Counts of non-negative integers, here latencies in ns."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros((65 - BITS) * _HALF + _HALF, np.int64)
        self.total = 0
        self.maximum = 0
        self.minimum = 0
        self._sum = 0

    def record(self, value: int, times: int = 1) -> None:
        """Counts one value, once or several times; negative ones count as zero."""
        value = max(value, 0)
        exponent = max(value.bit_length() - BITS, 0)
        self.counts[exponent * _HALF + (value >> exponent)] += times
        self.minimum = min(self.minimum, value) if self.total else value
        self.maximum = max(self.maximum, value)
        self.total += times
        self._sum += value * times

    def record_all(self, values: NDArray[np.int64]) -> None:
        """Counts many values at once; as `record` for each of them."""
        if not len(values):
            return
        values = np.maximum(values, 0)
        exponent = np.maximum(np.frexp(values.astype(np.float64))[1] - BITS, 0)  # bits of a value, below 2^53
        np.add.at(self.counts, exponent * _HALF + (values >> exponent), 1)
        least = int(values.min())
        self.minimum = min(self.minimum, least) if self.total else least
        self.maximum = max(self.maximum, int(values.max()))
        self.total += len(values)
        self._sum += int(values.sum())

    @property
    def mean(self) -> float:
        """Mean of the values as recorded; nan if there are none."""
        return self._sum / self.total if self.total else float("nan")

    def percentile(self, q: float) -> float:
        """The value that q percent of the values do not exceed: the top of its bucket; nan if empty."""
        return self.percentiles(q)[0]

    def percentiles(self, *qs: float) -> list[float]:
        """Several of them, for which the buckets are added up once."""
        if not self.total:
            return [float("nan")] * len(qs)
        ranks = [max(math.ceil(q * self.total / 100 - 1e-9), 1) for q in qs]
        buckets = np.searchsorted(np.cumsum(self.counts), ranks)
        return [float(min(_top(bucket), self.maximum)) for bucket in buckets.tolist()]

    def buckets(self) -> list[tuple[int, int, int]]:
        """(lowest value, highest value, count) of every bucket that is not empty."""
        used = np.flatnonzero(self.counts)
        edges = _edges()
        counted = zip(used.tolist(), self.counts[used].tolist(), strict=True)
        return [(edges[k], edges[k + 1] - 1, count) for k, count in counted]

    def merge(self, other: Histogram) -> None:
        """Adds the counts of `other`."""
        if not other.total:
            return
        self.counts += other.counts
        self.minimum = min(self.minimum, other.minimum) if self.total else other.minimum
        self.maximum = max(self.maximum, other.maximum)
        self.total += other.total
        self._sum += other._sum

    @classmethod
    def of(cls, values: Sequence[int]) -> Self:
        """A histogram of `values`."""
        histogram = cls()
        for value in values:
            histogram.record(value)
        return histogram


@cache
def _edges() -> list[int]:
    """The lowest value of every bucket, and of the one that would follow; 64-bit integers do not hold the last."""
    return [_bottom(bucket) for bucket in range((65 - BITS) * _HALF + _HALF + 1)]


def _bottom(bucket: int) -> int:
    if bucket < 2 * _HALF:
        return bucket
    exponent = bucket // _HALF - 1
    return (bucket - exponent * _HALF) << exponent


def _top(bucket: int) -> int:
    return _bottom(bucket + 1) - 1

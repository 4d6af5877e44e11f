"""Statistics of answers and of differences between paired runs: how sure a figure of so many recordings is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

_ENUMERATED: Final = 14
"""Differences up to which all signs are tried."""
_DRAWS: Final = 20_000
_RESAMPLES: Final = 2000


def wilson(right: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval in which a proportion lies, of which `right` of `of` were seen; (0, 1) for none.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", J. Am. Stat. Assoc. 22
    (1927) 209: unlike the usual interval it holds for few samples and near 0 and 1.
    """
    if not of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = right / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return (0.0 if right == 0 else middle - half), (1.0 if right == of else middle + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided exact p of McNemar's test: chance alone gives so uneven a split, or a more uneven one.

    only_first, only_second: recordings that only the first, or only the second, answered right. Those that both or
    neither did say nothing about which is better. Q. McNemar, Psychometrika 12 (1947) 153; exact: binomial with 1/2.
    """
    count = only_first + only_second
    few = min(only_first, only_second)
    tail = sum(math.comb(count, k) for k in range(few + 1))
    return min(1.0, 2 * tail / (1 << count))


def sign_flip(differences: Sequence[float]) -> float:
    """The two-sided p that paired differences have a mean of zero: how often random signs give one as large.

    Exact where the differences that are not 0 are few or all of one size (then it is McNemar's test), else of 20 000
    random draws. R. A. Fisher, The Design of Experiments (1935), §21. Fewer than six that are not 0 never reach 5 %.
    """
    some = np.asarray(differences, np.float64)
    some = some[some != 0]
    if not some.size:
        return 1.0
    if bool(np.allclose(np.abs(some), abs(some[0]), rtol=1e-9, atol=0.0)):
        return mcnemar(int(np.count_nonzero(some > 0)), int(np.count_nonzero(some < 0)))
    least = abs(float(some.sum())) * (1 - 1e-12)
    if some.size <= _ENUMERATED:
        signs = (np.arange(1 << some.size)[:, None] >> np.arange(some.size) & 1) * 2 - 1
        return float(np.mean(np.abs(signs @ some) >= least))
    signs = np.random.default_rng(0).integers(0, 2, (_DRAWS, some.size), np.int8) * 2 - 1
    return (1 + int(np.count_nonzero(np.abs(signs @ some) >= least))) / (1 + _DRAWS)


def bootstrap(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of the mean over 2000 resamples; nan for fewer than two values, which say nothing of it.

    B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), §13. It is too narrow for a handful of values.
    """
    array = np.asarray(values, np.float64)
    if array.size < 2:
        return math.nan, math.nan
    random = np.random.default_rng(0)
    means = [float(array[random.integers(0, array.size, array.size)].mean()) for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def holm(p: Sequence[float], level: float = 0.05) -> tuple[bool, ...]:
    """Which of several tests stand side by side at `level`, so that the chance of any false one among them is no more.

    S. Holm, Scand. J. Stat. 6 (1979) 65.
    """
    kept = [False] * len(p)
    for rank, index in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        if p[index] > level / (len(p) - rank):
            break
        kept[index] = True
    return tuple(kept)

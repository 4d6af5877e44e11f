"""Statistics of right and wrong answers: how sure a figure of so many recordings is."""

from __future__ import annotations

import math
from statistics import NormalDist


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

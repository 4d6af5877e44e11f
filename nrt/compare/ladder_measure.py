"""How far two runs are apart, and how sure a mean of such differences is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nrt.compare.ladder_result import Change
from nrt.statistics import bootstrap, holm, sign_flip

Floats = NDArray[np.float64]


def distance(first: Mapping[str, Floats], second: Mapping[str, Floats]) -> float:
    """How far the outputs are apart, 0 to 1: the sum of differences of counts, neuron by neuron, of all counts.

    Membranes of readouts count by their size, whatever their sign. Two silent outputs are equal. (The Bray-Curtis
    dissimilarity: J. R. Bray, J. T. Curtis, Ecol. Monogr. 27 (1957) 325.)
    """
    apart = sum(float(np.abs(first[name] - second[name]).sum()) for name in first)
    size = sum(float(np.abs(first[name]).sum() + np.abs(second[name]).sum()) for name in first)
    return apart / size if size else 0.0


def changes(differences: Sequence[Floats]) -> list[Change]:
    """The mean of each row of paired differences, how sure it is, and whether it holds beside the other rows."""
    p = [sign_flip(row.tolist()) for row in differences]
    return [
        Change(float(row.mean()), *bootstrap(row.tolist()), chance, sure)
        for row, chance, sure in zip(differences, p, holm(p), strict=True)
    ]

"""Which neurons may be left alone while they get no input, and the table of what they leak meanwhile."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.network import Neuron

Floats = NDArray[np.float64]

LONGEST_TABLE: Final = 65536
"""Powers of a decay that are kept; a membrane left alone for longer costs a call of pow."""


def can_wait(neuron: Neuron, bias: Floats) -> bool:
    """Whether a neuron without input does nothing but decay, so that it may be left alone."""
    scalar = all(p.size == 1 for p in (neuron.decay, neuron.gain, neuron.threshold, neuron.v_reset))
    simple = neuron.spikes == "binary" and neuron.timing == "immediate" and neuron.synapse_decay is None
    quiet = not np.any(neuron.drive) and not np.any(bias)
    if not (scalar and simple and quiet):
        return False
    low = neuron.v_min is None or (neuron.v_min.size == 1 and float(neuron.v_min) <= 0)
    below = neuron.reset != "hard" or float(neuron.v_reset) < float(neuron.threshold)
    return low and below and 0 <= float(neuron.decay) <= 1 and float(neuron.threshold) > 0


def leak_powers(decay: float, dtype: np.dtype[np.floating[Any]]) -> tuple[Floats, bool]:
    """decay^0, decay^1, …, and whether the last one holds for all that follow."""
    if decay in (0.0, 1.0):
        return np.array([1.0, decay]), True
    powers: Floats = decay ** np.arange(LONGEST_TABLE, dtype=np.float64)
    ended = np.flatnonzero(powers < float(np.finfo(dtype).tiny))
    if not len(ended):
        return powers, False
    return np.append(powers[: ended[0]], 0.0), True

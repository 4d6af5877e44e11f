"""How the chip holds a projection's weights, and what rounding cost, in words."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.network.operators import Array
from nrt.network.rounding import errors
from nrt.spec import IntegerFormat
from nrt_sim.chips.loihi2.program import SPEC

EXPONENTS: Final = (SPEC.limit("weight_exponent_low"), SPEC.limit("weight_exponent_high"))
"""Of two, that a projection's weights may have in common."""


def weight_format(exact: Array) -> tuple[IntegerFormat, int]:
    """How a projection's weights are held, and their common exponent: the least at which they fit."""
    low, high = float(exact.min(initial=0.0)), float(exact.max(initial=0.0))
    kind = "mixed" if low < 0 < high else "inhibitory" if low < 0 else "excitatory"
    form = SPEC.format(f"weight_{kind}")
    exponent = EXPONENTS[0]
    while exponent < EXPONENTS[1] and (
        _highest(high, exponent, form) > form.high or -_highest(-low, exponent, form) < form.low
    ):
        exponent += 1
    return form, exponent


def _highest(value: float, exponent: int, form: IntegerFormat) -> float:
    return float(np.round(value / 2.0**exponent / form.step)) * form.step


def weight_loss(label: str, exact: Array, worth: Array, scale: float) -> str:
    """What the weights lost, in units of the float network; nothing where they lost nothing."""
    if bool(np.all(worth == exact)):
        return ""
    most, rms = errors(exact, worth)
    lost = int(np.count_nonzero(exact) - np.count_nonzero(worth))
    text = f"{label} weights off by at most {most / scale:.2g}, rms {rms:.2%}"
    return f"{text}, {lost} round to 0" if lost else text


def rounded(values: NDArray[Any]) -> NDArray[np.int64]:
    """Whole numbers, halves to even."""
    whole: NDArray[np.int64] = np.round(values).astype(np.int64)
    return whole

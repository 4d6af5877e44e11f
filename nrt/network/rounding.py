"""Rounding: the widths of a chip's whole numbers, and what fitting a layer into them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt.network.neuron import Neuron
from nrt.network.operators import Array


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of a chip's signed numbers: of weights, and of membranes, thresholds and drives."""

    weight: int = 8
    state: int = 16

    @property
    def weights(self) -> tuple[int, int]:
        """Least and greatest weight."""
        return -(1 << self.weight - 1), (1 << self.weight - 1) - 1

    @property
    def states(self) -> tuple[int, int]:
        """Least and greatest membrane."""
        return -(1 << self.state - 1), (1 << self.state - 1) - 1


@dataclass(frozen=True, slots=True)
class Rounding:
    """What rounding cost one layer: its population and the projections into it.

    scale:     whole numbers per unit of the float network
    weight_max, weight_rms: of the error; the largest in units of the float weights, the root mean square relative
               to that of the weights
    threshold, drive: largest error relative to the value; 0 where there is none
    unused:    bits of the weights' width that the largest weight leaves unused
    warnings:  what may silence the layer or saturate it, one sentence each
    """

    layer: str
    scale: float
    weight_max: float
    weight_rms: float
    threshold: float
    drive: float
    unused: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = (
            f"scale {self.scale:.4g}; weights off by at most {self.weight_max:.2g}, rms {self.weight_rms:.2%}"
        )
        text += f"; threshold {self.threshold:.2%}" if self.threshold else ""
        return text + (f"; drive {self.drive:.2%}" if self.drive else "")


def report(
    layer: str, neuron: Neuron, weights: Sequence[Array], rounded: Neuron, scale: float, widths: Widths
) -> Rounding:
    """What it cost `layer` that its `weights` and `neuron` became whole numbers (`rounded`) at `scale`."""
    exact = np.concatenate(weights) if weights else np.zeros(1)
    whole = np.round(exact * scale)
    most, rms = errors(exact, whole / scale)
    used = int(np.abs(whole).max()).bit_length()
    return Rounding(
        layer=layer,
        scale=scale,
        weight_max=most,
        weight_rms=rms,
        threshold=relative(neuron.threshold, rounded.threshold / scale),
        drive=relative(neuron.drive, rounded.drive / scale),
        unused=max(0, widths.weight - 1 - used),  # the least weight of all takes the sign's bit too
        warnings=tuple(_warnings(exact, whole, neuron, rounded, widths)),
    )


def errors(exact: Array, held: Array) -> tuple[float, float]:
    """What `held` instead of `exact` is off by: at most, and rms relative to that of `exact` (0 where all are 0)."""
    off = held - exact
    power = float(np.sqrt(np.mean(exact**2)))
    return float(np.abs(off).max()), float(np.sqrt(np.mean(off**2))) / power if power else 0.0


def relative(exact: NDArray[Any], held: NDArray[Any]) -> float:
    """The largest error relative to the value; 0 for values that are 0."""
    exact, held = np.broadcast_arrays(exact, held)
    some = exact != 0
    return float(np.max(np.abs(held[some] - exact[some]) / np.abs(exact[some]), initial=0.0))


def _warnings(exact: Array, whole: Array, neuron: Neuron, rounded: Neuron, widths: Widths) -> list[str]:
    found: list[str] = []
    lost = int(np.count_nonzero(exact) - np.count_nonzero(whole))
    if np.any(exact) and not np.any(whole):
        found.append("silenced: every weight rounds to 0")
    elif np.any(exact > 0) and not np.any(whole > 0) and not np.any(rounded.drive > 0):
        found.append("silenced: every positive weight rounds to 0, so nothing can reach the threshold")
    elif lost * 2 > np.count_nonzero(exact):
        found.append(f"{lost} of {np.count_nonzero(exact)} weights round to 0")
    if np.any(neuron.drive) and not np.any(rounded.drive):
        found.append("its bias or leak rounds to 0; a slower clock makes it larger per tick")
    high, top = float(rounded.threshold.max()), float(whole.max(initial=0))
    if high + top > widths.states[1]:
        found.append(f"saturates: threshold {high:g} and weight {top:g} together pass {widths.states[1]}")
    over = int(np.count_nonzero(whole > 2 * rounded.threshold.min()))
    if over and neuron.reset == "soft":
        found.append(
            f"{over} weight(s) exceed twice the threshold: what is left above it waits for the next event"
        )
    return found

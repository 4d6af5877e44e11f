"""Weights, thresholds and leaks of one layer as the chip's integers, with what that cost.

Every neuron has a threshold and a leak of its own, so each gets a scale of its own: the number of the chip's units
per unit of the network. Of the scales that put the neuron's largest weight on an integer, and of the largest that
its threshold and leak allow, the one with the least error is taken. A neuron whose numbers are exactly
representable is therefore represented exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt_drivers.tinyodin.chip import LEAK, MEMBRANE, THRESHOLD, WEIGHT

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_EPSILON: Final = 1e-9  # so that a number that is whole but for the last bit of a product stays that number
_LEAST: Final = 1e-300  # weights below are as good as 0: their scale would be beyond a float
_BEYOND: Final = (
    2  # scales at which the largest weights are clipped, up to this many times their range, are tried
)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One population in floats. weights: [neuron, source] of everything that reaches it; the rest one per neuron.

    fires_at: whether the neuron fires at the threshold itself, or only above it
    """

    name: str
    weights: Floats
    threshold: Floats
    leak: Floats
    v0: Floats
    fires_at: bool


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The same as integers: what goes into the chip's memories, and the errors in units of the network.

    scale:  chip units per unit, per neuron
    error:  of the weights: largest absolute, and root mean square relative to that of the weights
    leak_error: the largest, relative to the neuron's threshold
    clipped, vanished: weights that were beyond the range, and weights that became 0
    silenced: neurons with a positive weight of which none is left
    """

    layer: Layer
    weights: Integers
    threshold: Integers
    leak: Integers
    v0: Integers
    scale: Floats
    error: float
    relative: float
    leak_error: float
    clipped: int
    vanished: int
    silenced: int

    def __str__(self) -> str:
        if not (self.error or self.leak_error):
            return "exact"
        text = (
            f"weights off by at most {self.error:.3g}, rms {self.relative:.2%}"
            if self.error
            else "weights exact"
        )
        text += f"; leak off by {self.leak_error:.2%} of the threshold" if self.leak_error else ""
        for count, what in ((self.clipped, "clipped"), (self.vanished, "rounded to 0")):
            text += f"; {count} weights {what}" if count else ""
        return text + (f"; {self.silenced} neurons can no longer fire" if self.silenced else "")


def fit(layer: Layer) -> Fitted:
    """The layer in integers. Its thresholds must be positive."""
    scale = _scale(layer)
    weights = _rounded(layer.weights, scale)
    leak = np.rint(layer.leak * scale).astype(np.int64)
    off = weights / scale[:, None] - layer.weights
    power = _rms(layer.weights)
    return Fitted(
        layer,
        weights,
        np.clip(_threshold(layer, scale), 1, THRESHOLD.high),
        np.clip(leak, 0, LEAK.high),
        np.clip(np.rint(layer.v0 * scale), MEMBRANE.low, MEMBRANE.high).astype(np.int64),
        scale,
        error=_clean(float(np.abs(off).max(initial=0.0)), float(np.abs(layer.weights).max(initial=0.0))),
        relative=_rms(off) / power if power else 0.0,
        leak_error=_clean(
            float(np.max(np.abs(leak / scale - layer.leak) / layer.threshold, initial=0.0)), 1.0
        ),
        clipped=int(np.count_nonzero(np.rint(layer.weights * scale[:, None]) != weights)),
        vanished=int(np.count_nonzero((weights == 0) & (layer.weights != 0))),
        silenced=int(np.count_nonzero((layer.weights > 0).any(axis=1) & ~(weights > 0).any(axis=1))),
    )


def finest(layer: Layer) -> Floats:
    """The largest scale of each neuron at which its threshold, leak and first membrane still fit."""
    room = [_most(layer.threshold, THRESHOLD.high - 1), _most(layer.leak, LEAK.high)]
    room += [_most(layer.v0, MEMBRANE.high), _most(-layer.v0, -MEMBRANE.low)]
    result: Floats = np.minimum.reduce(room)
    return result


def per_weight(layer: Layer, values: Floats) -> float:
    """The greatest of `values` in units of its neuron's largest weight, which must not round to 0."""
    largest = np.abs(layer.weights).max(axis=1, initial=0.0)
    some = largest > 0
    return float(np.max(values[some] / largest[some], initial=0.0))


def _most(values: Floats, limit: int) -> Floats:
    """The factors that put `values` on `limit`; without bound where they are not positive."""
    with np.errstate(over="ignore"):
        factors: Floats = np.divide(limit, values, out=np.full(len(values), np.inf), where=values > 0)
    return factors


def _scale(layer: Layer) -> Floats:
    """Of the candidates, the one with the least error for each neuron; of equal ones the smallest."""
    finest_scale = finest(layer)
    largest = np.abs(layer.weights).max(axis=1, initial=0.0)
    best = np.minimum(finest_scale, 1.0)
    least = _cost(layer, best)
    for k in range(1, _BEYOND * -WEIGHT.low + 1):
        scale = np.minimum(
            np.divide(k, largest, out=np.ones_like(largest), where=largest > _LEAST), finest_scale
        )
        cost = _cost(layer, scale)
        better = cost < least * (1 - _EPSILON) - _EPSILON**2
        best, least = np.where(better, scale, best), np.where(better, cost, least)
    return best


def _cost(layer: Layer, scale: Floats) -> Floats:
    """Squared error of each neuron: of the weights relative to theirs, of the leak relative to the threshold."""
    off = _rounded(layer.weights, scale) / scale[:, None] - layer.weights
    power = np.mean(layer.weights**2, axis=1) if layer.weights.size else np.zeros(len(scale))
    weights = np.mean(off**2, axis=1) if layer.weights.size else np.zeros(len(scale))
    leak = (np.rint(layer.leak * scale) / scale - layer.leak) / layer.threshold
    relative = np.divide(weights, power, out=np.zeros_like(weights), where=power > 0)
    cost: Floats = relative + leak**2
    return cost


def _rounded(weights: Floats, scale: Floats) -> Integers:
    return np.clip(np.rint(weights * scale[:, None]), WEIGHT.low, WEIGHT.high).astype(np.int64)


def _threshold(layer: Layer, scale: Floats) -> Integers:
    """The first whole number that fires: the membrane is whole, and the chip fires at its threshold."""
    exact = layer.threshold * scale
    if layer.fires_at:
        return np.ceil(exact * (1 - _EPSILON)).astype(np.int64)
    return (np.floor(exact * (1 + _EPSILON)) + 1).astype(np.int64)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def _clean(error: float, size: float) -> float:
    """0 for an error that is only that of the arithmetic here."""
    return 0.0 if error <= _EPSILON * size else error

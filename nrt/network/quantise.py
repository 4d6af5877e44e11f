"""Quantisers: Network → Network for chips that compute in whole numbers, with what each step cost.

The steps, in the order in which a driver applies them:

* `without_leak` or `linear_leak`: what a chip without exponential decay does in its place; only if it was asked for
* `folded`: average pools become sum pools; constant factors and the neuron's gain go into the weights, all biases
  into the neuron's drive
* `at_tick`: drives per tick of the chip's clock instead of per time step
* `integers`: weights, drives, thresholds and states times one common scale per layer, rounded

Each returns a Network that every device can run, so each step's effect can be measured by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import Unsupported
from nrt.network.network import Network, Population, Projection
from nrt.network.neuron import Neuron, Parameter, parameter
from nrt.network.operators import Array, Conv, Dense, Operator, Pool, Scale, array
from nrt.network.rounding import Rounding, Widths, report

_EPSILON: Final = 1e-9
"""So that a number which is whole but for the last bits of a product counts as whole."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A network of whole numbers (kept as float64) and what each of its layers lost."""

    network: Network
    layers: tuple[Rounding, ...]


def _with_neurons(network: Network, neurons: dict[str, Neuron]) -> Network:
    populations = tuple(
        dataclasses.replace(p, neuron=neurons[p.name]) if p.name in neurons else p
        for p in network.populations
    )
    return dataclasses.replace(network, populations=populations)


def leaky(network: Network) -> tuple[str, ...]:
    """Populations whose membrane decays."""
    return tuple(
        p.name for p in network.populations if p.neuron is not None and bool(np.any(p.neuron.decay != 1))
    )


def without_leak(network: Network) -> Network:
    """Leaky neurons as integrate-and-fire ones, whose membrane never falls below -θ.

    Without a leak nothing else would let inhibition fade; the floor is the one that sinabs gives its neurons. A
    constant drive of a leaky neuron (a resting potential) is dropped with the leak that balances it.
    """
    neurons: dict[str, Neuron] = {}
    for name in leaky(network):
        old = _neuron(network[name])
        neurons[name] = dataclasses.replace(
            old, decay=parameter(1.0), drive=parameter(0.0), v_min=parameter(_floor(old))
        )
    return _with_neurons(network, neurons)


def _floor(neuron: Neuron) -> Parameter:
    """-θ, or the neuron's own bound if that is higher."""
    return -neuron.threshold if neuron.v_min is None else np.maximum(neuron.v_min, -neuron.threshold)


def linear_leak(network: Network) -> Network:
    """Leaky neurons as ones that lose a constant amount in every step, down to -θ.

    The amount is what the exponential leak takes from half the threshold, (1 - decay) · θ / 2: exact there, too
    little above, too much below. It goes one way only, so that a neuron without input rests at -θ instead of 0.
    The bound is that of `without_leak`; one at 0 would let no inhibition last, and costs more (docs/speck.md).
    """
    neurons: dict[str, Neuron] = {}
    for name in leaky(network):
        old = _neuron(network[name])
        loss = (1 - old.decay) * old.threshold / 2
        neurons[name] = dataclasses.replace(
            old, decay=parameter(1.0), drive=parameter(old.drive - loss), v_min=parameter(_floor(old))
        )
    return _with_neurons(network, neurons)


def folded(network: Network) -> Network:
    """No average pools, no constant factors, no gains, no biases of projections. Spikes stay the same.

    Raises Unsupported for a gain or a Scale that is not one number.
    """
    projections: list[Projection] = []
    drives: dict[str, Parameter] = {}
    for projection in network.projections:
        target = _neuron(network[projection.target])
        gain = _number(projection.target, "gain", target.gain)
        operators, factor = _pure(projection)
        projections.append(
            dataclasses.replace(projection, operators=_times(operators, factor * gain), bias=None)
        )
        if projection.bias is not None:
            drives[projection.target] = drives.get(projection.target, target.drive) + projection.bias * gain
    neurons = {
        p.name: dataclasses.replace(
            p.neuron, gain=parameter(1.0), drive=parameter(drives.get(p.name, p.neuron.drive))
        )
        for p in network.populations
        if p.neuron is not None
    }
    return _with_neurons(dataclasses.replace(network, projections=tuple(projections)), neurons)


def at_tick(network: Network, tick: int) -> Network:
    """`network` with a drive per `tick` µs instead of per step; the step becomes the tick.

    Only networks without decay keep their meaning. Raises Unsupported for others.
    """
    if leak := leaky(network):
        raise Unsupported(leak[0], "its decay belongs to the time step, which cannot be changed afterwards")
    ratio = tick / network.semantics.dt
    neurons = {
        p.name: dataclasses.replace(p.neuron, drive=parameter(p.neuron.drive * ratio))
        for p in network.populations
        if p.neuron is not None
    }
    semantics = dataclasses.replace(network.semantics, dt=tick)
    return _with_neurons(dataclasses.replace(network, semantics=semantics), neurons)


def integers(network: Network, widths: Widths | None = None) -> Quantised:
    """`network` in whole numbers: one scale per population for its weights, drive, thresholds and states.

    The scale is the largest at which all of them fit; where they are whole multiples of one number, the largest at
    which they stay so, and nothing is lost. Membranes are bounded below by the least state where nothing
    bounds them. Expects what `folded` returns. Raises Unsupported for two maps with weights in a row.
    """
    widths = widths or Widths()
    neurons: dict[str, Neuron] = {}
    rounding: list[Rounding] = []
    projections = list(network.projections)
    for population in network.populations:
        if population.neuron is None:
            continue
        into = [k for k, p in enumerate(projections) if p.target == population.name]
        weights = [_weights(projections[k].operators) for k in into]
        scale = _scale(population.neuron, weights, widths)
        neurons[population.name] = rounded = _rounded(population.neuron, scale, widths)
        for k in into:
            projections[k] = _round(_scaled(projections[k], scale))
        rounding.append(report(population.name, population.neuron, weights, rounded, scale, widths))
    whole = dataclasses.replace(network, projections=tuple(projections))
    return Quantised(_with_neurons(whole, neurons), tuple(rounding))


def in_units(network: Network, scales: Mapping[str, float]) -> Network:
    """`network` with every population's weights, drive, thresholds and states times its scale, nothing rounded.

    Spikes stay the same. With the scales of `integers` its numbers and those of the whole network compare one by one.
    """
    neurons = {
        p.name: _times_scale(p.neuron, scales[p.name]) for p in network.populations if p.neuron is not None
    }
    projections = tuple(_scaled(p, scales[p.target]) for p in network.projections)
    return _with_neurons(dataclasses.replace(network, projections=projections), neurons)


def _times_scale(neuron: Neuron, scale: float) -> Neuron:
    return dataclasses.replace(
        neuron,
        drive=parameter(neuron.drive * scale),
        v0=parameter(neuron.v0 * scale),
        v_reset=parameter(neuron.v_reset * scale),
        threshold=parameter(neuron.threshold * scale),
        v_min=None if neuron.v_min is None else parameter(neuron.v_min * scale),
    )


def _scaled(projection: Projection, scale: float) -> Projection:
    """Its weights, and its bias, times `scale`; a chain without weights gets a Scale."""
    bias = None if projection.bias is None else array(projection.bias * scale)
    return dataclasses.replace(projection, operators=_times(projection.operators, scale), bias=bias)


def _neuron(population: Population) -> Neuron:
    if population.neuron is None:
        raise Unsupported(population.name, "is an input, and a projection or a leak needs a neuron")
    return population.neuron


def _number(name: str, what: str, value: NDArray[Any]) -> float:
    if value.ndim:
        raise Unsupported(
            name, f"its {what} differs from neuron to neuron; one number per layer can be folded"
        )
    return float(value)


def _pure(projection: Projection) -> tuple[tuple[Operator, ...], float]:
    """The operators without constant factors, and their product."""
    factor = 1.0
    operators: list[Operator] = []
    for operator in projection.operators:
        if isinstance(operator, Scale):
            factor *= _number(f"{projection.source} → {projection.target}", "scale", operator.factor)
            continue
        if isinstance(operator, Pool) and operator.kind == "average":
            factor /= prod(operator.kernel)
            operator = dataclasses.replace(operator, kind="sum")
        operators.append(operator)
    return tuple(operators), factor


def _times(operators: tuple[Operator, ...], factor: float) -> tuple[Operator, ...]:
    """`operators` with a factor in the first weight, or in a Scale where there is none."""
    if factor == 1:
        return operators
    for k, operator in enumerate(operators):
        scaled: Operator
        if isinstance(operator, Dense | Conv):
            scaled = dataclasses.replace(operator, weight=array(operator.weight * factor))
        elif isinstance(operator, Scale):
            scaled = Scale(array(operator.factor * factor))
        else:
            continue
        return (*operators[:k], scaled, *operators[k + 1 :])
    return (*operators, Scale(array(np.asarray(factor))))


def _weights(operators: Sequence[Operator]) -> Array:
    """All weights of a chain, flat; the 1 of a chain without any."""
    flat = [o.weight.ravel() for o in operators if isinstance(o, Dense | Conv)]
    flat += [np.atleast_1d(o.factor).ravel() for o in operators if isinstance(o, Scale)]
    return np.concatenate(flat) if flat else np.ones(1)


def _fit(values: Array, bounds: tuple[int, int]) -> float:
    """The largest factor at which `values` lie within `bounds`."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    return min(bounds[1] / high if high > 0 else inf, bounds[0] / low if low < 0 else inf)


def _scale(neuron: Neuron, weights: Sequence[Array], widths: Widths) -> float:
    states = [neuron.threshold, neuron.drive, neuron.v0, neuron.v_reset]
    states += [] if neuron.v_min is None else [neuron.v_min]
    fits = [_fit(w, widths.weights) for w in weights]
    fits += [_fit(np.atleast_1d(s), widths.states) for s in states]
    scale = min(fits, default=inf)
    if scale == inf:
        return 1.0
    unit = _unit(np.concatenate([*weights, *(np.ravel(s) for s in states)]), 1 / scale)
    return float(np.floor(scale * unit * (1 + _EPSILON))) / unit if unit else scale


def _unit(values: Array, least: float) -> float:
    """The largest number, at least `least`, of which all values are whole multiples; 0 where there is none.

    Euclid's algorithm, in which a remainder of a ten-thousandth of `least` is none: weights kept as float32 are
    whole multiples only that well.
    """
    unit = 0.0
    for value in np.unique(np.abs(values[values != 0])).tolist():
        larger, smaller = float(value), unit
        while smaller > least / 10_000:
            larger, smaller = smaller, abs(larger - smaller * round(larger / smaller))
        unit = larger
        if unit < least * (1 - _EPSILON):
            return 0.0
    return unit


def _rounded(neuron: Neuron, scale: float, widths: Widths) -> Neuron:
    """The neuron's numbers times `scale`, whole."""
    low = widths.states[0]
    floor = low if neuron.v_min is None else np.maximum(np.round(neuron.v_min * scale), low)
    return dataclasses.replace(
        neuron,
        drive=parameter(np.round(neuron.drive * scale)),
        v0=parameter(np.round(neuron.v0 * scale)),
        v_reset=parameter(np.round(neuron.v_reset * scale)),
        threshold=parameter(np.clip(_threshold(neuron, scale), 1, widths.states[1])),
        v_min=parameter(floor),
        fire=">=",
    )


def _threshold(neuron: Neuron, scale: float) -> Array:
    """The whole threshold for `>=`: where the reset does not subtract it, the first number that fires."""
    exact = neuron.threshold * scale
    if neuron.reset == "soft":
        return np.round(exact)
    if neuron.fire == ">":
        return np.floor(exact * (1 + _EPSILON)) + 1
    return np.ceil(exact * (1 - _EPSILON))


def _round(projection: Projection) -> Projection:
    """Its weights whole. Raises Unsupported for a chain of several maps with weights, which have one scale."""
    if sum(isinstance(o, Dense | Conv | Scale) for o in projection.operators) > 1:
        raise Unsupported(
            f"{projection.source} → {projection.target}",
            "two maps with weights in a row cannot be rounded with one scale; put neurons between them",
        )
    return dataclasses.replace(projection, operators=tuple(map(_whole, projection.operators)))


def _whole(operator: Operator) -> Operator:
    if isinstance(operator, Dense | Conv):
        return dataclasses.replace(operator, weight=array(np.round(operator.weight)))
    if isinstance(operator, Scale):
        return Scale(array(np.round(operator.factor)))
    return operator

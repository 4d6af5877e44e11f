"""The way from a network in float to a tinyODIN, one change at a time, for the ladder of a comparison.

The networks are made of the very Program that is loaded: its weights, thresholds and leaks, and the floats that they
were rounded from. Three things no clocked network has: the order of a step's events, loops within a step, and a leak
that ends at 0 from both sides. They come with the chip. So the leak is a rung of its own only in layers that nothing
inhibits, where it is `drive = -leak, v_min = 0`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nrt.device import Rung
from nrt.errors import Unsupported
from nrt.network import Dense, Network, Neuron, Population, Projection
from nrt.network.neuron import parameter
from nrt.network.operators import array
from nrt.uri import Uri
from nrt_drivers.tinyodin.chip import MEMBRANE, WEIGHT
from nrt_drivers.tinyodin.lower import Leak, Program, drains, lower
from nrt_drivers.tinyodin.quantise import Fitted, Floats

Numbers = Literal["float", "leak", "weights", "state"]
"""How far the numbers have become the chip's."""


def rungs(uri: Uri, network: Network, leak: Leak) -> tuple[Rung, ...]:
    """Raises Unsupported, DoesNotFit."""
    program = lower(network, leak)
    return (
        Rung("float", network, "cpu:", "the network as it is, in float"),
        *_software(program, leak),
        *_chip(uri, program),
    )


def _software(program: Program, leak: Leak) -> Iterator[Rung]:
    try:
        _pairs(program.network)
    except Unsupported:
        return  # what meets in one synapse of the chip cannot be told apart before it
    fitted = {each.layer.name: each for each in program.layers}
    yield _rung(program, leak, "float", "folding", "chains of operators as one matrix; the chip's units")
    changed = [name for name, each in fitted.items() if _leaks(program.network[name], each, leak)]
    if changed:
        what = "a constant leak" if leak == "linear" else "no leak"
        text = f"{what} instead of an exponential one in {', '.join(changed)}"
        hint = (
            "train with a constant leak down to 0, as the chip has it" if leak == "linear" else "leak=linear"
        )
        yield _rung(program, leak, "leak", "leak", text, {"": hint})
    yield _rung(
        program, leak, "weights", "weights", f"weights and biases of {WEIGHT.width} bits", _weights(fitted)
    )
    hint = "thresholds and leaks are rounded at the scale of the weights: train with whole ones"
    bounded = _rung(
        program,
        leak,
        "state",
        "state",
        "thresholds and leaks whole; membranes not below their 12 bits",
        {"": hint},
    )
    yield dataclasses.replace(bounded, bounds=(MEMBRANE.low, MEMBRANE.high))


def _chip(uri: Uri, program: Program) -> Iterator[Rung]:
    network = program.network
    perfect = Uri(uri.scheme, "emu", "", {k: v for k, v in uri.options.items() if k == "leak"})
    inhibited = [each.layer.name for each in program.layers if each.leak.any() and not _clocked(each)]
    both = (
        f"; in {', '.join(inhibited)} the leak is constant and ends at 0 from both sides" if inhibited else ""
    )
    yield Rung(
        "order",
        network,
        str(perfect),
        f"event by event in order of arrival, loops within the step, membranes saturate{both}; an emulated chip on a "
        "perfect line",
        hints={
            "": "shorten dt, or thin the input out (crop, pool, a filter), so that fewer events share a step; train "
            "event by event"
        },
    )
    if uri.wire == "emu":
        yield Rung(
            "link",
            network,
            str(uri),
            "what the line and the board of this URI lose or delay",
            hints={
                "": "look at the run's losses and at the board's counters; a slower line or a lower input rate"
            },
        )
    else:
        text = "the line and the chip itself: whatever the emulated board does not know"
        yield Rung("device", network, str(uri), text)


def _rung(
    program: Program,
    leak: Leak,
    numbers: Numbers,
    name: str,
    what: str,
    hints: Mapping[str, str] | None = None,
) -> Rung:
    return Rung(name, _network(program, leak, numbers), "cpu:", what, hints=hints or {})


def _pairs(network: Network) -> None:
    """Raises Unsupported for two projections between the same populations: the chip adds them into one synapse."""
    pairs = [(p.source, p.target) for p in network.projections]
    for source, target in pairs:
        if pairs.count((source, target)) > 1:
            raise Unsupported(f"{source} → {target}", "several projections become one synapse")


def _network(program: Program, leak: Leak, numbers: Numbers) -> Network:
    network = program.network
    fitted = {each.layer.name: each for each in program.layers}
    populations = tuple(
        p
        if p.neuron is None
        else dataclasses.replace(
            p, neuron=_neuron(_Cells(p, p.neuron, fitted[p.name]), program.bias, leak, numbers)
        )
        for p in network.populations
    )
    projections = tuple(
        _projection(p, network[p.source], fitted[p.target], program.first[p.source], numbers)
        for p in network.projections
    )
    return dataclasses.replace(network, populations=populations, projections=projections)


def _projection(
    projection: Projection, source: Population, fitted: Fitted, first: int, numbers: Numbers
) -> Projection:
    """One matrix, in units of each neuron's weights."""
    span = slice(first, first + source.size)
    exact = fitted.layer.weights[:, span] * fitted.scale[:, None]
    weights = exact if numbers in ("float", "leak") else fitted.weights[:, span].astype(np.float64)
    return dataclasses.replace(projection, operators=(Dense(array(weights)),), bias=None)


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """A population, its neurons in float, and what the chip has of them."""

    population: Population
    neuron: Neuron
    fitted: Fitted

    def shaped(self, values: Floats) -> Floats:
        """One number per neuron, in the population's shape."""
        shaped: Floats = np.asarray(values, np.float64).reshape(self.population.shape)
        return shaped


def _leaks(population: Population, fitted: Fitted, leak: Leak) -> bool:
    """Whether a clocked neuron can leak as the chip does, and the network's does not."""
    neuron = population.neuron
    if neuron is None or drains(neuron) or not bool(np.any(neuron.decay != 1)):
        return False
    return leak == "none" or _clocked(fitted)


def _clocked(fitted: Fitted) -> bool:
    """Whether a constant leak downwards to 0 is the chip's: nothing inhibits, so no membrane is below 0."""
    return not bool((fitted.layer.weights < 0).any())


def _neuron(cells: _Cells, bias: int, leak: Leak, numbers: Numbers) -> Neuron:
    n, fitted, layer = cells.neuron, cells.fitted, cells.fitted.layer
    scale = fitted.scale
    own = np.broadcast_to(n.drive, cells.population.shape).ravel() if drains(n) else 0.0
    leaking = numbers != "float" and _leaks(cells.population, fitted, leak)
    constant = drains(n) or (leaking and leak == "linear")
    rounded_away = numbers == "state" and not fitted.leak.any() and not drains(n)
    drive = (layer.weights[:, bias] if bias >= 0 else np.zeros(len(scale))) * scale
    if numbers in ("weights", "state") and bias >= 0:
        drive = fitted.weights[:, bias].astype(np.float64)
    loss = fitted.leak.astype(np.float64) if numbers == "state" else layer.leak * scale
    theta = fitted.threshold.astype(np.float64) if numbers == "state" else layer.threshold * scale
    low = (
        None
        if n.v_min is None
        else cells.shaped(np.broadcast_to(n.v_min, cells.population.shape).ravel() * scale)
    )
    if constant:
        low = cells.shaped(np.zeros(len(scale)))
    elif numbers == "state":
        low = cells.shaped(np.full(len(scale), float(MEMBRANE.low)))
    return dataclasses.replace(
        n,
        decay=parameter(1.0) if leaking or rounded_away else n.decay,
        gain=parameter(1.0),
        drive=parameter(cells.shaped(drive - loss * constant if numbers != "float" else drive + own * scale)),
        threshold=parameter(cells.shaped(theta - loss * constant)),
        v0=parameter(cells.shaped(fitted.v0.astype(np.float64) if numbers == "state" else layer.v0 * scale)),
        v_min=None if low is None else parameter(low),
        fire=">=" if numbers == "state" else n.fire,
    )


def _weights(fitted: Mapping[str, Fitted]) -> dict[str, str]:
    general = (
        f"train with weights of {WEIGHT.width} bits per neuron (quantisation-aware); a neuron's largest weight sets "
        "its scale, so keep single large ones small"
    )
    return {"": general, **{name: f"{each}. {general}" for name, each in fitted.items()}}

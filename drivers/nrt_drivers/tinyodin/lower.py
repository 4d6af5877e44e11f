"""Lowering: a Network as what tinyODIN's memories must hold, or every limit that it exceeds.

Inputs and neurons share the chip's 256 addresses. Neurons come first, so that SPI_MAX_NEUR spares the inputs the
walk of every event; inputs follow, and last one address that spikes once in every step where there are biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final, Literal

import numpy as np

from nrt.device import Placement, Row
from nrt.errors import DoesNotFit, Unsupported, Violation
from nrt.network import Network, Neuron, Population, Projection
from nrt_drivers.tinyodin.chip import LEAK, NEURON, PAIR, THRESHOLD, UNITS
from nrt_drivers.tinyodin.quantise import Fitted, Floats, Integers, Layer, fit, per_weight

Leak = Literal["linear", "none", "refuse"]
"""What becomes of a membrane that decays: a constant leak, none at all, or no deployment."""

_HOPELESS: Final = 8 * UNITS
"""Addresses at which nothing but their number is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What the chip's memories and registers must hold, and where everything went.

    first:   address of the first unit of each population; bias: the address that spikes in every step, or -1
    weights: [source address, neuron], of `UNITS` x `UNITS`
    neurons: the words of the neuron memory
    last:    SPI_MAX_NEUR; loop: whether the neurons' spikes go back into the chip
    layers:  in the order of the network
    """

    network: Network
    first: Mapping[str, int]
    bias: int
    weights: Integers
    neurons: Integers
    last: int
    loop: bool
    layers: tuple[Fitted, ...]
    notes: tuple[str, ...]

    @property
    def pairs(self) -> Integers:
        """The bytes of the synapse memory: [source address, pair of neurons]."""
        packed: Integers = PAIR.pack(even=self.weights[:, 0::2], odd=self.weights[:, 1::2]).astype(np.int64)
        return packed

    @property
    def sources(self) -> int:
        """Addresses in use."""
        return self.last + 1 + sum(self.network[name].size for name in self.network.inputs) + (self.bias >= 0)

    def placement(self, device: str, notes: tuple[str, ...] = ()) -> Placement:
        """As a table for people."""
        fitted = {layer.layer.name: layer for layer in self.layers}
        rows = [self._row(p, fitted.get(p.name)) for p in self.network.populations]
        if self.bias >= 0:
            rows.append(Row("(bias)", "1 unit", f"address {self.bias}", "spikes once in every step"))
        return Placement(device, self.network.name, tuple(rows), (*self.notes, *notes))

    def _row(self, population: Population, fitted: Fitted | None) -> Row:
        first, size = self.first[population.name], population.size
        where = f"addresses {first} to {first + size - 1}" if size > 1 else f"address {first}"
        if fitted is None:
            return Row(population.name, f"{size} inputs", where)
        scale = f"scale {_span(fitted.scale)}, thresholds {_span(fitted.threshold)}"
        scale += f", leaks {_span(fitted.leak)}" if fitted.leak.any() else ""
        return Row(population.name, f"{size} neurons", where, f"{scale}; {fitted}")


def lower(network: Network, leak: Leak = "linear") -> Program:
    """Raises Unsupported for what the chip cannot do, DoesNotFit with every limit that is exceeded."""
    _check_shape(network)
    neurons = {p.name: n for p in network.populations if (n := p.neuron) is not None}
    for name, neuron in neurons.items():
        _check_neuron(name, neuron, leak)
    notes = list(_delays(network))
    biases = {name: _bias(network, name) for name in neurons}
    first, bias = _addresses(network, any(b.any() for b in biases.values()))
    used = max(sum(p.size for p in network.populations) + (bias >= 0), 1)
    if used > _HOPELESS:  # its matrices would be out of all proportion
        _check_limits(network, used, [])
    layers: list[Layer] = []
    for population in network.populations:
        if population.neuron is not None:
            incoming = _incoming(network, population, first, used, bias, biases[population.name])
            layer, remarks = _layer(network, population, incoming, leak)
            layers.append(layer)
            notes += remarks
    _check_limits(network, used, layers)
    fitted = tuple(fit(layer) for layer in layers)
    notes += _semantics(network, fitted)
    return _program(network, first, bias, fitted, tuple(dict.fromkeys(notes)))


# ------------------------------------------------------------------------------------------- what cannot be


def _check_shape(network: Network) -> None:
    if len(network.inputs) != 1:
        raise Unsupported(
            ", ".join(network.inputs) or network.name, "events can go to exactly one input population"
        )
    if network[network.inputs[0]].neuron is not None:
        raise Unsupported(
            network.inputs[0], "an input with neurons of its own; put an input population before it"
        )
    for p in network.projections:
        if p.delay > 1 or (p.delay and p.source in network.inputs):
            raise Unsupported(
                f"{p.source} → {p.target}", f"a delay of {p.delay} steps; the chip has no delays"
            )
        if p.target in network.inputs:
            raise Unsupported(f"{p.source} → {p.target}", "a projection onto the input")


def _check_neuron(name: str, neuron: Neuron, leak: Leak) -> None:
    """The chip has one neuron: integrate, fire once, reset to zero."""
    wrong = {
        "a synaptic current; the chip's synapses act at once (use LIF or IF neurons)": neuron.synapse_decay
        is not None,
        "a membrane that is its output; the chip gives spikes only (put a spiking layer last)": not neuron.fires,
        f"'{neuron.spikes}' spikes; the chip's are binary": neuron.fires and neuron.spikes != "binary",
        f"reset '{neuron.reset}'; the chip resets to zero (load with reset='hard', or train so)": neuron.reset
        != "hard",
        "v_reset other than 0; the chip resets to zero": bool(np.any(neuron.v_reset != 0)),
        f"timing '{neuron.timing}'; the chip resets at the spike": neuron.timing != "immediate",
        "a threshold that is not positive": bool(np.any(neuron.threshold <= 0)),
        "a decay above 1 or below 0": bool(np.any((neuron.decay > 1) | (neuron.decay < 0))),
        "a membrane that decays, and leak=refuse": leak == "refuse" and bool(np.any(neuron.decay != 1)),
    }
    for reason, found in wrong.items():
        if found:
            raise Unsupported(name, reason)


def _check_limits(network: Network, used: int, layers: list[Layer]) -> None:
    """Raises DoesNotFit with everything that is too large."""
    found: list[Violation] = []
    if used > UNITS:
        hint = "inputs, neurons and a unit for biases share the addresses: pool or crop the input, or shrink a layer"
        found.append(Violation(network.name, "addresses", used, UNITS, hint))
    for layer in layers:
        for what, values, have, hint in (
            ("threshold", layer.threshold, THRESHOLD.high, "raise its weights or lower its threshold"),
            ("leak", layer.leak, LEAK.high, "raise its weights or lower its leak"),
        ):
            need = per_weight(layer, values)
            if need > have:
                limit = f"{what} in units of its largest weight"
                found.append(
                    Violation(layer.name, limit, need, have, f"all its weights would round to 0: {hint}")
                )
    if found:
        raise DoesNotFit(found)


# ------------------------------------------------------------------------------------------- what becomes of it


def _addresses(network: Network, biased: bool) -> tuple[dict[str, int], int]:
    """The first address of each population, neurons before inputs, and that of the bias."""
    first: dict[str, int] = {}
    at = 0
    for computes in (True, False):
        for population in network.populations:
            if (population.neuron is not None) == computes:
                first[population.name] = at
                at += population.size
    return first, at if biased else -1


def _bias(network: Network, name: str) -> Floats:
    """What every neuron of a population receives in every step, its leak left out."""
    population = network[name]
    neuron = population.neuron
    assert neuron is not None
    out = np.zeros(population.size)
    for projection in network.into(name):
        if projection.bias is not None:
            out += (np.broadcast_to(neuron.gain, population.shape) * projection.bias).ravel()
    return out if drains(neuron) else out + _flat(population, neuron.drive)


def drains(neuron: Neuron) -> bool:
    """Whether its drive is a constant leak: downwards, no further than 0."""
    floor = neuron.v_min is not None and not np.any(neuron.v_min != 0)
    return floor and not np.any(neuron.decay != 1) and not np.any(neuron.drive > 0)


def _flat(population: Population, values: Floats) -> Floats:
    return np.broadcast_to(values, population.shape).astype(np.float64).ravel()


def _incoming(
    network: Network, population: Population, first: Mapping[str, int], used: int, bias: int, biases: Floats
) -> Floats:
    """Weights of everything that reaches a population: [neuron, source address]."""
    out = np.zeros((population.size, max(used, UNITS)))
    for projection in network.into(population.name):
        matrix = _matrix(projection, network[projection.source])
        begin = first[projection.source]
        out[:, begin : begin + matrix.shape[1]] += matrix
    assert population.neuron is not None
    out *= _flat(population, population.neuron.gain)[:, None]
    if bias >= 0:
        out[:, bias] = biases
    return out


def _matrix(projection: Projection, source: Population) -> Floats:
    """The chain of operators as one matrix: its columns are what each source neuron contributes."""
    columns: list[Floats] = []
    for k in range(source.size):
        x = np.zeros(source.shape)
        x.flat[k] = 1.0
        for operator in projection.operators:
            x = operator.apply(x)
        columns.append(x.ravel())
    return np.stack(columns, axis=1) if columns else np.zeros((0, 0))


def _layer(network: Network, population: Population, incoming: Floats, leak: Leak) -> tuple[Layer, list[str]]:
    """One population in floats, and what of it the chip does differently."""
    neuron = population.neuron
    assert neuron is not None
    notes: list[str] = []
    name, theta = population.name, _flat(population, neuron.threshold)
    decay = _flat(population, neuron.decay)
    loss = np.zeros(population.size)
    if drains(neuron):
        loss = -_flat(population, neuron.drive)
        theta = theta + loss  # the leak comes after the test, in the network before it
        if loss.any() and bool(np.any(incoming < 0)):
            notes.append(
                f"{name}: its membrane stays above 0 in the network; on the chip it leaks towards 0 from both sides"
            )
    elif bool(np.any(decay != 1)):
        if leak == "linear":
            loss = (1 - decay) * theta / 2
            most = float(np.max((1 - decay) / 2))
            notes.append(
                f"{name}: the exponential leak became a constant one, right at half the threshold and "
                f"off by up to {most:.2%} of the threshold per step elsewhere"
            )
        else:
            notes.append(f"{name}: its leak was left out (leak=none)")
    if neuron.v_min is not None and not drains(neuron) and bool(np.any(incoming < 0)):
        notes.append(f"{name}: the chip does not keep the membrane above v_min")
    v0 = _flat(population, neuron.v0)
    return Layer(name, incoming, theta, loss, v0, neuron.fire == ">="), notes


def _delays(network: Network) -> list[str]:
    late = [f"{p.source} → {p.target}" for p in network.projections if p.delay]
    return [
        f"{name}: acts within the step, not one step later: the chip passes spikes on at once"
        for name in late
    ]


def _semantics(network: Network, fitted: tuple[Fitted, ...]) -> list[str]:
    """Where the chip differs from a clocked simulation however exact the numbers are."""
    mixed = [f.layer.name for f in fitted if bool((f.weights > 0).any() and (f.weights < 0).any())]
    text = "several events in one step are added one after the other, with a test and a reset after each"
    text += f"; with excitation and inhibition ({', '.join(mixed)}) their order matters" if mixed else ""
    return [text]


def _program(
    network: Network, first: Mapping[str, int], bias: int, fitted: tuple[Fitted, ...], notes: tuple[str, ...]
) -> Program:
    weights = np.zeros((UNITS, UNITS), np.int64)
    words = np.full(UNITS, NEURON.pack_one(core=0, thr=THRESHOLD.high, leak_str=0, neur_disable=1), np.int64)
    for layer in fitted:
        at = first[layer.layer.name]
        span = slice(at, at + len(layer.threshold))
        weights[:, span] = layer.weights[:, :UNITS].T
        words[span] = NEURON.pack(core=layer.v0, thr=layer.threshold, leak_str=layer.leak, neur_disable=0)
    count = sum(prod(p.shape) for p in network.populations if p.neuron is not None)
    return Program(
        network,
        first,
        bias,
        weights,
        words,
        last=max(count - 1, 0),
        loop=any(p.source not in network.inputs for p in network.projections),
        layers=fitted,
        notes=notes,
    )


def _span(values: Floats | Integers) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"

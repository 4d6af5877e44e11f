"""What a network is, as rows for people: its layers, its choices, and the most that one step can cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Final

import numpy as np

from nrt.clock import readable
from nrt.network.network import Network, Population, Projection
from nrt.network.neuron import Neuron, Parameter
from nrt.network.operators import Conv, Dense, Operator, Pool

_WORD: Final = 4  # bytes of a state variable, as the engines keep it


@dataclass(frozen=True, slots=True)
class Layer:
    """One population and what leads into it.

    kind:       input, IF, LIF, I, LI, CubaLIF, CubaLI, threshold or readout, by its equations
    sources:    the projections into it, as in "conv 16@5x5/2 ← input, 1 step later"
    parameters: weights and biases into it, as stored
    equation:   one step of its neurons, "" for an input
    delay:      the most steps that a signal takes into it
    macs:       multiplications and additions of one step if everything spiked
    state:      bytes of its membranes, currents and delayed signals, at four bytes each
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    parameters: int
    sources: tuple[str, ...]
    equation: str
    delay: int
    macs: int
    state: int


@dataclass(frozen=True, slots=True)
class Description:
    """A network for people. choices: the fields of its Semantics and Encoding by name; macs, state: sums."""

    name: str
    layers: tuple[Layer, ...]
    choices: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    neurons: int
    parameters: int
    macs: int
    state: int


def describe(network: Network) -> Description:
    """The rows that `nrt info` prints."""
    layers = tuple(_layer(network, population) for population in network.populations)
    return Description(
        name=network.name,
        layers=layers,
        choices=_choices(network),
        notes=network.notes,
        neurons=network.neurons,
        parameters=network.parameters,
        macs=sum(layer.macs for layer in layers),
        state=sum(layer.state for layer in layers),
    )


def _choices(network: Network) -> tuple[tuple[str, str], ...]:
    rows = [("like", network.semantics.name), ("dt", readable(network.semantics.dt))]
    for part in (network.semantics, network.encoding):
        rows += [(f.name, str(getattr(part, f.name))) for f in fields(part) if f.name not in ("name", "dt")]
    return tuple(rows)


def _layer(network: Network, population: Population) -> Layer:
    into = network.into(population.name)
    shapes = {p.name: p.shape for p in network.populations}
    longest = max((p.delay for p in network.projections if p.source == population.name), default=0)
    variables = 0 if population.neuron is None else 1 + (population.neuron.synapse_decay is not None)
    return Layer(
        name=population.name,
        kind=_kind(population.neuron),
        shape=population.shape,
        neurons=population.size,
        parameters=sum(_parameters(p) for p in into),
        sources=tuple(_source(p) for p in into),
        equation="" if population.neuron is None else equation(population.neuron),
        delay=max((p.delay for p in into), default=0),
        macs=sum(macs(p.operators, shapes[p.source]) for p in into),
        state=_WORD * population.size * (variables + longest),
    )


def _kind(neuron: Neuron | None) -> str:
    if neuron is None:
        return "input"
    if neuron.synapse_decay is not None:
        return "CubaLIF" if neuron.fires else "CubaLI"
    if not np.any(neuron.decay):
        return "threshold" if neuron.fires else "readout"
    if np.all(neuron.decay == 1):
        return "IF" if neuron.fires else "I"
    return "LIF" if neuron.fires else "LI"


def _parameters(projection: Projection) -> int:
    weights = sum(o.weight.size for o in projection.operators if isinstance(o, Conv | Dense))
    return weights + (0 if projection.bias is None else projection.bias.size)


def _source(projection: Projection) -> str:
    chain = ", ".join(_operator(o) for o in reversed(projection.operators)) or "identity"
    bias = " + bias" if projection.bias is not None else ""
    steps = projection.delay
    later = f", {steps} step{'s' if steps > 1 else ''} later" if steps else ""
    return f"{chain}{bias} ← {projection.source}{later}"


def _operator(operator: Operator) -> str:
    if isinstance(operator, Dense):
        return "dense {}x{}".format(*operator.weight.shape)
    if isinstance(operator, Conv):
        outputs, _, height, width = operator.weight.shape
        groups = f" in {operator.groups} groups" if operator.groups > 1 else ""
        return f"conv {outputs}@{height}x{width}{_stride(operator.stride)}{groups}"
    if isinstance(operator, Pool):
        return f"{operator.kind} pool {operator.kernel[0]}x{operator.kernel[1]}"
    return "scale"


def _stride(stride: tuple[int, int]) -> str:
    if stride == (1, 1):
        return ""
    return f"/{stride[0]}" if stride[0] == stride[1] else f"/{stride[0]}x{stride[1]}"


def macs(operators: Sequence[Operator], shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of a chain of operators on a dense signal of `shape`; borders count in full."""
    total = 0
    for operator in operators:
        out = operator.shape(shape)
        if isinstance(operator, Dense):
            total += operator.weight.size
        elif isinstance(operator, Conv):
            total += prod(out) * prod(operator.weight.shape[1:])
        elif isinstance(operator, Pool):
            total += prod(out) * prod(operator.kernel)
        else:
            total += prod(out)
        shape = out
    return total


def equation(neuron: Neuron) -> str:
    """One step of the neuron in a line, parameters that vary over neurons as a range."""
    parts: list[str] = []
    x = "x"
    if neuron.synapse_decay is not None and neuron.synapse_gain is not None:
        parts.append(f"i ← {_term(neuron.synapse_decay, 'i')}{_plus(neuron.synapse_gain, 'x')}")
        x = "i"
    drive = "" if not np.any(neuron.drive) else f" + {_number(neuron.drive)}"
    leak = _term(neuron.decay, "v")
    parts.append(f"v ← {leak}{_plus(neuron.gain, x) if leak else _term(neuron.gain, x)}{drive}")
    if neuron.v_min is not None:
        parts.append(f"v ≥ {_number(neuron.v_min)}")
    if neuron.fires:
        parts.append(f"{neuron.spikes} spike where v {neuron.fire} {_number(neuron.threshold)}")
        parts.append(_reset(neuron))
    return "; ".join(parts)


def _reset(neuron: Neuron) -> str:
    when = {"immediate": "", "delayed": ", one step later", "fire-first": ", output one step later"}
    what = {
        "hard": f"reset to {_number(neuron.v_reset)}",
        "soft": "reset by subtraction",
        "none": "no reset",
    }
    return what[neuron.reset] + ("" if neuron.reset == "none" else when[neuron.timing])


def _number(value: Parameter) -> str:
    low, high = float(value.min()), float(value.max())
    return f"{low:.4g}" if low == high else f"{low:.4g}…{high:.4g}"


def _term(factor: Parameter, name: str) -> str:
    if not np.any(factor):
        return ""
    number = _number(factor)
    return name if number == "1" else f"{number}·{name}"


def _plus(factor: Parameter, name: str) -> str:
    term = _term(factor, name)
    return f" + {term}" if term else ""

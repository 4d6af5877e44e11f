"""Which networks a Speck2f runs, and as what: Network → whole numbers → layers for cores.

A layer is a population of integrate-and-fire neurons with what leads into it: convolutions, or dense matrices as
convolutions over the whole map, after sum pools. Several projections into one population become one kernel over
their features side by side. What the chip does differently from a clocked simulation is said in a note; what it
cannot do raises Unsupported with the way out; what exceeds a number is collected in violations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nrt.errors import Unsupported, Violation
from nrt.network.network import Network, Population, Projection
from nrt.network.neuron import Neuron
from nrt.network.operators import Dense
from nrt.network.quantise import at_tick, folded, integers, leaky, linear_leak, without_leak
from nrt.network.rounding import Rounding
from nrt_drivers.speck.chip import Int, Layer, Link, widths
from nrt_drivers.speck.geometry import Geometry, Volume, geometry, volume

Leak = Literal["refuse", "none", "linear"]


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A network as layers. `network` is what they compute, in whole numbers, and runs on every device.

    layers: in the order of the network's populations · entries: where its input's spikes go
    input: the map of the input · tick: µs of the slow clock, 0 where nothing needs one
    """

    network: Network
    layers: tuple[Layer, ...]
    entries: tuple[Link, ...]
    input: Volume
    tick: int
    rounding: tuple[Rounding, ...]
    violations: tuple[Violation, ...]
    notes: tuple[str, ...]


def lower(network: Network, *, leak: Leak = "refuse", tick: int = 0) -> Lowered:
    """`network` for the chip. tick: µs between ticks of the slow clock; 0: one time step. Raises Unsupported."""
    notes: list[str] = []
    _check_structure(network, notes)
    network = _unleaked(network, leak, notes)
    for population in network.populations:
        if population.neuron is not None:
            _check_neuron(population.name, population.neuron, notes)
    whole = folded(network)
    driven = [p.name for p in whole.populations if p.neuron is not None and np.any(p.neuron.drive != 0)]
    tick = (tick or network.semantics.dt) if driven else 0
    quantised = integers(at_tick(whole, tick) if tick else whole, widths())
    if tick:
        notes.append(
            f"bias or leak of {', '.join(driven)} acts every {tick} µs, at the slow clock, not in steps"
        )
    return _layers(quantised.network, tick, quantised.layers, notes)


def _check_structure(network: Network, notes: list[str]) -> None:
    if len(network.inputs) != 1:
        raise Unsupported(network.name, f"has {len(network.inputs)} inputs; the chip takes one map of events")
    order = {p.name: k for k, p in enumerate(network.populations)}
    for projection in network.projections:
        label = f"{projection.source} → {projection.target}"
        if order[projection.source] >= order[projection.target]:
            raise Unsupported(
                label,
                "is recurrent; cores can be wired in loops, but they deadlock, and delays of a time step "
                "do not exist there: unroll it or keep that layer on another device",
            )
        if projection.delay:
            notes.append(
                f"{label}: a delay of {projection.delay} step(s) is dropped; spikes take microseconds"
            )
    fed = {p.target for p in network.projections}
    for population in network.populations:
        if population.neuron is not None and population.name not in fed:
            raise Unsupported(population.name, "has neurons but nothing leads into it")


def _unleaked(network: Network, leak: Leak, notes: list[str]) -> Network:
    names = leaky(network)
    if not names:
        return network
    if leak == "refuse":
        raise Unsupported(
            ", ".join(names),
            "the membrane decays exponentially, which no core can do; choose leak=none (integrate and fire, "
            "not below -θ) or leak=linear (a constant amount per tick of the slow clock, down to -θ)",
        )
    if leak == "none":
        notes.append(f"asked for: {', '.join(names)} without their leak, membranes not below -θ")
        return without_leak(network)
    notes.append(
        f"asked for: {', '.join(names)} lose a constant amount, as at half the threshold, down to -θ"
    )
    return linear_leak(network)


def _check_neuron(name: str, neuron: Neuron, notes: list[str]) -> None:
    """Raises Unsupported for what no setting of a core does."""
    if neuron.synapse_decay is not None:
        raise Unsupported(
            name, "has a synaptic current, which cores do not; use LIF or IF instead of CubaLIF"
        )
    if neuron.spikes not in ("binary", "count"):
        kind = "does not fire" if neuron.spikes == "none" else f"fires {neuron.spikes} spikes"
        raise Unsupported(name, f"{kind}; a core's neurons fire plain spikes: end the network in IF neurons")
    if neuron.reset == "none":
        raise Unsupported(name, "does not reset; a core resets to 0 or subtracts the threshold")
    if neuron.reset == "hard" and np.any(neuron.v_reset != 0):
        raise Unsupported(name, "resets to another value than 0; shift its membrane so that it resets to 0")
    for what, value in (("threshold", neuron.threshold), ("lower bound", neuron.v_min), ("start", neuron.v0)):
        if value is not None and value.ndim:
            raise Unsupported(
                name, f"its {what} differs from neuron to neuron; a core has one: scale the weights instead"
            )
    if float(neuron.threshold) <= 0:
        raise Unsupported(name, f"its threshold is {float(neuron.threshold):g}; it must be above 0")
    if neuron.spikes == "count":
        notes.append(
            f"{name}: fires at most one spike per event; what is left above θ waits for the next event"
        )
    if neuron.timing != "immediate":
        notes.append(f"{name}: resets with its spike, not a step later")


def _layers(network: Network, tick: int, rounding: tuple[Rounding, ...], notes: list[str]) -> Lowered:
    violations: list[Violation] = []
    maps = _maps(network)
    shapes: dict[str, list[Geometry]] = {}
    links: dict[str, list[Link]] = {p.name: [] for p in network.populations}
    for population in network.populations:
        into = network.into(population.name)
        found = [geometry(p, maps[p.source], violations) for p in into]
        shapes[population.name] = found
        shift = 0
        for projection, shape in zip(into, found, strict=True):
            links[projection.source].append(Link(population.name, shape.pooling, shift))
            shift += shape.inputs[0]
    layers = tuple(
        _layer(p, p.neuron, maps[p.name], shapes[p.name], tuple(links[p.name]), notes)
        for p in network.populations
        if p.neuron is not None
    )
    entry = network.inputs[0]
    return Lowered(
        network, layers, tuple(links[entry]), maps[entry], tick, rounding, tuple(violations), tuple(notes)
    )


def _maps(network: Network) -> dict[str, Volume]:
    """Each population's map on the chip: flat where a dense matrix leads into it."""
    return {
        p.name: volume(p.shape, flat=any(_dense(i) for i in network.into(p.name)))
        for p in network.populations
    }


def _dense(projection: Projection) -> bool:
    return any(isinstance(operator, Dense) for operator in projection.operators)


def _layer(
    population: Population,
    neuron: Neuron,
    outputs: Volume,
    shapes: Sequence[Geometry],
    links: tuple[Link, ...],
    notes: list[str],
) -> Layer:
    first = shapes[0]
    for shape in shapes:
        if shape.outputs != outputs:
            raise Unsupported(
                population.name, f"its map is {outputs}, what arrives has {shape.outputs}; reshape it"
            )
        if (shape.inputs[1:], shape.kernel.shape[2:], shape.stride, shape.padding) != (
            first.inputs[1:],
            first.kernel.shape[2:],
            first.stride,
            first.padding,
        ):
            raise Unsupported(
                population.name,
                "several projections lead into it; on one core they must have the same map, kernel size, stride "
                "and padding",
            )
    assert neuron.v_min is not None  # integers() bounds every membrane
    floor = int(neuron.v_min)
    if floor == 0:
        floor = -1
        notes.append(
            f"{population.name}: membranes end at -1 instead of 0 below (erratum threshold_low_zero)"
        )
    return Layer(
        population.name,
        (sum(s.inputs[0] for s in shapes), *first.inputs[1:]),
        outputs,
        np.concatenate([s.kernel for s in shapes], axis=1),
        first.stride,
        first.padding,
        _bias(population, neuron, outputs),
        int(neuron.threshold),
        floor,
        neuron.reset == "hard",
        int(neuron.v0),
        links,
    )


def _bias(population: Population, neuron: Neuron, outputs: Volume) -> Int | None:
    """One number for each feature. Raises Unsupported where neurons of a feature differ."""
    if not np.any(neuron.drive != 0):
        return None
    drive = np.broadcast_to(neuron.drive, population.shape).reshape(outputs[0], -1).astype(np.int64)
    if np.any(drive != drive[:, :1]):
        raise Unsupported(
            population.name, "its bias differs within a feature; a core has one for each feature"
        )
    return np.array(drive[:, 0])

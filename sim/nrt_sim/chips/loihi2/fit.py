"""A Network as a Program: numbers of any kind become Loihi's fixed point, with what that cost.

Per population there is one scale, units of a weight per unit of the float network. Where a network is in fixed
point already (whole weights and thresholds, decays that are multiples of 1/4096, as a lava-dl file has them) the
scale is 1 and nothing is rounded. Otherwise it is the one at which the projection with the smallest weights uses all
eight bits, lowered where the current would wrap around if all inputs spiked at once (but not so far that the largest
lose bits), and then doubled while the threshold has less than ten.
When spikes arrive is settled by `nrt_sim.chips.loihi2.levels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import DoesNotFit, Unsupported, Violation
from nrt.network import Network, Neuron, Population
from nrt.network.operators import Array, fan
from nrt.network.rounding import relative
from nrt_sim.chips.loihi2.chain import Chain, chain, gain
from nrt_sim.chips.loihi2.levels import delay, levels
from nrt_sim.chips.loihi2.program import SPEC, WIDTH, Cells, Program, Synapses, stage
from nrt_sim.chips.loihi2.rounding import EXPONENTS, rounded, weight_format, weight_loss

_UNITY: Final = SPEC.limit("decay_unity")
_POINT: Final = 1 << WIDTH.activation_shift  # units of v per unit of a weight
_FINE: Final = 1 << 10  # a threshold of this size is off by less than a thousandth
_TOP: Final = WIDTH.half // _POINT  # what a current cannot reach, in units of a weight


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population with what leads into it, in numbers of the float network, membranes counted from v_reset."""

    population: Population
    neuron: Neuron
    chains: tuple[Chain, ...]
    drive: Array
    constant: Array

    @property
    def flat(self) -> NDArray[np.float64]:
        """All weights."""
        return np.concatenate([np.zeros(0), *(c.weights.ravel() for c in self.chains)])


def fit(network: Network) -> Program:
    """`network` on Loihi. Raises Unsupported, or DoesNotFit with every limit that it exceeds."""
    if len(network.inputs) != 1:
        raise Unsupported(", ".join(network.inputs), "events can go to exactly one input population")
    parts = layers(network)
    level = levels(network)
    cells, synapses, remarks = [], [], {}
    violations: list[Violation] = []
    late: list[str] = []
    for layer in parts:
        whole = _is_whole(layer)
        scale = 1.0 if whole else _scale(layer)
        made, loss = _cells(layer, scale, whole, violations)
        lines = [] if whole else [f"scale {scale:.4g}"]
        for each in layer.chains:
            steps, behind = delay(network, each.projection, level)
            late += [behind] if behind else []
            one, error = _synapses(network, each, scale, whole, steps)
            synapses.append(one)
            lines += [error] if error else []
        cells.append(made)
        remarks[layer.population.name] = "; ".join([*([*lines, *loss] or ["exact"]), *_facts(made)])
    _check(network, synapses, violations)
    if violations:
        raise DoesNotFit(violations)
    notes = (*_notes(network, parts, level), *late)
    return Program(network, tuple(cells), tuple(synapses), level, notes, remarks)


def layers(network: Network) -> list[Layer]:
    """What is to be fitted, in order. Raises Unsupported for what no CUBA LIF neuron and no synapse does."""
    return [_layer(network, p, p.neuron) for p in network.populations if p.neuron is not None]


def _layer(network: Network, population: Population, neuron: Neuron) -> Layer:
    _require(population.name, neuron)
    into = network.into(population.name)
    for projection in into:
        source = network[projection.source].neuron
        if source is not None and not source.fires:
            raise Unsupported(projection.source, "its membrane drives other neurons; Loihi's send spikes")
    biases = sum((p.bias for p in into if p.bias is not None), np.zeros(population.shape))
    through = neuron.synapse_decay is not None
    shift = -(1 - neuron.decay) * neuron.v_reset  # the chip resets to 0: membranes are counted from v_reset
    drive = neuron.drive + shift + (0 if through else biases * gain(neuron))
    return Layer(
        population,
        neuron,
        tuple(chain(network, p, neuron) for p in into),
        np.broadcast_to(drive, population.shape).ravel(),
        np.broadcast_to(biases * gain(neuron) if through else 0.0, population.shape).ravel(),
    )


def _require(name: str, neuron: Neuron) -> None:
    """Raises Unsupported for neurons that are no CUBA LIF."""
    if neuron.fires and neuron.spikes != "binary":
        raise Unsupported(name, f"its spikes are '{neuron.spikes}'; a CUBA LIF neuron's are binary")
    if neuron.fires and (neuron.reset != "hard" or neuron.timing != "immediate"):
        raise Unsupported(
            name,
            f"its reset is {neuron.reset}, {neuron.timing}; a CUBA LIF neuron is set to a value at once "
            "(load the network with reset=hard, timing=immediate to see what that changes)",
        )
    if neuron.v_min is not None:
        raise Unsupported(
            name, "its membrane has a lower bound, which a CUBA LIF neuron has not (floor=none)"
        )
    for decay in (neuron.decay, neuron.synapse_decay):
        if decay is not None and bool(np.any((decay < 0) | (decay > 1))):
            raise Unsupported(name, "a state of it grows or alternates; Loihi's decays are between 0 and 1")


def _is_whole(layer: Layer) -> bool:
    """Whether every number is in Loihi's fixed point as it is."""
    n = layer.neuron
    decays = [(1 - d) * _UNITY for d in (n.decay, n.synapse_decay) if d is not None]
    states = [layer.drive * _POINT, (n.v0 - n.v_reset) * _POINT]
    thresholds = [n.threshold - n.v_reset] if n.fires else []
    numbers = [layer.flat, layer.constant, *thresholds, *decays, *states]
    largest = float(np.abs(layer.flat).max(initial=0.0))
    return all(bool(np.all(x == np.round(x))) for x in numbers) and largest < 256 * 2.0 ** EXPONENTS[1]


def _scale(layer: Layer) -> float:
    """The scale at which the smallest of the projections has weights of eight bits, and the threshold ten if it can."""
    full = float(SPEC.format("weight_mixed").high)
    peaks = [float(np.abs(c.weights).max(initial=0.0)) for c in layer.chains]
    peaks = [p for p in peaks if p > 0]
    n, bias = layer.neuron, SPEC.format("bias")
    threshold = n.threshold - n.v_reset if n.fires else np.zeros(())
    most = min(
        _bound(full * 2.0 ** EXPONENTS[1], np.array(peaks)),
        _bound(SPEC.format("threshold").high, threshold),
        _bound(bias.high * 2.0 ** SPEC.limit("bias_exponent_high") / _POINT, layer.drive),
        _bound(_TOP - 1, n.v0 - n.v_reset),
    )
    together = sum(_most(c) for c in layer.chains)
    wanted = full / min(peaks) if peaks else float(SPEC.format("threshold").high)
    if together * wanted > _TOP - 1:
        wanted = max(full / max(peaks), (_TOP - 1) / together)
    scale = min(wanted, most)
    lasting = (
        1.0 if n.synapse_decay is None else float(np.max(1 / np.maximum(1 - n.synapse_decay, 1 / _UNITY)))
    )
    while (
        0 < scale * np.abs(threshold).max() < _FINE
        and 2 * scale <= most
        and 2 * scale * together * lasting <= _TOP - 1
    ):
        scale *= 2  # weights keep their bits, with a larger exponent
    return scale


def _bound(most: float, values: NDArray[Any]) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    return most / largest if largest else np.inf


def _most(each: Chain) -> float:
    """The most that one step can bring to one neuron."""
    weights = np.abs(each.weights)
    return float(weights.reshape(len(weights), -1).sum(axis=1).max(initial=0.0))


def _cells(layer: Layer, scale: float, whole: bool, violations: list[Violation]) -> tuple[Cells, list[str]]:
    """The neurons, and what rounding their numbers cost."""
    n, name, shape = layer.neuron, layer.population.name, layer.population.shape
    size = layer.population.size
    decay_v, error_v = _decay(n.decay, size)
    decay_u, error_u = _decay(np.zeros(()) if n.synapse_decay is None else n.synapse_decay, size)
    bias = _bias(name, layer.drive * scale * _POINT, violations)
    v0 = rounded(np.broadcast_to((n.v0 - n.v_reset) * scale * _POINT, shape).ravel())
    undecayed = all(bool(np.all((d == 0) | (d == _UNITY))) for d in (decay_u, decay_v))
    in_units = whole and undecayed and not np.any(bias % _POINT) and not np.any(v0 % _POINT)
    threshold, error = _threshold(layer, scale, in_units, violations)
    loss = [f"decay {max(error_v, error_u):.2%}"] if max(error_v, error_u) > 0 else []
    loss += error
    if np.any(bias / (scale * _POINT) != layer.drive):
        loss.append(f"drive {relative(layer.drive, bias / (scale * _POINT)):.2%}")
    constant = rounded(layer.constant * scale)
    origin = np.broadcast_to(n.v_reset, shape).ravel()
    made = Cells(name, decay_u, decay_v, threshold, bias, v0, constant, n.fires, scale, origin)
    return made, loss


def _facts(cells: Cells) -> list[str]:
    """What a reader should know of the layer besides its rounding."""
    facts: list[str] = []
    if np.any(cells.constant):
        facts.append("its bias comes from an axon that spikes in every step")
    if cells.fires and np.any(cells.origin):
        facts.append("membranes are counted from v_reset")
    if not cells.fires:
        facts.append("does not fire: its membrane is read by a probe")
    return facts


def _decay(kept: Array, size: int) -> tuple[NDArray[np.int64], float]:
    """The decay of 4096, and the largest error relative to it."""
    exact = np.broadcast_to((1 - kept) * _UNITY, kept.shape if kept.ndim else (size,)).ravel()
    whole = rounded(exact)
    return whole, relative(exact, whole)


def _threshold(
    layer: Layer, scale: float, in_units: bool, violations: list[Violation]
) -> tuple[NDArray[np.int64], list[str]]:
    """The thresholds' mantissas. in_units: whether membranes are whole in units of a weight at all times."""
    n, shape = layer.neuron, layer.population.shape
    if not n.fires:
        return np.zeros(layer.population.size, np.int64), []
    exact = np.broadcast_to((n.threshold - n.v_reset) * scale, shape).ravel()
    mantissa = rounded(exact)
    loss = [f"threshold {relative(exact, mantissa):.2%}"] if np.any(mantissa != exact) else []
    if n.fire == ">=" and in_units:
        mantissa -= 1  # to reach the threshold is to exceed the number before it
    elif n.fire == ">=":
        loss.append("fires above its threshold, not at it")
    form = SPEC.format("threshold")
    for wrong, bound, hint in (
        (mantissa.min(initial=form.low), form.low, "raise it above the reset"),
        (mantissa.max(initial=form.low), form.high, "lower it, or its weights"),
    ):
        if not form.low <= wrong <= form.high:
            violations.append(Violation(layer.population.name, "threshold", float(wrong), bound, hint))
    return mantissa, loss


def _bias(name: str, exact: NDArray[np.float64], violations: list[Violation]) -> NDArray[np.int64]:
    """The bias in units of v, as a mantissa and an exponent hold it."""
    form, most = SPEC.format("bias"), SPEC.limit("bias_exponent_high")
    largest = float(np.abs(exact).max(initial=0.0))
    exponent = 0
    while exponent < most and np.round(largest / 2**exponent) > form.high:
        exponent += 1
    mantissa = rounded(exact / 2**exponent)
    if np.abs(mantissa).max(initial=0) > form.high:
        violations.append(
            Violation(name, "bias", largest, form.high * 2.0**most, "lower its bias or its threshold")
        )
    return np.left_shift(mantissa, exponent)


def _synapses(network: Network, each: Chain, scale: float, whole: bool, delay: int) -> tuple[Synapses, str]:
    exact = each.weights * scale
    form, exponent = weight_format(exact)
    mantissa = exact / 2.0**exponent / form.step
    # lava truncates what is whole already; what is not is rounded
    stored = form.fit((np.floor(mantissa) if whole else np.round(mantissa)).astype(np.int64) * form.step)
    worth = stored.astype(np.float64) * 2.0**exponent
    stages = tuple(
        stage(operator, shape, stored.astype(np.int32))
        for operator, shape in zip(each.operators, each.shapes, strict=False)
    )
    p = each.projection
    ways = fan(p.operators, network[p.source].shape).ravel()
    count = int(np.count_nonzero(stored))
    made = Synapses(p.source, p.target, stages, exponent, delay, count, ways, each.only)
    return made, weight_loss(f"{p.source} →", exact, worth, scale)


def _check(network: Network, synapses: Sequence[Synapses], violations: list[Violation]) -> None:
    """What the whole network takes of the chip."""
    most = SPEC.limit("delay")
    for one in synapses:
        if one.delay - 1 > most:
            hint = "shorten the delay, or put a neuron between"
            violations.append(Violation(f"{one.source} → {one.target}", "delay", one.delay - 1, most, hint))
    stored = sum(one.stored for one in synapses)
    for limit, need in (("neurons", network.neurons), ("synapses", stored), ("cores", cores(network))):
        if need > SPEC.limit(limit):
            hint = "make layers smaller: this is one chip"
            violations.append(Violation(network.name, limit, need, SPEC.limit(limit), hint))


def cores(network: Network) -> int:
    """Cores that the neurons take, each layer on its own."""
    per_core = SPEC.limit("neurons_per_core")
    return sum(-(-p.size // per_core) for p in network.populations if p.neuron is not None)


def _notes(network: Network, layers: Sequence[Layer], level: Mapping[str, int]) -> list[str]:
    notes: list[str] = []
    behind = {level[name] for name in network.outputs} - {0}
    if behind:
        notes.append(
            f"spikes come {' or '.join(map(str, sorted(behind)))} step(s) later than in the network: "
            "on Loihi every one takes a step"
        )
    early = [
        layer.population.name
        for layer in layers
        if level[layer.population.name] and (np.any(layer.drive) or np.any(layer.constant))
    ]
    if early:
        notes.append(f"biases act from the first step on, before input can arrive: {', '.join(early)}")
    return notes

"""A Network as a Program: numbers of any kind become Loihi's fixed point, with what that cost.

Per population there is one scale, units of a weight per unit of the float network. Where a network is in fixed
point already (whole weights and thresholds, decays that are multiples of 1/4096, as a lava-dl file has them) the
scale is 1 and nothing is rounded. Otherwise it is the largest at which every weight, threshold and drive fits,
lowered while the current would wrap around if all inputs spiked at once, but not below eight bits of weight.

A spike acts one step later at the earliest. So every population runs some steps behind the network's own time,
its level, and delays are set so that whatever meets at a population still meets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import DoesNotFit, Unsupported, Violation
from nrt.network import Network, Neuron, Population, Projection
from nrt.network.operators import Array, Scale, fan
from nrt.spec import IntegerFormat
from nrt_sim.chips.loihi2.chain import Chain, chain, gain
from nrt_sim.chips.loihi2.program import SPEC, WIDTH, Cells, Program, Synapses, stage

_UNITY: Final = SPEC.limit("decay_unity")
_POINT: Final = 1 << WIDTH.activation_shift  # units of v per unit of a weight
_TOP: Final = WIDTH.half // _POINT  # what a current cannot reach, in units of a weight
_EXPONENTS: Final = (SPEC.limit("weight_exponent_low"), SPEC.limit("weight_exponent_high"))


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A population with what leads into it, in numbers of the float network."""

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
    layers = [_layer(network, p, p.neuron) for p in network.populations if p.neuron is not None]
    level = _levels(network)
    cells, synapses, remarks = [], [], {}
    violations: list[Violation] = []
    late: list[str] = []
    for layer in layers:
        whole = _is_whole(layer)
        scale = 1.0 if whole else _scale(layer)
        made, loss = _cells(layer, scale, whole, violations)
        lines = [] if whole else [f"scale {scale:.4g}"]
        for each in layer.chains:
            delay, behind = _delay(network, each.projection, level)
            late += [behind] if behind else []
            one, error = _synapses(network, each, scale, whole, delay)
            synapses.append(one)
            lines += [error] if error else []
        cells.append(made)
        remarks[layer.population.name] = "; ".join([*lines, *loss]) or "exact"
    _check(network, synapses, violations)
    if violations:
        raise DoesNotFit(violations)
    notes = (*_notes(network, layers, level), *late)
    return Program(network, tuple(cells), tuple(synapses), level, notes, remarks)


def _layer(network: Network, population: Population, neuron: Neuron) -> _Layer:
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
    return _Layer(
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


def _levels(network: Network) -> dict[str, int]:
    """Steps that each population runs behind: the fewest at which every forward spike takes one step or more."""
    order = {p.name: k for k, p in enumerate(network.populations)}
    level = dict.fromkeys(order, 0)
    for population in network.populations:
        for p in network.into(population.name):
            if order[p.source] < order[p.target] and not _by_host(network, p):
                level[p.target] = max(level[p.target], level[p.source] + 1 - p.delay)
    return level


def _by_host(network: Network, projection: Projection) -> bool:
    """Whether the host writes the input into the biases, as netx does for an input layer with neurons.

    So it is where each input only drives its own neuron, which has no synaptic current.
    """
    neuron = network[projection.target].neuron
    return (
        projection.source in network.inputs
        and projection.delay == 0
        and neuron is not None
        and neuron.synapse_decay is None
        and all(isinstance(o, Scale) and not o.factor.ndim for o in projection.operators)
    )


def _delay(network: Network, projection: Projection, level: Mapping[str, int]) -> tuple[int, str]:
    """Steps that a spike takes on the chip, and a sentence where that is more than the network asks for."""
    if _by_host(network, projection):
        return 0, f"the host writes the input into the biases of {projection.target}, so that it acts at once"
    wanted = projection.delay + level[projection.target] - level[projection.source]
    if wanted >= 1:
        return wanted, ""
    return 1, (
        f"{projection.source} → {projection.target} arrives {1 - wanted} step(s) later than in the network: "
        "a loop has as many steps as neurons on it"
    )


def _is_whole(layer: _Layer) -> bool:
    """Whether every number is in Loihi's fixed point as it is."""
    n = layer.neuron
    decays = [(1 - d) * _UNITY for d in (n.decay, n.synapse_decay) if d is not None]
    states = [(layer.drive - 0.0) * _POINT, (n.v0 - n.v_reset) * _POINT]
    thresholds = [n.threshold - n.v_reset] if n.fires else []
    numbers = [layer.flat, layer.constant, *thresholds, *decays, *states]
    largest = float(np.abs(layer.flat).max(initial=0.0))
    return all(bool(np.all(x == np.round(x))) for x in numbers) and largest < 256 * 2.0 ** _EXPONENTS[1]


def _scale(layer: _Layer) -> float:
    full = float(SPEC.format("weight_mixed").high)
    peaks = [float(np.abs(c.weights).max(initial=0.0)) for c in layer.chains]
    peaks = [p for p in peaks if p > 0]
    n = layer.neuron
    bias = SPEC.format("bias")
    bounds = [full * 2.0 ** _EXPONENTS[1] / p for p in peaks]
    if n.fires:
        bounds.append(_bound(SPEC.format("threshold").high, n.threshold - n.v_reset))
    bounds.append(_bound(bias.high * 2.0 ** SPEC.limit("bias_exponent_high") / _POINT, layer.drive))
    bounds.append(_bound(_TOP - 1, n.v0 - n.v_reset))
    wanted = full / min(peaks) if peaks else float(SPEC.format("threshold").high)
    together = sum(_most(c) for c in layer.chains)
    if peaks and together * wanted > _TOP - 1:
        wanted = min(wanted, max(full / max(peaks), (_TOP - 1) / together))
    return min([wanted, *bounds])


def _bound(most: float, values: NDArray[Any]) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    return most / largest if largest else np.inf


def _most(each: Chain) -> float:
    """The most that one step can bring to one neuron."""
    weights = np.abs(each.weights)
    return float(weights.reshape(len(weights), -1).sum(axis=1).max(initial=0.0))


def _cells(layer: _Layer, scale: float, whole: bool, violations: list[Violation]) -> tuple[Cells, list[str]]:
    n, name, size = layer.neuron, layer.population.name, layer.population.size
    loss: list[str] = []
    decay_v, error_v = _decay(n.decay, size)
    decay_u, error_u = _decay(np.zeros(()) if n.synapse_decay is None else n.synapse_decay, size)
    if max(error_v, error_u) > 0:
        loss.append(f"decay {max(error_v, error_u):.2%}")
    threshold, error = _threshold(layer, scale, whole, decay_u, decay_v, violations)
    loss += error
    bias, exponent = _bias(name, layer.drive * scale * _POINT, violations)
    if np.any(bias / (scale * _POINT) != layer.drive):
        loss.append(f"drive {_relative(layer.drive, bias / (scale * _POINT)):.2%}")
    constant = _rounded(layer.constant * scale)
    v0 = _rounded(np.broadcast_to((n.v0 - n.v_reset) * scale * _POINT, layer.population.shape).ravel())
    if np.any(constant):
        loss.append("its bias comes from an axon that spikes in every step")
    if n.fires and np.any(n.v_reset):
        loss.append("membranes are counted from v_reset")
    if not n.fires:
        loss.append("does not fire: its membrane is read by a probe")
    origin = np.broadcast_to(n.v_reset, layer.population.shape).ravel()
    made = Cells(name, decay_u, decay_v, threshold, bias, exponent, v0, constant, n.fires, scale, origin)
    return made, loss


def _decay(kept: Array, size: int) -> tuple[NDArray[np.int64], float]:
    """The decay of 4096, and the largest error relative to it."""
    exact = np.broadcast_to((1 - kept) * _UNITY, kept.shape if kept.ndim else (size,)).ravel()
    whole = _rounded(exact)
    return whole, _relative(exact, whole)


def _threshold(
    layer: _Layer,
    scale: float,
    whole: bool,
    decay_u: NDArray[np.int64],
    decay_v: NDArray[np.int64],
    violations: list[Violation],
) -> tuple[NDArray[np.int64], list[str]]:
    n, shape = layer.neuron, layer.population.shape
    if not n.fires:
        return np.zeros(layer.population.size, np.int64), []
    exact = np.broadcast_to((n.threshold - n.v_reset) * scale, shape).ravel()
    mantissa = _rounded(exact)
    loss: list[str] = []
    if n.fire == ">=":
        if whole and all(bool(np.all((d == 0) | (d == _UNITY))) for d in (decay_u, decay_v)):
            return mantissa - 1, []  # states are whole: at the threshold is above the number before it
        loss.append("fires above its threshold, not at it")
    form = SPEC.format("threshold")
    if exact.size and (exact.min() < form.low or mantissa.max() > form.high):
        wrong = float(exact.min()) if exact.min() < form.low else float(exact.max())
        bound = form.low if wrong < form.low else form.high
        hint = "raise it above the reset" if wrong < form.low else "lower it, or its weights"
        violations.append(Violation(layer.population.name, "threshold", wrong, bound, hint))
    error = _relative(exact, mantissa)
    return mantissa, [*loss, *([f"threshold {error:.2%}"] if error else [])]


def _bias(
    name: str, exact: NDArray[np.float64], violations: list[Violation]
) -> tuple[NDArray[np.int64], int]:
    """The bias in units of v, as the chip holds it, and its exponent."""
    form, most = SPEC.format("bias"), SPEC.limit("bias_exponent_high")
    largest = float(np.abs(exact).max(initial=0.0))
    exponent = 0
    while exponent < most and np.round(largest / 2**exponent) > form.high:
        exponent += 1
    mantissa = _rounded(exact / 2**exponent)
    if np.abs(mantissa).max(initial=0) > form.high:
        violations.append(
            Violation(name, "bias", largest, form.high * 2.0**most, "lower its bias or its threshold")
        )
    return mantissa << exponent, exponent


def _synapses(network: Network, each: Chain, scale: float, whole: bool, delay: int) -> tuple[Synapses, str]:
    exact = each.weights * scale
    form, exponent = _format(exact)
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
    return made, _weight_loss(f"{p.source} →", exact, worth, scale)


def _format(exact: Array) -> tuple[IntegerFormat, int]:
    """How a projection's weights are held, and their common exponent: the least at which they fit."""
    low, high = float(exact.min(initial=0.0)), float(exact.max(initial=0.0))
    kind = "mixed" if low < 0 < high else "inhibitory" if low < 0 else "excitatory"
    form = SPEC.format(f"weight_{kind}")
    exponent = _EXPONENTS[0]
    while exponent < _EXPONENTS[1] and (
        _highest(high, exponent, form) > form.high or -_highest(-low, exponent, form) < form.low
    ):
        exponent += 1
    return form, exponent


def _highest(value: float, exponent: int, form: IntegerFormat) -> float:
    return float(np.round(value / 2.0**exponent / form.step)) * form.step


def _weight_loss(label: str, exact: Array, worth: Array, scale: float) -> str:
    if bool(np.all(worth == exact)):
        return ""
    power = float(np.sqrt(np.mean(exact**2)))
    rms = float(np.sqrt(np.mean((worth - exact) ** 2))) / power if power else 0.0
    most = float(np.abs(worth - exact).max()) / scale
    lost = int(np.count_nonzero(exact) - np.count_nonzero(worth))
    text = f"{label} weights off by at most {most:.2g}, rms {rms:.2%}"
    return f"{text}, {lost} round to 0" if lost else text


def _relative(exact: NDArray[Any], held: NDArray[Any]) -> float:
    """The largest error relative to the value; 0 for values that are 0."""
    some = exact != 0
    return float(np.max(np.abs(held[some] - exact[some]) / np.abs(exact[some]), initial=0.0))


def _rounded(values: NDArray[Any]) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.round(values).astype(np.int64)
    return whole


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


def _notes(network: Network, layers: Sequence[_Layer], level: Mapping[str, int]) -> list[str]:
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

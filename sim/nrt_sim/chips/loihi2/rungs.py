"""The way from a network in float to Loihi 2, one change at a time, for the ladder of a comparison.

The networks are made of the very Program that runs, and of the floats it was fitted to. What remains for the last rung
is the fixed point's own: products cut off after twelve places, a current that wraps around, a membrane that saturates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nrt.device import Rung
from nrt.network import Network, Neuron, Projection
from nrt.network.neuron import Parameter, parameter
from nrt.network.operators import Array, Conv, Dense, Operator, Scale, array
from nrt_sim.chips.loihi2.chain import Chain
from nrt_sim.chips.loihi2.fit import Layer, fit, layers
from nrt_sim.chips.loihi2.program import SPEC, WIDTH, Cells, Program, Synapses

_UNITY: Final = SPEC.limit("decay_unity")
_POINT: Final = 1 << WIDTH.activation_shift


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What is the chip's already; the rest is still the float network's."""

    weights: bool = False
    state: bool = False
    delays: bool = False


def rungs(uri: str, network: Network) -> tuple[Rung, ...]:
    """Raises Unsupported, DoesNotFit."""
    return tuple(_rungs(uri, network, fit(network)))


def _rungs(uri: str, network: Network, program: Program) -> Iterator[Rung]:
    made = _Making(network, program)
    yield Rung("float", network, "cpu:", "the network as it is, in float")
    yield Rung(
        "folding",
        made.network(_Numbers()),
        "cpu:",
        "factors and gains folded into weights, membranes counted from v_reset; the chip's units",
    )
    yield Rung(
        "weights",
        made.network(_Numbers(weights=True)),
        "cpu:",
        "weights of 8 bits with a power of two per projection",
        hints=_hints(
            program,
            "train on with weights of 8 bits (quantisation-aware); a projection of one sign has a bit more than one of "
            "both",
        ),
    )
    high = WIDTH.high / _POINT
    yield Rung(
        "state",
        made.network(_Numbers(weights=True, state=True)),
        "cpu:",
        f"decays of {_UNITY}ths, thresholds and biases whole",
        bounds=(-high, high),
        hints=_hints(program, "train with the decays that the chip has; larger thresholds round better"),
    )
    if any(p.delay != s.delay for p, s in made.pairs):
        yield Rung(
            "delays",
            made.network(_Numbers(weights=True, state=True, delays=True)),
            "cpu:",
            "every spike takes a step at least; biases do not wait",
            hints={
                "": "load the network with propagation=next and train it so; let recordings run out in silence"
            },
        )
    yield Rung(
        "device",
        network,
        uri,
        "products cut off after 12 places, currents that wrap around, membranes that saturate",
        hints={
            "": "train with fixed-point arithmetic (lava-dl does), or keep decays at 0 or 1, which lose nothing"
        },
    )


def _hints(program: Program, general: str) -> Mapping[str, str]:
    return {"": general, **{name: f"{remark}. {general}" for name, remark in program.remarks.items()}}


class _Making:
    """Networks between the float one and its Program."""

    def __init__(self, network: Network, program: Program) -> None:
        self._network = network
        self._cells = {cells.name: cells for cells in program.cells}
        self._layers: Mapping[str, Layer] = {layer.population.name: layer for layer in layers(network)}
        chains = [chain for layer in self._layers.values() for chain in layer.chains]
        self._fitted = {id(c.projection): (c, s) for c, s in zip(chains, program.synapses, strict=True)}

    @property
    def pairs(self) -> Sequence[tuple[Projection, Synapses]]:
        """Each projection, and what the chip has of it."""
        return [(chain.projection, synapses) for chain, synapses in self._fitted.values()]

    def network(self, numbers: _Numbers) -> Network:
        populations = tuple(
            p if p.neuron is None else dataclasses.replace(p, neuron=self._neuron(p.name, numbers))
            for p in self._network.populations
        )
        projections = tuple(self._projection(p, numbers) for p in self._network.projections)
        return dataclasses.replace(self._network, populations=populations, projections=projections)

    def _neuron(self, name: str, numbers: _Numbers) -> Neuron:
        layer, cells, unit = self._layers[name], self._cells[name], self._unit(name)
        shape, n = layer.population.shape, layer.neuron

        def shaped(values: Array) -> Parameter:
            return parameter(np.broadcast_to(values, (layer.population.size,)).reshape(shape) * unit)

        through = n.synapse_decay is not None
        made = _in_float(layer, cells.scale) if not numbers.state else _in_fixed_point(cells, through)
        decay = parameter(np.broadcast_to(made.decay, (layer.population.size,)).reshape(shape))
        drive, v0 = shaped(made.drive), shaped(made.v0)
        if not n.fires:  # a readout shows its membrane as the network counts it, not from v_reset
            origin = cells.origin.reshape(shape)
            drive, v0 = parameter(drive + (1 - decay) * origin), parameter(v0 + origin)
        return dataclasses.replace(
            n,
            decay=decay,
            gain=parameter(1.0),
            drive=drive,
            threshold=shaped(made.threshold) if n.fires else n.threshold,
            v_reset=parameter(0.0),
            v0=v0,
            synapse_decay=None if made.synapse_decay is None else _shaped(made.synapse_decay, shape),
            synapse_gain=parameter(1.0) if through else None,
            fire=">" if numbers.state else n.fire,
        )

    def _unit(self, name: str) -> float:
        """What numbers of a population are multiplied by: readouts stay in units of the network."""
        return 1.0 if self._layers[name].neuron.fires else 1 / self._cells[name].scale

    def _projection(self, projection: Projection, numbers: _Numbers) -> Projection:
        chain, synapses = self._fitted[id(projection)]
        name = projection.target
        layer, cells = self._layers[name], self._cells[name]
        weights = _worth(chain, synapses) if numbers.weights else chain.weights * cells.scale
        first = layer.chains[0] is chain
        constant = cells.constant if numbers.state else layer.constant * cells.scale
        bias = (
            array(constant.reshape(layer.population.shape) * self._unit(name))
            if first and np.any(constant)
            else None
        )
        return dataclasses.replace(
            projection,
            operators=_operators(chain, weights * self._unit(name), self._network[projection.source].shape),
            delay=synapses.delay if numbers.delays else projection.delay,
            bias=bias,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Numbers of a population in units of a weight."""

    decay: Array
    synapse_decay: Array | None
    drive: Array
    threshold: Array
    v0: Array


def _in_float(layer: Layer, scale: float) -> _Cells:
    n = layer.neuron
    size = layer.population.size
    threshold = np.broadcast_to(n.threshold - n.v_reset, layer.population.shape).reshape(size)
    start = np.broadcast_to(n.v0 - n.v_reset, layer.population.shape).reshape(size)
    return _Cells(n.decay.ravel(), n.synapse_decay, layer.drive * scale, threshold * scale, start * scale)


def _in_fixed_point(cells: Cells, through: bool) -> _Cells:
    return _Cells(
        1 - cells.decay_v / _UNITY,
        1 - cells.decay_u / _UNITY if through else None,
        cells.bias / _POINT,
        cells.threshold.astype(np.float64),
        cells.v0 / _POINT,
    )


def _shaped(values: Array, shape: tuple[int, ...]) -> Parameter:
    return parameter(values.reshape(shape) if values.size > 1 else values.reshape(()))


def _worth(chain: Chain, synapses: Synapses) -> Array:
    """The stored weights of a projection, in units of a weight, in the shape of its operator's."""
    stored = synapses.stages[chain.weighted].weights.astype(np.float64)
    stored = stored.T if isinstance(chain.operators[chain.weighted], Dense) else stored
    worth: Array = stored * 2.0**synapses.exponent
    return worth


def _operators(chain: Chain, weights: Array, source: tuple[int, ...]) -> tuple[Operator, ...]:
    """The chain with these weights."""
    gate: tuple[Operator, ...] = ()
    if chain.only is not None:
        gate = (Scale(array(chain.only.astype(np.float64).reshape(source))),)
    if chain.shapes[0] != source and len(chain.operators) == 1:  # one synapse from each neuron to its own
        factor = weights.reshape(-1)
        same = bool(np.all(factor == factor[0]))
        return (*gate, Scale(array(factor[:1].reshape(()) if same else factor.reshape(source))))
    made = list(chain.operators)
    weighted = made[chain.weighted]
    assert isinstance(weighted, Dense | Conv)
    made[chain.weighted] = dataclasses.replace(weighted, weight=array(weights))
    return (*gate, *made)

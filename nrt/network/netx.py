"""Reads lava-dl's network exchange files (`.net`), which Loihi's training library writes.

Plain HDF5: a group `layer` with the groups 0, 1, …, one after the other from input to output. Each has a `type`, a
`shape` (C, H, W), weights that are whole numbers, and a group `neuron` with the CUBA LIF parameters in Loihi's
fixed point: decays of 4096, the threshold's mantissa. A Network holds them as they are, in units of a weight:

    i ← (1 - iDecay/4096) · i + x        v ← (1 - vDecay/4096) · v + i + bias        spike where v > vThMant

All of these are exact in float64, so `loihi2+sim:` finds the same whole numbers again; on other devices the network
runs without the chip's truncation. A spike acts one step later. Facts: lava-dl 0.6, netx/hdf5.py (the reader),
slayer/block/base.py (the writer), slayer/axon/delay.py; what the two disagree on is a note of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.clock import microseconds
from nrt.errors import ConfigError, Unsupported
from nrt.network.encoding import Encoding, volume
from nrt.network.hdf5 import Value, is_hdf5, read_with
from nrt.network.network import Network, Population, Projection
from nrt.network.netx_file import Layer, each, first_text, numbers, read_layers
from nrt.network.neuron import Neuron, neuron
from nrt.network.nodes import MAX_SIZE
from nrt.network.operators import Array, Conv, Dense, Operator, Pool, Scale, array
from nrt.network.semantics import Semantics

_UNITY: Final = 4096
_DELAYS: Final = 64  # lava-dl's longest axonal delay is 62
_INPUT_WEIGHT: Final = 64.0  # netx's, of an input layer that has none


def is_netx(path: Path) -> bool:
    """Whether the file is lava-dl's: HDF5 with a group `layer`, or named .net."""
    if not path.is_file():
        return False
    if path.suffix == ".net":
        return True
    if path.suffix == ".nir" or not is_hdf5(path):
        return False
    try:
        return read_with(path, "lava-dl", lambda reader, root: "layer" in root and "node" not in root)
    except ConfigError:
        return False


def load_netx(path: Path, dt: int | str | None = None, encoding: Encoding | None = None) -> Network:
    """The network in a lava-dl file.

    dt: µs per step; what the file says of it (simulation/Ts, ms), or 1 ms, if None
    encoding: how events become input; at most one spike per neuron and step if None, as netx takes them

    Raises NotFound, ConfigError (damaged, or contradicts itself), Unsupported (a layer that no device here has).
    """
    layers, sampling = read_with(path, "lava-dl", read_layers)
    step = microseconds(dt) if dt is not None else sampling
    if not 1 <= step < 2**53:
        raise ConfigError(f"dt is {step} µs; it must be at least 1")
    semantics = Semantics(
        dt=step, input="impulse", synapse_input="impulse", propagation="next", name="lava-dl"
    )
    network = _Stack(path.stem, layers).network(semantics)
    channels = volume(network[network.inputs[0]].shape)[0]
    chosen = encoding or Encoding("binary", "merge" if channels == 1 else "split")
    return Network(
        network.populations, network.projections, network.inputs, network.outputs, semantics, chosen,
        network.notes, network.name,
    )  # fmt: skip


@dataclass(slots=True)
class _Stack:
    """The network as far as it was built: the layers come one by one."""

    name: str
    layers: list[Layer]
    populations: list[Population] = field(default_factory=list[Population])
    projections: list[Projection] = field(default_factory=list[Projection])
    notes: list[str] = field(default_factory=list[str])
    delays: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))  # of the last outputs

    def network(self, semantics: Semantics) -> Network:
        for number, layer in enumerate(self.layers):
            if layer.kind == "input":
                self._input(number, layer)
            elif layer.kind == "flatten":
                self._flatten(layer)
            elif layer.kind in _SYNAPSES:
                self._layer(number, layer)
            else:
                raise Unsupported(layer.where, f"layers of type '{layer.kind}' are not among those here")
        if len(self.populations) < 2:
            raise ConfigError(f"{self.name} has no layer with neurons")
        last = self.populations[-1].name
        if np.any(self.delays):
            self.notes.append(f"the axonal delays of {last} are left out: nothing follows it")
        return Network(
            tuple(self.populations), tuple(self.projections), ("input",), (last,),
            semantics, notes=tuple(dict.fromkeys(self.notes)), name=self.name,
        )  # fmt: skip

    @property
    def last(self) -> Population:
        return self.populations[-1]

    def _input(self, number: int, layer: Layer) -> None:
        if self.populations:
            raise ConfigError(f"{layer.where} is an input, but not the first layer")
        self.populations.append(Population("input", layer.shape))
        if layer.neuron is None:
            return
        weight = float(layer.numbers("weight", _INPUT_WEIGHT).ravel()[0])
        bias = self._whole(layer, "bias", layer.numbers("bias", 0.0))
        # netx injects the input into the bias: it takes effect at once, past the synaptic current
        cell = self._neuron(layer, layer.shape, bias, synapse=False)
        self.populations.append(Population(f"input{number}", layer.shape, cell))
        factor = self._whole(layer, "weight", np.asarray(weight))
        self.projections.append(Projection("input", self.last.name, (Scale(array(factor)),)))

    def _flatten(self, layer: Layer) -> None:
        """Nothing to do: neurons are counted in C, H, W order, as lava-dl flattens them."""
        if not self.populations:
            raise ConfigError(f"{layer.where} flattens, and there is nothing before it")

    def _layer(self, number: int, layer: Layer) -> None:
        operators, shape = _SYNAPSES[layer.kind](self, layer)
        name = f"{layer.kind.removesuffix('_rec')}{number}"
        bias = self._whole(layer, "bias", layer.numbers("bias", 0.0))
        cell = self._neuron(layer, shape, bias)
        source = self.last
        self.populations.append(Population(name, shape, cell))
        self._connect(layer, source, name, operators)
        if "weight_rec" in layer.values:
            recurrent = self._whole(layer, "weight_rec", layer.numbers("weight_rec"))
            if recurrent.shape != (prod(shape), prod(shape)):
                raise ConfigError(f"{layer.where}: weight_rec has shape {recurrent.shape}, the layer {shape}")
            self.projections.append(Projection(name, name, (Dense(array(recurrent)),), delay=1))
        self.delays = self._delays(layer, shape)

    def _connect(
        self, layer: Layer, source: Population, target: str, operators: tuple[Operator, ...]
    ) -> None:
        """One projection for each delay: of the source's axons, or of single synapses."""
        synaptic = self._synaptic_delays(layer)
        axonal = np.unique(self.delays).tolist()
        for delay in axonal:
            chain = operators
            if len(axonal) > 1:
                taken = np.broadcast_to(
                    (self.delays == delay).reshape(-1, *(1,) * (len(source.shape) - 1)), source.shape
                )
                chain = (Scale(array(taken)), *operators)
            if synaptic is None:
                self.projections.append(Projection(source.name, target, chain, delay=1 + delay))
                continue
            weight = operators[0]
            assert isinstance(weight, Dense)
            for more in np.unique(synaptic).tolist():
                part = Dense(array(np.where(synaptic == more, weight.weight, 0.0)))
                self.projections.append(
                    Projection(source.name, target, (*chain[:-1], part), delay=1 + delay + more)
                )

    def _delays(self, layer: Layer, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """The delay of each output channel, which acts where the next layer takes them."""
        if self._synaptic_delays(layer) is not None:
            return np.zeros(1, np.int64)
        values = np.floor(layer.numbers("delay", 0.0)).ravel()
        if values.size not in (1, shape[0]) or bool(np.any((values < 0) | (values >= _DELAYS))):
            raise ConfigError(
                f"{layer.where}: {values.size} delays up to {values.max():g} for {shape[0]} channels; "
                f"there may be one each, below {_DELAYS}"
            )
        return values.astype(np.int64)

    def _synaptic_delays(self, layer: Layer) -> NDArray[np.int64] | None:
        """A delay for each weight, as lava's DelayDense has them; None where there are none."""
        delays = layer.numbers("delay", 0.0)
        weight = layer.values.get("weight")
        if delays.ndim != 2 or isinstance(weight, str) or weight is None or delays.shape != weight.shape:
            return None
        if layer.kind not in ("dense", "dense_rec") or bool(np.any((delays < 0) | (delays >= _DELAYS))):
            raise ConfigError(f"{layer.where}: synaptic delays are for dense layers, and below {_DELAYS}")
        return np.floor(delays).astype(np.int64)

    def dense(self, layer: Layer) -> tuple[tuple[Operator, ...], tuple[int, ...]]:
        weight = self._weights(layer)
        shape = (prod(layer.shape),)
        if weight.size % shape[0]:
            raise ConfigError(f"{layer.where}: {weight.size} weights for {shape[0]} neurons")
        weight = weight.reshape(shape[0], -1)
        self._imply_input((weight.shape[1],))
        if weight.shape[1] != self.last.size:
            raise ConfigError(
                f"{layer.where} takes {weight.shape[1]} inputs, {self.last.name} has {self.last.size}"
            )
        return (Dense(array(weight)),), shape

    def conv(self, layer: Layer) -> tuple[tuple[Operator, ...], tuple[int, ...]]:
        weight = self._weights(layer)
        if weight.ndim not in (4, 5) or prod(weight.shape[4:]) != 1:
            raise ConfigError(
                f"{layer.where}: a kernel of shape {weight.shape}; it has outputs, inputs, height, width"
            )
        operator = Conv(
            array(weight.reshape(weight.shape[:4])),
            layer.pair("stride", 1),
            layer.pair("padding", 0),
            layer.pair("dilation", 1),
            layer.pair("groups", 1)[0],
        )
        if not self.populations:
            self._imply_input(_before(layer, operator))
        return (operator,), self._arriving(layer, (operator,))

    def pool(self, layer: Layer) -> tuple[tuple[Operator, ...], tuple[int, ...]]:
        """netx has none; slayer's is a sum over windows with one weight."""
        weights = np.unique(self._weights(layer))
        if len(weights) != 1 or layer.pair("dilation", 1) != (1, 1):
            raise Unsupported(layer.where, "a pool with several weights, or with dilation")
        kernel = layer.pair("kernelSize", 1)
        pool = Pool(kernel, layer.pair("stride", kernel[0]), layer.pair("padding", 0), "sum")
        if not self.populations:
            raise ConfigError(f"{layer.where} pools, and the file does not say the shape of its input")
        operators = (pool, Scale(array(weights.reshape(()))))
        return operators, self._arriving(layer, operators)

    def _arriving(self, layer: Layer, operators: tuple[Operator, ...]) -> tuple[int, ...]:
        """The shape that arrives, which must be the layer's."""
        shape = volume(self.last.shape) if len(self.last.shape) < 3 else self.last.shape
        for operator in operators:
            shape = operator.shape(shape)
        if prod(shape) > MAX_SIZE or shape != layer.shape:
            raise ConfigError(f"{layer.where} says its shape is {layer.shape}; what arrives has {shape}")
        return shape

    def _imply_input(self, shape: tuple[int, ...]) -> None:
        """A file may begin with a layer that has weights: then they say what comes in."""
        if not self.populations:
            self.populations.append(Population("input", shape))

    def _weights(self, layer: Layer) -> Array:
        weight = self._whole(layer, "weight", layer.numbers("weight"))
        exponent = float(numbers(layer.where, layer.neuron or {}, "wgtExp", 0.0).ravel()[0])
        if exponent:
            if exponent != round(exponent) or abs(exponent) > 8:
                raise ConfigError(f"{layer.where}: a weight exponent of {exponent:g}")
            self.notes.append(
                f"{layer.where}: weights are taken times 2^{exponent:g} (wgtExp); netx leaves that out"
            )
        scaled: Array = weight * 2.0**exponent
        return scaled

    def _whole(self, layer: Layer, key: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Whole numbers; fractions are cut off, as netx does."""
        whole = np.trunc(values)
        if bool(np.any(whole != values)):
            some = int(np.count_nonzero(whole != values))
            self.notes.append(
                f"{layer.where}: {some} of {key} lose a fraction, as in netx; they should be whole"
            )
        return whole

    def _neuron(
        self, layer: Layer, shape: tuple[int, ...], bias: NDArray[np.float64], synapse: bool = True
    ) -> Neuron:
        where = f"{layer.where}.neuron"
        values = layer.neuron
        if values is None:
            self.notes.append(
                f"{layer.where} has no neurons: it adds up its input and never fires, as in netx"
            )
            total = each(layer.where, "bias", bias, shape)
            return neuron(decay=0.0, drive=total, synapse_decay=1.0, spikes="none", reset="none")
        kind = first_text(where, values, "type") if "type" in values else "CUBA"
        if kind not in ("CUBA", "LOIHI", "CUBA-LIF"):
            raise Unsupported(where, f"neurons of type '{kind}'; here are CUBA and LOIHI")
        self._note_neuron(where, values)
        decay_i, decay_v, threshold = (
            each(where, key, numbers(where, values, key, None), shape)
            for key in ("iDecay", "vDecay", "vThMant")
        )
        for key, decay in (("iDecay", decay_i), ("vDecay", decay_v)):
            if bool(np.any((decay < 0) | (decay > _UNITY))):
                raise ConfigError(f"{where}: {key} is outside 0 to {_UNITY}")
        return neuron(
            decay=(_UNITY - decay_v) / _UNITY,
            drive=each(layer.where, "bias", bias, shape),
            threshold=threshold,
            synapse_decay=(_UNITY - decay_i) / _UNITY if synapse else None,
            fire=">",
        )

    def _note_neuron(self, where: str, values: Mapping[str, Value]) -> None:
        """What is in the file and means nothing to netx either."""
        refractory = numbers(where, values, "refDelay", 1.0)
        if bool(np.any(refractory != 1)):
            self.notes.append(f"{where}: refDelay {refractory.ravel()[0]:g} is taken as 1, as in netx")
        if bool(np.any(numbers(where, values, "gradedSpike", 0.0) != 0)):
            self.notes.append(f"{where}: gradedSpike is left out, as in netx: CUBA spikes are 1")
        if bool(np.any(numbers(where, values, "weight_exp", 0.0) != 0)):
            self.notes.append(f"{where}: weight_exp is left out, as in netx")


_SYNAPSES: Final = {
    "dense": _Stack.dense,
    "dense_rec": _Stack.dense,
    "conv": _Stack.conv,
    "pool": _Stack.pool,
}


def _before(layer: Layer, operator: Conv) -> tuple[int, ...]:
    """The input's shape that a first convolution implies; unique only without a stride."""
    shape = layer.shape
    if len(shape) != 3 or operator.stride != (1, 1):
        raise ConfigError(f"{layer.where} is a convolution, and the file does not say the shape of its input")
    kernel = operator.weight.shape[2:]
    sides = tuple(
        shape[1 + k] + operator.dilation[k] * (kernel[k] - 1) - 2 * operator.padding[k] for k in (0, 1)
    )
    if min(sides) < 1:
        raise ConfigError(f"{layer.where}: no input has an output of {shape} here")
    return (int(operator.weight.shape[1]) * operator.groups, *sides)

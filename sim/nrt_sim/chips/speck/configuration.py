"""The vendor's configuration objects by their names, and what the chip can hold of them.

Names are those that sinabs 3.1.3 writes (`chips/dynapcnn.py`, `dvs_layer.py`) and the datasheet lists (3.2.2).
Arrays are nested lists: weights [out][in][x][y], initial values [feature][x][y]. Like samna's, the objects take
what they are given; `problems` says everything that the chip cannot hold. What the vendor's own check lets through
is not documented; an emulated chip refuses instead of wrapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt_sim.chips.speck import figures

I64 = NDArray[np.int64]


@dataclass(slots=True)
class Vec:
    """A number per axis."""

    x: int = 0
    y: int = 0


def _ones() -> Vec:
    return Vec(1, 1)


def _far_corner() -> Vec:
    return Vec(figures.PIXELS - 1, figures.PIXELS - 1)


@dataclass(slots=True)
class Destination:
    """Where a core's spikes go; pooling is 1, 2 or 4."""

    enable: bool = False
    layer: int = 0
    pooling: int = 1
    feature_shift: int = 0


def _destinations() -> list[Destination]:
    return [Destination(), Destination()]


def _dimensions() -> dict[str, Any]:
    return {
        "input_shape": {"size": {"x": 0, "y": 0}, "feature_count": 0},
        "output_shape": {"size": {"x": 0, "y": 0}, "feature_count": 0},
        "padding": {"x": 0, "y": 0},
        "stride": {"x": 1, "y": 1},
        "kernel_size": 0,
    }


@dataclass(slots=True)
class CnnLayerConfig:
    """One core. It is in use once its weights are set."""

    dimensions: dict[str, Any] = field(default_factory=_dimensions)
    weights: list[Any] = field(default_factory=list[Any])
    biases: list[int] = field(default_factory=list[int])
    leak_enable: bool = False
    leak_internal_slow_clk_enable: bool = False
    return_to_zero: bool = False
    threshold_high: int = 0
    threshold_low: int = 0
    neurons_initial_value: list[Any] = field(default_factory=list[Any])
    monitor_enable: bool = False
    input_congestion_balancer_enable: bool = False
    output_decimator_enable: bool = False
    output_decimator_interval: int = 0
    destinations: list[Destination] = field(default_factory=_destinations)


@dataclass(slots=True)
class DvsLayerConfig:
    """The DVS layer: polarity, pooling, region (origin to cut, both included), mirror."""

    merge: bool = False
    on_channel: bool = True
    off_channel: bool = True
    pooling: Vec = field(default_factory=_ones)
    origin: Vec = field(default_factory=Vec)
    cut: Vec = field(default_factory=_far_corner)
    mirror: Vec = field(default_factory=Vec)
    mirror_diagonal: bool = False
    pass_sensor_events: bool = False
    monitor_enable: bool = False
    raw_monitor_enable: bool = False
    destinations: list[Destination] = field(default_factory=_destinations)


@dataclass(slots=True)
class DvsFilterConfig:
    """The noise filter of the DVS layer; not modelled, so it has to stay off."""

    enable: bool = False


@dataclass(slots=True)
class ReadoutConfig:
    """The readout block, layer 12."""

    enable: bool = False
    internal_slow_clk: bool = False
    low_pass_filter_disable: bool = False
    low_pass_filter32_not16: bool = False
    monitor_enable: bool = False
    readout_pin_monitor_enable: bool = False
    output_mode_sel: int = 0
    output_neuron_num: int = 0
    override_threshold_max: bool = False
    readout_configuration_sel: int = 3
    threshold: int = 0


@dataclass(slots=True)
class FactoryConfig:
    """Settings of the whole chip; only the divider of the internal slow clock is modelled."""

    internal_slow_clk_divider: int = 14


def _cores() -> list[CnnLayerConfig]:
    return [CnnLayerConfig() for _ in range(figures.CORES)]


@dataclass(slots=True)
class SpeckConfiguration:
    """The whole chip; a new one is all off."""

    cnn_layers: list[CnnLayerConfig] = field(default_factory=_cores)
    dvs_layer: DvsLayerConfig = field(default_factory=DvsLayerConfig)
    dvs_filter: DvsFilterConfig = field(default_factory=DvsFilterConfig)
    readout: ReadoutConfig = field(default_factory=ReadoutConfig)
    factory_config: FactoryConfig = field(default_factory=FactoryConfig)


def in_use(core: CnnLayerConfig) -> bool:
    """Whether a network uses the core."""
    return len(core.weights) > 0


def problems(config: SpeckConfiguration) -> list[str]:
    """Everything in `config` that the chip cannot hold, one sentence each; empty if it fits."""
    found: list[str] = []
    used = [in_use(core) for core in config.cnn_layers]
    for k, core in enumerate(config.cnn_layers):
        if used[k]:
            found += [f"core {k}: {text}" for text in _core_problems(k, core)]
            found += [f"core {k}: {text}" for text in _destination_problems(core.destinations, used, config)]
    found += [f"dvs_layer: {text}" for text in _dvs_problems(config)]
    found += [
        f"dvs_layer: {text}" for text in _destination_problems(config.dvs_layer.destinations, used, config)
    ]
    found += [f"readout: {text}" for text in _readout_problems(config)]
    return found


def log2_up(n: int) -> int:
    """⌈log2 n⌉ for n ≥ 1: the address bits that n values take."""
    return max(0, int(n) - 1).bit_length()


def kernel_words(inputs: int, outputs: int, kernel: int) -> int:
    """Words of kernel memory: c · 2^(⌈log2(kx·ky)⌉ + ⌈log2 f⌉), datasheet 3.2.4.1."""
    return inputs << (log2_up(kernel * kernel) + log2_up(outputs))


def neuron_words(features: int, x: int, y: int) -> int:
    """Words of neuron memory: f · 2^(⌈log2 fy⌉ + ⌈log2 fx⌉), datasheet 3.2.4.1; f is not rounded up."""
    return features << (log2_up(x) + log2_up(y))


def _range(name: str, value: int, low: int, high: int) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{name} is {value}, allowed are {low} to {high}"


def _array(name: str, value: object, shape: tuple[int, ...], bits: int) -> Iterator[str]:
    try:
        array = np.asarray(value)
    except ValueError:
        yield f"{name} is ragged, not {shape}"
        return
    if array.shape != shape:
        yield f"{name} has shape {array.shape}, not {shape}"
    elif array.size and array.dtype.kind not in "ib":
        yield f"{name} is not made of whole numbers"
    elif array.size:
        limit = 1 << (bits - 1)
        worst = array.flat[np.abs(array.astype(np.int64)).argmax()]
        if array.min() < -limit or array.max() >= limit:
            yield f"{name} holds {worst}, which is no signed {bits}-bit number"


def _core_problems(k: int, core: CnnLayerConfig) -> Iterator[str]:
    d = core.dimensions
    try:
        (ix, iy, inputs), (ox, oy, outputs) = _shape(d["input_shape"]), _shape(d["output_shape"])
        kernel, stride, padding = int(d["kernel_size"]), d["stride"], d["padding"]
        steps = [(a, int(stride[a]), int(padding[a])) for a in ("x", "y")]
    except (KeyError, TypeError, ValueError):
        yield f"dimensions are not complete: {d}"
        return
    yield from _range("input size x", ix, 1, figures.MAX_INPUT)
    yield from _range("input size y", iy, 1, figures.MAX_INPUT)
    yield from _range("input features", inputs, 1, figures.MAX_FEATURES)
    yield from _range("output size x", ox, 1, figures.MAX_OUTPUT)
    yield from _range("output size y", oy, 1, figures.MAX_OUTPUT)
    yield from _range("output features", outputs, 1, figures.MAX_FEATURES)
    yield from _range("kernel size", kernel, 1, figures.MAX_KERNEL)
    for (axis, step, pad), size, out in zip(steps, (ix, iy), (ox, oy), strict=True):
        yield from _range(f"padding {axis}", pad, 0, figures.MAX_PADDING)
        if step not in figures.STRIDES:
            yield f"stride {axis} is {step}, allowed are {figures.STRIDES}"
        elif out > (size - kernel + 2 * pad) // step + 1:
            yield f"output size {axis} is {out}, the convolution gives {(size - kernel + 2 * pad) // step + 1}"
    yield from _range(
        "kernel memory in words", kernel_words(inputs, outputs, kernel), 0, figures.KERNEL_WORDS[k]
    )
    yield from _range("neuron memory in words", neuron_words(outputs, ox, oy), 0, figures.NEURON_WORDS[k])
    yield from _array("weights", core.weights, (outputs, inputs, kernel, kernel), 8)
    if core.neurons_initial_value:
        yield from _array("neurons_initial_value", core.neurons_initial_value, (outputs, ox, oy), 16)
    if core.biases or core.leak_enable:
        yield from _array("biases", core.biases, (outputs,), 16)
    yield from _range("threshold_high", core.threshold_high, -32768, 32767)
    yield from _range("threshold_low", core.threshold_low, -32768, 32767)
    if core.threshold_low >= core.threshold_high:
        yield f"threshold_low is {core.threshold_low}, not below threshold_high, {core.threshold_high}"
    if core.threshold_low == 0:
        yield "threshold_low is 0, which the chip cannot do (known bug, datasheet 3.2.4.6.3); use -1"
    if core.output_decimator_enable:
        yield from _range("output_decimator_interval", core.output_decimator_interval, 0, 7)


def _shape(shape: dict[str, Any]) -> tuple[int, int, int]:
    """Width, height, features."""
    return int(shape["size"]["x"]), int(shape["size"]["y"]), int(shape["feature_count"])


def _destination_problems(
    destinations: list[Destination], used: list[bool], config: SpeckConfiguration
) -> Iterator[str]:
    if len(destinations) != 2:
        yield f"{len(destinations)} destinations; there are always 2, enabled or not"
    for destination in destinations:
        if not destination.enable:
            continue
        layer = destination.layer
        if layer == figures.READOUT_LAYER:
            if not config.readout.enable:
                yield "a destination is the readout layer, which is not enabled"
        elif not 0 <= layer < figures.CORES or not used[layer]:
            yield f"a destination is layer {layer}, which is not in use"
        if destination.pooling not in figures.POOLINGS:
            yield f"pooling is {destination.pooling}, allowed are {figures.POOLINGS}"
        yield from _range("feature_shift", destination.feature_shift, 0, figures.MAX_FEATURES - 1)


def _dvs_problems(config: SpeckConfiguration) -> Iterator[str]:
    layer = config.dvs_layer
    for axis in ("x", "y"):
        pooling, origin, cut = (int(getattr(v, axis)) for v in (layer.pooling, layer.origin, layer.cut))
        if pooling not in figures.POOLINGS:
            yield f"pooling {axis} is {pooling}, allowed are {figures.POOLINGS}"
        yield from _range(f"origin {axis}", origin, 0, figures.PIXELS - 1)
        yield from _range(f"cut {axis}", cut, origin, figures.PIXELS - 1)
    if config.dvs_filter.enable:
        yield "the noise filter (dvs_filter) is not modelled by this emulator"
    divider = config.factory_config.internal_slow_clk_divider
    if divider not in figures.INTERNAL_DIVIDERS:
        yield f"internal_slow_clk_divider is {divider}, allowed are {figures.INTERNAL_DIVIDERS}"


def _readout_problems(config: SpeckConfiguration) -> Iterator[str]:
    readout = config.readout
    if not readout.enable:
        return
    if readout.readout_configuration_sel != 3:
        yield "only readout_configuration_sel 3 (1x, 1y, 16f) is modelled by this emulator"
    yield from _range("output_mode_sel", readout.output_mode_sel, 0, 3)
    yield from _range("output_neuron_num", readout.output_neuron_num, 0, figures.READOUT_CLASSES - 1)
    yield from _range("threshold", readout.threshold, 0, 0xFFFF)

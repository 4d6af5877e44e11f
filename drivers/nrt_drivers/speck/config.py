"""A placed network as the vendor's configuration object; attribute names as sinabs' configuration builder uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nrt.errors import ConfigError, Unsupported
from nrt.network.encoding import Encoding
from nrt_drivers.speck.chip import Layer, Link, spec
from nrt_drivers.speck.lower import Lowered
from nrt_drivers.speck.vendor import Config, CoreConfig, Vendor

MARKER_SIDE = 16
"""Width and height of the marker's map: a marker's address says which of 256 in a row it is."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What the DVS layer does to pixel events: polarity, then pooling, then region, then mirror.

    origin, size: (x, y) of the region in pooled pixels
    """

    merge: bool
    on: bool
    off: bool
    pooling: int
    origin: tuple[int, int]
    size: tuple[int, int]
    mirror_x: bool = False
    mirror_y: bool = False
    swap_xy: bool = False


def preprocessing(
    encoding: Encoding, entry: tuple[int, int, int], *, mirror_x: bool, mirror_y: bool, swap_xy: bool
) -> Preprocessing:
    """The DVS layer that computes `encoding` for an input map `entry`. Raises Unsupported where it cannot.

    The chip pools before it cuts, so a crop must begin at a multiple of the pooling.
    """
    node = "input=dvs"
    if encoding.values != "count" or encoding.swap:
        raise Unsupported(
            node, "the DVS layer knows neither binary values nor swapped polarities; use input=spikes"
        )
    if encoding.pool not in spec().tables["pooling"].values:
        raise Unsupported(node, f"the DVS layer pools by 1, 2 or 4, not {encoding.pool}; use input=spikes")
    left, top = encoding.crop[:2] if encoding.crop is not None else (0, 0)
    if left % encoding.pool or top % encoding.pool:
        raise Unsupported(
            node,
            f"the DVS layer pools before it cuts: begin the crop at a multiple of {encoding.pool} pixels",
        )
    _, height, width = entry
    if swap_xy:
        height, width = width, height
    origin = (left // encoding.pool, top // encoding.pool)
    limit = spec().limit("sensor_size") // encoding.pool
    if origin[0] + width > limit or origin[1] + height > limit:
        raise Unsupported(
            node, f"a region of {width}x{height} from {origin} leaves the sensor's {limit}x{limit}"
        )
    single = encoding.polarity != "split"
    return Preprocessing(
        merge=single,
        on=encoding.polarity != "off",
        off=encoding.polarity != "on",
        pooling=encoding.pool,
        origin=origin,
        size=(width, height),
        mirror_x=mirror_x,
        mirror_y=mirror_y,
        swap_xy=swap_xy,
    )


@dataclass(frozen=True, slots=True)
class Options:
    """What a configuration says besides the network.

    watched: layers whose spikes are reported · decimate: layer → one spike in so many
    balancer: drop events that a busy core cannot take, instead of stalling the chip
    dvs: None where events go to the cores directly · marker: core of the marker, with `dvs`
    """

    watched: frozenset[str]
    decimate: Mapping[str, int]
    balancer: bool = False
    dvs: Preprocessing | None = None
    marker: int | None = None


def configure(vendor: Vendor, lowered: Lowered, core_of: Mapping[str, int], options: Options) -> Config:
    """The configuration of a whole chip."""
    config = vendor.speck2f.configuration.SpeckConfiguration()
    for layer in lowered.layers:
        core = config.cnn_layers[core_of[layer.name]]
        _write_core(core, layer, core_of)
        core.monitor_enable = layer.name in options.watched
        core.input_congestion_balancer_enable = options.balancer
        if layer.name in options.decimate:
            core.output_decimator_enable = True
            core.output_decimator_interval = interval(layer.name, options.decimate[layer.name])
    config.readout.enable = False
    dvs = config.dvs_layer
    dvs.pass_sensor_events = False
    dvs.raw_monitor_enable = False
    dvs.monitor_enable = options.dvs is None
    if options.dvs is not None:
        _write_dvs(config, options.dvs, lowered.entries, core_of)
        assert options.marker is not None
        _write_marker(config.cnn_layers[options.marker])
    return config


def interval(name: str, every: int) -> int:
    """The decimator's setting that passes one spike in `every`. Raises ConfigError."""
    known = spec().tables["decimator"].values
    if every not in known:
        raise ConfigError(
            f"{name}: one spike in {every} cannot be passed; there is {', '.join(map(str, known))}"
        )
    return known.index(every)


def _write_core(core: CoreConfig, layer: Layer, core_of: Mapping[str, int]) -> None:
    f, height, width = layer.outputs
    core.dimensions = _dimensions(
        layer.inputs, layer.outputs, layer.kernel.shape[2], layer.stride, layer.padding
    )
    core.weights = layer.kernel.transpose(0, 1, 3, 2).tolist()
    core.biases = (np.zeros(f, np.int64) if layer.bias is None else layer.bias).tolist()
    core.leak_enable = layer.bias is not None
    core.return_to_zero = layer.to_zero
    core.threshold_high = layer.threshold
    core.threshold_low = layer.floor
    core.neurons_initial_value = np.full((f, width, height), layer.initial).tolist()
    for destination, link in zip(core.destinations, layer.links, strict=False):
        destination.enable = True
        destination.layer = core_of[link.target]
        destination.pooling = link.pooling
        destination.feature_shift = link.shift


def _dimensions(
    inputs: tuple[int, int, int],
    outputs: tuple[int, int, int],
    kernel: int,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> dict[str, object]:
    return {
        "input_shape": {"size": {"x": inputs[2], "y": inputs[1]}, "feature_count": inputs[0]},
        "output_shape": {"size": {"x": outputs[2], "y": outputs[1]}, "feature_count": outputs[0]},
        "padding": {"x": padding[1], "y": padding[0]},
        "stride": {"x": stride[1], "y": stride[0]},
        "kernel_size": kernel,
    }


def _write_dvs(
    config: Config, settings: Preprocessing, entries: Sequence[Link], core_of: Mapping[str, int]
) -> None:
    dvs = config.dvs_layer
    dvs.merge, dvs.on_channel, dvs.off_channel = settings.merge, settings.on, settings.off
    dvs.pooling.x = dvs.pooling.y = settings.pooling
    dvs.origin.x, dvs.origin.y = settings.origin
    dvs.cut.x = settings.origin[0] + settings.size[0] - 1  # the last pixel seen, not the first unseen
    dvs.cut.y = settings.origin[1] + settings.size[1] - 1
    dvs.mirror.x, dvs.mirror.y = settings.mirror_x, settings.mirror_y
    dvs.mirror_diagonal = settings.swap_xy
    for destination, link in zip(dvs.destinations, entries, strict=False):
        destination.enable = True
        destination.layer = core_of[link.target]


def _write_marker(core: CoreConfig) -> None:
    """A core that answers every event with one spike at the same address and tells nobody but the monitor."""
    shape = (1, MARKER_SIDE, MARKER_SIDE)
    weight = spec().arithmetic["weight"].high
    core.dimensions = _dimensions(shape, shape, 1, (1, 1), (0, 0))
    core.weights = [[[[weight]]]]
    core.biases = [0]
    core.leak_enable = False
    core.return_to_zero = True
    core.threshold_high, core.threshold_low = weight, -1
    core.neurons_initial_value = np.zeros(shape, np.int64).tolist()
    core.monitor_enable = True

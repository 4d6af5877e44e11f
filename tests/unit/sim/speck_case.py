"""Small configurations of the emulated Speck chip, and an open board to run them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt_sim.chips.speck.configuration import CnnLayerConfig, SpeckConfiguration
from nrt_sim.chips.speck.double import Input, Kit, Output, samna
from nrt_sim.chips.speck.events import DvsEvent, ReadNeuronValue, Spike

Shape = tuple[int, int, int]


def set_core(
    config: SpeckConfiguration,
    index: int,
    weights: NDArray[np.int64],
    inputs: Shape,
    *,
    high: int,
    low: int = -32768,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    **settings: Any,
) -> CnnLayerConfig:
    """Fills a core. weights: [out, in, ky, kx]; inputs: (features, height, width); stride, padding: (y, x)."""
    core = config.cnn_layers[index]
    outputs, _, kernel, _ = weights.shape
    height, width = ((inputs[1 + k] - kernel + 2 * padding[k]) // stride[k] + 1 for k in (0, 1))
    core.dimensions = {
        "input_shape": {"size": {"x": inputs[2], "y": inputs[1]}, "feature_count": inputs[0]},
        "output_shape": {"size": {"x": width, "y": height}, "feature_count": outputs},
        "padding": {"x": padding[1], "y": padding[0]},
        "stride": {"x": stride[1], "y": stride[0]},
        "kernel_size": kernel,
    }
    core.weights = weights.transpose(0, 1, 3, 2).tolist()
    core.threshold_high, core.threshold_low = high, low
    for name, value in settings.items():
        setattr(core, name, value)
    return core


def relay(
    config: SpeckConfiguration, index: int, *, to: int | None = None, **settings: Any
) -> CnnLayerConfig:
    """Core `index` as one neuron that answers every event with one spike, as sinabs' hardware tests use it."""
    one = np.full((1, 1, 1, 1), 127)
    core = set_core(config, index, one, (1, 1, 1), high=127, monitor_enable=True)
    for name, value in settings.items():
        setattr(core, name, value)
    if to is not None:
        core.destinations[0].enable, core.destinations[0].layer = True, to
    return core


@dataclass
class Bench:
    """An open board with a configuration, and both ends of its stream."""

    module: samna
    kit: Kit
    input: Input
    output: Output

    def play(self, *events: Any, end: int = 10_000) -> list[Any]:
        """Writes the events, lets virtual time go on to `end` µs, and returns what came back meanwhile."""
        marker = DvsEvent(x=127, y=127, timestamp=end)  # outside the region of interest: it leaves no trace
        self.input.write([*events, marker])
        return self.output.get_events()

    def membrane(self, core: int, address: int = 0) -> int:
        """The state of a neuron, asked for as a host asks."""
        self.input.write([ReadNeuronValue(core, address)])
        return int(self.output.get_events()[-1].neuron_state)


def bench(config: SpeckConfiguration | None = None, **options: Any) -> Bench:
    """A fresh board, opened and configured."""
    module = samna(**options)
    kit = module.device.open_device(module.device.get_all_devices()[0])
    model = kit.get_model()
    if config is not None:
        if config.dvs_layer.cut.x == 127:
            config.dvs_layer.cut.x = 126
        model.apply_configuration(config)
    output = module.graph.sink_from(model.get_source_node())
    return Bench(module, kit, module.graph.source_to(model.get_sink_node()), output)


def spikes(events: list[Any]) -> list[tuple[int, int, int, int, int]]:
    """(timestamp, layer, x, y, feature) of the spikes among `events`."""
    return [(e.timestamp, e.layer, e.x, e.y, e.feature) for e in events if isinstance(e, Spike)]

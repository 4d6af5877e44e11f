"""The seam to the vendor: exactly the calls of samna that this driver makes, and nothing else.

`speck+samna:` puts the samna package behind it; `speck+emu:` an emulated board (`nrt_sim.chips.speck`) that offers
the same names. Names, arguments and units are those of the public users of samna: sinabs 3.1
(`sinabs/backend/dynapcnn/{io,chip_factory,config_builder,dynapcnn_network}.py`, `chips/dynapcnn.py`, its notebooks).

How the driver uses them, which is what a double must honour:

* The board (FPGA) has a stop watch in µs. Input events carry the time at which the board hands them to the chip;
  one whose time is past goes at once. Input is a queue: nothing overtakes, and neuron reads and writes, which
  carry no time, wait behind the timed events before them.
* Output events carry the stop watch's time at which they left the chip, and come in that order.
* `timestamp` is an unsigned 32-bit number that wraps.
* `apply_configuration` may return before the chip is configured; reads queued after it are answered after it.
* A call on a board that is gone raises RuntimeError (or another Exception); it does not hang.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast

from nrt.errors import MissingDependency

STUB_MARK: Final = "PYPI_SAMNA"
"""A name in the text of samna's stub on PyPI, which installs another package over itself when imported."""


class Spike(Protocol):
    """An event to a core, or from a monitored one. layer: core 0..8; 13: output of the DVS layer; timestamp: µs."""

    layer: int
    x: int
    y: int
    feature: int
    timestamp: int


class DvsEvent(Protocol):
    """An event of a pixel, to the DVS layer (or from it, with `raw_monitor_enable`). p: True for ON."""

    x: int
    y: int
    p: bool
    timestamp: int


class NeuronAccess(Protocol):
    """ReadNeuronValue, WriteNeuronValue and their answer NeuronValue. Carries no time (sinabs#259).

    A ReadNeuronValue has no `neuron_state`; its answer has the address and the state.
    """

    layer: int
    address: int
    neuron_state: int


class SpikeType(Protocol):
    """The class of spikes: called without arguments, and used in isinstance."""

    def __call__(self) -> Spike: ...


class DvsEventType(Protocol):
    """The class of pixel events."""

    def __call__(self) -> DvsEvent: ...


class NeuronAccessType(Protocol):
    """A class of neuron reads, writes or answers."""

    def __call__(self) -> NeuronAccess: ...


class Events(Protocol):
    """`samna.speck2f.event`."""

    Spike: SpikeType
    DvsEvent: DvsEventType
    ReadNeuronValue: NeuronAccessType
    WriteNeuronValue: NeuronAccessType
    NeuronValue: NeuronAccessType


class Vec(Protocol):
    """Two numbers, one per axis."""

    x: int
    y: int


class Destination(Protocol):
    """Where a core's spikes go. pooling: 1, 2 or 4; feature_shift is added to the spike's feature."""

    enable: bool
    layer: int
    pooling: int
    feature_shift: int


class CoreConfig(Protocol):
    """`config.cnn_layers[k]`: one core. Arrays are nested lists: weights [out][in][x][y], states [f][x][y].

    dimensions: a dictionary {"input_shape": {"size": {"x", "y"}, "feature_count"}, "output_shape": the same,
    "padding": {"x", "y"}, "stride": {"x", "y"}, "kernel_size"}; output_shape is the neurons', before pooling.
    """

    dimensions: dict[str, Any]
    weights: list[Any]
    biases: list[int]
    leak_enable: bool
    return_to_zero: bool
    threshold_high: int
    threshold_low: int
    neurons_initial_value: list[Any]
    monitor_enable: bool
    input_congestion_balancer_enable: bool
    output_decimator_enable: bool
    output_decimator_interval: int
    destinations: Sequence[Destination]


class Mirror(Protocol):
    """Mirrors of the DVS layer."""

    x: bool
    y: bool


class DvsDestination(Protocol):
    """Where the DVS layer's events go."""

    enable: bool
    layer: int


class DvsConfig(Protocol):
    """`config.dvs_layer`: polarity, then pooling, then region (origin to cut, both included), then mirror."""

    merge: bool
    on_channel: bool
    off_channel: bool
    pooling: Vec
    origin: Vec
    cut: Vec
    mirror: Mirror
    mirror_diagonal: bool
    pass_sensor_events: bool
    monitor_enable: bool
    raw_monitor_enable: bool
    destinations: Sequence[DvsDestination]


class ReadoutConfig(Protocol):
    """`config.readout`: the readout block, core id 12. Only its enable is used here, to hold it off."""

    enable: bool


class Config(Protocol):
    """`SpeckConfiguration`."""

    cnn_layers: Sequence[CoreConfig]
    dvs_layer: DvsConfig
    readout: ReadoutConfig


class ConfigType(Protocol):
    """The class of configurations; a new one is all off."""

    def __call__(self) -> Config: ...


class Configuration(Protocol):
    """`samna.speck2f.configuration`."""

    SpeckConfiguration: ConfigType


class Speck2f(Protocol):
    """`samna.speck2f`."""

    event: Events
    configuration: Configuration

    def validate_configuration(self, config: Config) -> tuple[bool, str]:
        """Whether the vendor accepts it, and what it says."""
        ...


class Measurement(Protocol):
    """One sample of one rail. channel: 0 IO, 1 RAM, 2 logic, 3 pixel digital, 4 pixel analogue; value: W."""

    channel: int
    value: float
    timestamp: int


class SinkNode(Protocol):
    """Where the host writes: what `get_sink_node` returns; opaque."""


class SourceNode(Protocol):
    """Where the host reads: what `get_source_node` returns; opaque."""


class Input(Protocol):
    """What `graph.source_to` returns."""

    def write(self, events: list[Any]) -> object:
        """Queues events in order; may wait while the board's queue is full."""
        ...


class Output(Protocol):
    """What `graph.sink_from` returns."""

    def get_events(self) -> Sequence[Any]:
        """What has arrived, at once."""
        ...

    def get_events_blocking(self, timeout: int) -> Sequence[Any]:
        """Waits until at least one event is there, at most `timeout` ms; then empty."""
        ...


class Graph(Protocol):
    """`samna.graph`."""

    def source_to(self, node: SinkNode) -> Input: ...

    def sink_from(self, node: SourceNode) -> Output: ...


class Model(Protocol):
    """The chip of a board."""

    def apply_configuration(self, config: Config) -> object: ...

    def get_source_node(self) -> SourceNode: ...

    def get_sink_node(self) -> SinkNode: ...


class StopWatch(Protocol):
    """The board's clock, µs."""

    def set_enable_value(self, value: bool) -> object: ...

    def reset(self) -> object: ...


class PowerMonitor(Protocol):
    """The board's meter: samples of every rail, at most 100 Hz."""

    def get_source_node(self) -> SourceNode: ...

    def start_auto_power_measurement(self, rate: float) -> object: ...

    def stop_auto_power_measurement(self) -> object: ...


class IoModule(Protocol):
    """The board's outputs to the chip; here its slow clock, 10 Hz to 10 kHz."""

    def set_slow_clk(self, enable: bool) -> object: ...

    def set_slow_clk_rate(self, rate: int) -> object: ...


class Board(Protocol):
    """An open development kit."""

    def get_model(self) -> Model: ...

    def get_stop_watch(self) -> StopWatch: ...

    def get_power_monitor(self) -> PowerMonitor: ...

    def get_io_module(self) -> IoModule: ...


class DeviceInfo(Protocol):
    """A board that is plugged in, open or not. device_type_name: "Speck2fDevKit" or "Speck2fModuleDevKit"."""

    device_type_name: str
    serial_number: str
    usb_bus_number: int
    usb_device_address: int


class Devices(Protocol):
    """`samna.device`."""

    def get_all_devices(self) -> Sequence[DeviceInfo]: ...

    def get_unopened_devices(self) -> Sequence[DeviceInfo]: ...

    def open_device(self, info: DeviceInfo) -> Board: ...

    def close_device(self, board: Board) -> object: ...


class Vendor(Protocol):
    """The module `samna`."""

    device: Devices
    graph: Graph
    speck2f: Speck2f


def samna() -> Vendor:
    """The vendor's package. Imports it, so call it only to open a board. Raises MissingDependency."""
    spec = importlib.util.find_spec("samna")
    if spec is None:
        raise NoVendor("is not installed")
    if spec.origin is not None and is_stub(Path(spec.origin)):
        raise NoVendor("is only its stub from PyPI, which runs pip when imported and was not imported")
    try:
        return cast(Vendor, importlib.import_module("samna"))
    except ImportError as error:
        raise NoVendor(f"does not load: {error}") from error


def is_stub(init: Path) -> bool:
    """Whether that `samna/__init__.py` is the self-installing stub; reads its text, imports nothing."""
    try:
        return STUB_MARK in init.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


class NoVendor(MissingDependency):
    """samna is not there, or only its stub. No extra of nrt brings it: it is not what PyPI has under that name."""

    def __init__(self, what: str) -> None:
        Exception.__init__(
            self,
            f"speck+samna: needs the vendor's package samna, which {what}; install it from SynSense's own index, as "
            "their documentation says (speck+emu: needs nothing)",
        )
        self.feature, self.package, self.extra = "speck+samna:", "samna", ""

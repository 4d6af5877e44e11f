"""A double of the vendor's package samna: the calls that the Speck driver makes, with an emulated board behind them.

`samna()` is a bench with one board on it. The seam it matches, name by name, is written down as protocols in
`nrt_drivers.speck.vendor`; the two packages never import each other. Where samna's behaviour is not documented the
double refuses, and says so, rather than guess: configurations that do not fit raise ValueError, numbers outside an
event's range TypeError, calls on a board that is closed or gone RuntimeError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nrt.errors import ConfigError
from nrt_sim.chips.speck import configuration, events, figures
from nrt_sim.chips.speck.board import Board, Tap
from nrt_sim.chips.speck.chip import Chip
from nrt_sim.chips.speck.faults import Faults

MOST_PACE: Final = 1e3
MOST_SYNOP_NS: Final = 1e6
MOST_FIFO: Final = 4096


class samna:
    """The module, for one bench: `samna(pace=1.0, fault="unplug:1000")`.

    pace: board time per wall time; 0: virtual time, as fast as it computes
    fault: busy, absent, unplug:N, stall:N, overload; several with commas between
    synop_ns: time of a core per synaptic operation · fifo: events that wait between two cores
    """

    def __init__(
        self,
        *,
        pace: float = 0.0,
        fault: str = "",
        synop_ns: float = figures.SYNOP_PS / 1000,
        fifo: int = figures.FIFO,
    ) -> None:
        if not (0 <= pace <= MOST_PACE and 0 < synop_ns <= MOST_SYNOP_NS and 1 <= fifo <= MOST_FIFO):
            raise ConfigError(
                f"the emulated Speck board takes pace 0 to {MOST_PACE:g}, synop_ns above 0 and up to "
                f"{MOST_SYNOP_NS:g}, and fifo 1 to {MOST_FIFO}"
            )
        faults = Faults.parse(fault)
        self.board = Board(Chip(max(1, round(synop_ns * 1000)), fifo), faults, pace)
        self.device = Devices(self.board, faults)
        self.graph = Graph()
        self.speck2f = Speck2f()


class Speck2f:
    """`samna.speck2f`."""

    def __init__(self) -> None:
        self.event = events
        self.configuration = configuration

    def validate_configuration(self, config: configuration.SpeckConfiguration) -> tuple[bool, str]:
        """Whether the chip can hold it, and everything that it cannot."""
        wrong = configuration.problems(config)
        return not wrong, "; ".join(wrong)


class Devices:
    """`samna.device`: what is plugged in."""

    def __init__(self, board: Board, faults: Faults) -> None:
        self._board, self._faults = board, faults
        self._info = DeviceInfo()
        self._open: Kit | None = None

    def get_all_devices(self) -> list[DeviceInfo]:
        """The boards that are plugged in, open or not."""
        return [] if self._faults.absent else [self._info]

    def get_unopened_devices(self) -> list[DeviceInfo]:
        """Those that nobody holds."""
        return [] if self._faults.busy or self._open else self.get_all_devices()

    def open_device(self, info: DeviceInfo) -> Kit:
        """The board; the same object if it is open already, as sinabs' `close_device` relies on it.

        The first on a machine takes some seconds, in which the emulator's kernels are compiled.
        Raises RuntimeError when it is gone or somebody else holds it.
        """
        if self._faults.absent or self._faults.busy or info is not self._info:
            raise RuntimeError(f"the device {info.device_type_name} cannot be opened")
        if self._open is None:
            self._board.plug()
            self._board.chip.warm_up()
            self._open = Kit(self._board)
        return self._open

    def close_device(self, board: Kit) -> None:
        """Lets the board go; calls on it raise from now on."""
        if board is self._open:
            self._open = None
        board.close()


class DeviceInfo:
    """A board that is plugged in."""

    def __init__(self) -> None:
        self.device_type_name = "Speck2fModuleDevKit"
        self.serial_number = "emulated"
        self.usb_bus_number, self.usb_device_address = 1, 1


class Kit:
    """An open board."""

    def __init__(self, board: Board) -> None:
        self._board: Board | None = board
        self._io = IoModule(self)

    def close(self) -> None:
        if self._board is not None:
            self._board.events.clear()
            self._board.power.clear()
        self._board = None

    def board(self) -> Board:
        """Raises RuntimeError after `close`."""
        if self._board is None:
            raise RuntimeError("the device is closed")
        return self._board

    def get_model(self) -> Model:
        return Model(self)

    def get_stop_watch(self) -> StopWatch:
        return StopWatch(self)

    def get_power_monitor(self) -> PowerMonitor:
        return PowerMonitor(self)

    def get_io_module(self) -> IoModule:
        self.board()
        return self._io


class Node:
    """What `graph` connects: a stream from the board, or the way into it."""

    def __init__(self, kit: Kit, name: str) -> None:
        self.kit, self.name = kit, name


class Model:
    """The chip of a board."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        kit.board()

    def apply_configuration(self, config: configuration.SpeckConfiguration) -> None:
        """Loads the chip; raises ValueError with everything that it cannot hold."""
        self._kit.board().configure(config)

    def get_source_node(self) -> Node:
        return Node(self._kit, "events")

    def get_sink_node(self) -> Node:
        return Node(self._kit, "input")


class StopWatch:
    """The board's clock, µs."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def set_enable_value(self, value: bool) -> None:
        self._kit.board().stamp(value)

    def start(self) -> None:
        self.set_enable_value(True)

    def stop(self) -> None:
        self.set_enable_value(False)

    def reset(self) -> None:
        self._kit.board().reset_stop_watch()


class PowerMonitor:
    """The board's meter."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def get_source_node(self) -> Node:
        return Node(self._kit, "power")

    def start_auto_power_measurement(self, rate: float) -> None:
        """Samples of every rail at `rate`, Hz. Raises ValueError above 100."""
        if rate <= 0:
            raise ValueError(f"a power sampling rate of {rate} Hz")
        self._kit.board().measure_power(rate)

    def stop_auto_power_measurement(self) -> None:
        self._kit.board().measure_power(0.0)


class IoModule:
    """The board's outputs to the chip; here its slow clock."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._on, self._rate = False, 1000

    def set_slow_clk(self, enable: bool) -> None:
        self._on = enable
        self._kit.board().slow_clock(self._on, self._rate)

    def set_slow_clk_rate(self, rate: int) -> None:
        """Hz."""
        self._rate = rate
        self._kit.board().slow_clock(self._on, self._rate)


class Graph:
    """`samna.graph`, as far as the driver uses it: one end of a stream each."""

    def source_to(self, node: Node) -> Input:
        """Where to write what goes to `node`."""
        return Input(node)

    def sink_from(self, node: Node) -> Output:
        """Where to read what comes from `node`, from now on."""
        return Output(node)


class Input:
    """The way into a board."""

    def __init__(self, node: Node) -> None:
        self._kit = node.kit

    def write(self, batch: Sequence[Any]) -> None:
        """Queues the events in order. Raises TypeError, RuntimeError."""
        self._kit.board().write(events.rows(batch))


class Output:
    """A stream from a board: its events, or the samples of its meter."""

    def __init__(self, node: Node) -> None:
        self._kit, self._power = node.kit, node.name == "power"
        board = node.kit.board()
        self._tap = Tap(board)
        (board.power if self._power else board.events).append(self._tap)

    def get_events(self) -> list[Any]:
        """What has arrived. Raises RuntimeError when the board is gone."""
        return self._take(0.0)

    def get_events_blocking(self, timeout: int) -> list[Any]:
        """What has arrived; waits up to `timeout` ms for the first."""
        return self._take(timeout / 1000)

    def _take(self, timeout: float) -> list[Any]:
        self._kit.board()
        rows = self._tap.take(timeout)
        if self._power:
            return [events.Measurement(x, y * 1e-12, t) for t, _, _, x, y, _ in rows.tolist()]
        return events.objects(rows)

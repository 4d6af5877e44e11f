"""An open board: finding it, one reader thread, and every vendor call turned into one of nrt's errors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from nrt.clock import now
from nrt.errors import DeviceBusy, DeviceError, DeviceLost, DeviceTimeout, NotFound, NrtError
from nrt.worker import Reader
from nrt_drivers.speck import vendor as seam
from nrt_drivers.speck.chip import spec
from nrt_drivers.speck.edge import Int, received
from nrt_drivers.speck.power import Kind

T = TypeVar("T")

_WAIT: Final = 100
"""ms that the reader waits for events at a time: how late it notices that it is to stop, or that none come."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """What one read of the board brought, perhaps nothing: spikes int64[n, 5], answers to reads, host ns."""

    rows: Int
    answers: int
    stamp: int


_OVERLOAD: Final = (
    "a core that gets more synaptic operations than it can do holds up the whole chip (send fewer events, decimate a "
    "layer, or set balancer=yes: cores then drop what they cannot take)"
)


class Board:
    """A development kit that this process holds. Every method raises DeviceLost once the board is gone."""

    def __init__(self, uri: str, vendor: seam.Vendor, place: str) -> None:
        """Opens the board with that serial number or USB bus:address; "": any.

        Raises NotFound, DeviceBusy, DeviceLost.
        """
        self._uri, self.vendor = uri, vendor
        self.events = vendor.speck2f.event
        info = self._find(place)
        self.identity = _described(info)
        self._kit = self._call("open", lambda: vendor.device.open_device(info))
        model = self._call("open", self._kit.get_model)
        self._model = model
        self._input = self._call("open", lambda: vendor.graph.source_to(model.get_sink_node()))
        self._output = self._call("open", lambda: vendor.graph.sink_from(model.get_source_node()))
        self._power: seam.Output | None = None

    def _find(self, place: str) -> seam.DeviceInfo:
        names = spec().transport["vendor"].texts("devices")
        there = self._call("look for boards", self.vendor.device.get_all_devices)
        boards = [d for d in there if d.device_type_name in names and place in ("", d.serial_number, _usb(d))]
        if not boards:
            others = [_described(d) for d in there]
            what = f"Speck2f board {place}".strip()
            known = ", ".join(others) or "none"
            raise NotFound(what, f"{self._uri}: no {what} is plugged in; there is {known}", others)
        free = self._call("look for boards", self.vendor.device.get_unopened_devices)
        for info in boards:
            if any(_same(info, other) for other in free):
                return info
        raise DeviceBusy(self._uri, f"{_described(boards[0])} is held by another process or session")

    def _call(self, what: str, function: Callable[[], T]) -> T:
        """A vendor call. Whatever it raises means that the board is gone: the vendor has no finer errors."""
        try:
            return function()
        except NrtError:
            raise
        except Exception as error:
            raise DeviceLost(self._uri, f"could not {what}: {error}") from error

    def reader(self) -> Reader[Arrival]:
        """The thread that reads the board until it is closed."""
        return Reader(self._read, depth=64, name=f"nrt.{self._uri}")

    def _read(self, stop: threading.Event) -> Iterator[Arrival]:
        while not stop.is_set():
            events = self._call("read", lambda: self._output.get_events_blocking(_WAIT))
            stamp = now()
            yield Arrival(*received(events, self.events), stamp)

    def write(self, batch: list[Any]) -> None:
        """Queues events for the chip, in order."""
        if batch:
            self._call("write", lambda: self._input.write(batch))

    def configure(self, config: seam.Config) -> None:
        """Loads the chip. Raises DeviceError where the vendor's package refuses the configuration."""
        good, reason = self._call("check the configuration", lambda: self._validate(config))
        if not good:
            raise DeviceError(self._uri, f"the vendor's package refuses the configuration: {reason}")
        self._call("configure", lambda: self._model.apply_configuration(config))

    def slow_clock(self, rate: int) -> None:
        """Hz of the clock of leaks and biases; 0 stops it."""
        io = self._call("set the slow clock", self._kit.get_io_module)
        if rate:
            self._call("set the slow clock", lambda: io.set_slow_clk_rate(rate))
        self._call("set the slow clock", lambda: io.set_slow_clk(rate > 0))

    def _validate(self, config: seam.Config) -> tuple[bool, str]:
        return self.vendor.speck2f.validate_configuration(config)

    def start_clock(self) -> None:
        """The stop watch begins at 0: it stamps what the chip reports and times what it is given."""
        watch = self._call("start the stop watch", self._kit.get_stop_watch)
        self._call("start the stop watch", lambda: watch.set_enable_value(False))
        self._call("start the stop watch", watch.reset)
        self._call("start the stop watch", lambda: watch.set_enable_value(True))

    def start_power(self, rate: float) -> None:
        """Begins to sample the rails, `rate` times a second each."""
        monitor = self._call("measure power", self._kit.get_power_monitor)
        if self._power is None:
            self._power = self._call(
                "measure power", lambda: self.vendor.graph.sink_from(monitor.get_source_node())
            )
        self.samples()  # what an earlier run left
        self._call("measure power", lambda: monitor.start_auto_power_measurement(rate))

    def samples(self) -> Sequence[seam.Measurement]:
        """The samples since the last call."""
        return [] if self._power is None else self._call("measure power", self._power.get_events)

    def stop_power(self) -> None:
        """Ends sampling."""
        if self._power is not None:
            monitor = self._call("measure power", self._kit.get_power_monitor)
            self._call("measure power", monitor.stop_auto_power_measurement)

    def close(self) -> None:
        """Lets the board go, in whatever state."""
        with contextlib.suppress(Exception):
            self.vendor.device.close_device(self._kit)

    def meter(self, kind: Kind) -> str:
        """What the power samples are, for people."""
        if kind == "measured":
            return f"the board's power monitor, ±{spec().limits['power_offset'] * 1e6:g} µW per rail"
        return "power monitor of the emulated board"

    def behind(self, seconds: float) -> DeviceTimeout:
        """The error of a board that answers too late."""
        return DeviceTimeout(
            self._uri,
            f"the board is {seconds:.2g} s behind its input: {_OVERLOAD}, or this host sends too late; lag= says how "
            "far behind is allowed",
        )

    def stalled(self, seconds: float, what: str) -> DeviceTimeout:
        """The error of a board that answers no more."""
        return DeviceTimeout(
            self._uri,
            f"{what} did not come back within {seconds:g} s: {_OVERLOAD}; reopen the board",
        )


def _usb(info: seam.DeviceInfo) -> str:
    """Where it is plugged in; boards without a serial number have nothing else."""
    return f"{info.usb_bus_number}:{info.usb_device_address}"


def _described(info: seam.DeviceInfo) -> str:
    return " ".join(filter(None, [info.device_type_name, info.serial_number, f"at USB {_usb(info)}"]))


def _same(one: seam.DeviceInfo, other: seam.DeviceInfo) -> bool:
    return (one.serial_number, one.usb_bus_number, one.usb_device_address) == (
        other.serial_number,
        other.usb_bus_number,
        other.usb_device_address,
    )

"""A double of neuromorphic_drivers: exactly the calls that nrt's driver makes, playing any source of nrt.

Configurations, statuses, packets and properties are the library's own types, so that a name or a type that it does not
have shows here. What they say was read in its sources (neuromorphicsystems/neuromorphic-drivers, python/src/lib.rs and
drivers/src/ring.rs): errors are RuntimeErrors with one sentence; a call that finds nothing in time returns a status
without a ring; a packet covers all transfers that had come; `dropped_packets` counts since the camera was opened.
"""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable
from typing import Any, Final, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from nrt.clock import now
from nrt.errors import MissingDependency
from nrt.formats.davis import DavisEncoder
from nrt.formats.evt3 import Evt3Encoder
from nrt.packet import Records
from nrt_sim.cameras.player import Player

POLARITY: Final = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
"""As the library lays out its events."""
TRANSFER: Final = 4096
"""Events of one transfer, of 32 bits each in a large one."""
_HOLDERS: Final[set[str]] = set()
"""Serial numbers of cameras that are open: a second opening is refused."""


class Library:
    """What `import neuromorphic_drivers` gives, as far as nrt uses it.

    plays:   what the camera looks at
    serial:  the serial number of the only camera that is there
    ring:    transfers that wait for somebody to take them
    unplug:  seconds after its first events at which the camera is gone; 0 for never
    """

    def __init__(
        self, kind: str, *, plays: str, serial: str = "emulated", ring: int = 4096, unplug: float = 0.0
    ) -> None:
        try:
            self._real: Any = importlib.import_module("neuromorphic_drivers")
        except ModuleNotFoundError as error:
            raise MissingDependency(
                "an emulated camera of this kind", "neuromorphic-drivers", "cameras"
            ) from error
        self._kind = kind
        self._plays, self.serial, self._ring, self._unplug = plays, serial, ring, unplug

    def __getattr__(self, name: str) -> Any:
        """The library's own modules and types."""
        return getattr(self._real, name)

    def open(
        self,
        configuration: Any = None,
        iterator_timeout: float | None = None,
        raw: bool = False,
        serial: str | None = None,
    ) -> Device:
        """As the library's. Raises RuntimeError."""
        if serial is not None and serial != self.serial:
            raise RuntimeError(f'a device with serial "{serial}" was not found')
        if configuration is None or configuration.type() != self._kind:
            raise RuntimeError("device not found")
        if self.serial in _HOLDERS:
            raise RuntimeError("Resource busy")
        configuration.serialize()
        return Device(
            self, self._real, self._kind, self._plays, iterator_timeout or 0.1, raw, self._ring, self._unplug
        )


class Device:
    """What `open` gives: an iterator of (status, packet)."""

    def __init__(
        self,
        library: Library,
        real: Any,
        kind: str,
        plays: str,
        timeout: float,
        raw: bool,
        ring: int,
        unplug: float,
    ) -> None:
        self._library, self._real, self._module = library, real, getattr(real, kind)
        self._timeout, self._raw, self._ring = timeout, raw, ring
        size = self._module.Properties()
        self._player = Player(plays, size.width, size.height)
        self._encoder = (DavisEncoder if kind == "inivation_davis346" else Evt3Encoder)()
        self._dropped, self._first_after = 0, False
        self._unplug, self._gone_at = round(unplug * 1e9), 0
        _HOLDERS.add(library.serial)
        self._player.start()
        if kind == "prophesee_evk4":
            self.temperature_celsius: Callable[[], float] = lambda: 41.5

    def __iter__(self) -> Device:
        return self

    def __next__(self) -> tuple[Any, Any]:
        """Raises RuntimeError when the camera is gone."""
        deadline = now() + round(self._timeout * 1e9)
        while True:
            if self._gone_at and now() >= self._gone_at:
                raise RuntimeError("Usb(NoDevice)")
            events, reached = self._player.take(now())
            if self._unplug and len(events) and not self._gone_at:
                self._gone_at = now() + self._unplug
            if len(events) or now() >= deadline:
                return self._item(events, reached)
            time.sleep(0.001)

    def _item(self, events: Records, reached: int) -> tuple[Any, Any]:
        status = self._real.status
        wall = time.time()
        if not len(events):
            made = status.RawStatus if self._raw else status.Status
            return made(system_time=wall, ring=None), None
        kept, overflow = self._kept(events)
        transfers = -(-len(kept) // TRANSFER)
        shared = {
            "system_time": wall,
            "backlog": 0,
            "raw_packets": transfers,
            "clutch_engaged": False,
            "dropped_packets": self._dropped,
        }
        if self._raw:
            data = self._encoder.encode(kept, reached).tobytes()
            ring = status.RawRingStatus(**shared, overflow_indices=[0] if overflow else [])
            return status.RawStatus(system_time=wall, ring=ring), data
        ring = status.RingStatus(**shared, current_t=int(kept["t"][-1]))
        return status.Status(system_time=wall, ring=ring), self._packet(kept, overflow)

    def _kept(self, events: Records) -> tuple[Records, bool]:
        """The newest transfers, as many as the ring holds; those before were overwritten."""
        room = self._ring * TRANSFER
        if len(events) <= room:
            return events, False
        self._dropped += -(-(len(events) - room) // TRANSFER)
        return events[len(events) - room :], True

    def _packet(self, events: Records, overflow: bool) -> Any:
        packet_of = self._real.packet
        kinds = {"inivation_davis346": "Davis346Packet", "inivation_dvxplorer": "DvxplorerPacket"}
        made: Any = getattr(packet_of, kinds.get(self._module.Configuration.type(), "Evt3Packet"))()
        for name in type(made).__annotations__:
            setattr(made, name, [] if name == "frames" else None)
        polarity: NDArray[np.void] = np.empty(len(events), POLARITY)
        for name in ("t", "x", "y"):
            polarity[name] = events[name]
        polarity["on"] = events["p"] > 0
        made.polarity_events = polarity
        if overflow:
            made.polarity_events_overflow_indices = np.array([0], np.uint64)
        return made

    def close(self) -> None:
        """Lets go of the camera."""
        _HOLDERS.discard(self._library.serial)
        self._player.stop()

    def serial(self) -> str:
        """The serial number."""
        return self._library.serial

    def properties(self) -> Any:
        """The library's Properties of this kind."""
        return self._module.Properties()

    def connection(self) -> Any:
        """How it is attached."""
        return self._real.Connection.USB_SUPER

    def biases_bounds(self) -> Any:
        """Bounds of the first bias only; the true ones are known to the library alone."""
        first = dataclasses.fields(self._module.BiasesBounds)[0].name
        usual = int(getattr(self._module.Biases(), first))
        limit = self._module.Bounds(minimum=max(usual - 100, -100), maximum=usual + 100)
        return self._module.BiasesBounds(**{first: limit})


class Attachment(TypedDict, total=False):
    """How the emulated camera is attached: options of every kind (see `Library`)."""

    serial: str
    ring: int
    unplug: float


def evk4(*, plays: str = "synth:bar?sensor=gen4&seconds=0", **attachment: Unpack[Attachment]) -> Library:
    """The library, with an EVK4 attached. Raises MissingDependency."""
    return Library("prophesee_evk4", plays=plays, **attachment)


def evk3(*, plays: str = "synth:bar?sensor=gen4&seconds=0", **attachment: Unpack[Attachment]) -> Library:
    """The library, with an EVK3 HD attached. Raises MissingDependency."""
    return Library("prophesee_evk3_hd", plays=plays, **attachment)


def davis346(
    *, plays: str = "synth:bar?sensor=davis346&seconds=0", **attachment: Unpack[Attachment]
) -> Library:
    """The library, with a DAVIS346 attached. Raises MissingDependency."""
    return Library("inivation_davis346", plays=plays, **attachment)


def dvxplorer(
    *, plays: str = "synth:bar?sensor=dvxplorer&seconds=0", **attachment: Unpack[Attachment]
) -> Library:
    """The library, with a DVXplorer attached. Raises MissingDependency."""
    return Library("inivation_dvxplorer", plays=plays, **attachment)

"""`evk4:`, `evk3:`, `davis346:`, `dvxplorer:`: cameras through the package neuromorphic-drivers (extra `cameras`).

Its iterator blocks, so one thread per camera goes through it, with a timeout after which it sees whether to end. The
library decodes (or, with `raw=yes`, hands over the vendor's bytes, which nrt decodes); what it has are USB transfers:
`dropped_packets` counts those that it lost since the camera was opened because nobody took them in time, and an
overflow index marks the first event after such a loss. How many events a lost transfer held nobody knows: `lost` is an
estimate, as many as the transfers since have had.

Tested against a double of the library's calls with the library's own types (`+emu:`). Never tried on a camera.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import importlib.util
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol, Unpack

import numpy as np

from nrt import registry
from nrt.clock import now
from nrt.errors import ConfigError, DeviceBusy, DeviceError, DeviceLost, MissingDependency, NotFound
from nrt.formats.base import Decoder
from nrt.formats.davis import DavisDecoder
from nrt.formats.evt3 import Evt3Decoder
from nrt.live import Intake, LiveOptions, LiveSource
from nrt.packet import EVENT, Records
from nrt.registry import Uri
from nrt_drivers.cameras import settings

PACKAGE: Final = "neuromorphic_drivers"
PATIENCE: Final = 0.01
"""Seconds for which one native call waits for events."""
PIECE: Final = 1 << 16
"""Events copied at a time."""
SMOOTH: Final = 0.1
"""Weight of the newest transfers in the average of events per transfer."""

End = Callable[[BaseException | None], None]


class Handle(Protocol):
    """What is used of an opened camera of neuromorphic_drivers."""

    def __next__(self) -> tuple[Any, Any]: ...
    def close(self) -> None: ...
    def serial(self) -> str: ...
    def properties(self) -> Any: ...
    def connection(self) -> Any: ...
    def biases_bounds(self) -> Any: ...


class VendorCamera(LiveSource):
    """A camera of one kind; `evk4:SERIAL` for that one, `evk4:` for the first.

    biases:    NAME:VALUE, separated by commas, of the library's Biases; the others keep the library's defaults
    configure: likewise of its whole Configuration, such as `clock:EXTERNAL`
    raw:       the vendor's bytes are decoded by nrt instead of the library
    """

    wires: ClassVar[tuple[str, ...]] = ("", "emu")
    module: ClassVar[str]
    """The library's module with the configuration of this kind."""
    words: ClassVar[type[Decoder] | None] = None
    """What decodes its bytes."""

    def __init__(
        self,
        uri: Uri,
        *,
        biases: str = "",
        configure: str = "",
        raw: bool = False,
        **live: Unpack[LiveOptions],
    ) -> None:
        super().__init__(uri, **live)
        if raw and self.words is None:
            raise ConfigError(f"{uri}: the bytes of this camera can only be decoded by its library")
        self._parsed, self._raw = uri, raw
        self._settings = settings.merged(
            settings.tree(self.uri, configure), settings.tree(self.uri, biases, "biases")
        )
        self._handle: Handle | None = None
        self._thread: threading.Thread | None = None
        self._stop_asked = threading.Event()
        self._counts: Counter[str] = Counter()
        self._identity: dict[str, str] = {}

    @classmethod
    def availability(cls) -> str:
        if importlib.util.find_spec(PACKAGE) is None:
            return str(MissingDependency("a camera of this kind", "neuromorphic-drivers", "cameras"))
        return "ready"

    async def open(self) -> None:
        """Opens and configures the camera.

        Raises MissingDependency, NotFound, DeviceBusy, DeviceError, ConfigError for settings it does not have.
        """
        if self._handle is not None:
            raise DeviceBusy(self.uri, "it is open already")
        self._handle = await asyncio.to_thread(self._open)

    def _open(self) -> Handle:
        library = self._library()
        kind: Any = getattr(library, self.module)
        configuration = settings.build(self.uri, kind.Configuration, self._settings)
        self._require_storable(configuration)
        try:
            handle: Handle = library.open(
                configuration,
                iterator_timeout=PATIENCE,
                raw=self._raw,
                serial=self._parsed.place or None,
            )
        except RuntimeError as error:
            raise self._refused(str(error)) from error
        try:
            self._require_bounds(handle, configuration)
        except BaseException:
            handle.close()
            raise
        properties = handle.properties()
        self.shape = (2, int(properties.height), int(properties.width))
        self._counts.clear()
        self._identity = {
            "camera": self._parsed.scheme,
            "serial": handle.serial(),
            "connection": str(handle.connection().value),
            "configuration": repr(configuration),
        }
        return handle

    def _library(self) -> Any:
        if self._parsed.wire == "emu":
            make = registry.board(self._parsed.scheme)
            return make(**registry.options_for(make, self._parsed))
        try:
            return importlib.import_module(PACKAGE)
        except ModuleNotFoundError as error:
            if (error.name or "") != PACKAGE:
                raise
            raise MissingDependency(f"{self._parsed.scheme}:", "neuromorphic-drivers", "cameras") from error

    def _require_storable(self, configuration: Any) -> None:
        try:
            configuration.serialize()
        except (OverflowError, ValueError) as error:
            raise ConfigError(
                f"{self.uri}: a setting is too large or too small for the camera: {error}"
            ) from error

    def _require_bounds(self, handle: Handle, configuration: Any) -> None:
        """Raises ConfigError naming every bias that this camera cannot be set to."""
        bounds = handle.biases_bounds()
        wrong = [
            f"{field.name} is {value}, from {limit.minimum} to {limit.maximum} is possible"
            for field in dataclasses.fields(bounds)
            if (limit := getattr(bounds, field.name)).minimum < limit.maximum
            and not limit.minimum <= (value := getattr(configuration.biases, field.name)) <= limit.maximum
        ]
        if wrong:
            raise ConfigError(f"{self.uri}: biases: {'; '.join(wrong)}")

    def _refused(self, text: str) -> Exception:
        """The library's no, which is a sentence and nothing else, as nrt's error with what to do about it."""
        said = text.lower()
        if "permission" in said or "access" in said:
            return DeviceError(self.uri, f"no permission ({text}); run: sudo nrt udev --install")
        if "busy" in said:
            return DeviceBusy(self.uri, f"another process, or another run here, has it ({text})")
        if "not found" in said:
            return NotFound(self.uri, f"{self.uri}: {text}; `nrt devices` lists what is attached")
        return DeviceError(self.uri, f"it cannot be opened ({text}); is it attached, and USB there at all?")

    async def close(self) -> None:
        await self._stop()
        handle, self._handle = self._handle, None
        if handle is not None:
            await asyncio.to_thread(handle.close)

    def _decoder(self) -> Decoder | None:
        return self.words() if self._raw and self.words is not None else None

    async def _start(self, intake: Intake, end: End) -> None:
        if self._handle is None:
            raise DeviceLost(self.uri, "the camera is not open")
        self._stop_asked.clear()
        self._thread = threading.Thread(
            target=self._read, args=(self._handle, intake, end), name=f"nrt.camera {self.uri}", daemon=True
        )
        self._thread.start()

    async def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop_asked.set()
            await asyncio.to_thread(thread.join)

    def _read(self, handle: Handle, intake: Intake, end: End) -> None:
        """In the camera's thread."""
        receiver = Receiver(intake, self._counts)
        take = receiver.bytes if self._raw else receiver.events
        try:
            while not self._stop_asked.is_set():
                status, packet = next(handle)
                stamp = now()
                if status.ring is None or packet is None:
                    intake.quiet(stamp)
                else:
                    take(status, packet, stamp)
        except StopIteration:
            end(DeviceLost(self.uri, "the camera ended its stream"))
        except RuntimeError as error:
            end(DeviceLost(self.uri, f"the camera is gone ({error})"))
        except Exception as error:
            end(error)

    @property
    def temperature(self) -> float | None:
        """Degrees Celsius of the sensor; None where the camera does not tell."""
        tell = getattr(self._handle, "temperature_celsius", None)
        if tell is None:
            return None
        with contextlib.suppress(RuntimeError):  # not of this camera, or not now
            return float(tell())
        return None

    def counters(self) -> Mapping[str, int]:
        """What was repaired, lost or passed over, by name; only what is not zero."""
        return {**super().counters(), **{name: count for name, count in self._counts.items() if count}}

    def identity(self) -> Mapping[str, str]:
        return {"uri": self.uri, **self._identity}


class Receiver:
    """What one item of the library's iterator becomes. Called from the camera's thread."""

    def __init__(self, intake: Intake, counts: Counter[str]) -> None:
        self._intake, self._counts = intake, counts
        self._buffer: Records = np.zeros(PIECE, EVENT)
        self._nothing: Records = np.empty(0, EVENT)
        self._mean = 0.0  # events of a transfer
        self._before = 0

    def events(self, status: Any, packet: Any, stamp: int) -> None:
        """A packet that the library has decoded."""
        found, overflows = packet.polarity_events, packet.polarity_events_overflow_indices
        count = 0 if found is None else len(found)
        lost = self._lost(status.ring, count, 0 if overflows is None else len(overflows))
        self._pass_over(packet)
        if found is None or not count:
            self._intake.events(self._nothing, stamp, lost)
            return
        for at in range(0, count, PIECE):
            part = found[at : at + PIECE]
            events = self._buffer[: len(part)]
            events["t"], events["x"], events["y"], events["p"] = part["t"], part["x"], part["y"], part["on"]
            self._intake.events(events, stamp, lost)
            lost = 0

    def bytes(self, status: Any, packet: Any, stamp: int) -> None:
        """The vendor's bytes."""
        ring = status.ring
        size = len(packet)
        words = size // 4  # of two to eight bytes for an event, in vectors fewer
        self._intake.events(self._nothing, stamp, self._lost(ring, words, len(ring.overflow_indices or ())))
        if size:
            self._intake.bytes(bytes(packet), stamp)

    def _lost(self, ring: Any, count: int, overflows: int) -> int:
        """How many events were lost before these, by the transfers that were."""
        transfers = max(ring.raw_packets, 1)
        mean = count / transfers
        self._mean = mean if not self._mean else self._mean + SMOOTH * (mean - self._mean)
        total = int(ring.dropped_packets)
        dropped, self._before = total - self._before, total
        self._counts["transfers dropped"] += dropped
        self._counts["overflows"] += overflows
        return round(dropped * self._mean)

    def _pass_over(self, packet: Any) -> None:
        """Counts what the camera sees besides and nrt has no use for yet."""
        for name, attribute in (
            ("triggers", "trigger_events"),
            ("inertial", "imu_events"),
            ("frames", "frames"),
        ):
            found = getattr(packet, attribute, None)
            if found is not None:
                self._counts[f"{name} passed over"] += len(found)


class Evk4Camera(VendorCamera):
    """Prophesee EVK4, IMX636, 1280 x 720."""

    module = "prophesee_evk4"
    words = Evt3Decoder


class Evk3Camera(VendorCamera):
    """Prophesee EVK3 HD, Gen4.1 or IMX636, 1280 x 720."""

    module = "prophesee_evk3_hd"
    words = Evt3Decoder


class Davis346Camera(VendorCamera):
    """iniVation DAVIS346, 346 x 260."""

    module = "inivation_davis346"
    words = DavisDecoder


class DvxplorerCamera(VendorCamera):
    """iniVation DVXplorer, 640 x 480."""

    module = "inivation_dvxplorer"

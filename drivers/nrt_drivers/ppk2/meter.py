"""The kit as a meter: asked for its calibration, told what to do, and then listened to. Never tried on one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

from nrt.clock import now
from nrt.errors import ConfigError, DeviceError, DeviceTimeout, ProtocolError
from nrt.profile.energy import Kind
from nrt.profile.meters import Channel, Lap
from nrt.profile.meters.marker import Marker
from nrt.registry import Uri
from nrt.wire import wire
from nrt_drivers.ppk2.calibration import END, SPEC, Calibration
from nrt_drivers.ppk2.samples import Decoder, Samples
from nrt_drivers.ppk2.window import Edge, Window

_COMMAND: Final = SPEC.enum("command").values
_PATIENCE_S: Final = 3.0
_MOST: Final = 1 << 18
"""Bytes of something else than metadata that are read before giving up: more than half a second of samples."""


class Ppk2Meter:
    """`ppk2+serial:///dev/ttyACM0?volts=3.3`, `ppk2+emu:?volts=3.3`.

    volts:   of the supply; the kit measures current only · mode: "ampere", the board has its own supply, or "source",
    the kit supplies it with `volts` · marker: a line that the host raises and lowers (`nrt.profile.meters.marker`)
    wired to logic input `channel` of the kit, so that windows begin and end at that very sample
    """

    wires: ClassVar[tuple[str, ...]] = ("serial", "emu")
    samples_counted: bool = True

    def __init__(
        self,
        uri: Uri,
        *,
        volts: float = 0.0,
        mode: Literal["ampere", "source"] = "ampere",
        marker: str = "",
        channel: int = 0,
    ) -> None:
        low, high = SPEC.limit("least_millivolts"), SPEC.limit("most_millivolts")
        if not low <= volts * 1e3 <= high:
            raise ConfigError(
                f"{uri}: give the supply's voltage, volts={low / 1e3:g} to {high / 1e3:g}; the kit measures current"
            )
        if not 0 <= channel <= 7:
            raise ConfigError(f"{uri}: channel is {channel}; the kit has logic inputs 0 to 7")
        self._uri, self._volts, self._mode, self._channel = uri, volts, mode, channel
        self._marker = Marker(marker) if marker else None
        self._high = False
        self._wire = wire(uri, {"baud": SPEC.wire("serial").integers("baud")[0]})
        self._lock = threading.Lock()
        self._decoder: Decoder | None = None
        self._window: Window | None = None
        self._edge: Edge | None = None
        self._found: asyncio.Future[Lap] | None = None
        self._ended: asyncio.Task[object] | None = None
        self._hardware = ""

    @classmethod
    def availability(cls) -> str:
        """Which serial lines may be kits."""
        from serial.tools import list_ports  # type: ignore[import-untyped]

        found = [
            f"ppk2+serial://{port.device}?volts=…"
            for port in list_ports.comports()
            if "PPK2" in (port.product or "")
        ]
        return "ready: " + ", ".join(sorted(found)) if found else "no kit on this machine's serial lines"

    @property
    def name(self) -> str:
        """Its URI."""
        return str(self._uri)

    @property
    def instrument(self) -> str:
        """What it is."""
        return f"Power Profiler Kit II {self._hardware}".rstrip()

    @property
    def kind(self) -> Kind:
        """Modelled, of an emulated kit."""
        return "modelled" if "emulated" in self._hardware else "measured"

    @property
    def channels(self) -> Sequence[Channel]:
        """What hangs on it."""
        return [Channel(f"supply of {self._volts:g} V", "board on the kit's supply")]

    @property
    def rate_hz(self) -> float:
        """100 kHz."""
        return float(SPEC.limit("rate"))

    @property
    def shortest_s(self) -> float:
        """10 000 samples."""
        return 0.1

    @property
    def notes(self) -> Sequence[str]:
        """That the voltage was not measured, and how windows were aligned."""
        volts = f"the voltage of {self._volts:g} V is as {'set' if self._mode == 'source' else 'given'}, not measured"
        if self._marker is None:
            return [volts, "no marker: windows begin and end about 1 ms late"]
        return [
            volts,
            f"windows begin and end with marker {self._marker.name} on logic input {self._channel}",
        ]

    async def open(self) -> None:
        """Raises NotFound, DeviceError, ProtocolError for what is no kit."""
        if self._ended is not None:
            return
        try:
            if self._marker is not None:
                self._marker.open()
                self._high = False
            await self._wire.open()
            calibration = await self._ask()
            self._hardware = calibration.hardware
            self._decoder = Decoder(calibration, self._volts)
            millivolts = round(self._volts * 1e3)
            await self._send("power_mode", SPEC.enum("power_mode").values[self._mode])
            await self._send("regulator", millivolts >> 8, millivolts & 0xFF)
            await self._send("running", 1)
            self._window = Window(now(), self._volts, self.rate_hz)
            self._wire.feed(self._take)
            await self._send("start")
            self._ended = asyncio.create_task(self._wire.read(), name="nrt.ppk2")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stops the samples; the board keeps its supply."""
        if self._ended is not None:
            with contextlib.suppress(DeviceError):
                await self._send("stop")
        await self._wire.close()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.cancel()
            await asyncio.wait([ended])
            if not ended.cancelled():
                ended.exception()  # what it died of was told, or came with closing
        if self._marker is not None:
            self._marker.close()

    async def lap(self) -> Sequence[Lap]:
        """Raises DeviceLost, DeviceTimeout where the marker's edge or samples do not come."""
        if self._ended is None:
            raise ConfigError(f"{self._uri}: a meter is opened before it is asked")
        found: asyncio.Future[Lap] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._found, self._edge = found, self._next_edge()
        waiting: set[asyncio.Future[Any]] = {found, self._ended}
        await asyncio.wait(waiting, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        with self._lock:
            self._found = self._edge = None
        if found.done():
            return [found.result()]
        if self._ended.done():
            self._ended.result()
        reason = "no sample came"
        if self._marker is not None:
            reason = f"logic input {self._channel} never followed marker {self._marker.name}; is it wired?"
        raise DeviceTimeout(str(self._uri), f"{reason} ({_PATIENCE_S:g} s)")

    def _next_edge(self) -> Edge:
        """The marker's next edge, made now, or this moment."""
        if self._marker is None:
            return Edge(now())
        self._high = not self._high
        return Edge(self._marker.set(self._high), self._channel, self._high)

    def _take(self, data: bytes, stamp: int) -> None:
        """Bytes as they arrive, in the wire's thread."""
        assert self._decoder is not None
        samples = self._decoder.decode(data)
        with self._lock:
            at = 0
            if self._edge is not None and (end := self._edge.find(samples, stamp)) is not None:
                self._finish(samples, end, self._edge.since if self._edge.channel is not None else stamp)
                at = end
            if self._window is not None:
                self._window.add(samples, at, len(samples.amps))

    def _finish(self, samples: Samples, end: int, stamp: int) -> None:
        """The lap ends before sample `end`."""
        assert self._window is not None
        found, self._found, self._edge = self._found, None, None
        self._window.add(samples, 0, end)
        lap = self._window.lap(stamp)
        self._window = Window(stamp, self._volts, self.rate_hz)
        if found is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                found.get_loop().call_soon_threadsafe(_settle, found, lap)

    async def _send(self, command: str, *arguments: int) -> None:
        await self._wire.write(bytes((_COMMAND[command], *arguments)))

    async def _ask(self) -> Calibration:
        """The metadata, behind whatever a stream that was not stopped has left on the line."""
        await self._send("stop")
        await self._send("get_metadata")
        text = bytearray()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while END not in text:
                    text += (await self._wire.read()).data
                    if len(text) > _MOST:
                        raise ProtocolError(str(self._uri), len(text), "a kit's metadata", "something else")
        except TimeoutError:
            raise DeviceTimeout(
                str(self._uri), f"no metadata in {_PATIENCE_S:g} s; is this a Power Profiler Kit II?"
            ) from None
        begin = max(text.lower().rfind(b"calibrated"), 0)
        return Calibration.parse(str(self._uri), bytes(text[begin : text.index(END)]))


def _settle(found: asyncio.Future[Lap], lap: Lap) -> None:
    if not found.done():
        found.set_result(lap)

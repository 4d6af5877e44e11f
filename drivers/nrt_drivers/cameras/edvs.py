"""eDVS: a 128 x 128 event camera on a serial line, that takes commands as lines of text.

Opening resets the camera and reads its greeting, which tells its firmware; a baud rate that is not given is looked
for, as a camera at another one answers with noise. Then echo is turned off, the form of the time is chosen, and one
register is asked for: its answer comes behind everything that was still on its way, so that what follows are events.
The microcontroller drops events where the line is too slow, and does not say so; it may be silent in a still scene.
Never tried on a camera. Commands and limits: firmware_specs/edvs.toml; bytes: nrt.formats.edvs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Final, Literal, Unpack

from nrt.errors import ConfigError, DeviceTimeout, ProtocolError
from nrt.formats.edvs import FORMS, EdvsDecoder, Form
from nrt.live import Camera, LiveOptions
from nrt.registry import Uri
from nrt.spec import Step, load
from nrt.wire import wire
from nrt_drivers.cameras.biases import chosen

Format = Literal["auto", "E0", "E1", "E2", "E3", "E4"]
_GREETING: Final = 1.0
"""Seconds in which a camera has greeted, in all likelihood, once it should have."""
_MOST: Final = 1 << 16
"""Bytes of something else than a greeting that are read before giving up."""


class EdvsCamera(Camera):
    """`edvs+serial:///dev/ttyUSB0`, `edvs+tcp://host:port` for its WLAN module, `edvs+emu:`.

    format: form of the time, as the camera's help has it; E3, 24 bits, by default, or what an older one has
    biases: `fast`, `keep` for those that it has, `fast,PR:217` · sync: how clocks of several cameras are joined
    """

    wires = ("serial", "tcp", "emu")

    def __init__(
        self,
        uri: Uri,
        *,
        format: Format = "auto",
        biases: str = "fast",
        sync: Literal["alone", "master", "slave"] = "alone",
        **live: Unpack[LiveOptions],
    ) -> None:
        self._spec = load("edvs")
        serial = self._spec.wire("serial")
        self._bauds = serial.integers("baud") if uri.wire == "serial" and "baud" not in uri.options else (0,)
        self.line = {"rtscts": serial.text("flow") == "rts_cts"}
        super().__init__(uri, **live)
        self._place = uri
        self._format, self._sync = format, sync
        names = tuple(sorted(self._spec.registers, key=lambda name: self._spec.register(name).address))
        self._biases = chosen(str(uri), biases, self._spec, names, "fast_biases")
        self._greeting = ""
        self._form: Form = 3

    async def open(self) -> None:
        """Raises NotFound, DeviceBusy, DeviceError; DeviceTimeout if nobody greets, ProtocolError if others do."""
        for baud in self._bauds:
            if baud:
                self._wire = wire(self._place, {**self.line, "baud": baud})
            try:
                return await super().open()
            except (DeviceTimeout, ProtocolError):
                if baud == self._bauds[-1]:
                    raise

    async def _greet(self) -> None:
        steps = self._spec.procedure("open")
        banner = next(k for k, step in enumerate(steps) if step.target == "banner")
        await self._perform(steps[: banner + 1], {})
        generation = self._generation()
        number = self._number(generation)
        await self._perform(steps[banner + 1 :], {"format": number})
        for name, value in self._biases.items():
            await self._perform(
                self._spec.procedure("set_bias")[:1],
                {"address": self._spec.register(name).address, "value": value},
            )
        if self._biases:
            await self._perform(self._spec.procedure("set_bias")[1:], {})
        if self._sync != "alone":
            await self._perform(self._spec.procedure(f"sync_{self._sync}"), {})
        self.shape = (2, self._spec.limit("height"), self._spec.limit("width"))

    async def _perform(self, steps: tuple[Step, ...], values: Mapping[str, int]) -> None:
        """The steps of a procedure; a wait is the patience of what is expected after it."""
        patience = _GREETING
        for step in steps:
            if step.do in ("send", "reset"):
                await self._say(step.text.format(**values))
            elif step.do == "wait":
                patience = _GREETING + step.milliseconds / 1e3
            elif step.do == "read":
                await self._discard(step.milliseconds / 1e3)
            elif step.do == "expect":
                if step.target == "banner":
                    self._greeting = await self._hear(self._spec.identity.texts("banner"), patience)
                else:
                    await self._hear((step.text,), patience)

    async def _say(self, text: str) -> None:
        try:
            async with asyncio.timeout(_GREETING):
                await self._wire.write(text.encode("ascii"))
        except TimeoutError as error:
            raise DeviceTimeout(
                self.uri,
                f"it does not take the command {text.strip() or 'end of line'}; is its RTS/CTS wired?",
            ) from error

    async def _discard(self, seconds: float) -> None:
        """Reads what comes in that time and throws it away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self._wire.read()

    async def _hear(self, texts: tuple[str, ...], seconds: float) -> str:
        """Reads until a whole line with one of `texts` has come; returns that line.

        Raises DeviceTimeout where nothing came, ProtocolError where something else did.
        """
        got = bytearray()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(got) < _MOST:
                    got += (await self._wire.read()).data
                    for line in got.split(b"\n")[:-1]:
                        if any(text.encode() in line for text in texts):
                            return line.decode("ascii", "replace").strip()
        if not got:
            raise DeviceTimeout(self.uri, "no eDVS answers there; is it powered, and at this baud rate?")
        raise ProtocolError(self.uri, 0, f"an eDVS that says {' or '.join(texts)}", repr(bytes(got[:40])))

    def _generation(self) -> str:
        """The name of the firmware that greeted."""
        banners = self._spec.identity.texts("banner")
        index = next(k for k, banner in enumerate(banners) if banner in self._greeting)
        return self._spec.enum("generation").label(index)

    def _number(self, generation: str) -> int:
        """What that firmware calls the form that was asked for. Raises ConfigError where it does not have it."""
        older = generation == "lpc2106"
        known = self._spec.enum("format_lpc2106" if older else "format").values
        wanted = {"auto": "bits16" if older else "bits24"}.get(self._format) or _named(self._format)
        if wanted not in known:
            there = ", ".join(f"E{FORMS[name]}" for name in known)
            raise ConfigError(
                f"{self.uri}: this camera's firmware has no format {self._format}; it has {there}"
            )
        self._form = FORMS[wanted]
        return known[wanted]

    def _decoder(self) -> EdvsDecoder:
        return EdvsDecoder(self._form, joined=True)

    async def _begin(self) -> None:
        await self._perform(self._spec.procedure("reset_time"), {})
        await self._perform(self._spec.procedure("start"), {})

    async def _halt(self) -> None:
        await self._perform(self._spec.procedure("stop"), {})

    def identity(self) -> Mapping[str, str]:
        """The URI, and the firmware as it greeted."""
        return {**super().identity(), "camera": self._greeting}


def _named(format: str) -> str:
    """The spec's name of a form."""
    return next(name for name, form in FORMS.items() if f"E{form}" == format)

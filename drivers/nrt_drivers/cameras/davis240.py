"""DAVIS240 (A, B, C): 240 x 180 pixels on USB 2.0, by pyusb.

Its registers tell which sensor it is, how many rows and columns it counts, and whether they are exchanged. It is
stopped first, for it may have been left running; images, inertial measurements and the external input stay off. It
sends a word for every turn of its clock, 32.768 ms, whatever it sees: silence is an error. Events that it drops
because the way to the host is full are counted where its logic does that, and read when it stops.
Never tried on a camera. Registers, biases and limits: firmware_specs/davis240.toml; words: nrt.formats.davis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Unpack

from nrt.errors import ProtocolError, Unsupported
from nrt.formats.davis import DavisDecoder
from nrt.live import LiveOptions
from nrt.registry import Uri
from nrt.spec import load
from nrt_drivers.cameras.biases import chosen
from nrt_drivers.cameras.usb import UsbCamera, line_of

_BYTES: Final = 4
"""Of a register's value on the wire, most significant first."""


class Davis240Camera(UsbCamera):
    """`davis240+usb:` for the first one, `davis240+usb:SERIAL` for that one, `davis240+emu:`.

    biases: `usual`, `keep` for those that it has, `usual,ONBN:24575`
    """

    def __init__(self, uri: Uri, *, biases: str = "usual", **live: Unpack[LiveOptions]) -> None:
        self._spec = load("davis240")
        self.line = line_of(self._spec)
        super().__init__(uri, **live)
        self._request = self._spec.enum("request")["config"]
        narrow = [each for each in self._spec.registers.values() if each.width < 8 * _BYTES]
        names = tuple(each.name for each in sorted(narrow, key=lambda each: each.address))
        self._biases = chosen(str(uri), biases, self._spec, names, "usual_biases")
        self._columns = self._rows = 0
        self._exchange = False
        self._camera = ""
        self._dropped = 0

    async def _greet(self) -> None:
        chip, logic = await self._read("CHIP"), await self._read("LOGIC_VERSION")
        if chip not in self._spec.enum("chip").values.values():
            raise ProtocolError(self.uri, 0, "a DAVIS240, chip 0, 1 or 2", f"chip {chip}")
        if logic < self._spec.limit("logic_version"):
            raise Unsupported(
                self.uri,
                f"its logic has revision {logic}, whose registers are others; "
                f"update it to {self._spec.limit('logic_version')} with the vendor's flashy",
            )
        await self._perform("stop")
        for name, value in self._biases.items():
            await self._write(name, value)
        self._camera = f"{self._spec.enum('chip').label(chip)}, logic {logic}"
        self._columns, self._rows = await self._read("DVS_COLUMNS"), await self._read("DVS_ROWS")
        orientation = self._spec.register("DVS_ORIENTATION").fields["exchange"]
        self._exchange = bool(orientation.value(await self._read("DVS_ORIENTATION")))
        self._check_size()
        size = (self._columns, self._rows) if self._exchange else (self._rows, self._columns)
        self.shape = (2, *size)

    def _check_size(self) -> None:
        """The addresses of a DAVIS word are of 12 bits. Raises ProtocolError."""
        side = 1 << self._spec.word("row").fields["row"].width
        if not (0 < self._columns <= side and 0 < self._rows <= side):
            raise ProtocolError(
                self.uri, 0, f"a sensor of at most {side} x {side}", f"{self._columns} x {self._rows}"
            )

    async def _perform(self, procedure: str) -> None:
        """The writes and waits of a procedure."""
        for step in self._spec.procedure(procedure):
            if step.do == "wait":
                await asyncio.sleep(step.milliseconds / 1e3)
            elif step.value is not None:
                await self._write(step.target, step.value)

    async def _write(self, name: str, value: int) -> None:
        module, parameter = divmod(self._spec.register(name).address, 256)
        await self._tell(self._request, module, parameter, value.to_bytes(_BYTES, "big"))

    async def _read(self, name: str) -> int:
        module, parameter = divmod(self._spec.register(name).address, 256)
        answer = await self._ask(self._request, module, parameter, _BYTES)
        if len(answer) != _BYTES:
            raise ProtocolError(self.uri, 0, f"{_BYTES} bytes of register {name}", f"{len(answer)}")
        return int.from_bytes(answer, "big")

    def _decoder(self) -> DavisDecoder:
        return DavisDecoder(self._columns, self._rows, exchange=self._exchange)

    async def _begin(self) -> None:
        await self._perform("start")

    async def _halt(self) -> None:
        if await self._read("MUX_HAS_STATISTICS"):
            high, low = await self._read("MUX_DVS_DROPPED_HIGH"), await self._read("MUX_DVS_DROPPED_LOW")
            self._dropped = high << 32 | low
        await self._perform("stop")

    def counters(self) -> Mapping[str, int]:
        """What was repaired or dropped, here, on the wire and in the camera; only what is not zero."""
        lost = {"dropped by the camera": self._dropped} if self._dropped else {}
        return {**super().counters(), **lost}

    def identity(self) -> Mapping[str, str]:
        """The URI, and what the camera says that it is."""
        return {**super().identity(), "camera": self._camera}

"""DVS128: 128 x 128 pixels on USB 2.0, by pyusb.

The camera is told to stop, for it may be streaming to somebody who is gone, gets its biases, and counts time from 0
when it starts. It sends a word for every turn of its clock, 16.384 ms, whatever it sees: silence is an error.
Never tried on a camera. Requests, biases and limits: firmware_specs/dvs128.toml; words: nrt.formats.dvs128.
"""

from __future__ import annotations

from typing import Unpack

from nrt.formats.dvs128 import Dvs128Decoder
from nrt.live import LiveOptions
from nrt.registry import Uri
from nrt.spec import load
from nrt_drivers.cameras.biases import chosen
from nrt_drivers.cameras.usb import UsbCamera, line_of


class Dvs128Camera(UsbCamera):
    """`dvs128+usb:` for the first one, `dvs128+usb:SERIAL` for that one, `dvs128+emu:`.

    biases: `fast`, `keep` for those that it has, `fast,PR:217` · master: whether it gives the time to others
    """

    def __init__(
        self, uri: Uri, *, biases: str = "fast", master: bool = True, **live: Unpack[LiveOptions]
    ) -> None:
        self._spec = load("dvs128")
        self.line = line_of(self._spec)
        super().__init__(uri, **live)
        self._registers = tuple(sorted(self._spec.registers.values(), key=lambda each: each.address))
        names = tuple(register.name for register in self._registers)
        self._biases = chosen(str(uri), biases, self._spec, names, "fast_biases")
        self._master = master

    async def _greet(self) -> None:
        await self._perform("open")
        self.shape = (2, self._spec.limit("height"), self._spec.limit("width"))

    async def _perform(self, procedure: str) -> None:
        """The requests of a procedure."""
        requests = self._spec.enum("request")
        for step in self._spec.procedure(procedure):
            if step.target == "biases":
                if self._biases:
                    await self._tell(requests["biases"], data=self._bias_bytes())
            else:
                await self._tell(
                    requests[step.target], int(self._master) if step.parameter == "master" else 0
                )

    def _bias_bytes(self) -> bytes:
        """All of them go at once; those that were not given are the spec's."""
        usual = dict(
            zip((each.name for each in self._registers), self._spec.table("fast_biases"), strict=True)
        )
        values = usual | self._biases
        return b"".join(values[each.name].to_bytes(each.width // 8, "big") for each in self._registers)

    def _decoder(self) -> Dvs128Decoder:
        return Dvs128Decoder()

    async def _begin(self) -> None:
        await self._perform("start")

    async def _halt(self) -> None:
        await self._perform("stop")

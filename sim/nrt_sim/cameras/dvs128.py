"""An emulated DVS128: takes its vendor requests, and sends its words as fast as a high-speed bus takes them."""

from __future__ import annotations

from typing import Final

from nrt import spec
from nrt.formats.dvs128 import Dvs128Encoder
from nrt.wire.base import VENDOR_OUT
from nrt_sim.cameras.player import Player
from nrt_sim.cameras.stream import Clock, PlayingBoard, Stream

_RESET: Final = b"\x00\x00\x00\x40"
_BUFFER: Final = 1 << 16
"""Bytes that wait for the host; assumed."""


class Dvs128Board(PlayingBoard):
    """`dvs128+emu:?plays=synth:bar`; what it plays is any source that nrt can open.

    plays: what it looks at · skew_ppm: by how much its clock runs fast
    """

    def __init__(self, *, plays: str = "synth:bar?sensor=dvs128&seconds=0", skew_ppm: float = 0.0) -> None:
        self._spec = spec.load("dvs128")
        self._requests = self._spec.enum("request")
        player = Player(plays, self._spec.limit("width"), self._spec.limit("height"))
        self._clock = Clock(skew_ppm)
        super().__init__(Stream(player, self._clock, rate=self._spec.limits["link"], depth=_BUFFER, size=8))
        self._stream.warm(Dvs128Encoder())
        self.biases: tuple[int, ...] = ()
        """As the last request set them, in the order of the spec's registers."""
        self.master = True

    def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int, now: int
    ) -> bytes | None:
        if kind != VENDOR_OUT or isinstance(data, int):
            return None
        name = self._requests.label(request)
        if name == "start" and not self._stream.running:
            self._clock.set(0, now)
            self._stream.start(Dvs128Encoder(), now)
        elif name == "stop":
            self._stream.stop()
        elif name == "reset_time":
            self._stream.reply(_RESET, now)
            self._clock.set(0, now)
        elif name == "biases":
            return self._set_biases(data)
        elif name == "master":
            self.master = bool(value)
        elif name not in self._requests.values:
            return None
        return b""

    def _set_biases(self, data: bytes) -> bytes | None:
        size = next(iter(self._spec.registers.values())).width // 8
        if len(data) != size * len(self._spec.registers):
            return None
        self.biases = tuple(int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size))
        return b""

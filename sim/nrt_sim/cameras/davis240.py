"""An emulated DAVIS240: a file of registers, of which some mean something, and its words."""

from __future__ import annotations

from typing import Final

from nrt import spec
from nrt.formats.davis import DavisEncoder
from nrt.wire.base import VENDOR_IN, VENDOR_OUT
from nrt_sim.cameras.player import Player
from nrt_sim.cameras.stream import Clock, PlayingBoard, Stream

_RESET: Final = b"\x01\x00"
_BUFFER: Final = 1 << 16
"""Bytes that wait for the host; assumed."""


class Davis240Board(PlayingBoard):
    """`davis240+emu:?plays=synth:bar`; what it plays is any source that nrt can open.

    plays: what it looks at · skew_ppm: by how much its clock runs fast
    exchanged: whether the chip's rows are the image's columns · chip, logic: what it says that it is
    """

    def __init__(
        self,
        *,
        plays: str = "synth:bar?sensor=davis346&width=240&height=180&seconds=0",
        skew_ppm: float = 0.0,
        exchanged: bool = False,
        chip: int = 2,
        logic: int = 18,
    ) -> None:
        self._spec = spec.load("davis240")
        width, height = self._spec.limit("width"), self._spec.limit("height")
        self._exchanged = exchanged
        self._clock = Clock(skew_ppm)
        player = Player(plays, width, height)
        super().__init__(Stream(player, self._clock, rate=self._spec.limits["link"], depth=_BUFFER, size=8))
        self._stream.warm(DavisEncoder())
        self._registers = dict.fromkeys((each.address for each in self._spec.registers.values()), 0)
        columns, rows = (height, width) if exchanged else (width, height)
        orientation = int(self._spec.register("DVS_ORIENTATION").word.pack(exchange=int(exchanged)))
        for name, value in {
            "CHIP": chip,
            "LOGIC_VERSION": logic,
            "MASTER": 1,
            "DVS_COLUMNS": columns,
            "DVS_ROWS": rows,
            "DVS_ORIENTATION": orientation,
            "MUX_HAS_STATISTICS": 1,
        }.items():
            self._registers[self._address(name)] = value

    def _address(self, name: str) -> int:
        return self._spec.register(name).address

    def register(self, name: str) -> int:
        """The value of a register, for tests that look at it."""
        return self._registers[self._address(name)]

    def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int, now: int
    ) -> bytes | None:
        address = value << 8 | index
        if request != self._spec.enum("request")["config"] or address not in self._registers:
            return None
        if kind == VENDOR_IN and isinstance(data, int):
            self._count_dropped()
            return self._registers[address].to_bytes(4, "big")[:data]
        if kind != VENDOR_OUT or isinstance(data, int) or len(data) != 4:
            return None
        self._registers[address] = int.from_bytes(data, "big")
        self._act(address, now)
        return b""

    def _count_dropped(self) -> None:
        dropped = self._stream.counters().get("events dropped", 0)
        self._registers[self._address("MUX_DVS_DROPPED_LOW")] = dropped & 0xFFFFFFFF
        self._registers[self._address("MUX_DVS_DROPPED_HIGH")] = dropped >> 32

    def _act(self, address: int, now: int) -> None:
        """What writing a register does."""
        if address == self._address("MUX_TIME_RESET") and self._registers[address]:
            self._stream.reply(_RESET, now)
            self._clock.set(0, now)
        running = all(
            self.register(name) for name in ("MUX_RUN_CHIP", "USB_RUN", "MUX_TIME_RUN", "MUX_RUN", "DVS_RUN")
        )
        if running and not self._stream.running:
            self._stream.start(DavisEncoder(exchange=self._exchanged), now)
        elif not running:
            self._stream.stop()

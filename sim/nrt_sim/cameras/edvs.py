"""An emulated eDVS: takes the lines of text that its firmware takes, and sends events as it does.

From its firmware's sources: it echoes what it receives until told not to (!U0), and never while it streams; replies
begin with '-'; a line of 127 characters or more begins anew; unknown ones are answered with "?" or a parsing error.
The older LPC2106's answers are from the help text that jAER quotes, the rest of it is assumed to be alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from nrt import spec
from nrt.formats.edvs import FORMS, EdvsEncoder, Form
from nrt_sim.cameras.player import Player
from nrt_sim.cameras.stream import Clock, PlayingBoard, Stream

_BANNERS: Final[Mapping[str, str]] = {
    "lpc4337": "\nEDVS-4337, RELEASE V1.3 emulated\nSystem Clock: 192MHz; 1us event time resolution\n",
    "stm32": "\nmeDVS, RELEASE V1.0 emulated\n",
    "lpc2106": "\nDVS128 - LPC2106/01 Interface Board, 1.1: emulated\nSystem Clock: 64MHz / 64 -> 1000ns event time\n",
}
_BUFFER: Final = 8192 * 6
"""Bytes of events that the microcontroller keeps; assumed."""
_PARSE: Final = "Set: parsing error\n"


class EdvsBoard(PlayingBoard):
    """`edvs+emu:?plays=synth:bar&baud=4000000`; what it plays is any source that nrt can open.

    plays: what it looks at · baud: bits per second of its line · generation: which firmware
    offset: µs that its clock is ahead when it is powered; skew_ppm: by how much it runs fast
    """

    def __init__(
        self,
        *,
        plays: str = "synth:bar?sensor=dvs128&seconds=0",
        baud: int = 12_000_000,
        generation: Literal["lpc4337", "stm32", "lpc2106"] = "lpc4337",
        offset: int = 0,
        skew_ppm: float = 0.0,
    ) -> None:
        self._spec = spec.load("edvs")
        self._generation, self._offset = generation, offset
        limits = self._spec.limit("width"), self._spec.limit("height")
        self._clock = Clock(skew_ppm)
        super().__init__(Stream(Player(plays, *limits), self._clock, rate=baud / 10, depth=_BUFFER, size=6))
        self._stream.warm(EdvsEncoder())
        self._formats = self._spec.enum("format_lpc2106" if generation == "lpc2106" else "format").values
        self._registers = {register.address: 0 for register in self._spec.registers.values()}
        self.biases: tuple[int, ...] = ()
        """What the chip has; the registers become it when they are flushed."""
        self._powered = False
        self._reset(0)

    def _reset(self, now: int) -> None:
        """As after R, and after the power has come."""
        self._stream.stop()
        self._line = bytearray()
        self._echo = 2
        self._form: Form = 0
        self._clock.set(self._offset, now)

    def receive(self, data: bytes, now: int) -> None:
        if not self._powered:
            self._powered = True
            self._clock.set(self._offset, now)
        for byte in data:
            self._character(byte, now)

    @property
    def streams(self) -> bool:
        """Whether it was told to send events."""
        return self._stream.running

    def _say(self, text: str, now: int) -> None:
        self._stream.reply(text.encode("ascii"), now)

    def _character(self, byte: int, now: int) -> None:
        visible = self._echo > 0 and not self._stream.running
        if byte in (10, 13):
            if visible:
                self._say("\n", now)
            line, self._line = self._line.decode("ascii"), bytearray()
            if line:
                self._command(line, now)
        elif byte < 0x80:
            if len(self._line) >= self._spec.limit("command_length"):
                self._line.clear()
            elif visible:
                self._say(chr(byte), now)
            self._line.append(byte)

    def _command(self, line: str, now: int) -> None:
        first, rest = line[0].upper(), line[1:].upper()
        if first == "R":
            self._stream.clear()
            self._reset(now)
            self._say(_BANNERS[self._generation], now)
        elif first == "E":
            self._run(rest[:1] == "+", now)
        elif first == "!":
            self._set(rest, now)
        elif first == "?":
            self._get(rest, now)
        else:
            self._say("?\n", now)

    def _run(self, on: bool, now: int) -> None:
        if on and not self._stream.running:
            self._stream.start(EdvsEncoder(self._form, bridged=False), now)
        elif not on:
            self._stream.stop()

    def _get(self, rest: str, now: int) -> None:
        digits = rest[1:]
        if rest[:1] == "B" and digits.isdecimal() and int(digits) in self._registers:
            self._say(f"-B{int(digits)}={self._registers[int(digits)]}\n", now)
        elif rest[:1] == "E":
            self._say(f"-E{self._form}\n", now)
        else:
            self._say("Get: parsing error\n", now)

    def _set(self, rest: str, now: int) -> None:
        reply = ""
        if rest[:2] == "ET":
            reply = self._time(rest[2:], now)
        elif rest[:1] == "E" and rest[1:].isdecimal():
            reply = self._choose(int(rest[1:]))
        elif rest == "BF":
            self.biases = tuple(self._registers[k] for k in sorted(self._registers))
            reply = "-BF\n" if self._verbose else ""
        elif rest[:1] == "B":
            reply = self._bias(rest[1:])
        elif rest[:1] == "U" and rest[1:] in ("0", "1", "2"):
            self._echo = int(rest[1:])
        else:
            reply = _PARSE
        self._say(reply, now)

    @property
    def _verbose(self) -> bool:
        return self._echo > 1 and not self._stream.running

    def _time(self, rest: str, now: int) -> str:
        if rest[:1] in ("S", "M", "I"):
            return f"-ET{rest}\n"
        digits = rest[1:]  # the firmware passes over one character, usually '='
        self._clock.set(int(digits) if digits.isdecimal() else 0, now)
        return ""

    def _choose(self, number: int) -> str:
        name = next((name for name, value in self._formats.items() if value == number), None)
        if name is None:
            return _PARSE
        self._form = FORMS[name]
        return f"-E{number}\n" if self._verbose else ""

    def _bias(self, rest: str) -> str:
        number, _, value = rest.partition("=")
        if not (number.isdecimal() and value.isdecimal() and int(number) in self._registers):
            return _PARSE
        self._registers[int(number)] = int(value) & self._spec.limit("bias")
        return f"-B{number}={self._registers[int(number)]}\n" if self._verbose else ""

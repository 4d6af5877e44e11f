"""An emulated Power Profiler Kit II: answers as Nordic's application expects, and sends samples of a made-up current.

Its calibration is that of a unit whose metadata ppk2-rs quotes in a test (hdoordt/ppk2-rs, src/types.rs).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt import spec

_SPEC: Final = spec.load("ppk2")
_NAMES: Final = {value: name for name, value in _SPEC.enum("command").values.items()}
_ARGUMENTS: Final = {"power_mode": 1, "regulator": 2, "running": 1}
_STEP: Final = _SPEC.limits["adc_reference"] / _SPEC.limits["adc_steps"]
_PERIOD_NS: Final = round(1e9 / _SPEC.limit("rate"))
_TRANSFER: Final = 100
"""Samples between which the kit has nothing to say: 1 ms."""
_MOST: Final = 10_000
"""Samples that it keeps for a host that does not fetch them."""
_CALIBRATION: Final = {
    "R": (1003.3506, 101.5865, 10.3027, 0.9636, 0.0564),
    "GS": (0.0, 112.789, 18.0115, 2.4217, 0.0729),
    "GI": (1.0, 0.9695, 0.9609, 0.9519, 0.9582),
    "O": (112.942, 75.4627, 64.602, 50.4983, 87.2177),
    "S": (4.8e-8, 5.96e-7, 5.281e-6, 6.2577e-5, 0.002940743),
    "I": (-1.04e-7, -1.443e-6, 3.6439e-5, -3.74119e-4, -0.009388455),
    "UG": (1.0, 1.0, 1.0, 1.0, 1.0),
}


class Ppk2Board:
    """`ppk2+emu:?volts=3.3&amps=0.005`, and `nrt emulate ppk2`.

    amps: the current · loaded: the current while the marker is high · pin: the file that marker D0 is wired to
    noise: values of the converter by which samples go up and down · lose: every n-th sample is lost on the way, 0: none
    """

    def __init__(
        self, *, amps: float = 0.005, loaded: float = 0.0, pin: str = "", noise: int = 2, lose: int = 0
    ) -> None:
        self.amps, self.loaded = amps, loaded
        self._pin = Path(pin) if pin else None
        self._noise, self._lose = noise, lose
        self._millivolts = _SPEC.limit("least_millivolts")
        self._out = bytearray()
        self._commands = bytearray()
        self._running = False
        self._began = self._sent = 0

    def connect(self) -> None:
        """A fresh link; a kit that was sending goes on."""
        self._out.clear()
        self._commands.clear()

    def receive(self, data: bytes, now: int) -> None:
        """Commands and their arguments, in whatever pieces."""
        self._samples(now)
        self._commands += data
        while self._commands:
            name = _NAMES.get(self._commands[0], "")
            size = 1 + _ARGUMENTS.get(name, 0)
            if len(self._commands) < size:
                return
            self._do(name, bytes(self._commands[1:size]), now)
            del self._commands[:size]

    def transmit(self, now: int) -> bytes:
        """Samples up to `now`."""
        self._samples(now)
        out, self._out = bytes(self._out), bytearray()
        return out

    def due(self) -> int | None:
        """When the next transfer is full."""
        if not self._running:
            return None
        return self._began + (self._sent + _TRANSFER) * _PERIOD_NS

    def _do(self, name: str, arguments: bytes, now: int) -> None:
        if name == "get_metadata":
            self._out += self._metadata()
        elif name == "regulator":
            self._millivolts = int.from_bytes(arguments, "big")
        elif name == "start":
            self._running, self._began, self._sent = True, now, 0
        elif name in ("stop", "reset"):
            self._running = False

    def _metadata(self) -> bytes:
        lines = ["Calibrated: 0"]
        for name, values in _CALIBRATION.items():
            lines += [f"{name}{k}: {value:.9f}" for k, value in enumerate(values)]
        return "\n".join(
            [*lines, f"VDD: {self._millivolts}", "HW: emulated", "mode: 2", "IA: 56", "END\n"]
        ).encode()

    def _samples(self, now: int) -> None:
        """Appends those that were taken up to `now`, in whole transfers; what the host left too long is lost."""
        if not self._running:
            return
        due = (now - self._began) // _PERIOD_NS // _TRANSFER * _TRANSFER
        first = max(self._sent, due - _MOST)
        if due > first:
            self._out += self._words(np.arange(first, due)).tobytes()
            self._sent = due

    def _words(self, index: NDArray[np.int64]) -> NDArray[np.uint32]:
        high = self._pin is not None and self._pin.read_text(encoding="utf-8").strip() == "1"
        chosen, adc = _inverse(self.loaded if high and self.loaded else self.amps, self._millivolts / 1e3)
        kept = index[index % self._lose != 0] if self._lose else index
        ripple = (kept * 7) % (2 * self._noise + 1) - self._noise
        values = np.clip(adc + ripple, 0, _SPEC.word("sample").fields["adc"].high)
        counters = kept % (_SPEC.word("sample").fields["counter"].high + 1)
        packed = _SPEC.word("sample").pack(
            adc=values, range=chosen, counter=counters, logic=np.full(len(kept), int(high))
        )
        return packed.astype("<u4")


def _inverse(amps: float, volts: float) -> tuple[int, int]:
    """The range that shows `amps` best, and the converter's value in it."""
    high = _SPEC.word("sample").fields["adc"].high
    for k in range(_SPEC.limit("ranges")):
        r, gs, gi, o, s, i, ug = (_CALIBRATION[name][k] for name in ("R", "GS", "GI", "O", "S", "I", "UG"))
        rest = s * volts + i - amps / ug
        x = -rest / gi if gs == 0 else (-gi + np.sqrt(gi * gi - 4 * gs * rest)) / (2 * gs)
        adc = round(float(o + x * r / _STEP) / _SPEC.limit("adc_scale"))
        if adc <= high:
            return k, max(adc, 0)
    return _SPEC.limit("ranges") - 1, high

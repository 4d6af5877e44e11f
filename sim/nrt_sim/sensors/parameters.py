"""What a simulated sensor is made of: the numbers of a pixel and of the readout."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final

from nrt.errors import ConfigError

NEVER: Final = math.inf


@dataclass(frozen=True, slots=True)
class Readout:
    """How events leave the pixel array.

    row:     ns to select a row; its waiting events then leave together, with one time stamp. 0: one by one, no rows
    event:   ns per event; 1e9 / event is the largest event rate
    quantum: µs to which time stamps are rounded down
    depth:   events that may wait; what comes while they do is dropped, and counted
    """

    row: float = 0.0
    event: float = 0.0
    quantum: int = 1
    depth: int = 1 << 16

    def __post_init__(self) -> None:
        for name in ("row", "event"):
            _between(f"readout.{name}", getattr(self, name), 0, 1e9, "ns")
        _between("readout.quantum", self.quantum, 1, 1_000_000, "µs")
        _between("readout.depth", self.depth, 1, 1 << 24, "events")


@dataclass(frozen=True, slots=True)
class Parameters:
    """One sensor. Intensities are illuminances of the pixel array in lux; contrasts are natural logarithms.

    shape:          (height, width)
    on, off:        contrast that makes an event: ln of the ratio to the memorised intensity
    mismatch:       standard deviation of on and of off from pixel to pixel
    dark:           dark current, as the illuminance that gives as much: the photoreceptor sees ln(intensity + dark),
                    which is linear far below `dark` and logarithmic above
    bandwidth:      Hz, -3 dB of the photoreceptor in bright light
    corner:         lux at which it has half of that: f(I) = bandwidth·x/(1 + x), x = (I + dark)/corner
    leak:           Hz, ON events of a pixel in constant dim light: the reset switch leaks
    leak_light:     Hz per klux that light adds to it (parasitic photocurrent)
    leak_mismatch:  standard deviation of ln(leak) from pixel to pixel
    noise_dark:     Hz per pixel, both polarities: shot noise in the dark
    noise_bright:   Hz in bright light
    noise_corner:   lux where it has fallen half-way: bright + (dark - bright)/(1 + I/noise_corner)
    noise_mismatch: standard deviation of ln(rate) from pixel to pixel (at most 8 times the median)
    hot:            fraction of pixels that fire all the time
    hot_low, hot_high: Hz, between which their rates lie, evenly on a logarithmic scale
    refractory:     µs for which a pixel is held in reset after an event; at its end it memorises what it sees
    readout:        how events leave; None: at once, all of them
    """

    shape: tuple[int, int]
    on: float = 0.2
    off: float = 0.2
    mismatch: float = 0.0
    dark: float = 0.0
    bandwidth: float = NEVER
    corner: float = 1.0
    leak: float = 0.0
    leak_light: float = 0.0
    leak_mismatch: float = 0.0
    noise_dark: float = 0.0
    noise_bright: float = 0.0
    noise_corner: float = 1.0
    noise_mismatch: float = 0.0
    hot: float = 0.0
    hot_low: float = 10.0
    hot_high: float = 1_000.0
    refractory: int = 0
    readout: Readout | None = None

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        for name, (low, high, unit) in _RANGES.items():
            _between(name, getattr(self, name), low, high, unit)
        if self.mismatch > min(self.on, self.off):
            raise ConfigError(f"mismatch is {self.mismatch}; it must not exceed the thresholds themselves")
        if self.hot_low > self.hot_high:
            raise ConfigError(f"hot_low is {self.hot_low} Hz, above hot_high, {self.hot_high} Hz")


_RANGES: Final[dict[str, tuple[float, float, str]]] = {
    "on": (0.01, 5.0, ""),
    "off": (0.01, 5.0, ""),
    "mismatch": (0.0, 5.0, ""),
    "dark": (0.0, 1e3, "lux"),
    "bandwidth": (1e-3, math.inf, "Hz"),
    "corner": (1e-6, 1e6, "lux"),
    "leak": (0.0, 1e3, "Hz"),
    "leak_light": (0.0, 1e3, "Hz/klux"),
    "leak_mismatch": (0.0, 3.0, ""),
    "noise_dark": (0.0, 1e3, "Hz"),
    "noise_bright": (0.0, 1e3, "Hz"),
    "noise_corner": (1e-6, 1e6, "lux"),
    "noise_mismatch": (0.0, 3.0, ""),
    "hot": (0.0, 0.1, ""),
    "hot_low": (1e-3, 1e5, "Hz"),
    "hot_high": (1e-3, 1e5, "Hz"),
    "refractory": (0, 1_000_000, "µs"),
}
assert set(_RANGES) | {"shape", "readout"} == {field.name for field in fields(Parameters)}


def _between(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:  # NaN is refused too
        raise ConfigError(f"{name} is {value}; it must lie between {low:g} and {high:g} {unit}".rstrip())


def _check_shape(shape: tuple[int, int]) -> None:
    height, width = shape
    if not (1 <= height <= 4096 and 1 <= width <= 4096):
        raise ConfigError(f"a sensor of {width}x{height} pixels; each side must lie between 1 and 4096")

"""`hwmon:ina3221` power monitors on boards, through the kernel's hwmon files: INA226 and INA3221 (Jetson) among them.

A chip is a folder with `name`; its channels n have `power<n>_input` in µW, or `in<n>_input` in mV and
`curr<n>_input` in mA, whose product is taken; `in<n>_label` or `power<n>_label` names the rail. `update_interval` is
the time in ms in which all channels are converted once: samples times (bus + shunt time) times channels on an INA3221.
Source: docs.kernel.org/hwmon/sysfs-interface.html, /hwmon/ina3221.html, /hwmon/ina2xx.html.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from nrt.errors import ConfigError, DeviceError, NotFound
from nrt.profile.meters.base import Channel
from nrt.profile.meters.polled import PolledMeter, Probe
from nrt.profile.meters.sysfs import SYS, number, text
from nrt.profile.meters.tally import PowerTally
from nrt.uri import Uri

_LEAST_S: Final = 0.01
"""Looking more often than that costs the host more than it tells: every value is a transfer on I2C."""


class HwmonMeter(PolledMeter):
    """`hwmon:NAME` or `hwmon:hwmon3`, with every rail that it measures.

    rail: only the one of that label · sys: where sysfs is · seconds: a clock
    """

    samples_counted = True

    def __init__(
        self, uri: Uri, sys: Path = SYS, seconds: Callable[[], float] = time.monotonic, *, rail: str = ""
    ) -> None:
        super().__init__(str(uri), _LEAST_S, seconds)
        if not uri.place:
            raise ConfigError(f"{uri}: name the chip, as in hwmon:ina3221; `nrt meters` lists them")
        self._place, self._rail, self._root = uri.place, rail, sys / "class" / "hwmon"
        self._chip = uri.place

    @classmethod
    def availability(cls, sys: Path = SYS) -> str:
        """Which chips there are that measure power."""
        found = [
            f"hwmon:{text(chip / 'name') or chip.name}"
            for chip in sorted((sys / "class" / "hwmon").glob("hwmon*"))
            if any(True for _ in _channels(chip))
        ]
        return "ready: " + ", ".join(found) if found else "no chip on this machine shows power to hwmon"

    @property
    def instrument(self) -> str:
        """What it is."""
        return f"power monitor {self._chip}"

    def _find(self) -> Sequence[Probe]:
        chips = {path: text(path / "name") or path.name for path in sorted(self._root.glob("hwmon*"))}
        found = [path for path, name in chips.items() if self._place in (name, path.name)]
        if not found:
            known = sorted(set(chips.values()))
            raise NotFound(
                self._place,
                f"{self._name}: no such chip in {self._root}; there is {', '.join(known) or 'none'}",
                known,
            )
        if len(found) > 1:
            those = ", ".join(f"hwmon:{path.name}" for path in found)
            raise ConfigError(f"{self._name}: {len(found)} chips are called so; write one of {those}")
        (chip,) = found
        self._chip = chips[chip]
        self._interval = max(_interval(self._name, chip), _LEAST_S)
        probes = [self._probe(chip, n, label) for n, label in _channels(chip) if self._rail in ("", label)]
        if not probes:
            labels = [label for _, label in _channels(chip)]
            what = f"no rail '{self._rail}'" if labels else "no voltage, current or power"
            raise NotFound(
                self._rail or self._place,
                f"{self._name} shows {what}; there is {', '.join(labels) or 'none'}",
                labels,
            )
        return probes

    def _probe(self, chip: Path, n: int, label: str) -> Probe:
        power, volts, amps = (chip / f"{kind}{n}_input" for kind in ("power", "in", "curr"))

        def watts() -> float:
            if power.exists():
                return self._positive(number(self._name, power) * 1e-6, label)
            return self._positive(number(self._name, volts) * number(self._name, amps) * 1e-6, label)

        return Probe(Channel(label, f"rail {label}"), PowerTally(self._name), watts)

    def _positive(self, watts: float, label: str) -> float:
        if watts < 0:
            raise DeviceError(
                self._name,
                f"rail {label} shows {watts:.3g} W: the current flows backwards, or the shunt is reversed",
            )
        return watts


def _channels(chip: Path) -> Iterator[tuple[int, str]]:
    """Numbers and names of what a chip measures; rails that are switched off are left out."""
    names = [path.name for path in chip.glob("*_input")]
    numbers = sorted({int(m[2]) for name in names if (m := re.fullmatch(r"(power|curr)(\d+)_input", name))})
    for n in numbers:
        both = f"power{n}_input" in names or f"in{n}_input" in names
        label = text(chip / f"power{n}_label") or text(chip / f"in{n}_label") or text(chip / f"curr{n}_label")
        if both and text(chip / f"in{n}_enable") != "0" and not (label or "").startswith("sum of"):
            yield n, label or f"channel {n}"


def _interval(name: str, chip: Path) -> float:
    """Seconds after which every channel has a new value; 0 where the chip does not say."""
    path = chip / "update_interval"
    return number(name, path) / 1e3 if path.exists() else 0.0

"""The driver's options, checked and in the units that it computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nrt.errors import ConfigError, Unsupported
from nrt.network import Network
from nrt_drivers.speck.chip import spec
from nrt_drivers.speck.config import Preprocessing, interval, preprocessing
from nrt_drivers.speck.lower import Leak
from nrt_drivers.speck.planning import Plan


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of a Speck device; `nrt_drivers.speck.device` says what they mean. Durations in µs.

    tick: of the slow clock, 0 for one time step · decimate: layer → one spike in so many
    """

    leak: Leak
    tick: int
    dvs: bool
    mirror_x: bool
    mirror_y: bool
    swap_xy: bool
    balancer: bool
    decimate: Mapping[str, int]
    lead: int
    settle: int
    timeout: int
    lag: int
    power: float

    def check(self, uri: str) -> None:
        """Raises ConfigError for options that contradict each other or the board."""
        for name in ("lead", "settle", "timeout", "lag"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{uri}: {name} must not be negative")
        if (self.mirror_x or self.mirror_y or self.swap_xy) and not self.dvs:
            raise ConfigError(f"{uri}: mirror and swap_xy are the DVS layer's; they need input=dvs")
        most = spec().limit("power_rate")
        if not 0 <= self.power <= most:
            raise ConfigError(f"{uri}: power={self.power:g}; the board samples at most {most} times a second")
        for name, every in self.decimate.items():
            interval(name, every)

    def preprocessing(self, plan: Plan, network: Network) -> Preprocessing | None:
        """What the DVS layer does, None where it is not used. Raises Unsupported."""
        if not self.dvs:
            return None
        if any(link.pooling > 1 or link.shift for link in plan.lowered.entries):
            raise Unsupported(
                "input=dvs", "a pool follows the input; pool in the encoding, or use input=spikes"
            )
        return preprocessing(
            network.encoding,
            plan.lowered.input,
            mirror_x=self.mirror_x,
            mirror_y=self.mirror_y,
            swap_xy=self.swap_xy,
        )


def ticks(rate: int) -> int:
    """µs between ticks at `rate` Hz, 0 for 0. Raises ConfigError where that is no whole number."""
    if rate < 0 or (rate and 1_000_000 % rate):
        raise ConfigError(
            f"slow_clock={rate}: it is in Hz and divides 1 MHz, such as 1000; 0 means the time step"
        )
    return 1_000_000 // rate if rate else 0


def decimation(text: str) -> dict[str, int]:
    """`conv1:4,conv2:2` as numbers. Raises ConfigError."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, every = part.rpartition(":")
        if not name or not every.isdecimal():
            raise ConfigError(f"decimate={text}: write layer:n,…, as in conv1:4")
        found[name] = int(every)
    return found

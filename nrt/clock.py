"""Time on the stream's clock (whole µs) and on the host's (monotonic ns), read and written for people."""

from __future__ import annotations

import re
import time

from nrt.errors import ConfigError

_UNITS = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(us|µs|ms|s|min|h)\s*")


def now() -> int:
    """Host time in ns, the clock of every `Packet.stamp`."""
    return time.monotonic_ns()


def microseconds(duration: str | int) -> int:
    """A duration as whole µs: 1000, "1ms", "0.5 s", "100us". Raises ConfigError."""
    if isinstance(duration, int):
        return duration
    match = _DURATION.fullmatch(duration)
    if not match:
        raise ConfigError(
            f"'{duration}' is no duration; write a number and a unit, such as 1ms, 250us or 0.5s"
        )
    value = float(match[1]) * _UNITS[match[2]]
    if value != round(value):
        raise ConfigError(f"'{duration}' is not a whole number of microseconds, the resolution of event time")
    return round(value)


def readable(us: float) -> str:
    """A duration in µs as people write it: 250 µs, 1 ms, 12.3 s, 4 min 05 s."""
    if us < 1_000:
        return f"{us:.3g} µs"
    if us < 1_000_000:
        return f"{us / 1e3:.3g} ms"
    if us < 120_000_000:
        return f"{us / 1e6:.3g} s"
    seconds = round(us / 1e6)
    return f"{seconds // 60} min {seconds % 60:02d} s"

"""What writers check before they encode, so that no format stores less than it was given."""

from __future__ import annotations

from nrt.errors import ConfigError
from nrt.packet import Records


def require_order(name: str, events: Records, after: int, until: int | None = None) -> None:
    """Raises ConfigError unless times never fall, start no earlier than `after` and stay within `until`."""
    if not len(events):
        return
    t = events["t"]
    if int(t[0]) < after or bool((t[1:] < t[:-1]).any()):
        raise ConfigError(
            f"{name}: times must not fall, nor come before {after} µs; the first here is {int(t[0])}"
        )
    if until is not None and int(t[-1]) > until:
        raise ConfigError(f"{name} holds times up to {until} µs, not {int(t[-1])}; subtract an offset first")


def require_addresses(name: str, events: Records, width: int, height: int) -> None:
    """Raises ConfigError unless every event lies on a sensor of width x height pixels."""
    if not len(events):
        return
    x, y = int(events["x"].max()), int(events["y"].max())
    if x >= width or y >= height:
        raise ConfigError(f"{name}: an event at x {x}, y {y} lies outside the {width} x {height} sensor")

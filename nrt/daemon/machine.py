"""What the machine says of itself: temperature, and the memory and descriptors of this process. Linux's files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_THERMAL = Path("/sys/class/thermal")


def temperature(root: Path = _THERMAL) -> float | None:
    """The hottest thermal zone in °C; None where there is none (a virtual machine)."""
    found: list[float] = []
    for zone in root.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a zone may be listed and not readable
            found.append(int(zone.read_text(encoding="ascii")) / 1e3)
    return max(found, default=None)


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def descriptors() -> int:
    """Open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))

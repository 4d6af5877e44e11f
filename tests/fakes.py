"""Sources for tests: they stand on the far side of nrt's contracts, in place of a camera."""

from __future__ import annotations

from nrt.clock import now
from nrt.packet import Packet
from nrt.testing import Script, events

__all__ = ["Script", "events", "ticks"]


def ticks(count: int, span: int = 1_000) -> list[Packet]:
    """`count` packets of one event each at pixel (0, 0)."""
    return [
        Packet(events((k * span, 0, 0, 1)), k * span, (k + 1) * span, now(), origin="test:script")
        for k in range(count)
    ]

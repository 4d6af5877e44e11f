"""Sources for tests: they stand on the far side of nrt's contracts, in place of a camera."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np

from nrt.clock import now
from nrt.packet import EVENT, Packet, Records
from nrt.source import Source


def events(*rows: tuple[int, int, int, int]) -> Records:
    """EVENT records of (t, x, y, p) rows."""
    out = np.zeros(len(rows), EVENT)
    for name, column in zip("txyp", zip(*rows, strict=True) if rows else [()] * 4, strict=True):
        out[name] = column
    return out


class Script(Source):
    """Plays given packets; after them it ends, or fails with `error`."""

    uri = "test:script"

    def __init__(
        self,
        packets: Sequence[Packet],
        error: Exception | None = None,
        shape: tuple[int, int, int] | None = None,
        *,
        scheduled: bool = False,
    ) -> None:
        self._packets, self._error, self.shape = packets, error, shape
        self.scheduled = scheduled
        self.opened = self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    async def packets(self) -> AsyncIterator[Packet]:
        for packet in self._packets:
            yield packet
        if self._error is not None:
            raise self._error


def ticks(count: int, span: int = 1_000) -> list[Packet]:
    """`count` packets of one event each at pixel (0, 0)."""
    return [
        Packet(events((k * span, 0, 0, 1)), k * span, (k + 1) * span, now(), origin="test:script")
        for k in range(count)
    ]

"""Watch: what somebody who looks at a stream sees: the picture of its last moments, rates, losses, lateness.

While packets pass, only a list grows; sums are made when somebody looks. What the picture shows is bounded: of a
stream too fast to be drawn whole, the newest events.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.clock import now
from nrt.packet import Packet, words
from nrt.profile import Histogram

MOST: Final = 250_000
"""Events of one picture."""
SPAN: Final = 40_000
"""µs of stream in a picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """One look: what has passed since the one before, and in all.

    picture: ON minus OFF events of each pixel, int32[height, width]
    rate:    events/s of stream since the last look · late: ms from when the last event of a packet was due or
             arrived until it was here, median and p99 since the last look; nan where nothing came
    events, lost: in all · stream_us: length of the stream
    """

    picture: NDArray[np.int32]
    rate: float
    late: tuple[float, float]
    events: int
    lost: int
    stream_us: int


class Watch:
    """Takes packets in one thread, gives looks in another. shape: (polarities, height, width)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        _, self._height, self._width = shape
        self._kept: deque[Packet] = deque()
        self._held = 0
        self._lock = threading.Lock()
        self._late = Histogram()
        self._first: int | None = None
        self._end = self._looked = 0
        self._events = self._lost = self._fresh = 0

    def take(self, packet: Packet) -> None:
        """One packet of the stream."""
        with self._lock:
            if self._first is None:
                self._first = self._looked = packet.start
            self._end = packet.end
            self._events += len(packet)
            self._fresh += len(packet)
            self._lost += packet.lost
            self._late.record(now() - packet.stamp)
            if len(packet):
                self._kept.append(packet)
                self._held += len(packet)
            while self._kept and (
                self._held - len(self._kept[0]) > MOST or self._end - self._kept[0].end > SPAN
            ):
                self._held -= len(self._kept.popleft())

    def look(self) -> Glance:
        """What there is to see now."""
        with self._lock:
            kept, late, self._late = list(self._kept), self._late, Histogram()
            span = self._end - self._looked
            rate = self._fresh * 1e6 / span if span > 0 else 0.0
            self._looked, self._fresh = self._end, 0
            events, lost, length = self._events, self._lost, self._end - (self._first or 0)
        quantiles = late.percentile(50) / 1e6, late.percentile(99) / 1e6
        return Glance(self._picture(kept), rate, quantiles, events, lost, length)

    def _picture(self, packets: list[Packet]) -> NDArray[np.int32]:
        size = self._height * self._width
        sums = np.zeros(size, np.int32)
        for packet in packets:
            second = words(np.ascontiguousarray(packet.data))[:, 1].view(np.int64)
            x, y = second & 0xFFFF, (second >> 16) & 0xFFFF
            inside = (x < self._width) & (y < self._height)
            sign = ((second >> 32) & 1) * 2.0 - 1.0
            sums += np.bincount((y * self._width + x)[inside], sign[inside], size).astype(np.int32)
        return sums.reshape(self._height, self._width)

"""One direction of a line with a speed: a byte has passed when its ten bits have, and not before."""

from __future__ import annotations

from typing import Final

BATCH: Final = 1_000_000
"""ns after which what has passed so far is handed on: the resolution of the timers that wait for it."""
_BITS: Final = 10
"""A start bit, eight of data, a stop bit."""


class Line:
    """Bytes on their way. baud: bits per second; 0 for a line that takes no time."""

    def __init__(self, baud: int = 0) -> None:
        self._byte = _BITS * 1e9 / baud if baud else 0.0
        self.capacity = max(int(BATCH / self._byte), 1) if baud else 1 << 16
        """Bytes of one batch: a sender that is never further ahead keeps the line busy."""
        self._waiting = bytearray()
        self._start = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, data: bytes, now: int) -> None:
        """`data` is sent, behind what is on its way."""
        if not self._waiting:
            self._start = max(self._start, float(now))
        self._waiting += data

    def pop(self, now: int) -> bytes:
        """What has arrived by `now` and was not taken yet."""
        count = len(self._waiting)
        if self._byte:
            count = min(count, max(int((now - self._start) / self._byte), 0))
        self._start += count * self._byte
        return self._take(count)

    def drain(self) -> bytes:
        """All that is on its way, at once."""
        return self._take(len(self._waiting))

    def _take(self, count: int) -> bytes:
        out = bytes(self._waiting[:count])
        del self._waiting[:count]
        return out

    def due(self) -> int | None:
        """When there is something to take: the end of the next batch; None while nothing is on its way."""
        if not self._waiting:
            return None
        return int(self._start + min(len(self._waiting), self.capacity) * self._byte) + 1

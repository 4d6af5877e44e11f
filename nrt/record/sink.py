"""Sink: where the packets of a source end when no device computes with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from nrt.packet import Packet
from nrt.source import Source


class Sink(ABC):
    """Takes packets in order. `take`, `flush` and `close` are called by one thread, and may block."""

    size: int = 0
    """Bytes handed on so far."""
    address: str = ""
    """Where they go, as the one who reads them there names it."""
    queue: int = 64 << 20
    """Bytes of packets that may wait for this sink: half a minute of a busy camera before a disk that is too slow."""

    def open(self, source: Source) -> None:
        """Called once, after the source was opened. Raises ConfigError where the two do not go together."""

    @abstractmethod
    def take(self, packet: Packet) -> None:
        """Hands on one packet; an empty one carries time."""

    def flush(self) -> None:
        """Called a few times a second, while there are packets."""

    def cancel(self) -> None:
        """Called by another thread when the user wants to end: a `take` that waits for somebody else gives up."""

    @abstractmethod
    def close(self) -> None:
        """Completes what was begun and releases it; may be called twice."""

    def counters(self) -> Mapping[str, int]:
        """What was lost on this side, by name; only what is not zero."""
        return {}


class Nowhere(Sink):
    """Takes packets and does nothing: to watch a source play."""

    def take(self, packet: Packet) -> None:
        pass

    def close(self) -> None:
        pass

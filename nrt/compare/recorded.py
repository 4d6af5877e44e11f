"""Recordings in memory: taken from any source once, hashed, and played to every device packet by packet."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from nrt.clock import now
from nrt.errors import ConfigError, StreamError
from nrt.packet import Packet
from nrt.source import Source
from nrt.worker import Reader

LIMIT: Final = 1 << 26
"""Events of one recording that are kept in memory: 1 GiB."""
_AHEAD: Final = 8
"""Packets that may wait for the device."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """The packets of one recording. shape: the sensor's, None where the source cannot know it."""

    uri: str
    packets: tuple[Packet, ...]
    shape: tuple[int, int, int] | None
    identity: Mapping[str, str]

    @classmethod
    async def take(cls, source: Source, limit_us: int | None = None) -> Self:
        """Streams `source` to its end, or `limit_us` µs of it.

        Raises ConfigError for one that does not end and has no limit, StreamError for one without packets or with more
        events than `LIMIT`, and what the source raises.
        """
        if not source.finite and limit_us is None:
            raise ConfigError(f"{source.uri} does not end by itself; say how much of it to take, such as 10s")
        try:
            await source.open()
            packets = await _packets(source, limit_us)
            return cls(source.uri, packets, source.shape, dict(source.identity()))
        finally:
            await source.close()

    @property
    def start(self) -> int:
        """µs at which the stream begins."""
        return self.packets[0].start

    @property
    def end(self) -> int:
        """µs at which it ends."""
        return self.packets[-1].end

    @property
    def events(self) -> int:
        """How many there are."""
        return sum(map(len, self.packets))

    def steps(self, dt: int) -> int:
        """Time steps of `dt` µs, the last one completed."""
        return -(-(self.end - self.start) // dt)

    def until(self, us: int) -> Self:
        """The packets that begin before `us` µs after the start."""
        return replace(self, packets=tuple(p for p in self.packets if p.start < self.start + us))

    def hash(self) -> str:
        """SHA-256 of every column of the events, of the start and of the end; packets' own bounds do not matter."""
        names = self.packets[0].data.dtype.names or ()
        columns = {name: hashlib.sha256(name.encode()) for name in names}
        for packet in self.packets:
            for name, digest in columns.items():
                digest.update(np.ascontiguousarray(packet.data[name]).tobytes())
        whole = hashlib.sha256(repr((self.start, self.end)).encode())
        for digest in columns.values():
            whole.update(digest.digest())
        return whole.hexdigest()


async def _packets(source: Source, limit_us: int | None) -> tuple[Packet, ...]:
    kept: list[Packet] = []
    events = 0
    async for packet in source.packets():
        stop = None if limit_us is None else (kept[0].start if kept else packet.start) + limit_us
        if stop is not None and packet.end > stop:
            packet = _cut(packet, stop)
        kept.append(packet)
        events += len(packet)
        if events > LIMIT:
            raise StreamError(
                f"{source.uri}: more than {LIMIT:,} events; compare a part of it, with a limit such as 60s"
            )
        if stop is not None and packet.end >= stop:
            break
    if not kept:
        raise StreamError(f"{source.uri}: there is not one packet in it")
    return tuple(kept)


def _cut(packet: Packet, end: int) -> Packet:
    """The packet up to `end` µs."""
    count = int(np.searchsorted(np.ascontiguousarray(packet.data["t"]), end))
    return replace(packet, data=packet.data[:count], end=max(end, packet.start))


class Replay(Source):
    """A recording in memory as a source. speed: 0 as fast as the device takes it, 1 in real time."""

    def __init__(self, recorded: Recorded, speed: float = 0.0) -> None:
        self._recorded, self._speed = recorded, speed
        self._reader: Reader[Packet] | None = None
        self.uri, self.shape = recorded.uri, recorded.shape
        self.scheduled = speed > 0

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=_AHEAD, name="nrt.compare")
        async for packet in self._reader.items():
            yield packet

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        begin, first = now(), self._recorded.start
        for packet in self._recorded.packets:
            stamp = now()
            if self._speed:
                stamp = begin + round((packet.end - first) * 1_000 / self._speed)
                if stamp > now() and stop.wait((stamp - now()) / 1e9):
                    return
            yield replace(packet, stamp=stamp)

    def identity(self) -> Mapping[str, str]:
        return self._recorded.identity

"""A recording as a source: decoded in a thread, cut into packets (`nrt.timeline`), paced if asked."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from nrt import formats
from nrt.clock import now
from nrt.errors import BadRecording, ConfigError
from nrt.packet import EVENT, SPIKE, Packet, Records
from nrt.registry import Duration, Uri
from nrt.source import Source
from nrt.timeline import GAP, SLAB, Cutter, Order, Slabs
from nrt.worker import Reader

EDGE: Final = 1 << 20
"""A recording's fingerprint is the SHA-256 of its size, first and last MiB: a large file is not read twice."""


class FileSource(Source):
    """`file:PATH`: a recording of any format, found by its content.

    speed:    0 as fast as the device takes it; 1 real time; any other factor
    packet:   length of a packet; default 1 ms when paced and 10 ms when not
    gap:      longest time without an event before it counts as damage
    """

    def __init__(
        self, uri: Uri, *, speed: float = 0.0, packet: Duration | None = None, gap: Duration | None = None
    ) -> None:
        if not uri.place:
            raise ConfigError("file: needs a path, as in file:recording.aedat4")
        if not speed >= 0:
            raise ConfigError(f"file: speed is {speed}; it must be 0 (as fast as possible) or more")
        self._path = Path(uri.place)
        self._speed = speed
        self._span = int(packet) if packet is not None else (1_000 if speed else 10_000)
        if self._span < 1:
            raise ConfigError("file: packet must be at least 1us")
        self._order = Order(int(gap) if gap is not None else GAP)
        self.scheduled = speed > 0
        self._filter: Callable[[Records], Records] | None = None
        self._recording: formats.Recording | None = None
        self._reader: Reader[Packet] | None = None

    async def open(self) -> None:
        self._recording = formats.open(self._path)
        self.shape = self._recording.shape

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def attach(self, filter: Callable[[Records], Records]) -> bool:
        self._filter = filter
        return True

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=8, name=f"nrt.file {self._path.name}")
        async for packet in self._reader.items():
            yield packet

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        if not self._speed:
            yield from self._filtered()
            return
        # time runs from the first packet on: the decoder may have to be compiled before it
        begin, first = 0, None
        for packet in self._filtered():
            if first is None:
                begin, first = now(), packet.start
            due = begin + round((packet.end - first) * 1_000 / self._speed)
            wait = due - now()
            if wait > 0 and stop.wait(wait / 1e9):
                return
            yield Packet(packet.data, packet.start, packet.end, due, packet.lost, packet.origin)

    def _filtered(self) -> Iterator[Packet]:
        """The packets with the events that stay."""
        for packet in self._cut():
            yield (
                packet
                if self._filter is None
                else dataclasses.replace(packet, data=self._filter(packet.data))
            )

    def _cut(self) -> Iterator[Packet]:
        """The recording in packets of `span` µs; a damaged one yields all before the damage, then raises."""
        assert self._recording is not None
        cutter = Cutter(self._span, str(self._path), merge=not self._speed)
        kind = SPIKE if self._recording.spikes() else EVENT
        slabs = Slabs(kind)
        rest: Records = np.empty(0, kind)
        damage: BadRecording | None = None
        while damage is None:
            slab = slabs.take()
            kept = len(rest)
            slab[:kept] = rest
            try:
                count = self._recording.read(slab[kept:])
            except BadRecording as error:
                damage, count = error, 0
            if not count:
                rest = slab[:kept]
                break
            events = slab[: kept + count]
            t = self._order.arrange(events, kept, cutter.horizon)
            rest = yield from cutter.cut(events, t, now())
            while len(rest) > SLAB // 2:
                rest = yield from cutter.split(rest, now())
        yield from cutter.finish(rest, now())
        if damage is not None:
            raise damage

    def counters(self) -> Mapping[str, int]:
        return {name: count for name, count in self._order.counts.items() if count}

    def identity(self) -> Mapping[str, str]:
        kind = self._recording.format if self._recording is not None else formats.identify(self._path).name
        return {"uri": self.uri, "format": kind, **fingerprint(self._path)}


def fingerprint(path: Path) -> dict[str, str]:
    """Where a recording is, and what tells it from others: its size, and the SHA-256 of that and its edges."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(size.to_bytes(8, "little") + file.read(EDGE))
        file.seek(max(size - EDGE, 0))
        digest.update(file.read(EDGE))
    return {"path": str(path.absolute()), "bytes": str(size), "fingerprint": digest.hexdigest()}

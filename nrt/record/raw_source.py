"""A raw recording as a source: what arrived goes through the same intake again, at the times at which it arrived."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from nrt.clock import now
from nrt.errors import BadRecording, ConfigError, StreamError
from nrt.file import fingerprint
from nrt.formats.base import Decoder, Recording
from nrt.live import Cut, Intake
from nrt.packet import EVENT, Packet, Records
from nrt.record.raw import COUNT, Begin, Header, Kind, RawReader, Record
from nrt.registry import Duration, Uri
from nrt.source import Source
from nrt.worker import Reader


class RawSource(Source):
    """`raw:PATH`: a camera's stream again, packet for packet; a plain path to a .nrtraw means the same.

    speed:         1 the times at which it arrived, any other factor, or 0 as fast as the device takes it
    packet, count: as of a camera; by default as they were
    """

    def __init__(
        self, uri: Uri, *, speed: float = 0.0, packet: Duration | None = None, count: int = 0
    ) -> None:
        if not uri.place:
            raise ConfigError("raw: needs a path, as in raw:recording.nrtraw")
        if not speed >= 0:
            raise ConfigError(f"raw: speed is {speed}; it must be 0 (as fast as possible) or more")
        if count and packet is not None:
            raise ConfigError(f"{uri}: packets are cut by packet or by count, not both")
        self._path, self._speed = Path(uri.place), speed
        self._cut = (
            Cut(0 if count or packet is None else int(packet), count) if count or packet is not None else None
        )
        self.scheduled = speed > 0
        self._filter: Callable[[Records], Records] | None = None
        self._raw: RawReader | None = None
        self._reader: Reader[Packet] | None = None
        self._counts: Counter[str] = Counter()

    async def open(self) -> None:
        """Raises NotFound, BadRecording."""
        self._raw = RawReader(self._path)
        self.shape = self._raw.header.shape

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    @property
    def header(self) -> Header:
        """What the recording says of itself, once it is open."""
        if self._raw is None:
            raise ConfigError(f"{self.uri}: open it first")
        return self._raw.header

    def attach(self, filter: Callable[[Records], Records]) -> bool:
        self._filter = filter
        return True

    async def packets(self) -> AsyncIterator[Packet]:
        self._counts.clear()
        self._reader = Reader(self._produce, depth=64, name=f"nrt.raw {self._path.name}")
        async for packet in self._reader.items():
            yield packet

    def replayed(self) -> Iterator[Packet]:
        """The packets as they were, stamps and all."""
        assert self._raw is not None
        ready: list[Packet] = []
        replay = _Replay(
            self._path, self._cut or Cut(self.header.span, self.header.count), ready, self._filter
        )
        try:
            for each in self._raw.records():
                replay.take(each)
                yield from ready
                ready.clear()
        except BadRecording:
            yield from ready
            raise
        finally:
            self._counts = replay.counts()

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        begin, first = 0, 0
        for packet in self.replayed():
            if not self._speed:
                yield dataclasses.replace(packet, stamp=now(), origin=self.uri)
                continue
            if not begin:
                begin, first = now(), packet.stamp
            due = begin + round((packet.stamp - first) / self._speed)
            if (wait := due - now()) > 0 and stop.wait(wait / 1e9):
                return
            yield dataclasses.replace(packet, stamp=due, origin=self.uri)

    def counters(self) -> Mapping[str, int]:
        """What was repaired, and bytes that the recorder could not write; only what is not zero."""
        return {name: count for name, count in self._counts.items() if count}

    def identity(self) -> Mapping[str, str]:
        """The recording's fingerprint, and what the camera was."""
        camera = {f"camera {name}": value for name, value in self.header.identity.items()}
        return {"uri": self.uri, "format": "nrtraw", **fingerprint(self._path), **camera}


class RawRecording(Recording):
    """The events of a raw recording, in order, as the other recordings give theirs."""

    format = "nrtraw"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._raw = RawReader(path)
        header = self._raw.header
        self.shape = header.shape
        self.header = {"source": header.uri, "begun": header.begun, **header.identity}
        self._ready: list[Packet] = []
        self._replay = _Replay(path, Cut(0), self._ready, None)
        self._records = self._raw.records()
        self._damage: BadRecording | None = None

    def read(self, events: Records) -> int:
        while not self._ready:
            if self._damage is not None:
                raise self._damage
            try:
                each = next(self._records, None)
                if each is None:
                    return 0
                self._replay.take(each)
            except BadRecording as error:
                self._damage = error
            self._ready[:] = [packet for packet in self._ready if len(packet)]
        packet = self._ready[0]
        count = min(len(packet), len(events))
        events[:count] = packet.data[:count]
        self._ready[:1] = (
            [dataclasses.replace(packet, data=packet.data[count:])] if count < len(packet) else []
        )
        return count

    def close(self) -> None:
        self._raw.close()


class _Replay:
    """Does with records what the camera's thread did with what arrived."""

    def __init__(
        self, path: Path, cut: Cut, ready: list[Packet], filter: Callable[[Records], Records] | None
    ) -> None:
        self._path, self._cut, self._ready, self._filter = path, cut, ready, filter
        self._intake: Intake | None = None
        self._decoder: Decoder | None = None
        self._counts: Counter[str] = Counter()

    def take(self, each: Record) -> None:
        """Raises BadRecording."""
        if each.kind is Kind.BEGIN:
            self._begin(each)
            return
        intake = self._intake
        if intake is None:
            raise BadRecording(self._path, 0, "records before the first stream begins")
        try:
            self._pass(intake, each)
        except StreamError as error:
            raise BadRecording(self._path, 0, str(error)) from error

    def _begin(self, each: Record) -> None:
        self._count()
        begin = Begin.parse(self._path, each.data)
        self._decoder = begin.make(self._path)
        self._intake = Intake(
            self._ready.append,
            cut=self._cut,
            origin=str(self._path),
            decoder=self._decoder,
            filter=self._filter,
            begin=each.stamp,
            resume=begin.resume,
        )

    def _pass(self, intake: Intake, each: Record) -> None:
        if each.kind is Kind.BYTES:
            if self._decoder is None:
                raise BadRecording(self._path, 0, "bytes in a stream that has no decoder")
            intake.bytes(each.data, each.stamp)
        elif each.kind is Kind.EVENTS:
            if len(each.data) < COUNT.size or (len(each.data) - COUNT.size) % EVENT.itemsize:
                raise BadRecording(self._path, 0, f"{len(each.data)} bytes are no whole number of events")
            (lost,) = COUNT.unpack_from(each.data)
            intake.events(np.frombuffer(each.data, EVENT, offset=COUNT.size), each.stamp, lost)
        elif each.kind is Kind.QUIET:
            intake.quiet(each.stamp)
        elif each.kind is Kind.FINISH:
            if self._decoder is not None and self._decoder.ended():
                intake.bytes(b"", each.stamp)
            intake.finish(each.stamp)
        elif len(each.data) == COUNT.size:
            self._counts["bytes not recorded"] += COUNT.unpack(each.data)[0]

    def _count(self) -> None:
        if self._intake is not None:
            self._counts.update(self._intake.counters())
            self._intake = None

    def counts(self) -> Counter[str]:
        """Of all streams so far."""
        self._count()
        return self._counts

"""What a pipeline gives away besides notices: recordings of its input, and its spikes as address events.

Each works on a thread of its own behind a bounded queue (`nrt.record`): a disk or a network that is too slow costs
packets, which are counted, and never slows the stream; only a recording that is played as fast as possible waits for
its copy. A full disk or a receiver that is away costs what falls into that time; it is told of once, and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from nrt import formats
from nrt.clock import now
from nrt.daemon.config import RecordConfig, SendConfig
from nrt.daemon.notice import AlarmKind
from nrt.errors import NrtError, StreamError
from nrt.network import Network
from nrt.network.encoding import volume
from nrt.packet import EVENT, SPIKE, Packet, Records
from nrt.record import FileSink, Sink
from nrt.record.aer import AerSink
from nrt.record.belt import Belt
from nrt.source import Source

RETRY: Final = 2_000_000_000
"""ns between two attempts to go on after a failure."""
LOOK: Final = 1_000_000_000
"""ns between two looks at how much room the disk has."""

Tell = Callable[[AlarmKind, str], None]


class _NoRoom(StreamError):
    """The disk has less room than is to be left."""


def _full(error: Exception) -> bool:
    """Whether a disk or a quota is at its end."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Persistent(Sink):
    """A sink that is begun again after a failure. Told of is the first failure, and that it works again."""

    def __init__(self, name: str, tell: Tell) -> None:
        self._name, self._tell = name, tell
        self._down: AlarmKind | None = None
        self._retry = 0
        self.missed = 0
        """Packets that came while it did not work."""

    @abstractmethod
    def _take(self, packet: Packet) -> None:
        """Raises NrtError."""

    @abstractmethod
    def _abandon(self) -> None:
        """Releases what is left after a failure."""

    def take(self, packet: Packet) -> None:
        if self._down is not None and now() < self._retry:
            self.missed += 1
            return
        try:
            self._take(packet)
        except (NrtError, OSError) as error:
            self._failed(error)
            self.missed += 1
        else:
            self._works()

    def flush(self) -> None:
        if self._down is None:
            try:
                self._flush()
            except (NrtError, OSError) as error:
                self._failed(error)

    def _flush(self) -> None:
        """Raises NrtError."""

    def _failed(self, error: Exception) -> None:
        self._abandon()
        self._retry = now() + RETRY
        if self._down is None:
            self._down = "disk full" if isinstance(error, _NoRoom) or _full(error) else "output failed"
            self._tell(self._down, f"{self._name}: {error}")

    def _works(self) -> None:
        if self._down is not None:
            back: AlarmKind = "disk back" if self._down == "disk full" else "output back"
            self._down = None
            self._tell(back, f"{self._name} works again; {self.missed:,} packets are missing in all")

    def counters(self) -> Mapping[str, int]:
        return {"packets missed": self.missed} if self.missed else {}


class Recordings(_Persistent):
    """Files `<pipeline>-<number>-<time>.<ending>` in a folder; the oldest go when all are more than `most` bytes.

    The number counts on over restarts, so that a clock that is set back does not make the newest the oldest.
    """

    def __init__(self, pipeline: str, config: RecordConfig, folder: Path, tell: Tell) -> None:
        super().__init__(f"the recording of {pipeline}", tell)
        self._pipeline, self._config, self._folder = pipeline, config, folder
        self._ending = next(row.suffix for row in formats.FORMATS if row.name == config.format)
        self._source: Source | None = None
        self._file: FileSink | None = None
        self._began = self._looked = 0

    def open(self, source: Source) -> None:
        self._source = source

    def _take(self, packet: Packet) -> None:
        if now() - self._looked > LOOK:
            self._looked = now()
            self._require_room()
        if self._file is None:
            self._file = self._begin()
        self._file.take(packet)

    def _flush(self) -> None:
        if self._file is None:
            return
        self._file.flush()
        self.size = self._file.size
        if self._file.size >= self._config.size or now() - self._began >= self._config.rotate * 1_000:
            self._end()

    def _begin(self) -> FileSink:
        assert self._source is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._kept()
        number = int(_NUMBER.findall(kept[-1].name)[-1]) + 1 if kept else 1
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = self._folder / f"{self._pipeline}-{number:06}-{stamp}{self._ending}"
        file = FileSink(path, self._config.format, rebase=True)
        file.open(self._source)
        self._began = now()
        return file

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()
            self._prune()

    def _kept(self) -> list[Path]:
        """The files, oldest first."""
        found = self._folder.glob(f"{self._pipeline}-*{self._ending}")
        return sorted(path for path in found if _NUMBER.search(path.name))

    def _prune(self) -> None:
        kept = self._kept()
        sizes = [path.stat().st_size for path in kept]
        total = sum(sizes)
        for path, size in zip(kept[:-1], sizes, strict=False):
            if total <= self._config.most:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _require_room(self) -> None:
        """Raises _NoRoom where the disk has less room than is to be left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        state = os.statvfs(self._folder)
        free = state.f_bavail * state.f_frsize
        if free < self._config.spare:
            raise _NoRoom(
                f"{self._folder} has {free / 1e6:,.0f} MB left, and {self._config.spare / 1e6:,.0f} MB are to stay free"
            )

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(NrtError):  # what it holds is safe up to the last flush
                file.close()

    def close(self) -> None:
        self._abandon()


_NUMBER: Final = re.compile(r"-(\d{6,})-\d{8}T\d{6}Z")


class Spikes(_Persistent):
    """Spikes as address events to `spif://host:port`: channels one below the other."""

    queue = 4 << 20

    def __init__(self, pipeline: str, to: str, tell: Tell) -> None:
        super().__init__(f"{pipeline} to {to}", tell)
        self._to = to
        self._widths: dict[str, int] = {}
        self._sink: AerSink | None = None

    def began(self, network: Network) -> None:
        """A network runs, perhaps another one; packets of the one before may still wait."""
        widths = {each.name: volume(each.shape)[2] for each in network.populations}
        self._widths = {**self._widths, **widths}

    def _take(self, packet: Packet) -> None:
        if self._sink is None:
            self._sink = AerSink.make(self._to)
        events = address_events(packet.data, self._widths[packet.origin])
        self._sink.take(Packet(events, packet.start, packet.end, packet.stamp))

    def _abandon(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def close(self) -> None:
        self._abandon()


def address_events(spikes: Records, width: int) -> Records:
    """Spikes of a population as events: neuron n at x = n mod width, y = n div width; p tells a positive payload."""
    events = np.zeros(len(spikes), EVENT)
    events["t"] = spikes["t"]
    events["x"] = spikes["n"] % width
    events["y"] = spikes["n"] // width
    events["p"] = spikes["v"] > 0
    return events


class Outputs:
    """All outputs of one life of a pipeline. tell: alarms, called on the loop."""

    def __init__(self, pipeline: str, folder: Path, tell: Tell) -> None:
        self._pipeline, self._folder = pipeline, folder
        self._loop = asyncio.get_running_loop()
        self._tell_there = tell
        self._inward: list[tuple[Belt, _Persistent]] = []
        self._outward: list[tuple[Belt, Spikes, str]] = []
        self._outputs: tuple[str, ...] = ()
        """Of the network that runs."""
        self._waits = False
        self.dropped = 0
        """Packets that found a queue full."""

    def open(self, source: Source, record: tuple[RecordConfig, ...], send: tuple[SendConfig, ...]) -> None:
        """Begins all of them."""
        self._waits = not source.scheduled
        for k, each in enumerate(record):
            folder = each.folder or self._folder / "recordings" / self._pipeline
            sink = Recordings(self._pipeline, each, folder, self._tell)
            sink.open(source)
            self._inward.append((Belt(sink, _nothing, f"nrt.record {k}"), sink))
        for target in send:
            sender = Spikes(self._pipeline, target.to, self._tell)
            self._outward.append((Belt(sender, _nothing, "nrt.send"), sender, target.output))

    def began(self, network: Network) -> None:
        """A run of `network` begins."""
        self._outputs = network.outputs
        for _, sender, _ in self._outward:
            sender.began(network)

    def _tell(self, kind: AlarmKind, text: str) -> None:
        self._loop.call_soon_threadsafe(self._tell_there, kind, text)

    def saw(self, packet: Packet) -> Awaitable[None] | None:
        """A packet of the source. What it returns is awaited: the recordings' room, where the stream can wait."""
        if not self._inward:
            return None
        if self._waits:
            return self._put(packet)
        for belt, _ in self._inward:
            if not belt.offer(packet):
                self.dropped += 1
        return None

    async def _put(self, packet: Packet) -> None:
        for belt, _ in self._inward:
            await belt.put(packet)

    def said(self, packet: Packet) -> None:
        """A packet of the device."""
        if packet.data.dtype != SPIKE or not len(packet.data):
            return
        for belt, _, output in self._outward:
            wanted = packet.origin == output if output else packet.origin in self._outputs
            if wanted and not belt.offer(packet):
                self.dropped += 1

    @property
    def missed(self) -> int:
        """Packets that were not taken: queues that were full, disks and receivers that did not work."""
        sinks = [*(sink for _, sink in self._inward), *(sink for _, sink, _ in self._outward)]
        return self.dropped + sum(sink.missed for sink in sinks)

    async def close(self) -> None:
        """Completes what waits, and closes."""
        belts = [*(belt for belt, _ in self._inward), *(belt for belt, _, _ in self._outward)]
        for belt in belts:
            belt.end()
        for belt in belts:
            await belt.join()


def _nothing(packet: Packet) -> None:
    """What a belt calls before a packet is taken."""

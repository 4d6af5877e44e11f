"""A recording as a source: decoded in a thread, cut into packets, paced if asked.

Decoding is exact and unordered as the file has it (`nrt.formats`); a stream needs order. Three things can
break it, and each is repaired in one named way and counted:

late     an event a little earlier than its predecessor is sorted in; if its packet has left already, it is
         moved to the start of the next one
resets   time jumps back by more than `RESET` (a camera's clock was reset): time goes on from the last event
gaps     time jumps forward by more than `gap` without an event (a damaged stamp, a paused recording): closed
         to `gap`
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt import formats
from nrt.clock import now
from nrt.errors import BadRecording, ConfigError
from nrt.packet import EVENT, SPIKE, Packet, Records
from nrt.registry import Duration, Uri
from nrt.source import Source
from nrt.worker import Reader

SLAB: Final = 1 << 16
"""Events decoded at a time: 1 MB, which stays in the second-level cache."""
RESET: Final = 1_000_000
"""A step back in time of more than this many µs is a clock that was reset."""
EDGE: Final = 1 << 20
"""A recording's fingerprint is the SHA-256 of its size, first and last MiB: a large file is not read twice."""

Times = NDArray[np.int64]


class Slabs:
    """Reused arrays for packets to be views of. An array is taken again only when no packet refers to it."""

    def __init__(self, dtype: np.dtype[np.void], keep: int = 16) -> None:
        self._dtype = dtype
        self._keep = keep
        self._slabs: list[Records] = []

    def take(self) -> Records:
        """An array that nobody else sees: fresh memory costs a page fault per 4 KiB, so a used one first."""
        for k in range(len(self._slabs)):
            if sys.getrefcount(self._slabs[k]) == 2:  # the list and the call's own argument
                return self._slabs[k]
        slab = np.zeros(SLAB, self._dtype)
        if len(self._slabs) < self._keep:
            self._slabs.append(slab)
        return slab


class Order:
    """Puts a decoded stream in order, one array after the other; see the module's three repairs."""

    def __init__(self, gap: int) -> None:
        self.counts = {"late": 0, "resets": 0, "gaps": 0}
        self._gap = gap
        self._shift = 0
        self._last: int | None = None

    def arrange(self, events: Records, kept: int, horizon: int) -> Times:
        """Orders `events` in place, of which the first `kept` are ordered already; none stays before `horizon`.

        Returns their times as a contiguous array.
        """
        t = np.array(events["t"])
        t[kept:] += self._shift
        steps = np.diff(t[kept:], prepend=t[kept] if self._last is None else self._last)
        lowest = int(steps.min())
        if lowest < -RESET or int(steps.max()) > self._gap:
            self._close_jumps(t[kept:], steps)
        self._last = int(t[-1])
        if lowest >= 0 and not self._shift:
            return t
        late = int(np.count_nonzero(t < horizon))
        self.counts["late"] += late
        np.maximum(t, horizon, out=t)
        order = np.argsort(t, kind="stable")
        events["t"] = t
        events[:] = events[order]
        return t[order]

    def _close_jumps(self, t: Times, steps: Times) -> None:
        """Shifts everything after a reset or a gap, now and from now on."""
        for k in np.flatnonzero((steps < -RESET) | (steps > self._gap)).tolist():
            step = int(steps[k])
            self.counts["resets" if step < 0 else "gaps"] += 1
            correction = -step if step < 0 else self._gap - step
            t[k:] += correction
            self._shift += correction


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
        self._order = Order(int(gap) if gap is not None else 600_000_000)
        self.scheduled = speed > 0
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

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=8, name=f"nrt.file {self._path.name}")
        async for packet in self._reader.items():
            yield packet

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        if not self._speed:
            yield from self._cut()
            return
        # time runs from the first packet on: the decoder may have to be compiled before it
        begin, first = 0, None
        for packet in self._cut():
            if first is None:
                begin, first = now(), packet.start
            due = begin + round((packet.end - first) * 1_000 / self._speed)
            wait = due - now()
            if wait > 0 and stop.wait(wait / 1e9):
                return
            yield Packet(packet.data, packet.start, packet.end, due, packet.lost, packet.origin)

    def _cut(self) -> Iterator[Packet]:
        """The recording in packets of `span` µs; a damaged one yields all before the damage, then raises."""
        assert self._recording is not None
        cutter = Cutter(self._span, str(self._path), merge=not self._speed)
        slabs = Slabs(SPIKE if self._recording.spikes() else EVENT)
        rest: Records = np.empty(0, EVENT)
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
            rest = yield from cutter.cut(events, t)
            while len(rest) > SLAB // 2:
                rest = yield from cutter.split(rest)
        yield from cutter.finish(rest)
        if damage is not None:
            raise damage

    def counters(self) -> Mapping[str, int]:
        return {name: count for name, count in self._order.counts.items() if count}

    def identity(self) -> Mapping[str, str]:
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            digest = hashlib.sha256(size.to_bytes(8, "little") + file.read(EDGE))
            file.seek(max(size - EDGE, 0))
            digest.update(file.read(EDGE))
        kind = self._recording.format if self._recording is not None else formats.identify(self._path).name
        return {"uri": self.uri, "format": kind, "bytes": str(size), "fingerprint": digest.hexdigest()}


class Cutter:
    """Cuts ordered events into packets of `span` µs, beginning at the first event.

    merge:   whether a silence of several spans becomes one empty packet (not when playing in real time)
    horizon: where the next packet starts; no event before it can be delivered in order any more
    """

    def __init__(self, span: int, origin: str, *, merge: bool) -> None:
        self.horizon = -(2**62)
        self._started = False
        self._span = span
        self._origin = origin
        self._merge = merge

    def cut(self, events: Records, t: Times) -> Generator[Packet, None, Records]:
        """Yields the packets that `events`, with times `t`, complete; returns the events after them."""
        if not self._started:
            self._started, self.horizon = True, int(t[0])
        last, stamp, begin = int(t[-1]), now(), 0
        while (edge := self.horizon + self._span) <= last:
            end = begin + int(t[begin:].searchsorted(edge))
            if end == begin and self._merge:
                edge += (int(t[begin]) - edge) // self._span * self._span
            yield self._packet(events[begin:end], edge, stamp)
            begin = end
        return events[begin:]

    def split(self, events: Records) -> Generator[Packet, None, Records]:
        """Yields a shorter packet from a span that holds too many events; returns those of its last instant."""
        t = np.array(events["t"])
        edge = int(t[-1])
        cut = int(t.searchsorted(edge))
        if not cut:
            cut, edge = len(events), edge + 1
        yield self._packet(events[:cut], edge, now())
        return events[cut:]

    def finish(self, events: Records) -> Iterator[Packet]:
        """Yields the last packet, if there is one."""
        if len(events):
            yield self._packet(events, int(events["t"][-1]) + 1, now())

    def _packet(self, events: Records, end: int, stamp: int) -> Packet:
        packet = Packet(events, self.horizon, end, stamp, origin=self._origin)
        self.horizon = end
        return packet

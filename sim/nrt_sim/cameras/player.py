"""Player: what an emulated camera looks at. Plays any source of nrt on the clock of whoever asks.

A source is asynchronous, a board is not: a thread with a loop of its own reads the source ahead, as fast as it
goes, and the board takes what is due. If the source cannot keep up, the scene waits for it, and that is counted.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from nrt import registry
from nrt.errors import ConfigError
from nrt.packet import EVENT, Packet, Records, events_from_array, join
from nrt.registry import Uri

AHEAD: Final = 250_000
"""µs of the scene that are there before it begins."""
MOST: Final = 1 << 20
"""Events that are read ahead at most: 16 MB."""


class Player:
    """Plays `uri` from its beginning at every `start`. Times are in µs since the start, those of a host in ns.

    width, height: of the sensor that looks; events beyond it are out of view, and counted
    """

    def __init__(self, uri: str, width: int, height: int) -> None:
        self._uri = _unpaced(uri)
        self._width, self._height = width, height
        self._reader: _Reader | None = None
        self._waiting: deque[Packet] = deque()
        self.begin: int | None = None
        """Host time, ns, at which the scene began; None before."""
        self._held = 0  # µs for which it waited since
        self._unseen = 0

    def start(self) -> None:
        """The scene begins as soon as enough of it is there. Raises NotFound, ConfigError."""
        self.stop()
        registry.source(self._uri)  # what is wrong with it shows here, not in the thread
        self._reader = _Reader(self._uri)

    def stop(self) -> None:
        """Nothing plays; may be called twice."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        self._waiting.clear()
        self.begin, self._held = None, 0

    def take(self, now: int) -> tuple[Records, int]:
        """The events until `now` that were not taken yet, and that time, both in µs since `begin`; 0 before it.

        Raises what the source failed with.
        """
        reader = self._reader
        if reader is None or (self.begin is None and not reader.ready):
            return np.empty(0, EVENT), 0
        if self.begin is None:
            self.begin = now
        elapsed = (now - self.begin) // 1_000
        due = elapsed - self._held
        self._waiting.extend(reader.take(due))
        if not reader.ended and reader.reached < due:
            due = reader.reached
        events = self._cut(due)
        events["t"] += self._held
        self._held = elapsed - due
        return events, elapsed

    def _cut(self, due: int) -> Records:
        """A copy of the events before `due`; what is left of a packet goes back."""
        parts: list[Records] = []
        while self._waiting and self._waiting[0].start < due:
            packet = self._waiting.popleft()
            count = int(np.searchsorted(packet.data["t"], due))
            parts.append(packet.data[:count])
            if count < len(packet.data):
                self._waiting.appendleft(replace(packet, data=packet.data[count:], start=due))
                break
        return self._seen(join(parts)) if parts else np.empty(0, EVENT)

    def _seen(self, events: Records) -> Records:
        inside = (events["x"] < self._width) & (events["y"] < self._height)
        if bool(inside.all()):
            return events
        self._unseen += len(events) - int(np.count_nonzero(inside))
        return events[inside]

    @property
    def playing(self) -> bool:
        """Whether it was started and not stopped."""
        return self._reader is not None

    def counters(self) -> Mapping[str, int]:
        """What did not go as the scene has it; only what is not zero."""
        counts = {"scene waited ms": self._held // 1_000, "events out of view": self._unseen}
        return {name: count for name, count in counts.items() if count}


def _unpaced(uri: str) -> str:
    """The same source as fast as it goes, where it can: the board has the clock."""
    parsed = Uri.parse(uri)
    rows = registry.table("sources")
    if parsed.scheme not in rows:
        return uri
    if "speed" not in registry.option_names(registry.load(rows[parsed.scheme])):
        return uri
    if "speed" in parsed.options:
        raise ConfigError(f"{uri}: an emulated camera plays at its own pace; leave speed out")
    return str(replace(parsed, options={**parsed.options, "speed": "0"}))


class _Reader:
    """Reads a source ahead in a thread. Times are shifted to begin at 0."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._packets: deque[Packet] = deque()
        self._events = 0
        self._first: int | None = None
        self._end = 0
        self.reached = 0
        """Time up to which packets were taken."""
        self._ended = self._closing = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._main, name=f"nrt.player {uri}", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        try:
            asyncio.run(self._read())
        except Exception as error:
            self._error = error
        with self._changed:
            self._ended = True

    async def _read(self) -> None:
        source = registry.source(self._uri)
        try:
            await source.open()
            async for packet in source.packets():
                if not self._put(packet):
                    return
        finally:
            await source.close()

    def _put(self, packet: Packet) -> bool:
        """Keeps the packet; waits while too much is kept. False when nobody wants more."""
        with self._changed:
            if self._first is None:
                self._first = packet.start
            data = events_from_array(packet.data).copy()
            data["t"] -= self._first
            self._end = packet.end - self._first
            self._packets.append(replace(packet, data=data, start=packet.start - self._first, end=self._end))
            self._events += len(data)
            self._changed.wait_for(
                lambda: self._closing or (self._events < MOST and self._end - self.reached < 4 * AHEAD)
            )
            return not self._closing

    @property
    def ready(self) -> bool:
        """Whether enough is there to begin. Raises what the source failed with."""
        with self._changed:
            if self._error is not None:
                raise self._error
            return self._ended or self._end >= AHEAD or self._events >= MOST

    @property
    def ended(self) -> bool:
        """Whether the source has ended."""
        with self._changed:
            return self._ended

    def take(self, until: int) -> list[Packet]:
        """The packets that begin before `until`."""
        out: list[Packet] = []
        with self._changed:
            if self._error is not None:
                raise self._error
            while self._packets and self._packets[0].start < until:
                packet = self._packets.popleft()
                self._events -= len(packet.data)
                self.reached = packet.end
                out.append(packet)
            self._changed.notify_all()
        return out

    def close(self) -> None:
        """Ends the thread and waits for it."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

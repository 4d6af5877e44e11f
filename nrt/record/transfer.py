"""Transfer: one source flowing into one sink, at its own pace or at the clock's, until it ends or is stopped.

The event loop only hands packets over; the sink works on a thread of its own behind a bounded queue. A source
with a schedule (a camera, a paced recording) cannot wait: packets that find the queue full are dropped and
counted. Any other source waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from nrt.clock import now, readable
from nrt.packet import Packet
from nrt.profile import Histogram
from nrt.record.belt import Belt
from nrt.record.sink import Sink
from nrt.source import Source


@dataclass(frozen=True, slots=True)
class Totals:
    """What a transfer has moved so far, or in all.

    packets, events: taken by the sink; bytes: what they became
    stream_us: time on the stream's clock that they span; wall_s: host time
    lost: events that the source lost; dropped: events that found the queue full
    late_ms: p99 and maximum of the delay after the due time, of sources with a schedule
    counters: what source and sink repaired or lost besides, by name
    """

    source: str
    packets: int
    events: int
    bytes: int
    stream_us: int
    wall_s: float
    lost: int
    dropped: int
    late_ms: tuple[float, float] | None
    counters: Mapping[str, int]
    error: str

    def to_json(self) -> str:
        """All fields as a JSON object."""
        fields: dict[str, Any] = dataclasses.asdict(self)
        return json.dumps(fields, indent=2)

    def __str__(self) -> str:
        rate = self.events / self.wall_s / 1e6 if self.wall_s else 0.0
        parts = [f"{self.events:,} events over {readable(self.stream_us)}", f"{rate:.3g} Mev/s"]
        parts += [f"{self.bytes:,} bytes"] if self.bytes else []
        parts += [f"lost {self.lost:,}", f"dropped {self.dropped:,}"]
        if self.late_ms is not None:
            parts.append(f"late by {self.late_ms[0]:.2g} ms (p99), {self.late_ms[1]:.2g} ms at most")
        parts += [f"{name} {count:,}" for name, count in self.counters.items()]
        parts += [self.error] if self.error else []
        return " · ".join(parts)


class Transfer:
    """Moves the packets of `source` to `sink`: call `run` once.

    limit: µs of stream after which it ends, 0 for all of it
    speed: plays a source without a schedule at this multiple of real time, 0 as fast as the sink takes it
    """

    def __init__(self, source: Source, sink: Sink, *, limit: int = 0, speed: float = 0.0) -> None:
        self._source, self._sink = source, sink
        self._limit, self._speed = limit, speed
        self._pump_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._timed = False
        self._first: int | None = None
        self._begin = 0  # host time at which the stream's first µs was due
        self._began = self._ended = 0
        self._packets = self._events = self._reached = self._lost = self._dropped = 0
        self._late = Histogram()
        self._error = ""

    async def run(self) -> Totals:
        """Runs to the end of the source, the limit, `stop` or an error; the sink is complete and closed in any case.

        Raises what the source or the sink failed with, after everything before that was written.
        """
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._source.close)
                await self._source.open()
                self._timed = self._source.scheduled or self._speed > 0
                self._sink.open(self._source)
                await self._flow()
        except BaseException as error:
            self._error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._ended = now()
        return self.totals

    def stop(self) -> None:
        """Ends early but in order: nothing more is read, what waits in the queue is handed on."""
        self._stopping = True
        self._error = "stopped by the user"
        self._sink.cancel()
        if self._pump_task is not None:
            self._pump_task.cancel()

    @property
    def totals(self) -> Totals:
        """What has been moved so far."""
        late = self._late
        return Totals(
            source=self._source.uri,
            packets=self._packets,
            events=self._events,
            bytes=self._sink.size,
            stream_us=self._reached - (self._first or 0) if self._packets else 0,
            wall_s=((self._ended or now()) - self._began) / 1e9 if self._began else 0.0,
            lost=self._lost,
            dropped=self._dropped,
            late_ms=(late.percentile(99) / 1e6, late.maximum / 1e6) if late.total else None,
            counters={**self._source.counters(), **self._sink.counters()},
            error=self._error,
        )

    async def _flow(self) -> None:
        self._began = now()
        belt = Belt(self._sink, self._taken, "nrt.transfer")
        pump = self._pump_task = asyncio.create_task(self._pump(belt), name="nrt.pump")
        try:
            await asyncio.wait([pump, belt.done], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._sink.cancel()
            raise
        finally:
            pump.cancel()
            await asyncio.wait([pump])
            belt.end()
            await belt.join()
        belt.done.result()
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error

    async def _pump(self, belt: Belt) -> None:
        if self._stopping:
            return
        packets = self._source.packets()
        try:
            async for packet in packets:
                await self._move(packet, belt)
                if self._limit and packet.end - (self._first or 0) >= self._limit:
                    return
        finally:
            await _close(packets)

    async def _move(self, packet: Packet, belt: Belt) -> None:
        if self._first is None:
            self._first, self._begin = packet.start, now()
        self._lost += packet.lost
        packet = self._clip(packet)
        if self._speed and not self._source.scheduled:
            packet = await self._when_due(packet)
        if not self._timed:
            await belt.put(packet)
        elif not belt.offer(packet):
            self._dropped += len(packet.data)

    def _clip(self, packet: Packet) -> Packet:
        """Without what lies behind the limit."""
        last = (self._first or 0) + self._limit
        if not self._limit or packet.end <= last:
            return packet
        count = int(packet.data["t"].searchsorted(last))
        return dataclasses.replace(packet, data=packet.data[:count], end=last)

    async def _when_due(self, packet: Packet) -> Packet:
        due = self._begin + round((packet.end - (self._first or 0)) * 1_000 / self._speed)
        if (wait := due - now()) > 0:
            await asyncio.sleep(wait / 1e9)
        return dataclasses.replace(packet, stamp=due)

    def _taken(self, packet: Packet) -> None:
        self._packets += 1
        self._events += len(packet.data)
        self._reached = packet.end
        if self._timed:
            self._late.record(now() - packet.stamp)


async def _close(packets: AsyncIterator[Packet]) -> None:
    aclose = getattr(packets, "aclose", None)
    if aclose is not None:
        await aclose()

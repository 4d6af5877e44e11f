"""A wire that goes wrong on purpose, for tests of drivers and for experiments: around any other wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping

from nrt.clock import now
from nrt.errors import DeviceLost, Unsupported
from nrt.wire.base import Chunk, Requests, Wire
from nrt.wire.faults import Damage, Faults
from nrt.wire.feed import Feed, Take


class FaultyWire:
    """`wire` with the faults `into` the host and `out` of it; `counters` has every one of them.

    datagrams: whether each chunk and each write is one unit that is lost, damaged or repeated whole
    """

    def __init__(self, wire: Wire, into: Faults, out: Faults, *, datagrams: bool = False) -> None:
        self._wire = wire
        self._in = Damage(into, "in", datagrams=datagrams)
        self._out = Damage(out, "out", datagrams=datagrams)
        self._ready: deque[tuple[Chunk, int]] = deque()
        """Pieces that have passed, and the time in ns before which they are held back."""
        self._gone: asyncio.Event | None = None
        self._feed: Feed | None = None

    @property
    def name(self) -> str:
        """The URI that opened it."""
        return self._wire.name

    async def open(self) -> None:
        """Acquires the line. Raises NotFound, DeviceBusy, DeviceError."""
        await self._wire.open()
        self._gone = asyncio.Event()
        self._in.begin()
        self._out.begin()

    async def close(self) -> None:
        """Releases the line, in whatever state; may be called twice."""
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.close()
        if self._gone is not None:
            self._gone.set()
            self._gone = None
        self._in.count("undelivered", sum(len(chunk.data) for chunk, _ in self._ready))
        self._ready.clear()
        await self._wire.close()

    async def read(self) -> Chunk:
        """The next bytes, or what the faults left of them. Raises DeviceLost."""
        if self._feed is not None:
            await self._feed.ended()
        return await self._read()

    def feed(self, take: Take, idle_ms: int = 10) -> None:
        """From now on `take` gets what the faults leave of the bytes, on the event loop."""
        self._require()
        if self._feed is None:
            self._feed = Feed(self._read, take, idle_ms)
        else:
            self._feed.redirect(take, idle_ms)

    async def _read(self) -> Chunk:
        while not self._ready:
            await self._pass(self._in)
            chunk = await self._wire.read()
            for piece in self._in.pieces(chunk.data):
                held = now() + round(self._in.faults.hold * 1e9) if self._in.delayed() else 0
                self._ready.append((Chunk(piece, max(chunk.stamp, held)), held))
        while self._ready and (rest := self._ready[0][1] - now()) > 0:
            await self._pause(rest / 1e9)
        self._require()
        chunk, _ = self._ready.popleft()
        self._in.count("delivered", len(chunk.data))
        return chunk

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends `data`, or what the faults leave of it. Raises DeviceLost."""
        self._require()
        pieces = self._out.pieces(bytes(data))
        sent = 0
        try:
            for piece in pieces:
                if self._out.delayed():
                    await self._pause(self._out.faults.hold)
                    self._require()
                await self._wire.write(piece)
                sent += 1
        finally:
            self._out.count("delivered", sum(map(len, pieces[:sent])))
            self._out.count("undelivered", sum(map(len, pieces[sent:])))
        await self._pass(self._out)

    async def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int = b""
    ) -> bytes:
        """A control request, which no fault but the plug touches: USB repeats those until they are right."""
        await self._pass(self._out)
        if not isinstance(self._wire, Requests):
            raise Unsupported(self.name, "this wire makes no control requests")
        return await self._wire.control(kind, request, value, index, data)

    async def _pass(self, side: Damage) -> None:
        """Returns if `side` still lets something pass; raises DeviceLost if not, in a stall only when closed."""
        if side.unplugged:
            side.replug()
            await self.close()
            raise DeviceLost(self.name, "unplugged, as its faults ask for")
        if side.stalled:
            await self._pause(None)
        self._require()

    async def _pause(self, seconds: float | None) -> None:
        """Waits, but not longer than the wire is open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._require().wait()

    def _require(self) -> asyncio.Event:
        """What is set when the wire closes. Raises DeviceLost where it is closed."""
        if self._gone is None:
            raise DeviceLost(self.name, "the wire is not open")
        return self._gone

    def counters(self) -> Mapping[str, int]:
        """The wire's own counters, and the bytes that each fault hit, such as "in corrupted"."""
        return {**self._wire.counters(), **self._in.counters(), **self._out.counters()}

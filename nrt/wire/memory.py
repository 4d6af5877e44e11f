"""An emulated board in this process: bytes go straight to it, on the event loop, without a thread."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from nrt.clock import now
from nrt.errors import DeviceBusy, DeviceError, DeviceLost, Unsupported
from nrt.wire.base import Answers, Board, Chunk, hang_up
from nrt.wire.feed import Feed, Take
from nrt.wire.inlet import LIMIT


class MemoryWire:
    """`+emu:` the Board `board`, called from the event loop alone.

    A board of whose bytes more than `LIMIT` are unread is not listened to: then `write` waits.
    What it sends by itself comes when it is `due`, up to 1 ms late: the resolution of the loop's timers.
    """

    def __init__(self, board: Board, name: str = "emu:") -> None:
        self._board, self._name = board, name
        self._open = False
        self._waiting = bytearray()
        self._readable: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._counts: Counter[str] = Counter()
        self._feed: Feed | None = None

    @property
    def name(self) -> str:
        """The URI that opened it."""
        return self._name

    @property
    def board(self) -> Board:
        """The far side, for tests that look at it directly."""
        return self._board

    async def open(self) -> None:
        """Connects to the board. Raises DeviceBusy where this wire is open."""
        if self._open:
            raise DeviceBusy(self._name, "this wire is open already")
        self._open = True
        self._waiting.clear()
        self._room = asyncio.Event()
        self._room.set()
        self._board.connect()

    async def close(self) -> None:
        """Lets go of the board; may be called twice."""
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.close()
        if self._open:
            self._open = False
            self._counts["bytes never read"] += len(self._waiting)
            self._waiting.clear()
            self._room.set()
            self._wake()
            hang_up(self._board)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hands `data` to the board; waits while too much of its answers is unread. Raises DeviceLost."""
        self._require_open()
        room = self._room
        await room.wait()
        self._require_open(room)
        if data:
            raw = bytes(data)
            self._counts["bytes out"] += len(raw)
            self._board.receive(raw, now())
            self._fetch()
            self._wake()
        await asyncio.sleep(0)  # a writer that never has to wait lets the reader have its turn

    async def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int = b""
    ) -> bytes:
        """A control request to an emulated USB device. Raises DeviceLost, DeviceError where it refuses."""
        self._require_open()
        if not isinstance(self._board, Answers):
            raise Unsupported(self._name, "this emulated board takes no control requests")
        answer = self._board.control(kind, request, value, index, data, now())
        self._fetch()
        self._wake()
        await asyncio.sleep(0)
        if answer is None:
            raise DeviceError(self._name, "the device refuses this request (stall)")
        return answer

    async def read(self) -> Chunk:
        """What the board has sent; waits for it. Raises DeviceLost."""
        if self._feed is not None:
            await self._feed.ended()
        return await self._read()

    def feed(self, take: Take, idle_ms: int = 10) -> None:
        """From now on `take` gets the bytes, on the event loop."""
        self._require_open()
        if self._feed is None:
            self._feed = Feed(self._read, take, idle_ms)
        else:
            self._feed.redirect(take, idle_ms)

    async def _read(self) -> Chunk:
        await asyncio.sleep(0)  # a reader that never has to wait lets the writer have its turn
        self._require_open()
        self._fetch()
        room = self._room
        while not self._waiting:
            await self._change(self._board.due())
            self._require_open(room)
            self._fetch()
        data = bytes(self._waiting)
        self._waiting.clear()
        self._room.set()
        self._counts["bytes in"] += len(data)
        return Chunk(data, now())

    def counters(self) -> Mapping[str, int]:
        """Bytes each way; only what is not zero."""
        return {name: count for name, count in self._counts.items() if count}

    def _require_open(self, room: asyncio.Event | None = None) -> None:
        """room: that of the link which the caller began on; another link is not the caller's."""
        if not self._open or room not in (None, self._room):
            raise DeviceLost(self._name, "the wire is not open")

    def _fetch(self) -> None:
        """Takes what the board has sent, unless it is to be held back."""
        if len(self._waiting) < LIMIT:
            self._waiting += self._board.transmit(now())
        if len(self._waiting) >= LIMIT:
            self._room.clear()

    def _wake(self) -> None:
        if self._readable is not None and not self._readable.done():
            self._readable.set_result(None)

    async def _change(self, due: int | None) -> None:
        """Waits until the board was written to, the wire closed, or it is `due` ns."""
        loop = asyncio.get_running_loop()
        self._readable = loop.create_future()
        timer = loop.call_later(max(due - now(), 0) / 1e9, self._wake) if due is not None else None
        try:
            await self._readable
        finally:
            self._readable = None
            if timer is not None:
                timer.cancel()

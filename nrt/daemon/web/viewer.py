"""Viewer: one page that looks, over one WebSocket, at the speed it can.

A viewer says which frames it has drawn. At most `AHEAD` may be under way; until it has drawn one, newer frames
take the place of the one that waits for it, and those that nobody will see are counted. So a slow line, a page in the
background or one that does not read at all holds at most one frame and a bounded list of texts here, and never a
pipeline. The answer also tells, by this machine's clock alone, how old what it shows is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import WSMsgType, web

from nrt.clock import now
from nrt.daemon.notice import Json
from nrt.profile import Histogram

AHEAD: Final = 3
"""Frames sent that are not drawn yet."""
TEXTS: Final = 256
"""Messages that wait for a viewer; the oldest goes first."""


class Viewer:
    """The sending side of one WebSocket. pipeline: the one that it looks at, "" for none."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._texts: deque[str] = deque(maxlen=TEXTS)
        self._frame: tuple[bytes, int, int] | None = None
        self._under_way: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._ages = Histogram()
        self.pipeline = ""
        self.dropped = 0

    def tell(self, message: dict[str, Json]) -> None:
        """Sends a message when its turn comes."""
        self.pass_on(json.dumps(message, allow_nan=False, separators=(",", ":")))

    def pass_on(self, text: str) -> None:
        """Sends a text that several viewers get."""
        self.dropped += len(self._texts) == TEXTS
        self._texts.append(text)
        self._wake.set()

    def show(self, frame: bytes, number: int, stamp: int) -> None:
        """Offers a frame; it takes the place of one that waits. stamp: when its newest packet came, ns."""
        self.dropped += self._frame is not None
        self._frame = (frame, number, stamp)
        self._wake.set()

    def drawn(self, number: int) -> None:
        """The page has drawn the frame of that number, and whatever came before it."""
        stamp = self._under_way.get(number)
        if stamp is None:
            return
        self._ages.record(now() - stamp)
        for sent in [*self._under_way]:
            del self._under_way[sent]
            if sent == number:
                break
        self._wake.set()

    async def hang_up(self) -> None:
        """The server ends."""
        await self._socket.close(code=1001)

    def forget_frames(self) -> None:
        """Another pipeline is looked at."""
        self._frame = None
        self._under_way.clear()

    def figures(self) -> dict[str, Json]:
        """Since the last call: the age, in ms, of frames when this machine heard that they were drawn, and losses."""
        ages, self._ages = self._ages, Histogram()
        dropped, self.dropped = self.dropped, 0
        age: Json = [ages.percentile(50) / 1e6, ages.percentile(99) / 1e6] if ages.total else None
        return {"frames": ages.total, "age": age, "dropped": dropped}

    async def write(self) -> None:
        """Sends what is there, until cancelled or the connection is gone."""
        with contextlib.suppress(ConnectionError):
            while not self._socket.closed:
                await self._wake.wait()
                self._wake.clear()
                await self._send()

    async def _send(self) -> None:
        while self._texts:
            await self._socket.send_str(self._texts.popleft())
        if self._frame is not None and len(self._under_way) < AHEAD:
            (frame, number, stamp), self._frame = self._frame, None
            self._under_way[number] = stamp
            await self._socket.send_bytes(frame)

    async def requests(self) -> AsyncIterator[dict[str, Json]]:
        """What the page asks: JSON objects. Ends with the connection, or with anything else it sends."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                return
            try:
                request = json.loads(message.data)
            except (ValueError, RecursionError):
                return
            if not isinstance(request, dict):
                return
            yield request

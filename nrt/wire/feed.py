"""Feed: for wires without a thread of their own, a task that carries what `read` gives to whoever wants it at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NoReturn

from nrt.clock import now
from nrt.errors import DeviceLost
from nrt.wire.base import Chunk

Take = Callable[[bytes, int], None]
"""take(data, stamp): bytes that arrived at host time `stamp`, ns; without bytes: nothing came until then."""


class Feed:
    """Carries chunks from `read` to `take` until one of them raises, or `close`."""

    def __init__(self, read: Callable[[], Awaitable[Chunk]], take: Take, idle_ms: int) -> None:
        self._read, self._take, self._idle = read, take, idle_ms / 1e3
        self._task = asyncio.create_task(self._carry(), name="nrt.wire feed")

    def redirect(self, take: Take, idle_ms: int) -> None:
        """From now on another one gets what comes; if it has ended, it stays so."""
        self._take, self._idle = take, idle_ms / 1e3

    async def _carry(self) -> None:
        while True:
            chunk = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle):
                    chunk = await self._read()
            if chunk is None:
                self._take(b"", now())
            else:
                self._take(chunk.data, chunk.stamp)

    async def ended(self) -> NoReturn:
        """Waits for the end and raises it. Raises DeviceLost after `close`."""
        await asyncio.wait([self._task])
        error = None if self._task.cancelled() else self._task.exception()
        raise error or DeviceLost("wire", "the wire was closed")

    async def close(self) -> None:
        """Carries nothing more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # looked at, also where nobody else will

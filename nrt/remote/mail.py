"""Messages that wait for one reader, and the ids that a reader has seen."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Final

from nrt.errors import Overrun
from nrt.mqtt.connection import Message

_WAITING: Final = 65_536
"""Messages that wait for one reader; one that is slower is told so (Overrun)."""
_SEEN: Final = 65_536
"""Ids that are remembered."""


class Mail:
    """What came for one reader and was not read yet."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._error: Exception | None = None

    def put(self, message: Message) -> None:
        """Never waits."""
        if len(self._waiting) >= _WAITING:
            self.fail(Overrun(self._uri, 1))
            return
        self._waiting.append(message)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """Nothing more comes; raised to the reader after what waits."""
        self._error = self._error or error
        self._arrived.set()

    async def take(self) -> Message:
        """The next message. Raises what `fail` was told."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def messages(self) -> AsyncIterator[Message]:
        """All of them. Raises what `fail` was told."""
        while True:
            yield await self.take()


class Known:
    """Ids that came, the last ones."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def new(self, id: str) -> bool:
        """False for one that came before."""
        if id in self._ids:
            self._ids.move_to_end(id)
            return False
        self._ids[id] = None
        if len(self._ids) > _SEEN:
            self._ids.popitem(last=False)
        return True

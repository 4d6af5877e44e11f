"""Publishing in order with several messages on their way at once, as a round trip for each would take its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nrt.mqtt.connection import Connection

_DEPTH: Final = 32
"""Messages that the broker has not acknowledged yet; the next one waits."""


class Sender:
    """Publishes with QoS 1, in the order of `send`. The tasks are those of `group`, which a lost connection ends."""

    def __init__(self, connection: Connection, group: asyncio.TaskGroup, *, depth: int = _DEPTH) -> None:
        self._connection, self._group = connection, group
        self._room = asyncio.Semaphore(depth)

    async def send(
        self, topic: str, payload: bytes | Callable[[], bytes], done: Callable[[], None] | None = None
    ) -> None:
        """Returns when it is on its way; waits while too many are. Calls `done` when the broker acknowledged it.

        A payload that is a function is made when its turn has come, such as to number it.
        """
        await self._room.acquire()
        made = payload if isinstance(payload, bytes) else payload()
        # a task's first step, which hands the message to the socket, comes in the order in which tasks are made
        self._group.create_task(self._publish(topic, made, done), name="nrt.mqtt-publish")

    async def _publish(self, topic: str, payload: bytes, done: Callable[[], None] | None) -> None:
        try:
            await self._connection.publish(topic, payload)
        finally:
            self._room.release()
        if done is not None:
            done()

"""Commands to nodes and their replies. A command has an id and is sent again with it until its reply is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Mapping
from typing import Final

from nrt.daemon.command import BUSY, Reply, Verb
from nrt.daemon.notice import Json
from nrt.errors import ConfigError, DeviceLost, DeviceTimeout
from nrt.mqtt.connection import Message
from nrt.mqtt.topics import Topics, new_client
from nrt.remote.channel import Channel

_AGAIN: Final = 2.0
"""Seconds after which a command without a reply is sent again."""
_SLOWEST: Final = 100_000
"""Bytes a second for which a long command, with a package in it, has more time."""


class Requests:
    """The commands of one client. topics: of the node, or of all nodes ("+"), whose replies are taken."""

    def __init__(self, channel: Channel, topics: Topics) -> None:
        self._channel, self._client = channel, new_client()
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self.rejected = 0
        """Messages that were no reply."""
        channel.listen(self, topics.response("+", self._client))

    def put(self, message: Message) -> None:
        """A reply, for whoever waits for it; one that only says that the node is busy is as good as none."""
        try:
            reply = reply_from(message.payload)
        except ConfigError:
            self.rejected += 1
            return
        answer = self._pending.get(reply.id)
        if answer is not None and not answer.done() and not reply.error.startswith(BUSY):
            answer.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Nothing more comes."""
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(error)

    async def ask(
        self, topics: Topics, verb: Verb, pipeline: str, arguments: Mapping[str, Json], within: float
    ) -> Reply:
        """The reply of a node, which carries the command out once. Raises DeviceTimeout, DeviceError."""
        id = secrets.token_hex(12)
        request = {"id": id, "client": self._client, "pipeline": pipeline, "arguments": dict(arguments)}
        answer = self._pending[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                return await self._send(topics.request(verb), json.dumps(request).encode(), answer)
        except TimeoutError:
            raise DeviceTimeout(
                topics.node, f"no reply to {verb} within {within:g} s; is the node up?"
            ) from None
        finally:
            del self._pending[id]

    async def _send(self, topic: str, payload: bytes, answer: asyncio.Future[Reply]) -> Reply:
        while True:
            with contextlib.suppress(DeviceLost):  # again over the next connection
                await self._channel.publish(topic, payload)
            done, _ = await asyncio.wait([answer], timeout=_AGAIN + len(payload) / _SLOWEST)
            if done:
                return answer.result()


def reply_from(payload: bytes) -> Reply:
    """The reply in a message. Raises ConfigError for what is none."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and isinstance(data.get("id"), str) and isinstance(data.get("ok"), bool):
        return Reply(data["id"], data["ok"], data.get("result"), str(data.get("error", "")))
    raise ConfigError("a reply has an id, and says whether it is ok")

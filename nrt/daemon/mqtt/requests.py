"""Commands that come over MQTT: read, checked, carried out by the node, answered.

The payload is JSON: `id`, `client`, `pipeline`, `arguments`; the verb is the topic's last level. The reply goes to
`rpc/response/<verb>/<client>`. A sender that speaks MQTT 5 may leave `client` out and give a response topic instead,
which must be one of this node's own.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from nrt.daemon.command import BUSY, VERBS, Command, Reply
from nrt.errors import ConfigError
from nrt.mqtt.connection import Connection, Message
from nrt.mqtt.topics import Topics, is_client

if TYPE_CHECKING:
    from nrt.daemon.node import Node

LARGEST: Final = 1 << 16
"""Bytes of a command, besides a package in it."""
_AT_ONCE: Final = 16
"""Commands under way; another one is told to come again."""


class Requests:
    """The commands of one connection; each is carried out in a task of `group`."""

    def __init__(self, node: Node, topics: Topics, connection: Connection, group: asyncio.TaskGroup) -> None:
        self._node, self._topics, self._connection, self._group = node, topics, connection, group
        self._under_way, self._uploading = 0, False
        self.rejected = 0
        """Messages that cannot be answered: no JSON, or nobody to answer to."""

    def take(self, verb: str, message: Message) -> None:
        """One message; never waits, never raises."""
        if message.retain or verb not in VERBS or not self._takes(verb, len(message.payload)):
            self.rejected += 1  # a retained command would be carried out again with every connection
            return
        try:
            data = json.loads(message.payload)
        except (ValueError, RecursionError):
            self.rejected += 1
            return
        client = data.pop("client", None) if isinstance(data, dict) else None
        topic = self._answer_to(verb, client, message.respond)
        if topic is None:
            self.rejected += 1
            return
        self._under_way += 1
        upload = len(message.payload) > LARGEST
        self._uploading |= upload
        answering = self._answer(verb, data, topic, message.correlation, upload=upload)
        self._group.create_task(answering, name="nrt.mqtt-command")

    def _takes(self, verb: str, size: int) -> bool:
        """Whether a command of `size` bytes may be read: one with a package in it, in base 64, at a time."""
        if size <= LARGEST:
            return True
        models = self._node.models
        if verb != "deploy" or models is None or self._uploading:
            return False
        return size <= LARGEST + models.settings.size * 4 // 3

    def _answer_to(self, verb: str, client: object, respond: str) -> str | None:
        if is_client(client):
            return self._topics.response(verb, str(client))
        match self._topics.split(respond):
            case ("rpc", "response", _, name) if is_client(name):
                return respond
            case _:
                return None

    async def _answer(self, verb: str, data: Any, topic: str, correlation: bytes, *, upload: bool) -> None:
        try:
            reply = await self._reply(verb, data)
        finally:
            self._under_way -= 1
            self._uploading &= not upload
        payload = json.dumps(reply.to_dict()).encode()
        await self._connection.publish(topic, payload, correlation=correlation)

    async def _reply(self, verb: str, data: Any) -> Reply:
        try:
            command = Command.parse(data, verb)
        except ConfigError as error:
            id = data.get("id") if isinstance(data, dict) else ""
            return Reply(id[:128] if isinstance(id, str) else "", False, error=str(error))
        if self._under_way > _AT_ONCE:
            return Reply(
                command.id, False, error=f"{BUSY} too many commands at once; send it again with the same id"
            )
        return await self._node.command(command)

"""A node elsewhere, steered and watched over MQTT with the verbs of a session.

```python
async with nrt.connect("mqtt://broker/edge") as node:
    digits = node.pipeline("digits")
    await digits.start()
    async for decision in digits.decisions():
        print(decision.label)
```

The connection is made again when it is lost; a command is repeated with its id until it is answered, and carried out
once. Decisions and alarms come at least once over the wire and are given once: one whose id was seen is left out. With
`keep`, the broker keeps what comes for this client while it is away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Final, Self, Unpack

from nrt.daemon.command import Verb
from nrt.daemon.notice import Alarm, Decision, Json, StateChange
from nrt.errors import ConfigError, DeviceError
from nrt.mqtt.address import Address, Login
from nrt.mqtt.connection import Message
from nrt.mqtt.topics import PREFIX, Topics
from nrt.remote.channel import Channel
from nrt.remote.mail import Known, Mail
from nrt.remote.notices import notice_from
from nrt.remote.pipeline import RemotePipeline
from nrt.remote.requests import Requests

_RETAINED: Final = 2.0
"""Seconds within which a broker says what it has retained."""


class RemoteNode:
    """Use it with `async with`. keep: a name under which the broker keeps what comes while this client is away."""

    def __init__(self, uri: str, *, prefix: str = PREFIX, keep: str = "", **login: Unpack[Login]) -> None:
        address = Address.parse(uri, **login)
        if not address.node or address.name:
            raise ConfigError(f"{uri}: write mqtt://host:port/node")
        self.uri, self.name = str(address), address.node
        self.topics = Topics(self.name, prefix)
        self._channel = Channel(address.broker, self.uri, keep)
        self._requests = Requests(self._channel, self.topics)
        self._kept = Mail(self.uri) if keep else None
        self._rejected = 0
        if self._kept is not None:
            self._channel.listen(self._kept, *self._promised("+"))

    @property
    def rejected(self) -> int:
        """Messages that were none of a node's."""
        return self._rejected + self._requests.rejected

    def reject(self) -> None:
        """Counts one."""
        self._rejected += 1

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()

    def pipeline(self, name: str) -> RemotePipeline:
        """One of its pipelines; whether there is one of that name shows when something is asked of it."""
        return RemotePipeline(self, name)

    async def info(self) -> Mapping[str, Json]:
        """What the node says of itself: versions, pipelines, devices."""
        found = await self.command("state")
        return found if isinstance(found, dict) else {}

    async def command(self, verb: Verb, pipeline: str = "", within: float = 30.0, **arguments: Json) -> Json:
        """The result of a command that the node carried out, once.

        Raises DeviceError with the node's sentence where it refuses, DeviceTimeout where no reply came `within` s.
        """
        reply = await self._requests.ask(self.topics, verb, pipeline, arguments, within)
        if not reply.ok:
            raise DeviceError(self.uri, reply.error)
        return reply.result

    async def state(self) -> str:
        """init, ready, disconnected, lost; "" for a node that the broker does not know."""
        async with self._channel.reading(self.topics.state) as mail:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETAINED):
                    return (await mail.take()).payload.decode(errors="replace")
        return ""

    async def notices(self, pipeline: str = "+") -> AsyncGenerator[Decision | Alarm]:
        """Decisions and alarms, each once, of one pipeline, or of all and the node itself.

        What was kept while this client was away (`keep`) comes first, to who asks for all.
        """
        seen = Known()
        async with contextlib.AsyncExitStack() as stack:
            if self._kept is not None and pipeline == "+":
                mail = self._kept
            else:
                mail = await stack.enter_async_context(self._channel.reading(*self._promised(pipeline)))
            async for message in mail.messages():
                notice = notice_from(message)
                if notice is None:
                    self.reject()
                elif not isinstance(notice, StateChange) and seen.new(notice.id):
                    yield notice

    async def messages(self, *filters: str) -> AsyncGenerator[Message]:
        """What comes on some topics."""
        async with self._channel.reading(*filters) as mail:
            async for message in mail.messages():
                yield message

    def _promised(self, pipeline: str) -> tuple[str, str]:
        return self.topics.of(pipeline, "decisions"), self.topics.of(pipeline, "alarms")

"""All nodes that a broker knows: what state they are in, and one command for many of them."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nrt.clock import now
from nrt.daemon.command import Reply, Verb
from nrt.daemon.notice import Json
from nrt.errors import NrtError
from nrt.mqtt.address import Address
from nrt.mqtt.connection import Connection, Dialer, Message
from nrt.mqtt.topics import PREFIX, Topics, new_client, node_of
from nrt.remote.client import reply_from

QUIET: Final = 0.5
"""Seconds without another node after which all are taken to be known."""
_AGAIN: Final = 2.0
"""Seconds after which a command without a reply is sent again."""


@dataclass(slots=True)
class Seen:
    """A node as the broker keeps it. state: init, ready, disconnected or lost; "" where there is none."""

    name: str
    state: str = ""
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    pipelines: dict[str, str] = field(default_factory=dict[str, str])

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON."""
        return {
            "node": self.name,
            "state": self.state,
            "pipelines": dict(self.pipelines),
            "versions": _object(self.info, "versions"),
            "devices": _object(self.info, "devices"),
            "boot": str(self.info.get("boot", "")),
        }


class Fleet:
    """The nodes on one broker; use it with `async with`."""

    def __init__(self, address: Address, prefix: str = PREFIX) -> None:
        self._dialer, self._prefix = Dialer(address.broker), prefix
        self._client = new_client()
        self._stack = contextlib.AsyncExitStack()
        self._connection: Connection | None = None
        self._replies: dict[str, Message] = {}

    async def __aenter__(self) -> Fleet:
        self._connection = await self._stack.enter_async_context(self._dialer.connect())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def nodes(self, pattern: str = "*", quiet: float = QUIET) -> list[Seen]:
        """The nodes whose names match a pattern of the shell's kind, by name. Raises DeviceLost."""
        assert self._connection is not None
        everybody = Topics("+", self._prefix)
        await self._connection.subscribe(everybody.state, everybody.info, everybody.of("+", "state"))
        found: dict[str, Seen] = {}
        async with contextlib.aclosing(self._connection.messages()) as messages:
            with contextlib.suppress(TimeoutError):
                while True:
                    message = await asyncio.wait_for(anext(messages), quiet)
                    name = node_of(message.topic, self._prefix)
                    self._note(found.setdefault(name, Seen(name)), message)
        return [found[name] for name in sorted(found) if fnmatch.fnmatchcase(name, pattern)]

    def _note(self, node: Seen, message: Message) -> None:
        match Topics(node.name, self._prefix).split(message.topic):
            case ("$state",):
                node.state = message.payload.decode(errors="replace")[:40]
            case ("$info",):
                node.info = _json(message.payload)
            case (pipeline, "state"):
                node.pipelines[pipeline] = str(_json(message.payload).get("state", ""))[:40]
            case _:
                pass

    async def command(
        self, nodes: Sequence[str], verb: Verb, pipeline: str, arguments: Mapping[str, Json], within: float
    ) -> dict[str, Reply]:
        """The replies of all nodes to one command, which each carries out once; no reply is one too."""
        assert self._connection is not None
        topics = {name: Topics(name, self._prefix) for name in nodes}
        await self._connection.subscribe(*(each.response(verb, self._client) for each in topics.values()))
        ids = {secrets.token_hex(12): name for name in nodes}
        replies: dict[str, Reply] = {}
        end = now() + round(within * 1e9)
        async with contextlib.aclosing(self._connection.messages()) as messages:
            while len(replies) < len(ids) and now() < end:
                for id, name in ids.items():
                    if name not in replies:
                        request = {
                            "id": id,
                            "client": self._client,
                            "pipeline": pipeline,
                            "arguments": dict(arguments),
                        }
                        await self._connection.publish(
                            topics[name].request(verb), json.dumps(request).encode()
                        )
                await self._take(messages, ids, replies, min(end, now() + round(_AGAIN * 1e9)))
        missing = Reply("", False, error=f"no reply within {within:g} s")
        return {name: replies.get(name, missing) for name in nodes}

    async def _take(
        self, messages: Any, ids: Mapping[str, str], replies: dict[str, Reply], until: int
    ) -> None:
        """Takes replies until all are there or it is time to ask again."""
        with contextlib.suppress(TimeoutError):
            while len(replies) < len(ids) and (left := (until - now()) / 1e9) > 0:
                message = await asyncio.wait_for(anext(messages), left)
                with contextlib.suppress(NrtError):
                    reply = reply_from(message.payload)
                    if reply.id in ids and not reply.error.startswith("busy:"):
                        replies[ids[reply.id]] = reply

    async def ping(self, node: str, count: int) -> list[float]:
        """Round trips of a command that changes nothing, in s. Raises NrtError where one is not answered."""
        times: list[float] = []
        for _ in range(count):
            begun = now()
            reply = (await self.command([node], "state", "", {}, 10.0))[node]
            if not reply.ok:
                raise NrtError(f"{node}: {reply.error}")
            times.append((now() - begun) / 1e9)
        return times


def _json(payload: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _object(info: Mapping[str, Any], name: str) -> dict[str, Json]:
    found = info.get(name)
    return dict(found) if isinstance(found, dict) else {}

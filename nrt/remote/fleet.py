"""All nodes that a broker knows: what state they are in, and one command for many of them."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nrt.clock import now
from nrt.daemon.command import Reply, Verb
from nrt.daemon.notice import Json
from nrt.errors import DeviceError, DeviceTimeout, NrtError
from nrt.mqtt.address import Address
from nrt.mqtt.connection import Message
from nrt.mqtt.topics import PREFIX, Topics, node_of
from nrt.remote.channel import Channel
from nrt.remote.requests import Requests

QUIET: Final = 0.5
"""Seconds without another node after which all are taken to be known."""


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
        self._prefix, self._everybody = prefix, Topics("+", prefix)
        self._channel = Channel(address.broker, str(address))
        self._requests = Requests(self._channel, self._everybody)

    async def __aenter__(self) -> Fleet:
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()

    async def nodes(self, pattern: str = "*", quiet: float = QUIET) -> list[Seen]:
        """The nodes whose names match a pattern of the shell's kind, by name. Raises DeviceError.

        They are all known when nothing was heard of another one for `quiet` seconds.
        """
        every, found = self._everybody, dict[str, Seen]()
        async with self._channel.reading(every.state, every.info, every.of("+", "state")) as mail:
            with contextlib.suppress(TimeoutError):
                while True:
                    message = await asyncio.wait_for(mail.take(), quiet)
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
        asked = [self._ask(name, verb, pipeline, arguments, within) for name in nodes]
        return dict(zip(nodes, await asyncio.gather(*asked), strict=True))

    async def _ask(
        self, node: str, verb: Verb, pipeline: str, arguments: Mapping[str, Json], within: float
    ) -> Reply:
        try:
            return await self._requests.ask(Topics(node, self._prefix), verb, pipeline, arguments, within)
        except DeviceTimeout:
            return Reply("", False, error=f"no reply within {within:g} s")
        except DeviceError as error:
            return Reply("", False, error=str(error))

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

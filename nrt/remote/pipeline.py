"""A pipeline of a node elsewhere, with the verbs of a session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nrt.clock import now
from nrt.daemon.notice import Alarm, Decision, Json, State, StateChange
from nrt.errors import ProtocolError
from nrt.mqtt import codec
from nrt.packet import Packet
from nrt.remote.mail import Known
from nrt.remote.model import deployment
from nrt.remote.notices import notice_from
from nrt.report import Report

if TYPE_CHECKING:
    from nrt.remote.node import RemoteNode


class RemotePipeline:
    """A pipeline of a node elsewhere. Its commands raise DeviceError where the node refuses, DeviceTimeout."""

    def __init__(self, node: RemoteNode, name: str) -> None:
        self._node, self.name = node, name

    async def start(self) -> None:
        """Has it run."""
        await self._node.command("start", self.name)

    async def stop(self) -> None:
        """Ends it in order."""
        await self._node.command("stop", self.name)

    async def restart(self, why: str = "asked for") -> None:
        """Ends it and has it run again."""
        await self._node.command("restart", self.name, why=why)

    async def reset(self) -> None:
        """The network's state back to after `deploy`."""
        await self._node.command("reset", self.name)

    async def deploy(self, model: str | Path, *, force: bool = False, within: float = 120.0) -> Json:
        """Another network, between two packets, without an event lost; what the node says of it.

        model: a Path of this machine: a signed package, which is sent along. A text: the name of a network or package
        in the node's folder of models, the address of a package that it has, or `configured`
        force: take a version that is older, or that was rolled back from
        """
        given = await asyncio.to_thread(deployment, model, force=force)
        return await self._node.command("deploy", self.name, within, **given)

    async def set(self, **options: str) -> None:
        """Changes options, such as `filter` or `decide`."""
        await self._node.command("set", self.name, 30.0, **options)

    async def snapshot(self) -> Mapping[str, Json]:
        """State, figures, last decision and an image of the events."""
        return _mapping(await self._node.command("snapshot", self.name))

    async def report(self) -> Report:
        """What the present run, or else the last one, measured. Raises ConfigError for a report of another version."""
        return Report.from_dict(await self._node.command("report", self.name))

    async def state(self) -> State:
        """What it does now."""
        return State(str(_mapping(await self._node.command("state", self.name)).get("state")))

    async def stats(self) -> Mapping[str, Json]:
        """Its figures of this moment."""
        return _mapping(_mapping(await self._node.command("state", self.name)).get("stats"))

    async def decisions(self) -> AsyncGenerator[Decision]:
        """Its decisions from now on, each once."""
        async with contextlib.aclosing(self._node.notices(self.name)) as notices:
            async for notice in notices:
                if isinstance(notice, Decision):
                    yield notice

    async def alarms(self) -> AsyncGenerator[Alarm]:
        """Its alarms from now on, each once."""
        async with contextlib.aclosing(self._node.notices(self.name)) as notices:
            async for notice in notices:
                if isinstance(notice, Alarm):
                    yield notice

    async def states(self) -> AsyncGenerator[StateChange]:
        """What it does now, and every change."""
        seen = Known()
        async with contextlib.aclosing(
            self._node.messages(self._node.topics.of(self.name, "state"))
        ) as found:
            async for message in found:
                notice = notice_from(message)
                if isinstance(notice, StateChange) and seen.new(notice.id):
                    yield notice

    async def stream(self, population: str = "+") -> AsyncGenerator[Packet]:
        """Its spikes from now on, where the node sends them (`spikes` in [mqtt]), with a population as origin.

        A packet spans the spikes of one message; `lost` counts the messages that are missing right before it.
        """
        topics, gaps = self._node.topics, dict[str, codec.Gaps]()
        async with contextlib.aclosing(self._node.messages(topics.spikes(self.name, population))) as found:
            async for message in found:
                origin = topics.split(message.topic)[-1]
                try:
                    block = codec.decode(message.payload, self._node.uri)
                except ProtocolError:
                    self._node.reject()
                    continue
                lost = gaps.setdefault(origin, codec.Gaps()).seen(block.sequence)
                end = int(block.records["t"][-1]) + 1 if len(block.records) else block.base
                yield Packet(block.records, block.base, end, now(), lost, origin)


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}

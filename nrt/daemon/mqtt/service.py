"""The MQTT link of a node: connects to the broker, again whenever it must, and runs what goes over the connection.

What is promised (decisions, alarms) goes into the spool the moment it happens, connected or not, and leaves it when the
broker has acknowledged it. States are sent as they are now. Figures and spikes are sent while there is a connection.
No pipeline ever waits for any of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nrt.daemon.mqtt import discovery
from nrt.daemon.mqtt.again import MOST, stay_connected
from nrt.daemon.mqtt.broker import Broker
from nrt.daemon.mqtt.intake import Intake
from nrt.daemon.mqtt.outbox import Outbox
from nrt.daemon.mqtt.remote_device import Devices
from nrt.daemon.mqtt.requests import Requests
from nrt.daemon.mqtt.settings import MqttConfig
from nrt.daemon.mqtt.spool import Spool
from nrt.daemon.mqtt.streams import Streams
from nrt.daemon.service import Service
from nrt.errors import DeviceError
from nrt.mqtt.connection import Connection
from nrt.mqtt.dialer import Dialer, Will
from nrt.mqtt.failure import first_failure
from nrt.mqtt.sender import Sender
from nrt.mqtt.topics import Topics

if TYPE_CHECKING:
    from nrt.daemon.node import Node

_log = logging.getLogger("nrt.daemon")

FAREWELL: Final = 0.2
"""Seconds in which a daemon that ends says so."""
DESCRIBE: Final = 2.0
"""Seconds between two looks at whether the node's description changed."""


class Link(Service):
    """The `[mqtt]` service."""

    settings: ClassVar[type[Any]] = MqttConfig

    def __init__(self, settings: MqttConfig) -> None:
        self._settings = settings
        self._spool: Spool | None = None
        self._outbox: Outbox | None = None
        self._streams: Streams | None = None
        self._connection: Connection | None = None
        self._intake: Intake | None = None
        self.connections = 0
        """How often the broker was reached."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._connection is not None

    @property
    def rejected(self) -> int:
        """Messages from the broker that were no command and of no device."""
        return self._intake.rejected if self._intake is not None else 0

    def counters(self) -> dict[str, int]:
        """The state of the connection, and what waits, went out again, was dropped or refused; for metrics."""
        assert self._spool is not None
        assert self._outbox is not None
        assert self._streams is not None
        return {
            "connected": int(self.connected),
            "connections": self.connections,
            "spooled": self._outbox.spooled,
            "waiting": len(self._spool),
            "waiting_bytes": self._spool.size,
            "sent_again": self._outbox.again,
            "dropped": self._spool.dropped,
            "disk_full": int(bool(self._spool.failure)),
            "rejected": self.rejected,
            "spike_messages_dropped": self._streams.dropped,
        }

    def attach(self, node: Node) -> None:
        """Opens the spool and listens: nothing that is promised is missed. Raises ConfigError."""
        topics = Topics(node.name, self._settings.prefix)
        self._spool = Spool(node.folder / "mqtt", limit=self._settings.spool)
        if self._spool.damaged:
            _log.warning(
                "the end of the MQTT spool was unreadable, %d bytes: not all of it was written",
                self._spool.damaged,
            )
        self._outbox = Outbox(self._spool, topics, node)
        self._streams = Streams(self._settings, topics, node)

    async def run(self, node: Node) -> None:
        """Keeps connected until it is cancelled."""
        assert self._spool is not None
        assert self._outbox is not None
        keeping = asyncio.create_task(self._outbox.keep(), name="nrt.mqtt-spool")
        try:
            await self._keep_connected(node)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            if _ending():
                self._outbox.end()
                self._spool.close()

    async def drain(self) -> None:
        """Waits until what is promised was sent; what is left when it is cancelled stays in the spool."""
        assert self._outbox is not None
        try:
            await self._outbox.emptied(lambda: self._connection is None)
        finally:
            self._outbox.settle()

    async def _keep_connected(self, node: Node) -> None:
        topics = Topics(node.name, self._settings.prefix)
        broker, will = self._settings.address(), Will(topics.state, b"lost")
        dialer = Dialer(broker, f"nrt-{node.name}-daemon", will=will)
        ears = Dialer(broker, f"nrt-{node.name}-commands")
        self._intake = Intake(ears, topics, self._settings.rate)

        async def serve(connection: Connection) -> None:
            self.connections += 1
            _log.info("connected to %s, MQTT %s", connection.name, connection.version)
            await self._serve(node, connection, topics)

        await _own_broker(node)
        await stay_connected(dialer, (), serve, "%s; trying again")

    async def _serve(self, node: Node, connection: Connection, topics: Topics) -> None:
        """Everything over one connection, until it is lost. Raises what it was lost by."""
        assert self._outbox is not None
        assert self._streams is not None
        try:
            async with first_failure(), asyncio.TaskGroup() as group:
                sender = Sender(connection, group)
                await connection.publish(topics.state, b"init", retain=True)
                await self._introduce(node, connection, topics)
                self._connection = connection
                for each in (
                    self._listen(node, connection, topics, sender, group),
                    self._describe(node, connection, topics),
                    self._outbox.deliver(sender),
                    self._outbox.states(connection),
                    self._streams.stats(connection),
                    self._streams.spikes(connection),
                    _until_lost(connection),
                ):
                    group.create_task(_endless(each), name="nrt.mqtt")
        finally:
            self._connection = None
            if _ending():
                with contextlib.suppress(DeviceError, TimeoutError):
                    async with asyncio.timeout(FAREWELL):
                        await connection.publish(topics.state, b"disconnected", retain=True)

    async def _introduce(self, node: Node, connection: Connection, topics: Topics) -> None:
        await connection.publish(topics.info, _described(node), retain=True)
        if self._settings.discovery:
            for topic, payload in discovery.entities(node, topics, self._settings.discovery):
                await connection.publish(topic, payload, retain=True)

    async def _listen(
        self, node: Node, connection: Connection, topics: Topics, sender: Sender, group: asyncio.TaskGroup
    ) -> None:
        """Takes commands, if it may, and says when it is ready to."""
        assert self._intake is not None
        if self._settings.commands:
            requests = Requests(node, topics, connection, group)
            devices = Devices({d.name: d.device for d in node.config.devices}, topics, sender, group)
            group.create_task(_endless(self._intake.run(requests, devices)), name="nrt.mqtt-intake")
            await self._intake.up.wait()
        await connection.publish(topics.state, b"ready", retain=True)
        await asyncio.Event().wait()

    async def _describe(self, node: Node, connection: Connection, topics: Topics) -> None:
        """Describes the node again when something of that changed: a pipeline, its network, a device."""
        told = _described(node)
        while True:
            await asyncio.sleep(DESCRIBE)
            if (news := _described(node)) != told:
                told = news
                await connection.publish(topics.info, told, retain=True)


async def _own_broker(node: Node) -> None:
    """Waits a moment for a broker that starts beside this link."""
    broker = node.services.get("broker")
    if isinstance(broker, Broker):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(broker.up.wait(), MOST)


async def _until_lost(connection: Connection) -> None:
    """Raises what the connection was lost by; nothing was subscribed to."""
    async for _ in connection.messages():
        pass


def _described(node: Node) -> bytes:
    """What a node is, without what changes all the time and has topics of its own."""
    from nrt.daemon.node import info

    about = info(node)
    about.pop("uptime_s", None)
    pipelines = about.get("pipelines")
    for each in pipelines.values() if isinstance(pipelines, dict) else ():
        if isinstance(each, dict):
            each.pop("state", None)
    return json.dumps(about).encode()


async def _endless(work: Awaitable[None]) -> None:
    await work
    raise RuntimeError("a task that never ends has ended")


def _ending() -> bool:
    """Whether this task is being cancelled, as when the daemon ends, not merely failing."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

"""Opens connections to a broker: which version of MQTT it speaks, who is there, and what it says when they are lost.

MQTT 5 is tried first where the broker's version is not given, and 3.1.1 taken where it is refused. What nrt needs is
what 3.1.1 promises: a request carries its id and its sender's name in the payload.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from nrt.errors import DeviceLost, DeviceTimeout
from nrt.mqtt.address import Broker
from nrt.mqtt.connection import GOODBYE, IN_FLIGHT, PATIENCE, REACH, TRYING, Connection, HungUp, Refused
from nrt.mqtt.gate import Gate
from nrt.mqtt.library import aiomqtt

_NODELAY: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""Without it every acknowledged message waits for a delayed ACK of TCP: 44 ms instead of 0.27, measured on loopback."""
_FIRST_ONLY: Final = 3
"""What paho wants as `clean_start` before MQTT 5 (MQTT_CLEAN_START_FIRST_ONLY)."""
_UNSUPPORTED: Final = (1, 132)
"""Reason codes of a broker that does not speak this version, in MQTT 3.1.1 and in MQTT 5."""

_log = logging.getLogger("nrt.mqtt.paho")
_log.setLevel(logging.CRITICAL)  # what goes wrong is raised; paho says it again, with addresses of functions


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained, when this connection is lost."""

    topic: str
    payload: bytes


class Dialer:
    """Opens connections to one broker, one after the other, and remembers which version of MQTT it takes.

    client: the client's id; two connections with the same one push each other out. "": a new one every time
    keep:   the broker keeps the subscriptions of this client, and what comes for them with QoS 1, while it is away
    """

    def __init__(
        self, broker: Broker, client: str = "", *, will: Will | None = None, keep: bool = False
    ) -> None:
        self._broker, self._client, self._will, self._keep = broker, client, will, keep
        self._newest = broker.version != "3.1.1"

    @contextlib.asynccontextmanager
    async def connect(self, *filters: str) -> AsyncGenerator[Connection]:
        """A connection that is subscribed to `filters`, closed in order when the block is left.

        Raises DeviceError where the broker refuses, DeviceTimeout where nobody answers, DeviceLost where nobody is
        there, ConfigError for secrets that cannot be read.
        """
        try:
            connection = await self._subscribed(filters)
        except _Dropped:  # as amqtt 0.12 does now and then with who has just connected
            connection = await self._subscribed(filters)
        try:
            yield connection
        finally:
            await connection.close()

    async def _subscribed(self, filters: tuple[str, ...]) -> Connection:
        connection = await self._dial()
        try:
            if filters:
                await connection.subscribe(*filters)
        except BaseException as error:
            await connection.close()
            if isinstance(error, DeviceLost):
                raise _Dropped(connection.name, str(error)) from error
            raise
        return connection

    async def _dial(self) -> Connection:
        if self._newest:
            try:
                return await self._attempt(aiomqtt.ProtocolVersion.V5)
            except Refused as refused:
                if self._broker.version != "auto" or refused.code not in _UNSUPPORTED:
                    raise
            except (DeviceTimeout, HungUp):  # so may a broker that does not know MQTT 5
                if self._broker.version != "auto":
                    raise
        connection = await self._attempt(aiomqtt.ProtocolVersion.V311)
        self._newest = False  # it takes this one, and did not take the other
        return connection

    async def _attempt(self, version: aiomqtt.ProtocolVersion) -> Connection:
        connection = Connection(self._client_for(version), str(self._broker), version)
        opening = asyncio.ensure_future(connection.open())
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            if not connection.reached:  # paho connects in a thread, which nothing stops
                await asyncio.wait([opening], timeout=REACH + GOODBYE)
            opening.cancel()
            await asyncio.wait([opening])
            if opening.cancelled() or opening.exception() is None:
                await connection.close()
            raise
        return connection

    def _client_for(self, version: aiomqtt.ProtocolVersion) -> aiomqtt.Client:
        five = version == aiomqtt.ProtocolVersion.V5
        broker, will = self._broker, self._will
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username or None,
            password=broker.password(),
            identifier=self._client or f"nrt-{secrets.token_hex(8)}",  # amqtt mixes up clients without an id
            protocol=version,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, 1, True),
            clean_session=None if five else not (self._keep and bool(self._client)),
            clean_start=not self._keep if five else _FIRST_ONLY,
            properties=_session_of_a_day() if five and self._keep else None,
            tls_context=broker.context(),
            socket_options=_NODELAY,
            max_inflight_messages=IN_FLIGHT,
            queue_type=Gate,
            timeout=TRYING if five and self._broker.version == "auto" else PATIENCE,
            keepalive=20,
            logger=_log,
        )
        client.pending_calls_threshold = 2 * IN_FLIGHT
        return client


class _Dropped(DeviceLost):
    """The connection was lost before it was of any use."""


def _session_of_a_day() -> Any:
    """MQTT 5: how long the broker keeps a session whose client is away."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 86_400
    return properties

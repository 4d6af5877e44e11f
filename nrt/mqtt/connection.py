"""A connection to an MQTT broker. The one place that knows aiomqtt, which is asyncio-mqtt under its new name.

MQTT 5 is tried first where the broker's version is not given, and 3.1.1 taken where it is refused. What nrt needs is
what 3.1.1 promises: a request carries its id and its sender's name in the payload.

Backpressure both ways. `publish` returns when the broker has the message (QoS 1), or the socket (QoS 0). What comes in
waits in one queue; while it is long, nothing is read from the socket, so that a flood of messages waits at the broker
and in TCP's window instead of in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from nrt.errors import DeviceError, DeviceLost, DeviceTimeout, MissingDependency
from nrt.mqtt.address import Broker

try:
    import aiomqtt
    from aiomqtt.exceptions import MqttConnectError
except ModuleNotFoundError as error:
    raise MissingDependency("MQTT", "aiomqtt", "daemon") from error

_NODELAY: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""Without it every acknowledged message waits for a delayed ACK of TCP: 44 ms instead of 0.27, measured on loopback."""
_REACH: Final = 2.0
"""Seconds until a broker must have taken the TCP connection."""
_PATIENCE: Final = 5.0
"""Seconds that the broker's answer to anything may take."""
_TRYING: Final = 2.0
"""The same while it is unknown whether it speaks MQTT 5, and for a subscription."""
_GOODBYE: Final = 0.3
"""Seconds for closing in order."""
_HIGH, _LOW = 256, 64
"""Messages that wait here when reading stops, and when it goes on."""
_IN_FLIGHT: Final = 64
"""Messages on their way to the broker at once; also the longest run that its PUBACKs may be behind."""
_FIRST_ONLY: Final = 3
"""What paho wants as `clean_start` before MQTT 5 (MQTT_CLEAN_START_FIRST_ONLY)."""
_UNSUPPORTED: Final = (1, 132)
"""Reason codes of a broker that does not speak this version, in MQTT 3.1.1 and in MQTT 5."""

_log = logging.getLogger("nrt.mqtt.paho")
_log.setLevel(logging.ERROR)  # what goes wrong is raised; paho says it again, with addresses of functions


@dataclass(frozen=True, slots=True)
class Message:
    """What came. respond, correlation: MQTT 5's response topic and correlation data, where the sender gave them."""

    topic: str
    payload: bytes
    retain: bool = False
    respond: str = ""
    correlation: bytes = b""


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
            except _Refused as refused:
                if self._broker.version != "auto" or refused.code not in _UNSUPPORTED:
                    raise
            except (DeviceTimeout, _HungUp):  # so may a broker that does not know MQTT 5
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
                await asyncio.wait([opening], timeout=_REACH + _GOODBYE)
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
            max_inflight_messages=_IN_FLIGHT,
            queue_type=_Gate,
            timeout=_TRYING if five and self._broker.version == "auto" else _PATIENCE,
            keepalive=20,
            logger=_log,
        )
        client.pending_calls_threshold = 2 * _IN_FLIGHT
        return client


class Connection:
    """An open connection; `Dialer` makes them."""

    def __init__(self, client: aiomqtt.Client, name: str, version: aiomqtt.ProtocolVersion) -> None:
        self._client, self.name = client, name
        self.version = "5" if version == aiomqtt.ProtocolVersion.V5 else "3.1.1"
        self._filters: list[str] = []
        self._inner = cast(Any, client)  # what aiomqtt has no public way to
        self._paho: Any = self._inner._client
        self._paho.connect_timeout = _REACH
        self._told_lost: Callable[..., None] = self._paho.on_disconnect
        self._paho.on_disconnect = self._on_disconnect

    @property
    def reached(self) -> bool:
        """Whether there is a line to the broker, answered or not."""
        return self._paho.socket() is not None

    async def open(self) -> Self:
        """Connects. Raises as `Dialer.connect` says."""
        try:
            await self._client.__aenter__()
        except MqttConnectError as error:
            self._drop()
            raise _Refused(self.name, error) from error
        except aiomqtt.MqttError as error:
            self._drop()
            if "timed out" in str(error):
                raise DeviceTimeout(self.name, "no answer from the broker") from error
            if isinstance(error, _Silent):
                raise _HungUp(self.name, str(error)) from error
            raise DeviceLost(self.name, f"no connection to the broker: {error}") from error
        self._client.timeout = _PATIENCE
        gate: Any = self._inner._queue
        gate.watch(self._pause, self._resume)
        return self

    def _on_disconnect(self, *about: Any) -> None:
        """Tells of a line that ends before the broker has answered, which aiomqtt waits out."""
        answered: asyncio.Future[None] = self._inner._connected
        if not answered.done():
            answered.set_exception(
                _Silent(
                    "the broker hung up without an answer; does it want TLS, or a certificate of its own?"
                )
            )
        self._told_lost(*about)

    async def close(self) -> None:
        """Says goodbye, so that the will is not published, and closes; whatever the state of the line."""
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._client.__aexit__(None, None, None)
        self._drop()

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes = b""
    ) -> None:
        """Returns when the broker acknowledged it (QoS 1), or when it is written (QoS 0). Raises DeviceLost."""
        try:
            await self._client.publish(
                topic,
                payload,
                qos,
                retain,
                properties=_correlated(correlation) if self.version == "5" else None,
            )
        except (aiomqtt.MqttError, ValueError) as error:  # ValueError: too long for a message of MQTT
            raise DeviceLost(self.name, f"the broker did not take a message to {topic}: {error}") from error

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Raises DeviceLost, DeviceError where the broker refuses one of them."""
        self._filters += [each for each in filters if each not in self._filters]
        try:
            codes: Any = await self._client.subscribe([(each, qos) for each in filters], timeout=_TRYING)
        except aiomqtt.MqttError as error:
            raise DeviceLost(self.name, f"the broker did not take a subscription: {error}") from error
        for name, code in zip(filters, codes, strict=False):
            number = code if isinstance(code, int) else int(code.value)
            if number >= 128:
                raise DeviceError(self.name, f"the broker refuses a subscription to {name}")

    async def messages(self) -> AsyncGenerator[Message]:
        """What comes, in order, until the connection is lost. Raises DeviceLost.

        Only what was subscribed to: amqtt 0.12 sends who connects what others have subscribed to, if it is retained.
        """
        gate: Any = self._inner._queue
        try:
            async for first in self._client.messages:
                waiting = [first]
                while waiting or not gate.empty():
                    message = _message(waiting.pop() if waiting else gate.get_nowait())
                    if any(matches(each, message.topic) for each in self._filters):
                        yield message
        except aiomqtt.MqttError as error:
            raise DeviceLost(
                self.name, f"the connection to the broker is lost: {error.__cause__ or error}"
            ) from error

    def _pause(self) -> None:
        if (line := self._paho.socket()) is not None:
            asyncio.get_running_loop().remove_reader(line)

    def _resume(self) -> None:
        if (line := self._paho.socket()) is not None:
            asyncio.get_running_loop().add_reader(line, self._read)
            self._read()  # TLS may hold bytes that no selector sees

    def _read(self) -> None:
        line = self._paho.socket()
        while line is not None:
            with contextlib.suppress(
                OSError
            ):  # paho tells `messages` of the end of the line, or keeping alive does
                self._paho.loop_read()
            if not (pending := getattr(line, "pending", None)) or not pending():
                return
            line = self._paho.socket()

    def _drop(self) -> None:
        """Leaves no socket and no task behind, as aiomqtt does after some failures."""
        loop = asyncio.get_running_loop()
        if (line := self._paho.socket()) is not None:
            loop.remove_reader(line)
            loop.remove_writer(line)
            self._paho._sock_close()
        task: asyncio.Task[None] | None = self._inner._misc_task
        if task is not None:
            task.cancel()
        if (lost := self._inner._disconnected).done() and not lost.cancelled():
            lost.exception()  # retrieved: nobody else will


class _Dropped(DeviceLost):
    """The connection was lost before it was of any use."""


class _Silent(aiomqtt.MqttError):
    """The line ended before the broker's answer."""


class _HungUp(DeviceLost):
    """The same, as `open` raises it."""


class _Refused(DeviceError):
    """The broker answered no; `code` is its reason."""

    def __init__(self, name: str, error: MqttConnectError) -> None:
        super().__init__(name, f"the broker refuses the connection: {error}")
        code = error.rc
        self.code = code if isinstance(code, int) else int(getattr(code, "value", 0))


class _Gate(asyncio.Queue[aiomqtt.Message]):
    """The queue of what came; calls `pause` when it is long, and `resume` when it is short again."""

    _pause: Callable[[], None] | None = None
    _resume: Callable[[], None] | None = None
    _paused = False

    def watch(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume

    def _put(self, item: aiomqtt.Message) -> None:
        super()._put(item)
        if not self._paused and self._pause is not None and self.qsize() >= _HIGH:
            self._paused = True
            self._pause()

    def _get(self) -> aiomqtt.Message:
        item = super()._get()
        if self._paused and self._resume is not None and self.qsize() <= _LOW:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._resume)
        return item


def matches(filter: str, topic: str) -> bool:
    """Whether a topic matches a filter, with `+` for one level and `#` for all that follow (MQTT 3.1.1, 4.7)."""
    wanted, levels = filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(a in ("+", b) for a, b in zip(wanted, levels, strict=True))


def _message(message: aiomqtt.Message) -> Message:
    properties = message.properties
    respond = getattr(properties, "ResponseTopic", "")
    correlation = getattr(properties, "CorrelationData", b"")
    return Message(str(message.topic), message.payload, bool(message.retain), respond, correlation)


def _session_of_a_day() -> Any:
    """MQTT 5: how long the broker keeps a session whose client is away."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 86_400
    return properties


def _correlated(correlation: bytes) -> Any:
    """MQTT 5: which request a message answers."""
    if not correlation:
        return None
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = correlation
    return properties

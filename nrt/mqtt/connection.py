"""An open connection to an MQTT broker. With `dialer`, the one place that knows aiomqtt.

Backpressure both ways. `publish` returns when the broker has the message (QoS 1), or the socket (QoS 0). What comes in
waits in one queue (`gate`); while it is long, nothing is read from the socket, so that a flood of messages waits at the
broker and in TCP's window instead of in this process. Acknowledgements wait there too: what must be acknowledged in
time does not share a connection with what may be flooded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from nrt.errors import DeviceError, DeviceLost, DeviceTimeout
from nrt.mqtt.library import MqttConnectError, aiomqtt
from nrt.mqtt.topics import matches

REACH: Final = 2.0
"""Seconds until a broker must have taken the TCP connection."""
PATIENCE: Final = 5.0
"""Seconds that the broker's answer to anything may take."""
TRYING: Final = 2.0
"""The same while it is unknown whether it speaks MQTT 5, and for a subscription."""
GOODBYE: Final = 0.2
"""Seconds for closing in order."""
IN_FLIGHT: Final = 64
"""Messages on their way to the broker at once; also the longest run that its PUBACKs may be behind."""
_UNKNOWN: Final = "Unspecified error"
"""What paho calls an end of the line that nobody gave a reason for."""
_SLOWEST: Final = 50_000
"""Bytes a second at which a long message must go out at least."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came. respond, correlation: MQTT 5's response topic and correlation data, where the sender gave them."""

    topic: str
    payload: bytes
    retain: bool = False
    respond: str = ""
    correlation: bytes = b""


class Connection:
    """An open connection; `Dialer` makes them."""

    def __init__(self, client: aiomqtt.Client, name: str, version: aiomqtt.ProtocolVersion) -> None:
        self._client, self.name = client, name
        self.version = "5" if version == aiomqtt.ProtocolVersion.V5 else "3.1.1"
        self._filters: list[str] = []
        self._inner = cast(Any, client)  # what aiomqtt has no public way to
        self._paho: Any = self._inner._client
        self._paho.connect_timeout = REACH
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
            raise Refused(self.name, error) from error
        except aiomqtt.MqttError as error:
            self._drop()
            if "timed out" in str(error):
                raise DeviceTimeout(self.name, "no answer from the broker") from error
            if isinstance(error, _Silent):
                raise HungUp(self.name, str(error)) from error
            raise DeviceLost(self.name, f"no connection to the broker: {error}") from error
        self._client.timeout = PATIENCE
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
            async with asyncio.timeout(GOODBYE):
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
                timeout=PATIENCE + len(payload) / _SLOWEST,
            )
        except (aiomqtt.MqttError, ValueError) as error:  # ValueError: too long for a message of MQTT
            raise DeviceLost(self.name, f"the broker did not take a message to {topic}: {error}") from error

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Raises DeviceLost, DeviceError where the broker refuses one of them."""
        self._filters += [each for each in filters if each not in self._filters]
        try:
            codes: Any = await self._client.subscribe([(each, qos) for each in filters], timeout=TRYING)
        except aiomqtt.MqttError as error:
            raise DeviceLost(self.name, f"the broker did not take a subscription: {error}") from error
        for name, code in zip(filters, codes, strict=False):
            number = code if isinstance(code, int) else int(code.value)
            if number >= 128:
                raise DeviceError(self.name, f"the broker refuses a subscription to {name}")

    async def unsubscribe(self, *filters: str) -> None:
        """Raises DeviceLost."""
        self._filters = [each for each in self._filters if each not in filters]
        try:
            await self._client.unsubscribe(list(filters), timeout=TRYING)
        except aiomqtt.MqttError as error:
            raise DeviceLost(self.name, f"the broker did not end a subscription: {error}") from error

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
            why = str(error.__cause__ or error)
            said = "the connection to the broker is lost" + (f": {why}" if _UNKNOWN not in why else "")
            raise DeviceLost(self.name, said) from error

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


class _Silent(aiomqtt.MqttError):
    """The line ended before the broker's answer."""


class HungUp(DeviceLost):
    """The same, as `Connection.open` raises it."""


class Refused(DeviceError):
    """The broker answered no; `code` is its reason."""

    def __init__(self, name: str, error: MqttConnectError) -> None:
        super().__init__(name, f"the broker refuses the connection: {error}")
        code = error.rc
        self.code = code if isinstance(code, int) else int(getattr(code, "value", 0))


def _message(message: aiomqtt.Message) -> Message:
    properties = message.properties
    respond = getattr(properties, "ResponseTopic", "")
    correlation = getattr(properties, "CorrelationData", b"")
    return Message(str(message.topic), message.payload, bool(message.retain), respond, correlation)


def _correlated(correlation: bytes) -> Any:
    """MQTT 5: which request a message answers."""
    if not correlation:
        return None
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = correlation
    return properties

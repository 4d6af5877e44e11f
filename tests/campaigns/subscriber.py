"""A subscriber that knows nothing of nrt but the topics: paho's client with a session that the broker keeps.

Messages are entered into the books in paho's own thread, before they are acknowledged: nothing that was acknowledged
can still be in a queue of ours when a connection is lost.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.campaigns.books import Books


class Subscriber:
    """`with Subscriber(port, node, books)`: receives decisions and alarms, over every loss of the connection."""

    def __init__(self, port: int, node: str, books: Books) -> None:
        self._books = books
        self._filters = [(f"nrt/{node}/+/{what}", 1) for what in ("decisions", "alarms")]
        self.connections = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"books-of-{node}", clean_session=False
        )
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port, keepalive=20)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        self.connections += 1
        client.subscribe(self._filters)

    def _received(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        self._books.receive(bytes(message.payload), again=message.dup)

"""Brokers and nodes for the tests of MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nrt.daemon import config
from nrt.daemon.node import Node
from nrt.mqtt.address import Address
from nrt.mqtt.connection import Connection, Message
from nrt.mqtt.dialer import Dialer
from tests.brokers import Amqtt, Mosquitto

DIGITS = Path(__file__).parents[3] / "sim" / "nrt_sim" / "models" / "digits.nir"
PATIENCE = 60.0
"""Seconds after which a test gives up waiting; a loaded machine takes its time."""


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto of its own."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def amqtt() -> Iterator[Amqtt]:
    """One amqtt for all tests, as it takes seconds to start; nobody kills it."""
    broker = Amqtt()
    yield broker
    broker.kill()


@pytest.fixture(params=["mosquitto", "amqtt"])
def broker(request: pytest.FixtureRequest) -> str:
    """A broker's URI: once Mosquitto, which speaks MQTT 5, and once amqtt, which does not."""
    found: Mosquitto | Amqtt = request.getfixturevalue(request.param)
    return found.uri


def configuration(folder: Path, broker: str, more: str = "", pipeline: str = "") -> config.Config:
    """A node named edge with one pipeline, digits, on a simulated camera."""
    path = folder / "edge.toml"
    path.write_text(
        f"""
[node]
name = "edge"
data = "{folder / "data"}"
[mqtt]
broker = "{broker}"
stats = "200ms"
{more}
[[pipeline]]
name = "digits"
source = "synth:digits?sensor=davis346&width=32&height=32&seconds=0"
network = "{DIGITS}"
device = "null:"
decide = "50ms"
{pipeline}
[[device]]
name = "chip"
device = "reference:"
"""
    )
    return config.load(path)


@contextlib.asynccontextmanager
async def running(settings: config.Config) -> AsyncGenerator[Node]:
    """A node at work, which is ended in order."""
    node = Node(settings)
    task = asyncio.create_task(node.run())
    try:
        await eventually(lambda: node.up.is_set() or task.done())
        yield node
    finally:
        await node.stop()
        async with asyncio.timeout(PATIENCE):
            await task


@contextlib.asynccontextmanager
async def listener(uri: str, *filters: str, **options: Any) -> AsyncGenerator[Connection]:
    """A connection that is nrt's own, subscribed."""
    async with (
        asyncio.timeout(PATIENCE),
        Dialer(Address.parse(uri).broker, **options).connect() as connection,
    ):
        await connection.subscribe(*filters)
        yield connection


async def until(connection: Connection, wanted: Callable[[Message], bool]) -> Message:
    """The next message that is wanted."""
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(connection.messages()) as messages:
        async for message in messages:
            if wanted(message):
                return message
    raise AssertionError("the connection ended")


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


def content(message: Message) -> Any:
    """A message's JSON."""
    return json.loads(message.payload)

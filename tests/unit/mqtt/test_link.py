"""The MQTT link of a node at work, over Mosquitto and over amqtt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from nrt.daemon import config
from nrt.daemon.mqtt.service import Link
from nrt.daemon.mqtt.spool import Spool
from nrt.daemon.node import Node
from nrt.mqtt import codec
from nrt.mqtt.address import Address
from nrt.mqtt.connection import Connection, Message
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.topics import Topics
from tests.brokers import Mosquitto, free_port
from tests.unit.mqtt.conftest import PATIENCE, configuration, content, eventually, listener, running, until

T = Topics("edge")


def link_of(node: Node) -> Link:
    link = node.services["mqtt"]
    assert isinstance(link, Link)
    return link


async def command(connection: Connection, verb: str, **request: Any) -> dict[str, Any]:
    """Sends a command as client `test` and takes its reply; the connection is subscribed to that."""
    data = {"id": f"{verb}-{random.random()}", "client": "test", **request}
    await connection.publish(T.request(verb), json.dumps(data).encode())
    reply: dict[str, Any] = content(await until(connection, lambda m: m.topic == T.response(verb, "test")))
    assert reply["id"] == data["id"]
    return reply


async def test_a_node_says_what_it_is_and_is_lost_when_it_dies(tmp_path: Path, broker: str) -> None:
    async with listener(broker, T.state, T.info, T.of("+", "state")) as watcher:
        async with running(configuration(tmp_path, broker)) as node:
            await until(watcher, lambda m: m.topic == T.state and m.payload == b"ready")
            async with listener(broker, T.info) as late:
                info = content(await until(late, lambda m: m.retain))
            assert info["pipelines"]["digits"]["device"] == "null:"
            assert info["devices"] == {"chip": "reference:"}
            async with listener(broker, T.of("digits", "state")) as late:
                await until(late, lambda m: content(m)["state"] == "running")
            connection = cast(Any, link_of(node))._connection
            connection._paho.socket().shutdown(2)  # the line is cut, nobody says goodbye
            await until(watcher, lambda m: m.topic == T.state and m.payload == b"lost")
            await until(watcher, lambda m: m.topic == T.state and m.payload == b"ready")
        await until(watcher, lambda m: m.topic == T.state and m.payload == b"disconnected")


async def test_commands_are_carried_out_once_and_answered(tmp_path: Path, broker: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        node = await stack.enter_async_context(running(configuration(tmp_path, broker)))
        user = await stack.enter_async_context(listener(broker, T.response("+", "test"), T.state))
        await until(user, lambda m: m.payload == b"ready")
        await eventually(lambda: node.pipelines["digits"].state == "running")
        assert (await command(user, "stop", pipeline="digits"))["ok"] is True
        assert node.pipelines["digits"].state == "stopped"
        assert (await command(user, "start", pipeline="digits", id="a"))["ok"] is True
        assert (await command(user, "stop", pipeline="digits"))["ok"] is True
        again = await command(user, "start", pipeline="digits", id="a")
        assert again["ok"] is True
        assert node.pipelines["digits"].state == "stopped", (
            "the second one with that id only repeats the reply"
        )
        refused = await command(user, "stop", pipeline="nowhere")
        assert refused["ok"] is False
        assert "digits" in refused["error"]
        unknown = await command(user, "stop", pipeline="digits", colour="red")
        assert "colour" in unknown["error"]


async def test_an_answer_goes_to_the_response_topic_of_mqtt_5(tmp_path: Path, mosquitto: Mosquitto) -> None:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = T.response("state", "five")
    properties.CorrelationData = b"abc"
    async with (
        running(configuration(tmp_path, mosquitto.uri)),
        listener(mosquitto.uri, T.response("+", "five"), T.state) as user,
    ):
        assert user.version == "5"
        await until(user, lambda m: m.payload == b"ready")
        await cast(Any, user)._client.publish(T.request("state"), b'{"id": "1"}', 1, properties=properties)
        reply = await until(user, lambda m: m.topic == T.response("state", "five"))
        assert content(reply)["id"] == "1"
        assert reply.correlation == b"abc"


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"id": 1, "client": "test"}',
    b'{"id": "x", "client": "../../a"}',
    b'{"id": "x", "client": "#"}',
    b'{"id": "x"}',
    b'{"id": "' + b"y" * 500 + b'", "client": "test"}',
    b'{"id": "x", "client": "test", "pipeline": {}}',
    b'{"id": "x", "client": "test", "arguments": [1]}',
    b'{"id": "x", "client": "test", "pipeline": "digits", "arguments": {"path": 5}}',
    b'{"id": "z", "client": "test", "pipeline": "digits", "arguments": {"path": "/etc/passwd"}}',
    b'{"id": "n", "client": "test", "x": NaN}',
    b"0" * 200_000,
]


async def test_hostile_payloads_stop_nothing(tmp_path: Path, broker: str) -> None:
    chance = random.Random(8)
    async with running(configuration(tmp_path, broker)) as node:
        async with listener(broker, T.response("+", "test"), T.state) as user:
            await until(user, lambda m: m.payload == b"ready")
            await eventually(lambda: node.pipelines["digits"].state == "running")
            for payload in (*HOSTILE, *(chance.randbytes(chance.randrange(100)) for _ in range(100))):
                for topic in (
                    T.request("deploy"),
                    T.request("nothing"),
                    T.link("chip", "test", "in"),
                    T.link("nobody", "test", "in"),
                ):
                    await user.publish(topic, payload, qos=0)
                await user.publish(T.link("chip", "test", "in"), b"nL\x01" + payload[:100], qos=0)
            assert (await command(user, "state", pipeline="digits"))["ok"] is True
        link = link_of(node)
        assert link.connections == 1
        assert link.rejected > 200
        assert node.pipelines["digits"].stats().restarts == 0


async def test_a_flood_is_read_slowly_and_holds_up_nothing_that_is_promised(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    settings = configuration(tmp_path, mosquitto.uri, more="rate = 200")
    async with running(settings) as node, listener(mosquitto.uri, T.response("+", "test"), T.state) as user:
        await until(user, lambda m: m.payload == b"ready")
        await eventually(lambda: node.pipelines["digits"].state == "running")
        link = link_of(node)
        before = node.pipelines["digits"].stats().packets
        for _ in range(3_000):
            await user.publish(T.request("nothing"), b"x", qos=0)
        promised = link.counters()["spooled"] + 1
        await eventually(lambda: link.counters()["spooled"] - link.counters()["waiting"] >= promised)
        assert 0 < link.rejected < 2_500, "acknowledged while much of the flood still waits"
        assert link.connections == 1
        assert node.pipelines["digits"].stats().packets > before
        assert node.pipelines["digits"].stats().restarts == 0


async def test_a_subscriber_that_does_not_read_holds_nobody_up(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with (
        running(configuration(tmp_path, mosquitto.uri, more='spikes = ["*"]')) as node,
        listener(mosquitto.uri, "nrt/#") as slow,
        listener(mosquitto.uri, T.of("+", "decisions")) as quick,
    ):
        cast(Any, slow)._pause()
        await until(quick, lambda m: content(m)["pipeline"] == "digits")
        packets = node.pipelines["digits"].stats().packets
        await eventually(lambda: node.pipelines["digits"].stats().packets > packets + 200)
        assert link_of(node).connected


async def test_decisions_survive_a_broker_that_is_down_at_start_killed_and_restarted(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    told: list[str] = []
    async with collecting(mosquitto) as decisions:
        mosquitto.kill()
        async with running(configuration(tmp_path, mosquitto.uri)) as node:
            node.listen(lambda notice: told.append(notice.id) if "decision" in notice.id else None)
            await eventually(lambda: len(told) > 3)
            mosquitto.start()
            await eventually(lambda: len(decisions) > 5)
            for _ in range(2):
                mosquitto.kill()
                at = len(told)
                await eventually(partial(longer, told, at + 5))
                mosquitto.start()
                await eventually(partial(longer, decisions, at + 3))
            await node.command(stop())
            await eventually(lambda: set(told) <= set(decisions))
    first = [k for k, id in enumerate(decisions) if id not in decisions[:k]]
    assert [decisions[k] for k in first] == told, "each one, in order"


async def test_what_was_acknowledged_just_before_a_connection_was_lost_comes_again_with_its_id(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    settings = configuration(tmp_path, mosquitto.uri)
    async with running(settings) as node, listener(mosquitto.uri, T.of("+", "decisions")) as user:
        link: Any = link_of(node)
        first = content(await until(user, lambda m: bool(link._outbox._acknowledged)))["id"]
        link._connection._paho.socket().shutdown(2)
        await until(user, lambda m: content(m)["id"] == first)
        await eventually(lambda: link.connections == 2)
        await node.command(stop())
        await eventually(lambda: link.counters()["waiting"] == 0)
    again = Spool(tmp_path / "data" / "mqtt")
    assert len(again) == 0, "a daemon that ends in order leaves nothing"
    again.close()


def longer(ids: list[str], than: int) -> bool:
    return len(set(ids)) > than


@contextlib.asynccontextmanager
async def collecting(broker: Mosquitto) -> AsyncGenerator[list[str]]:
    """Ids of decisions, taken by a session that the broker has written down and keeps when it is killed."""
    found: list[str] = []
    subscribed = asyncio.Event()
    task = asyncio.create_task(collect(broker.uri, found, subscribed))
    try:
        async with asyncio.timeout(PATIENCE):
            await subscribed.wait()
            await eventually(broker.written)
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])


async def collect(uri: str, found: list[str], subscribed: asyncio.Event) -> None:
    dialer = Dialer(Address.parse(uri).broker, "collector", keep=True)
    while True:
        try:
            async with dialer.connect() as connection:
                await connection.subscribe(T.of("+", "decisions"))
                subscribed.set()
                async for message in connection.messages():
                    found.append(content(message)["id"])
        except Exception:
            await asyncio.sleep(0.05)


def stop() -> Any:
    from nrt.daemon.command import Command

    return Command("end", "stop", "digits")


async def test_what_waited_when_the_daemon_ended_is_sent_by_the_next_one(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    told: list[str] = []
    settings = configuration(tmp_path, mosquitto.uri)
    async with collecting(mosquitto) as found:
        mosquitto.kill()
        async with running(settings) as node:
            node.listen(lambda notice: told.append(notice.id) if "decision" in notice.id else None)
            await eventually(lambda: len(told) > 3)
        mosquitto.start()
        async with running(settings):
            await eventually(lambda: set(told) <= set(found))


async def test_what_the_bound_of_the_spool_drops_is_announced(tmp_path: Path, mosquitto: Mosquitto) -> None:
    mosquitto.kill()
    settings = configuration(tmp_path, mosquitto.uri, more='spool = "10kB"', pipeline='labels = ["a"]')
    async with running(settings) as node:
        await eventually(lambda: link_of(node).counters()["dropped"] > 3)
        mosquitto.start()
        async with listener(mosquitto.uri, T.of("+", "alarms")) as user:
            alarm = content(await until(user, lambda m: b'"spool"' in m.payload))
    assert "dropped" in alarm["text"]
    assert alarm["pipeline"] == ""


async def test_spikes_come_as_packed_records(tmp_path: Path, broker: str) -> None:
    settings = configuration(tmp_path, broker, more='spikes = ["digits"]')
    text = settings.path.read_text().replace('device = "null:"', 'device = "cpu:"')
    settings.path.write_text(text)
    async with running(config.load(settings.path)) as node, listener(broker, T.spikes("digits", "+")) as user:
        message = await until(user, lambda m: True)
        network = node.pipelines["digits"].network
    assert network is not None
    block = codec.decode(message.payload)
    assert message.topic == T.spikes("digits", network.outputs[0])
    assert block.spec == codec.spec_of(network.hash)
    assert len(block.records) > 0
    assert int(block.records["n"].max()) < network[network.outputs[0]].size


async def test_home_assistant_is_told_of_every_pipeline(tmp_path: Path, mosquitto: Mosquitto) -> None:
    found: dict[str, Any] = {}

    def last(message: Message) -> bool:
        found[message.topic] = content(message)
        return message.topic.endswith("restart/config")

    settings = configuration(tmp_path, mosquitto.uri, more='discovery = "homeassistant"')
    async with running(settings), listener(mosquitto.uri, "homeassistant/#") as user:
        await until(user, last)
    sensor = found["homeassistant/sensor/nrt_edge_digits_decision/config"]
    assert sensor["state_topic"] == T.of("digits", "decisions")
    assert sensor["availability_topic"] == T.state
    assert len({each["unique_id"] for each in found.values()}) == len(found)
    button = found["homeassistant/button/nrt_edge_digits_stop/config"]
    pressed = json.loads(button["command_template"].replace("{{ now().timestamp() }}", "17"))
    assert pressed == {"id": "ha-17", "client": "homeassistant", "pipeline": "digits", "arguments": {}}


async def test_a_broker_that_is_not_there_is_said_once_and_the_pipelines_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(configuration(tmp_path, f"mqtt://127.0.0.1:{free_port()}")) as node:
        await eventually(lambda: node.pipelines["digits"].stats().decisions > 5)
        assert not link_of(node).connected
    said = [each for each in caplog.messages if "no connection to the broker" in each]
    assert len(said) == 1

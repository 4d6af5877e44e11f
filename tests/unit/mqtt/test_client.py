"""The typed client, and nrt fleet, against a node at work."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

import nrt
from nrt.cli.app import app
from nrt.daemon import config
from nrt.daemon.notice import Alarm, Decision, State
from nrt.mqtt import link
from nrt.mqtt.address import Address
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.link import Kind, Note
from nrt.mqtt.topics import Topics
from nrt.remote.fleet import Fleet, Seen
from nrt.testing.stimulus import Script, small, spaced
from tests.brokers import Mosquitto, free_port
from tests.unit.mqtt.conftest import PATIENCE, configuration, eventually, listener, running, until

T = TypeVar("T")


async def take(found: AsyncGenerator[T], count: int) -> list[T]:
    """The first `count` of an asynchronous generator, which is closed."""
    taken: list[T] = []
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(found):
        async for each in found:
            taken.append(each)
            if len(taken) == count:
                break
    return taken


async def ready(uri: str) -> None:
    """Waits until the node on a broker is."""
    async with listener(uri, Topics("edge").state) as user:
        await until(user, lambda m: m.payload == b"ready")


async def test_a_pipeline_elsewhere_is_steered_and_watched_like_one_here(tmp_path: Path, broker: str) -> None:
    settings = configuration(tmp_path, broker, more='spikes = ["*"]')
    settings.path.write_text(settings.path.read_text().replace('device = "null:"', 'device = "cpu:"'))
    async with running(config.load(settings.path)) as node:
        await ready(broker)
        async with asyncio.timeout(PATIENCE), nrt.connect(f"{broker}/edge") as edge:
            digits = edge.pipeline("digits")
            assert await edge.state() == "ready"
            about: Any = await edge.info()
            assert list(about["pipelines"]) == ["digits"]
            await eventually(lambda: node.pipelines["digits"].state == "running")
            decisions = await take(digits.decisions(), 3)
            assert all(b.start == a.end for a, b in itertools.pairwise(decisions))
            packets = await take(digits.stream(), 2)
            assert all(each.origin == "digit" and len(each) for each in packets)
            report = await digits.report()
            assert report.events > 0
            network = node.pipelines["digits"].network
            assert network is not None
            assert report.network["hash"] == network.hash
            await digits.reset()
            await digits.set(decide="150ms")
            await eventually(lambda: node.pipelines["digits"].state == "running")
            (decision,) = await take(digits.decisions(), 1)
            assert decision.end - decision.start == 150_000
            await digits.stop()
            assert await digits.state() is State.stopped
            (change,) = await take(digits.states(), 1)
            assert change.state is State.stopped
            await digits.start()
            assert (await digits.snapshot())["pipeline"] == "digits"
            with pytest.raises(nrt.DeviceError, match="no pipeline 'nowhere'"):
                await edge.pipeline("nowhere").stop()
            with pytest.raises(nrt.DeviceError, match="no network '/etc/passwd'"):
                await digits.deploy("/etc/passwd")


async def test_a_node_that_is_not_there_is_a_timeout(mosquitto: Mosquitto) -> None:
    async with nrt.connect(f"{mosquitto.uri}/nobody") as node:
        with pytest.raises(nrt.DeviceTimeout, match="no reply to state"):
            await node.command("state", within=0.2)
        assert await node.state() == ""


async def test_a_broker_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(nrt.DeviceLost, match="no connection"):
        async with nrt.connect(f"mqtt://127.0.0.1:{free_port()}/edge"):
            pass


async def test_what_names_no_node_is_refused() -> None:
    for uri in ("mqtt://host", "mqtt://host/a/b/c", "http://host/a", "mqtt://user@host/a", "mqtt://host:x/a"):
        with pytest.raises(nrt.ConfigError):
            nrt.connect(uri)
    with pytest.raises(nrt.ConfigError, match="no option 'colour'"):
        nrt.connect("mqtt://host/a?colour=red")
    assert str(Address.parse("mqtts://[::1]/a%20b/c?username=u")) == "mqtts://[::1]:8883/a%20b/c"


async def test_the_client_comes_back_with_its_broker_and_misses_no_decision(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    told: list[str] = []
    async with running(configuration(tmp_path, mosquitto.uri)) as node:
        await ready(mosquitto.uri)
        async with nrt.connect(f"{mosquitto.uri}/edge", keep="office") as edge:
            found: list[str] = []

            async def watch() -> None:
                async for notice in edge.notices():
                    if isinstance(notice, Decision):
                        found.append(notice.id)

            watching = asyncio.create_task(watch())
            await eventually(lambda: bool(found))
            node.listen(lambda notice: told.append(notice.id) if isinstance(notice, Decision) else None)
            mosquitto.kill()
            await eventually(lambda: len(told) > 4)
            mosquitto.start()
            await edge.command("stop", "digits", PATIENCE)
            await eventually(lambda: set(told) <= set(found))
            watching.cancel()
            await asyncio.wait([watching])
    assert len(found) == len(set(found)), "each is given once"
    assert sorted(found, key=found.index) == found


async def test_what_came_while_a_client_was_away_is_kept_for_it(tmp_path: Path, mosquitto: Mosquitto) -> None:
    topic = Topics("edge").of("", "alarms")
    async with nrt.connect(f"{mosquitto.uri}/edge", keep="office"):
        pass
    alarm = {"id": "1", "time": 2.0, "pipeline": "", "kind": "config", "text": "away"}
    async with listener(mosquitto.uri, "x") as sender:
        for payload in (b"{", json.dumps(alarm).encode(), json.dumps(alarm).encode()):
            await sender.publish(topic, payload)
        await sender.publish(topic, json.dumps({**alarm, "id": "2"}).encode())
    async with nrt.connect(f"{mosquitto.uri}/edge", keep="office") as edge:
        first, second = await take(edge.notices(), 2)
        assert edge.rejected == 1
    assert first == Alarm("1", 2.0, "", "config", "away")
    assert second.id == "2"


async def test_a_device_elsewhere_that_goes_away_is_lost(tmp_path: Path, mosquitto: Mosquitto) -> None:
    uri = f"{mosquitto.uri}/edge/chip"
    with pytest.raises(nrt.ConfigError, match="node/device"):
        nrt.open(f"{mosquitto.uri}/edge")
    async with running(configuration(tmp_path, mosquitto.uri)):
        await ready(mosquitto.uri)
        session = nrt.open(uri)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(nrt.DeviceError):
                async with session:
                    mosquitto.kill()
                    while True:
                        await session.deploy(small())
        mosquitto.start()
        await ready(mosquitto.uri)
        async with asyncio.timeout(PATIENCE), nrt.open(uri) as again:
            assert "hidden" in str(await again.deploy(small()))


async def test_a_device_is_taken_back_from_a_client_that_falls_silent(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics("edge")
    said = topics.link("chip", "silent", "out")
    async with (
        running(configuration(tmp_path, mosquitto.uri)),
        listener(mosquitto.uri, said, topics.state) as user,
    ):
        await until(user, lambda m: m.payload == b"ready")
        monkeypatch.setattr(link, "SILENCE", 0.5)
        await user.publish(topics.link("chip", "silent", "in"), Note(Kind.OPEN, 0).to_bytes())
        answer = Note(Kind.PONG, 0)
        while answer.kind is not Kind.FAILED:
            answer = Note.parse((await until(user, lambda m: m.topic == said)).payload, said)
        monkeypatch.undo()
        error = link.error_from(answer.json(said), said)
        assert isinstance(error, nrt.DeviceTimeout)
        assert "nothing was heard of the client" in str(error)
        async with asyncio.timeout(PATIENCE), nrt.open(f"{mosquitto.uri}/edge/chip") as again:
            assert "hidden" in str(await again.deploy(small()))


async def test_a_device_elsewhere_answers_as_it_does_at_home(tmp_path: Path, broker: str) -> None:
    async with running(configuration(tmp_path, broker)), asyncio.timeout(PATIENCE):
        await ready(broker)
        async with nrt.open(f"{broker}/edge/chip") as there, nrt.open("reference:") as here:
            reports: list[nrt.Report] = []
            for session in (there, here):
                await session.deploy(small())
                reports.append(await session.run(Script(spaced(20))))
    assert reports[0].counters == reports[1].counters
    assert reports[0].counts == reports[1].counts
    assert sum(reports[0].counts["output"]) > 0


async def seen(fleet: Fleet, pattern: str, names: set[str]) -> dict[str, Seen]:
    """The nodes of a fleet, as soon as all are known: a loaded broker has its pauses."""
    async with asyncio.timeout(PATIENCE):
        while True:
            nodes = {each.name: each for each in await fleet.nodes(pattern, quiet=0.2)}
            assert set(nodes) <= names
            if set(nodes) == names and all(each.pipelines for each in nodes.values()):
                return nodes


async def test_a_fleet_is_listed_and_commanded(tmp_path: Path, mosquitto: Mosquitto) -> None:
    (tmp_path / "b").mkdir()
    first = configuration(tmp_path, mosquitto.uri)
    second = configuration(tmp_path / "b", mosquitto.uri)
    second.path.write_text(second.path.read_text().replace('name = "edge"', 'name = "bench-2"'))
    async with (
        running(first) as edge,
        running(config.load(second.path)) as bench,
        Fleet(Address.parse(mosquitto.uri)) as fleet,
    ):
        await ready(mosquitto.uri)
        await eventually(lambda: all(n.pipelines["digits"].state == "running" for n in (edge, bench)))
        async with Dialer(Address.parse(mosquitto.uri).broker).connect() as hostile:
            await hostile.publish("nrt/evil/$info", b"[" * 10_000, retain=True)
            await hostile.publish("nrt/evil/x/state", b'{"state": 5}', retain=True)
        nodes = await seen(fleet, "*", {"bench-2", "edge", "evil"})
        assert nodes["edge"].pipelines == {"digits": "running"}
        assert nodes["evil"].info == {}
        await seen(fleet, "edge*", {"edge"})
        replies = await fleet.command(["edge", "bench-2"], "stop", "digits", {}, PATIENCE)
        assert all(each.ok for each in replies.values())
        assert {n.pipelines["digits"].state for n in (edge, bench)} == {"stopped"}
        silent = await fleet.command(["evil"], "stop", "digits", {}, 0.2)
        assert "no reply" in silent["evil"].error


def test_the_command_line_says_what_is_wrong_in_one_sentence(mosquitto: Mosquitto) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["fleet", "list", "--broker", mosquitto.uri, "--json", "--quiet", "0.1"])
    assert json.loads(done.stdout) == []
    none = runner.invoke(app, ["fleet", "run", "stop", "--broker", mosquitto.uri, "--quiet", "0.1"])
    assert isinstance(none.exception, nrt.NotFound)
    wrong = runner.invoke(app, ["fleet", "run", "explode", "--broker", mosquitto.uri])
    assert wrong.exit_code == 2

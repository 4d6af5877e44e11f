"""Supervision: what a pipeline does when its source, its device or its network fails, and what commands do."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nrt.daemon.command import Command, Verb
from nrt.daemon.config import PipelineConfig
from nrt.daemon.node import Node
from nrt.daemon.notice import Decision, State, StateChange
from nrt.errors import ConfigError
from nrt.packet import Packet
from nrt.registry import Duration
from tests.unit.daemon.conftest import PATIENCE, Bench, Heard, at_once, configuration

NAME = "eye"
_numbers = itertools.count()


def pipeline(network: Path, source: str = "drip:", **options: Any) -> PipelineConfig:
    return PipelineConfig(NAME, source, network, folder=network.parent, **options)


@asynccontextmanager
async def running(config: PipelineConfig) -> AsyncGenerator[tuple[Node, Heard]]:
    """A node with one pipeline; its end is timed."""
    node = Node(configuration(config.folder, config))
    heard = Heard(node)
    task = asyncio.create_task(node.run(), name="test.node")
    await node.up.wait()
    try:
        yield node, heard
    finally:
        async with asyncio.timeout(PATIENCE):
            await node.stop()
            await task


async def ask(node: Node, verb: Verb, **arguments: Any) -> Any:
    """The result of a command. Raises ConfigError with its error."""
    reply = await node.command(Command(f"{verb}-{next(_numbers)}", verb, NAME, arguments))
    if not reply.ok:
        raise ConfigError(reply.error)
    return reply.result


async def test_it_starts_runs_and_ends_with_its_source(network: Path) -> None:
    async with running(pipeline(network, "drip:?packets=20&live=no", decide=Duration(5_000))) as (
        node,
        heard,
    ):
        await heard.state(State.stopped)
        assert heard.states() == [State.starting, State.running, State.stopped]
        stats = node.pipelines[NAME].stats()
        assert (stats.packets, stats.events, stats.spikes, stats.lost) == (20, 20, 20, 0)
        decisions = [each for each in heard.notices if isinstance(each, Decision)]
        assert [(each.start, each.end) for each in decisions] == [
            (0, 5_000),
            (5_000, 10_000),
            (10_000, 15_000),
            (15_000, 20_000),
        ]
        assert all(each.counts["a"][4] == 5 and each.winner == 4 for each in decisions)  # ON is channel 1


async def test_it_begins_again_where_a_recording_is_to_be_repeated(network: Path, far_side: Bench) -> None:
    async with running(pipeline(network, "drip:?packets=1500&live=yes", at_end="repeat")) as (_, heard):
        after = await heard.state(State.running)
        await heard.state(State.running, after)
        assert far_side.opened == 2


async def test_a_camera_that_is_unplugged_is_told_of_once_and_comes_back(
    network: Path, far_side: Bench
) -> None:
    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.running)
        far_side.plugged.clear()
        after = await heard.alarm("source lost")
        after = await heard.state(State.backoff)
        assert "unplugged" in node.pipelines[NAME].reason
        after = await heard.state(State.backoff, after)
        far_side.plugged.set()
        await heard.alarm("source back", after)
        assert heard.alarms() == ["source lost", "source back"]
        assert node.pipelines[NAME].stats().restarts >= 2


async def test_a_device_that_gives_nothing_back_is_given_up_and_started_again(
    network: Path, far_side: Bench
) -> None:
    config = pipeline(network, device="mute:", stall=Duration(300_000))
    async with running(config) as (node, heard):
        await heard.state(State.running)
        await passed(node)
        far_side.answering.clear()
        after = await heard.alarm("device stalled")
        after = await heard.state(State.backoff)
        far_side.answering.set()
        await heard.alarm("device back", after)
        assert heard.alarms() == ["device stalled", "device back"]
        assert node.pipelines[NAME].alive


async def test_the_first_packet_may_take_long_for_kernels_may_have_to_be_compiled(
    network: Path, far_side: Bench
) -> None:
    far_side.answering.clear()
    config = pipeline(network, device="mute:", stall=Duration(500_000), silence=Duration(500_000))
    async with running(config) as (node, heard):
        await heard.state(State.running)
        await asyncio.sleep(1.2)
        far_side.answering.set()
        await passed(node)
        assert heard.alarms() == []


async def test_whoever_gives_up_waiting_for_a_deployment_leaves_what_runs(
    network: Path, far_side: Bench
) -> None:
    async with running(pipeline(network, device="mute:", stall=Duration(60_000_000))) as (node, heard):
        await heard.state(State.running)
        await passed(node)
        far_side.answering.clear()  # the run cannot end, so the switch has to wait
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await node.pipelines[NAME].deploy(network)
        before = node.pipelines[NAME].stats().spikes
        far_side.answering.set()
        async with asyncio.timeout(60):
            while node.pipelines[NAME].stats().spikes < before + 100:  # noqa: ASYNC110 - as in `passed`
                await asyncio.sleep(0.01)
        assert (heard.alarms(), node.pipelines[NAME].state) == ([], State.running)


async def passed(node: Node) -> None:
    """Waits until something has come out of the pipeline."""
    async with asyncio.timeout(60):
        while not node.pipelines[NAME].stats().spikes:  # noqa: ASYNC110 - nobody is told of the first spike
            await asyncio.sleep(0.01)


async def test_a_source_that_falls_silent_is_lost(network: Path, far_side: Bench) -> None:
    async with running(pipeline(network, silence=Duration(300_000))) as (node, heard):
        await heard.state(State.running)
        await passed(node)
        far_side.flowing.clear()
        await heard.alarm("source lost")
        await heard.state(State.backoff)
        far_side.flowing.set()
        await heard.alarm("source back")


async def test_what_no_restart_heals_is_not_tried_again(network: Path) -> None:
    spoil = functools.partial(network.write_bytes, b"no network any more")
    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.running)
        spoil()
        await ask(node, "restart")
        await heard.state(State.failed)
        assert heard.alarms() == ["failed"]
        assert "network" in node.pipelines[NAME].reason
        assert node.pipelines[NAME].alive


async def test_many_restarts_in_a_short_time_are_one_alarm(
    network: Path, far_side: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.daemon.backoff.MOST", 0.05)
    monkeypatch.setattr("nrt.daemon.backoff.Backoff.next", at_once)
    far_side.plugged.clear()
    async with running(pipeline(network)) as (node, heard):
        await heard.alarm("restarts")
        after = len(heard.notices)
        for _ in range(8):
            after = await heard.state(State.backoff, after)
        assert heard.alarms().count("restarts") == 1
        assert heard.alarms().count("source lost") == 1
        assert node.pipelines[NAME].stats().restarts > 8


@pytest.fixture
def other(network: Path) -> Path:
    """A second network beside the first."""
    path = network.with_name("other.nir")
    path.write_bytes(network.read_bytes())
    return path


@pytest.mark.parametrize("device", ["cpu:", "only:"])
async def test_another_network_is_switched_to_between_two_packets_without_losing_any(
    network: Path, other: Path, far_side: Bench, device: str
) -> None:
    """On a device that can be had twice, and on one that must be stopped for it."""
    async with running(pipeline(network, device=device, decide=Duration(10_000))) as (node, heard):
        eye = node.pipelines[NAME]
        taken: list[Packet] = []
        eye.tap_spikes(taken.append)
        await heard.decisions(2)
        for path in ("other.nir", network.name, "other.nir"):
            placement = await ask(node, "deploy", path=path)
            assert "cpu" in placement or "only" in placement
        await heard.decisions(2, len(heard.notices))
        await ask(node, "stop")
    assert eye.config.network == other
    assert far_side.opened == 1
    spikes = [int(t) for packet in taken for t in packet.data["t"]]
    assert len(spikes) == len(far_side.given), "an event was lost or came twice"
    assert spikes == sorted(spikes)
    assert eye.stats().events == len(far_side.given)
    reports = sorted((network.parent / "data" / "reports" / NAME).glob("*.json"))
    counted = [json.loads(path.read_text(encoding="utf-8"))["events"] for path in reports]
    assert len(counted) == 4
    assert sum(counted) == len(far_side.given)


async def test_a_network_that_does_not_fit_changes_nothing(network: Path) -> None:
    network.with_name("bad.nir").write_bytes(b"\x89HDF\r\n\x1a\n nothing")
    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.running)
        with pytest.raises(ConfigError):
            await ask(node, "deploy", path="bad.nir")
        assert node.pipelines[NAME].state is State.running
        assert node.pipelines[NAME].config.network == network
        assert heard.states() == [State.starting, State.running]


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "", "a\0b", "x" * 2_000])
async def test_a_command_cannot_name_files_elsewhere(network: Path, path: str) -> None:
    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.running)
        with pytest.raises(ConfigError):
            await ask(node, "deploy", path=path)


async def test_reset_begins_anew_without_losing_an_event(network: Path, far_side: Bench) -> None:
    async with running(pipeline(network, decide=Duration(10_000))) as (node, heard):
        await heard.decisions(2)
        await ask(node, "reset")
        await heard.decisions(2, len(heard.notices))
        await ask(node, "stop")
        assert node.pipelines[NAME].stats().spikes == len(far_side.given)
        assert far_side.opened == 1


async def test_options_are_set_and_wrong_ones_refused(network: Path, far_side: Bench) -> None:
    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.running)
        await ask(node, "set", decide="5ms", labels="a,b,c,d,on")
        await heard.until(lambda each: isinstance(each, Decision) and each.label == "on")
        assert far_side.opened == 1
        await ask(node, "set", filter="polarity:off")
        after = await heard.state(State.running, len(heard.notices))
        await heard.decisions(1, after)
        assert far_side.opened == 2
        for wrong in ({"filter": "nonsense"}, {"decide": "soon"}, {"device": "cpu:"}, {"decide": "1us"}):
            with pytest.raises(ConfigError):
                await ask(node, "set", **wrong)
        assert node.pipelines[NAME].config.filter == "polarity:off"


async def test_stopping_while_it_waits_to_start_again_takes_no_longer(network: Path, far_side: Bench) -> None:
    far_side.plugged.clear()
    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.backoff)
        await ask(node, "stop")
        assert heard.states()[-1] is State.stopped
        await ask(node, "stop")
        far_side.plugged.set()
        await ask(node, "start")
        await heard.state(State.running)


async def test_a_tap_that_fails_is_removed_and_the_stream_goes_on(network: Path) -> None:
    async with running(pipeline(network, decide=Duration(10_000))) as (node, heard):
        calls = 0

        def fail(packet: Packet) -> None:
            nonlocal calls
            calls += 1
            raise ValueError("a tap with a mistake")

        node.pipelines[NAME].tap_events(fail)
        node.pipelines[NAME].tap_spikes(fail)
        await heard.decisions(3)
        assert calls == 2


async def test_a_snapshot_shows_the_events(network: Path) -> None:
    async with running(pipeline(network, decide=Duration(10_000))) as (node, heard):
        await heard.decisions(1)
        snapshot = await ask(node, "snapshot")
        assert snapshot["state"] == "running"
        assert snapshot["image"].startswith("iVBOR")  # a PNG file in base 64
        assert snapshot["decision"]["winner"] == 4
        json.dumps(snapshot, allow_nan=False)


async def test_ids_count_without_a_gap(network: Path) -> None:
    async with running(pipeline(network, decide=Duration(2_000))) as (node, heard):
        await heard.decisions(5)
        await ask(node, "reset")
        await heard.decisions(5, len(heard.notices))
        await ask(node, "stop")
        for kind in (Decision, StateChange):
            ids = [each.id for each in heard.notices if isinstance(each, kind)]
            numbers = [int(id.rpartition("-")[2]) for id in ids]
            assert numbers == list(range(1, len(ids) + 1))
            assert all(id.startswith(f"test.{node.boot}.{NAME}.") for id in ids)


async def test_a_device_that_does_not_end_is_left_alone_and_the_pipeline_counts_as_dead(
    network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the end of the process can help then; the watchdog is not fed."""
    gate = asyncio.Event()
    monkeypatch.setattr("nrt.daemon.pipeline.END", 0.05)
    monkeypatch.setattr("nrt.daemon.ending.CANCEL", 0.05)
    monkeypatch.setattr("nrt.daemon.ending.ASLEEP", 0)

    async def stuck(self: object) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    async with running(pipeline(network)) as (node, heard):
        await heard.state(State.running)
        monkeypatch.setattr("nrt_sim.cpu.device.CpuDevice.close", stuck)
        await ask(node, "stop")
        assert heard.states()[-1] is State.stopped
        assert not node.pipelines[NAME].alive
        gate.set()


async def test_what_the_deadline_misses_is_counted(network: Path) -> None:
    config = pipeline(network, "drip:?packets=300", deadline=Duration(1))
    async with running(config) as (node, heard):
        await heard.state(State.stopped)
        assert node.pipelines[NAME].stats().misses == 300
        assert dataclasses.replace(config, name="x").deadline == 1

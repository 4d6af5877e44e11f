"""A node: services that fail, configurations that change, notices that reach everybody in order."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nrt.daemon import config as configurations
from nrt.daemon.command import Command
from nrt.daemon.config import Config, PipelineConfig, SendConfig
from nrt.daemon.metrics import exposition
from nrt.daemon.node import Node, bare, info
from nrt.daemon.notice import Notice, State, StateChange
from nrt.daemon.service import Service
from nrt.daemon.verdict import healthy, ready
from nrt.errors import ConfigError
from nrt.registry import Duration
from tests.unit.daemon.conftest import PATIENCE, Bench, Heard, at_once, configuration


@dataclasses.dataclass(frozen=True)
class Settings:
    """[web], in these tests."""

    fails: int = 0
    refuses: bool = False


serving = asyncio.Event()


class Helper(Service):
    """A service that fails as often as it is told, then serves."""

    settings: ClassVar[type[Any]] = Settings
    log: ClassVar[list[str]] = []

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fails = settings.fails

    def attach(self, node: Node) -> None:
        if self._settings.refuses:
            raise ConfigError("not like this")
        self.log.append("attach")
        node.listen(self._hear)

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, StateChange):
            self.log.append(notice.state)

    def counters(self) -> dict[str, int]:
        return {"waiting": 3}

    async def run(self, node: Node) -> None:
        self.log.append("run")
        if self._fails:
            self._fails -= 1
            raise OSError("the port is taken")
        serving.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("end")


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(configurations.SERVICES, "web", f"{__name__}:Helper")
    Helper.log.clear()
    serving.__init__()  # type: ignore[misc]  # of this test's loop


@asynccontextmanager
async def running(config: Config) -> AsyncGenerator[tuple[Node, Heard]]:
    node = Node(config)
    heard = Heard(node)
    task = asyncio.create_task(node.run(), name="test.node")
    async with asyncio.timeout(PATIENCE):
        await node.up.wait()
    try:
        yield node, heard
    finally:
        async with asyncio.timeout(PATIENCE):
            await node.stop()
            await task


def eye(network: Path, name: str = "eye", **options: Any) -> PipelineConfig:
    return PipelineConfig(name, "drip:", network, folder=network.parent, **options)


async def test_a_service_hears_everything_and_ends_after_the_pipelines(network: Path) -> None:
    async with running(configuration(network.parent, eye(network), web=Settings())) as (_, heard):
        await heard.state(State.running)
    assert Helper.log == ["attach", "starting", "run", "running", "stopping", "stopped", "end"]


async def test_a_service_that_fails_is_begun_again_and_no_pipeline_notices(
    network: Path, far_side: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.daemon.backoff.Backoff.next", at_once)
    async with running(configuration(network.parent, eye(network), web=Settings(fails=3))) as (node, heard):
        after = 0
        for _ in range(3):
            after = await heard.alarm("service", after)
        await heard.state(State.running)
        async with asyncio.timeout(PATIENCE):
            await serving.wait()
        assert Helper.log.count("run") == 4
        assert Helper.log.count("attach") == 1
        assert far_side.opened == 1
        assert node.alarms == 3


async def test_a_service_can_refuse_to_start(network: Path) -> None:
    node = Node(configuration(network.parent, eye(network), web=Settings(refuses=True)))
    with pytest.raises(ConfigError, match="not like this"):
        await asyncio.wait_for(node.run(), PATIENCE)


async def test_who_listens_and_fails_does_not_keep_notices_from_others(network: Path) -> None:
    def fail(notice: Notice) -> None:
        raise RuntimeError("no ears")

    node = Node(configuration(network.parent, eye(network)))
    end = node.listen(fail)
    heard = Heard(node)
    task = asyncio.create_task(node.run(), name="test.node")
    await heard.state(State.running)
    end()
    end()
    await node.stop()
    await task
    assert heard.states() == [State.starting, State.running, State.stopping, State.stopped]


async def test_two_daemons_do_not_share_a_data_folder(network: Path) -> None:
    config = configuration(network.parent, eye(network))
    async with running(config):
        with pytest.raises(ConfigError, match="another daemon"):
            await Node(config).run()


async def test_a_reload_touches_only_what_has_changed(network: Path, far_side: Bench) -> None:
    first, second, third = (eye(network, name) for name in ("one", "two", "three"))
    config = configuration(network.parent, first, second)
    async with running(config) as (node, heard):
        after = 0
        for _ in range(2):
            after = await heard.state(State.running, after)
        one, two = node.pipelines["one"], node.pipelines["two"]
        changed = dataclasses.replace(second, decide=Duration(5_000))
        await node.reload(dataclasses.replace(config, pipelines=(third, first, changed)))
        assert list(node.pipelines) == ["three", "one", "two"]
        assert node.pipelines["one"] is one
        assert node.pipelines["two"] is not two
        assert two.state is State.stopped
        for _ in range(2):
            after = await heard.state(State.running, after)
        assert far_side.opened == 4
        of_one = [each for each in heard.notices if isinstance(each, StateChange) and each.pipeline == "one"]
        assert [each.state for each in of_one] == [State.starting, State.running]
        await node.reload(dataclasses.replace(config, pipelines=(first,)))
        assert list(node.pipelines) == ["one"]
        with pytest.raises(ConfigError, match="restarted"):
            await node.reload(dataclasses.replace(config, node=dataclasses.replace(config.node, reports=3)))


async def test_what_a_command_set_is_kept_over_a_reload_of_the_same_file(network: Path) -> None:
    config = configuration(network.parent, eye(network))
    async with running(config) as (node, heard):
        await heard.state(State.running)
        await node.command(Command("1", "set", "eye", {"decide": "7ms"}))
        await node.reload(dataclasses.replace(config))
        assert node.pipelines["eye"].config.decide == 7_000


async def test_commands_for_all_pipelines_and_for_none(network: Path) -> None:
    async with running(configuration(network.parent, eye(network, "one"), eye(network, "two"))) as (node, _):
        stopped = await node.command(Command("1", "stop"))
        assert stopped.result == {"one": "stopped", "two": "stopped"}
        again = await node.command(Command("1", "start", "one"))
        assert again is stopped
        for wrong in (
            Command("2", "stop", "three"),
            Command("3", "deploy"),
            Command("4", "stop", "one", {"a": 1}),
            Command("5", "set", "one", {"decide": [1]}),
            Command("6", "report", "x" * 100),
        ):
            reply = await node.command(wrong)
            assert not reply.ok
            assert reply.error
            assert reply.id == wrong.id
        state = await node.command(Command("7", "state"))
        assert isinstance(state.result, dict)
        assert state.result["node"] == "test"


async def test_what_only_looks_is_not_kept(network: Path) -> None:
    """A thousand reports would be half a gigabyte."""
    async with running(configuration(network.parent, eye(network))) as (node, heard):
        await heard.state(State.running)
        replies = [await node.command(Command("same", "snapshot", "eye")) for _ in range(2)]
        assert all(each.ok for each in replies)
        assert replies[0] is not replies[1]


async def test_it_tells_of_itself_without_secrets(network: Path) -> None:
    config = configuration(network.parent, eye(network, send=(SendConfig("spif://127.0.0.1:9"),)))
    async with running(config) as (node, heard):
        await heard.state(State.running)
        told = info(node)
        assert set(told) >= {"node", "boot", "versions", "host", "pipelines", "devices", "services"}
    assert bare("mqtt://user:pass@host/node") == "mqtt://host/node"
    assert bare("synth:bar?x=a@b") == "synth:bar?x=a@b"


async def test_prometheus_reads_its_metrics(network: Path) -> None:
    config = configuration(network.parent, eye(network, decide=Duration(5_000)), web=Settings())
    async with running(config) as (node, heard):
        await heard.decisions(3)
        families = {each.name: each for each in text_string_to_metric_families(exposition(node).decode())}
        stats = node.pipelines["eye"].stats()
    events = families["nrt_events"].samples[0]
    assert (events.name, events.labels) == ("nrt_events_total", {"pipeline": "eye"})
    assert 0 < events.value <= stats.events
    states = {s.labels["state"]: s.value for s in families["nrt_pipeline_state"].samples}
    assert states.pop("running") == 1
    assert not any(states.values())
    buckets = [s for s in families["nrt_latency_seconds"].samples if s.name.endswith("_bucket")]
    counts = [s.value for s in buckets]
    assert counts == sorted(counts)
    assert buckets[-1].labels["le"] == "+Inf"
    (total,) = [s.value for s in families["nrt_latency_seconds"].samples if s.name.endswith("_count")]
    assert counts[-1] == total > 0
    (waiting,) = families["nrt_service_count"].samples
    assert (waiting.labels, waiting.value) == ({"service": "web", "what": "waiting"}, 3)
    assert {"nrt_spikes", "nrt_lost_events", "nrt_decisions", "nrt_restarts", "nrt_queue_packets"} <= set(
        families
    )


async def test_it_is_ready_when_what_should_run_runs(network: Path, far_side: Bench) -> None:
    far_side.plugged.clear()
    async with running(configuration(network.parent, eye(network))) as (node, heard):
        await heard.state(State.backoff)
        assert healthy(node)[0]
        assert not ready(node)[0]
        far_side.plugged.set()
        await heard.state(State.running)
        assert ready(node)[0]
        await node.command(Command("1", "stop", "eye"))
        assert ready(node)[0]


async def test_reports_are_written_and_a_bounded_number_kept(network: Path) -> None:
    config = configuration(network.parent, eye(network))
    config = dataclasses.replace(config, node=dataclasses.replace(config.node, reports=3))
    async with running(config) as (node, heard):
        await heard.state(State.running)
        for number in range(5):
            assert (await node.command(Command(f"{number}", "reset", "eye"))).ok
    names = sorted(each.name for each in (network.parent / "data" / "reports" / "eye").iterdir())
    assert [int(name.partition("-")[0]) for name in names] == [4, 5, 6]


async def test_a_disk_without_reports_stops_nothing(network: Path, caplog: pytest.LogCaptureFixture) -> None:
    (network.parent / "data").mkdir()
    (network.parent / "data" / "reports").write_text("a file where a folder should be", encoding="utf-8")
    logging.getLogger("nrt").propagate = True
    async with running(configuration(network.parent, eye(network))) as (node, heard):
        await heard.state(State.running)
        assert (await node.command(Command("1", "reset", "eye"))).ok
    assert "cannot be kept" in caplog.text

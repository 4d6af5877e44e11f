"""Updates on a running node: the switch, the trial, the way back, and death between any two steps."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nrt.daemon.command import Command, Reply
from nrt.daemon.config import load
from nrt.daemon.models import keys
from nrt.daemon.models.package import Package
from nrt.daemon.models.store import Installed, Store
from nrt.daemon.node import Node
from nrt.daemon.notice import Alarm, Notice, State
from tests.unit.models.packages import network_file, package

pytest.importorskip("cryptography", reason="the package cryptography, of extra daemon, is not installed")

CONFIG = """
[node]
name = "edge"
data = "data"

[models]
keys = ["edge.pub"]
trial = "{trial}"

[[pipeline]]
name = "echo"
source = "synth:uniform?width=2&height=2&velocity=20&seconds=0&light=5000&contrast=20"
network = "network.nir"
reading = {{ dt = "1ms" }}
device = "cpu:"
"""


def folder(path: Path, trial: str = "300ms") -> Path:
    """A folder with a configuration, a network and a key."""
    (path / "edge.toml").write_text(CONFIG.format(trial=trial))
    network_file(path)
    if not (path / "edge.key").exists():
        keys.generate(path / "edge.key")
    return path


async def signed(path: Path, version: int, threshold: float = 0.5) -> Package:
    """A package that the node trusts."""
    made = path / f"made{version}-{threshold}"
    made.mkdir(exist_ok=True)
    return keys.signed(await package(made, version, threshold), path / "edge.key")


@asynccontextmanager
async def running(path: Path) -> AsyncGenerator[tuple[Node, list[Notice]]]:
    """A node whose pipeline runs, and the notices that it gives."""
    node = Node(load(path / "edge.toml"))
    notices: list[Notice] = []
    node.listen(notices.append)
    task = asyncio.create_task(node.run())
    try:
        async with asyncio.timeout(60):
            while "echo" not in node.pipelines or node.pipelines["echo"].state is not State.running:
                assert not task.done(), task.exception()
                await asyncio.sleep(0.02)
        yield node, notices
    finally:
        await node.stop()
        await task


async def send(node: Node, **arguments: Any) -> Reply:
    """The reply to `deploy`."""
    number = len(os.urandom(4).hex() + str(arguments))
    return await node.command(Command(f"{number}{os.urandom(4).hex()}", "deploy", "echo", arguments))


def data(made: Package) -> str:
    """A package as a command carries it."""
    return base64.b64encode(made.to_bytes()).decode()


async def until(done: Any) -> None:
    """Waits for what will be true."""
    async with asyncio.timeout(60):
        while not done():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.02)


def stage(node: Node) -> Any:
    """What the pipeline runs."""
    assert node.models is not None
    return node.models.state("echo")


async def test_a_package_replaces_what_runs_passes_its_trial_and_is_there_after_a_restart(
    tmp_path: Path,
) -> None:
    made = await signed(folder(tmp_path), 3)
    async with running(tmp_path) as (node, _):
        reply = await send(node, data=data(made))
        assert reply.ok, reply.error
        assert stage(node)["current"] == made.address
        await until(lambda: stage(node)["stage"] == "good")
        assert stage(node)["highest"] == 3
    async with running(tmp_path) as (node, _):
        assert node.pipelines["echo"].config.network.stem == made.address
        again = await send(node, data=data(made))
        assert "runs already" in again.error
        back = await send(node, package="configured")
        assert back.ok, back.error
        assert node.pipelines["echo"].config.network == tmp_path / "network.nir"


async def test_no_event_is_lost_across_a_switch(tmp_path: Path) -> None:
    made = await signed(folder(tmp_path), 1)
    file = tmp_path / "edge.toml"
    file.write_text(file.read_text().replace("seconds=0", "seconds=3"))
    async with running(tmp_path) as (node, _):
        pipeline = node.pipelines["echo"]
        taken: list[tuple[int, int, int]] = []
        pipeline.tap_events(lambda packet: taken.append((packet.start, packet.end, len(packet))))
        assert (await send(node, data=data(made))).ok
        await until(lambda: pipeline.state is State.stopped)  # the source has ended
        assert all(one[1] == other[0] for one, other in pairwise(taken))
        assert pipeline.stats().lost == 0
    reports = [
        json.loads(file.read_text()) for file in (tmp_path / "data").rglob("*.json") if "report" in str(file)
    ]
    assert len(reports) == 2
    assert sum(report["events"] for report in reports) == pipeline.stats().events


async def test_a_model_that_falls_silent_is_rolled_back_and_not_taken_again(tmp_path: Path) -> None:
    folder(tmp_path, trial="60s")
    silent = await signed_silent(tmp_path)
    async with running(tmp_path) as (node, notices):
        await until(lambda: node.pipelines["echo"].stats().spikes > 0)
        reply = await send(node, data=data(silent))
        assert reply.ok, reply.error
        await until(lambda: node.pipelines["echo"].config.network == tmp_path / "network.nir")
        (alarm,) = [each for each in notices if isinstance(each, Alarm) and each.kind == "rollback"]
        assert "it is silent" in alarm.text
        assert (stage(node)["current"], stage(node)["stage"]) == (None, "good")
        assert node.pipelines["echo"].state is State.running
        assert "rolled back from before" in (await send(node, package=silent.address)).error
        assert (await send(node, package=silent.address, force=True)).ok


async def signed_silent(path: Path) -> Package:
    """A package that fires in its golden run, whose events come in pairs, and never for single ones."""
    import numpy as np

    from nrt.daemon.models.golden import make, recorded
    from nrt.reading import Reading
    from tests.unit.models.packages import events

    crowd = np.repeat(events(), 200)
    given = recorded(crowd, (2, 2, 2), 0, 100_000)
    made = path / "silent"
    made.mkdir()
    file = network_file(made, 150.0)
    return keys.signed(await make(file, Reading(dt="1ms"), given, name="echo", version=9), path / "edge.key")


async def test_what_is_not_signed_by_a_trusted_key_reaches_neither_disk_nor_device(tmp_path: Path) -> None:
    folder(tmp_path)
    made = await signed(tmp_path, 1)
    keys.generate(tmp_path / "other.key")
    foreign = keys.signed(made, tmp_path / "other.key")
    async with running(tmp_path) as (node, _):
        assert "it is signed with the key" in (await send(node, data=data(foreign))).error
        assert (
            "nobody signed it"
            in (await send(node, data=data(dataclasses.replace(made, signature=None)))).error
        )
        assert "only signed packages" in (await send(node, path="network.nir")).error
        assert "no model package" in (await send(node, data=data(made)[:2000])).error
        assert "not base 64" in (await send(node, data="!")).error
        assert "no address" in (await send(node, package="../../etc/passwd")).error
        assert node.models is not None
        assert node.models.addresses() == []
        assert stage(node)["current"] is None


async def test_an_older_version_needs_force(tmp_path: Path) -> None:
    folder(tmp_path)
    newer, older = await signed(tmp_path, 5), await signed(tmp_path, 4)
    async with running(tmp_path) as (node, _):
        assert (await send(node, data=data(newer))).ok
        assert "on trial" in (await send(node, data=data(older))).error
        await until(lambda: stage(node)["stage"] == "good")
        assert "version 5 has passed here" in (await send(node, data=data(older))).error
        assert (await send(node, data=data(older), force=True)).ok


def test_a_model_that_ends_the_daemon_on_trial_is_rolled_back(tmp_path: Path) -> None:
    made = asyncio.run(signed(folder(tmp_path), 1))
    config = load(tmp_path / "edge.toml")
    from nrt.daemon.models.updates import BOOTS, Updates

    settings: Any = config.tables["models"]
    store = Store(tmp_path / "data" / "models")
    store.install("echo", Installed().on_trial(store.put(made)))
    for _ in range(BOOTS):
        updates = Updates(settings, tmp_path / "data" / "models", lambda take: lambda: None)
        started, said = updates.begin(config.pipelines[0])
        assert (started.network.stem, said) == (made.address, "")
    started, said = Updates(settings, tmp_path / "data" / "models", lambda take: lambda: None).begin(
        config.pipelines[0]
    )
    assert started == config.pipelines[0]
    assert "on trial" in said


CHILD = """
    import os, sys
    from pathlib import Path
    from nrt.daemon.models.package import read
    from nrt.daemon.models.store import Installed, Store

    def deadly(call):
        def counted(*arguments):
            global left
            left -= 1
            if left == 0:
                os._exit(9)
            done = call(*arguments)
            left -= 1
            if left == 0:
                os._exit(9)
            return done
        return counted

    made = read(Path(sys.argv[2]))
    for kill in range(1, 60):
        if os.fork() == 0:
            left = kill
            os.fsync, os.replace, os.unlink = map(deadly, (os.fsync, os.replace, os.unlink))
            store = Store(Path(sys.argv[1]) / str(kill), keep=0)
            address = store.put(made)
            store.install("echo", Installed(current="a" * 64).on_trial(address))
            store.install("echo", store.installed("echo").passed(1))
            os._exit(0)
        _, status = os.wait()
        assert os.waitstatus_to_exitcode(status) in (0, 9)
        if status == 0:
            break
"""


def test_a_daemon_that_is_killed_between_any_two_steps_on_disk_finds_the_state_before_or_after(
    tmp_path: Path,
) -> None:
    made = asyncio.run(signed(folder(tmp_path), 1))
    file, places = tmp_path / "one.nrtmodel", tmp_path / "kills"
    file.write_bytes(made.to_bytes())
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(places), str(file)],
        timeout=100,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    states: list[Installed] = []
    for kill in range(1, len(list(places.iterdir())) + 1):
        store = Store(places / str(kill))
        installed = store.installed("echo")
        if installed.current is not None:  # what is said to run is there, whole
            assert store.get(installed.current).address == made.address
        assert not list((places / str(kill)).glob(".*"))
        states.append(installed)
    trial = Installed(current="a" * 64).on_trial(made.address)
    assert states[0] == Installed()
    assert states[-1] == trial.passed(1)
    assert trial in states
    assert set(states) <= {Installed(), trial, trial.passed(1)}

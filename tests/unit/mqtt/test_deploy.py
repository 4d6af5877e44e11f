"""Signed packages over a broker: by the typed client and by nrt fleet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nrt
from nrt.cli.app import app
from nrt.daemon import config
from nrt.daemon.models import keys
from nrt.daemon.models.golden import make, recorded
from nrt.daemon.models.package import Package
from nrt.daemon.mqtt.requests import LARGEST
from nrt.reading import Reading
from nrt.remote.model import deployment
from tests.brokers import Mosquitto
from tests.unit.models.packages import events, network_file
from tests.unit.mqtt.conftest import PATIENCE, eventually, running

pytest.importorskip("cryptography", reason="the package cryptography, of extra daemon, is not installed")

CONFIG = """
[node]
name = "edge"
data = "data"
[mqtt]
broker = "{broker}"
[models]
keys = ["edge.pub"]
size = "1MB"
[[pipeline]]
name = "echo"
source = "synth:uniform?width=2&height=2&velocity=20&seconds=0&light=5000&contrast=20"
network = "network.nir"
reading = {{ dt = "1ms" }}
device = "cpu:"
"""


def configured(folder: Path, broker: str) -> config.Config:
    """A node that trusts the key in its folder."""
    (folder / "edge.toml").write_text(CONFIG.format(broker=broker))
    network_file(folder)
    keys.generate(folder / "edge.key")
    return config.load(folder / "edge.toml")


async def package(folder: Path, version: int, count: int = 40) -> Package:
    """Not signed; as large as its events are many."""
    made = folder / f"made{version}"
    made.mkdir()
    given = recorded(events(count), (2, 2, 2), 0, 100_000)
    return await make(network_file(made), Reading(dt="1ms"), given, name="echo", version=version)


def file_of(folder: Path, package: Package) -> Path:
    file = folder / f"echo-{package.manifest.version}.nrtmodel"
    file.write_bytes(package.to_bytes())
    return file


async def test_a_signed_package_is_sent_to_a_node_and_runs_there(tmp_path: Path, broker: str) -> None:
    settings = configured(tmp_path, broker)
    first = keys.signed(await package(tmp_path, 1, 60_000), tmp_path / "edge.key")
    second = await package(tmp_path, 2)
    assert len(first.to_bytes()) > LARGEST, "larger than any other command may be"
    async with running(settings) as node, asyncio.timeout(PATIENCE):
        await eventually(lambda: node.pipelines["echo"].state == "running")
        async with nrt.connect(f"{broker}/edge") as edge:
            echo = edge.pipeline("echo")
            said: Any = await echo.deploy(file_of(tmp_path, first))
            assert said["address"] == first.address
            assert node.pipelines["echo"].state == "running"
            with pytest.raises(nrt.DeviceError, match="signed"):
                await echo.deploy(file_of(tmp_path, second))
            with pytest.raises(nrt.DeviceError, match="only signed packages"):
                await echo.deploy("network.nir")
            said = await echo.deploy("configured")
            assert said["package"] is None
            said = await echo.deploy(first.address, force=True)
            assert said["address"] == first.address


async def test_the_command_line_sends_one_to_every_node(tmp_path: Path, mosquitto: Mosquitto) -> None:
    settings = configured(tmp_path, mosquitto.uri)
    file = file_of(tmp_path, keys.signed(await package(tmp_path, 1), tmp_path / "edge.key"))
    command = [
        "fleet",
        "run",
        "deploy",
        "--pipeline",
        "echo",
        "--broker",
        mosquitto.uri,
        "--package",
        str(file),
    ]
    async with running(settings) as node, asyncio.timeout(PATIENCE):
        await eventually(lambda: node.pipelines["echo"].state == "running")
        async with nrt.connect(f"{mosquitto.uri}/edge") as edge:
            assert await edge.info()
        done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == 0, done.output
    assert "edge  ok" in done.output
    wrong = CliRunner().invoke(app, [*command[:2], "stop", *command[3:]])
    assert wrong.exit_code == 2


def test_what_is_no_package_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with pytest.raises(nrt.NotFound, match="cannot be read"):
        deployment(tmp_path / "none.nrtmodel")
    with pytest.raises(nrt.ConfigError, match="no model package"):
        deployment(network_file(tmp_path))

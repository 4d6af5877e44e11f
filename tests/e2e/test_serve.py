"""The daemon as a process, as systemd and people run it: signals, reload, reports, checks."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.campaigns.edge import PATIENCE, ROOT, Edge

NETWORK = ROOT / "sim/nrt_sim/models/digits.nir"
CONFIG = f"""
[node]
name = "edge"
data = "data"

[[pipeline]]
name = "digits"
source = "synth:digits?sensor=davis346&width=32&height=32&seconds=0"
network = "{NETWORK}"
decide = "50ms"
"""
SECOND = f"""
[[pipeline]]
name = "second"
source = "synth:uniform?sensor=davis346&width=32&height=32&seconds=0"
network = "{NETWORK}"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest_asyncio.fixture
async def edge(config: Path) -> AsyncIterator[Edge]:
    made = Edge(config)
    yield made
    await made.close()


async def test_it_ends_within_five_seconds_with_its_report_written(edge: Edge, tmp_path: Path) -> None:
    await edge.start()
    await edge.said("digits: running")
    await asyncio.sleep(0.5)
    await edge.terminate()
    assert "ended" in edge.lines[-1]
    ending = next(k for k, line in enumerate(edge.lines) if line.endswith("ending"))
    said = [line.split()[2:] for line in edge.lines[ending:]]
    assert said == [["ending"], ["digits:", "stopping"], ["digits:", "stopped"], ["ended"]]
    (report,) = (tmp_path / "data" / "reports" / "digits").glob("*.json")
    data = json.loads(report.read_text(encoding="utf-8"))
    assert data["events"] > 0
    assert data["error"] == ""


async def test_a_reload_starts_what_is_new_and_a_bad_one_changes_nothing(edge: Edge, config: Path) -> None:
    def write(text: str) -> None:
        config.write_text(text, encoding="utf-8")
        edge.signal(signal.SIGHUP)

    await edge.start()
    after = await edge.said("digits: running")
    write(CONFIG + SECOND)
    await edge.said("reloaded", after)
    after = await edge.said("second: running", after)
    write(CONFIG + SECOND + "\n[nonsense]\n")
    after = await edge.said("edge.toml:17: there is no table 'nonsense'", after)
    write(CONFIG)
    await edge.said("second: stopped", after)
    assert sum("digits: starting" in line for line in edge.lines) == 1
    await edge.terminate()
    assert sum("digits: stopped" in line for line in edge.lines) == 1


async def test_systemd_is_told_and_its_watchdog_fed(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    heard: list[str] = []
    ready, fed = asyncio.Event(), asyncio.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)

        def hear() -> None:
            heard.append(manager.recv(4_096).decode())
            if heard[-1] == "READY=1":
                ready.set()
            if heard.count("WATCHDOG=1") >= 3:
                fed.set()

        asyncio.get_running_loop().add_reader(manager, hear)
        edge = Edge(config, environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"})
        try:
            async with asyncio.timeout(PATIENCE):
                await edge.start()
                await ready.wait()
                await fed.wait()
            await edge.terminate()
        finally:
            asyncio.get_running_loop().remove_reader(manager)
            await edge.close()
    assert "STOPPING=1" in heard
    assert any(each.startswith("STATUS=digits ") for each in heard)


def nrt(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(ROOT / each) for each in (".", "drivers", "sim"))
    return subprocess.run(
        [sys.executable, "-m", "nrt", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )


def test_check_says_what_it_would_start_or_what_is_wrong(config: Path, tmp_path: Path) -> None:
    good = nrt("serve", "--check", "--config", "edge.toml", folder=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "digits on cpu:" in good.stdout
    config.write_text(CONFIG.replace('"50ms"', '"50"'), encoding="utf-8")
    bad = nrt("serve", "--check", "--config", "edge.toml", folder=tmp_path)
    assert bad.returncode == 1
    assert bad.stderr.startswith("nrt: edge.toml:10: ")
    none = nrt("serve", "--config", "none.toml", folder=tmp_path)
    assert none.returncode == 1
    assert "examples/edge.toml" in none.stderr
    assert not (tmp_path / "data").exists()


def test_a_second_daemon_is_sent_away(config: Path, tmp_path: Path) -> None:
    """Its data folder is in use."""
    import fcntl

    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = nrt("serve", "--config", "edge.toml", folder=tmp_path)
    assert done.returncode == 1
    assert "another daemon uses the data folder" in done.stderr


async def test_faults_lose_nothing_that_was_promised() -> None:
    """The campaign's short version: five kinds of faults; the long one is `python -m tests.campaigns.daemon`."""
    if shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        pytest.skip("mosquitto is not here (Debian's package mosquitto)")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.campaigns.daemon",
        "--faults",
        "5",
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in (".", "drivers", "sim")),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(110):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # it unmounts its disk
            await process.wait()
    assert process.returncode == 0, output.decode()[-3_000:]

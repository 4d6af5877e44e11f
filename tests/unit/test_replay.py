from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import nrt
from nrt import formats
from nrt.cli.app import app
from nrt.compare import compare
from nrt.network import Encoding, Network
from nrt.replay import Instead, Replay, replay_comparison, replay_run
from nrt.report import Report
from nrt.testing import events
from tests.nir_graphs import chain, integrator, nir, written

ROWS = [(500 + 1_000 * k, (3 * k) % 4, 0, 1) for k in range(40)]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Four inputs onto three neurons, in a file."""
    return saved(np.array([[1.0, 0, 1, 0], [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]]), tmp_path)


def saved(weights: NDArray[np.float64], folder: Path) -> Path:
    flat = nir.Flatten(start_dim=0, end_dim=-1, input_type={"input": np.array([1, 1, 4])})
    layers = (flat, nir.Linear(weight=weights), integrator((3,), threshold=0.9))
    return written(chain(*layers, inputs=(1, 1, 4), outputs=(3,)), folder)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path / "recording.es", ROWS)


def recorded(path: Path, rows: list[tuple[int, int, int, int]]) -> Path:
    with formats.create(path, "es", (2, 1, 4)) as writer:
        writer.write(events(*rows))
    return path


async def ran(network: Path, source: Path | str, **chosen: Any) -> Report:
    async with asyncio.timeout(60), nrt.open("reference:") as session:
        await session.deploy(network, dt="1ms", encoding=Encoding(polarity="merge"), **chosen)
        return await session.run(str(source), decide="10ms", label=2)


def kept(report: Report) -> Report:
    """What is read back from the report's JSON."""
    return Report.from_dict(json.loads(report.to_json()))


def changed(replay: Replay) -> dict[str, tuple[str, str]]:
    """What is not as it was, apart from figures that never are."""
    return {each.what: (each.before, each.now) for each in replay.changes if not each.figure}


async def test_a_run_that_is_repeated_gives_the_same_and_says_so(network: Path, recording: Path) -> None:
    before = await ran(network, recording)
    assert before.counters.spikes["c"] > 10
    replay = await replay_run(kept(before))
    assert replay.equal
    assert changed(replay) == {}
    assert "nothing else changed\nthe outputs are equal" in str(replay)
    assert isinstance(replay.result, Report)
    assert replay.result.decisions is not None
    assert before.decisions is not None
    assert replay.result.decisions.answers == before.decisions.answers


async def test_how_the_network_was_read_and_what_was_watched_is_repeated(
    network: Path, recording: Path
) -> None:
    async with asyncio.timeout(60), nrt.open("reference:") as session:
        await session.deploy(
            network,
            taps=["input"],
            dt="2ms",
            reset="soft",
            encoding=Encoding("binary", "merge", crop=(0, 0, 3, 1)),
        )
        before = await session.run(str(recording), deadline="1s")
    replay = await replay_run(kept(before))
    assert replay.equal
    now = replay.result
    assert isinstance(now, Report)
    assert now.network["hash"] == before.network["hash"]
    assert now.settings == before.settings
    assert now.settings.taps == ("input",)


async def test_a_recording_that_changed_is_told_with_all_that_follows(network: Path, recording: Path) -> None:
    before = await ran(network, recording)
    recorded(recording, [*ROWS, (41_500, 1, 0, 1), (41_500, 3, 0, 1)])
    replay = await replay_run(kept(before))
    assert not replay.equal
    told = changed(replay)
    assert "recording: fingerprint" in told
    assert told["events"] == ("40", "42")
    assert told["spikes of c"][0] != told["spikes of c"][1]
    assert any(name.startswith("SHA-256 of the output") for name in told)


async def test_a_network_that_changed_is_told(network: Path, recording: Path, tmp_path: Path) -> None:
    before = await ran(network, recording)
    saved(np.ones((3, 4)), tmp_path)
    replay = await replay_run(kept(before))
    assert not replay.equal
    assert "network hash" in changed(replay)


async def test_versions_and_machine_are_told_where_they_differ(network: Path, recording: Path) -> None:
    before = kept(await ran(network, recording))
    older = dataclasses.replace(
        before, versions={**before.versions, "numpy": "1.0"}, host={**before.host, "cores": "9"}
    )
    replay = await replay_run(older)
    assert replay.equal
    assert set(changed(replay)) == {"version of numpy", "machine: cores"}
    assert changed(replay)["version of numpy"][0] == "1.0"


async def test_another_device_may_take_the_place_of_the_first(network: Path, recording: Path) -> None:
    before = kept(await ran(network, recording))
    replay = await replay_run(before, Instead(device="null:"))
    assert not replay.equal
    assert changed(replay)["device"] == ("reference:", "null:")


async def test_a_recording_is_found_from_another_folder(
    network: Path, recording: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(recording.parent)
    before = kept(await ran(network, recording.name))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (await replay_run(before)).equal


async def test_what_is_gone_is_named_in_one_sentence(network: Path, recording: Path, tmp_path: Path) -> None:
    before = kept(await ran(network, recording))
    moved = tmp_path / "moved.es"
    shutil.move(recording, moved)
    with pytest.raises(
        nrt.NotFound, match=r"the recording of this report is gone: there is no .*recording\.es"
    ):
        await replay_run(before)
    assert (await replay_run(before, Instead(source=str(moved)))).equal
    os.unlink(network)
    with pytest.raises(nrt.NotFound, match=r"the network of this report is gone: there is no .*network\.nir"):
        await replay_run(before)


async def test_a_network_that_was_made_in_memory_must_be_named(network: Path, recording: Path) -> None:
    before = kept(await ran(network, recording))
    with pytest.raises(nrt.ConfigError, match="made in memory and is in no file"):
        await replay_run(dataclasses.replace(before, reading={}))


async def test_what_a_camera_saw_cannot_be_had_again(network: Path, recording: Path) -> None:
    before = kept(await ran(network, recording))
    with pytest.raises(nrt.ConfigError, match="live: what it saw then cannot be had again"):
        await replay_run(dataclasses.replace(before, source={"uri": "spif://127.0.0.1:33333"}))


async def test_a_comparison_is_repeated_and_a_recording_that_changed_is_told(
    network: Path, recording: Path
) -> None:
    loaded = Network.load(network, dt="1ms", encoding=Encoding(polarity="merge"))
    async with asyncio.timeout(60):
        before = await compare(loaded, [recording], ["reference:", "null:"])
        replay = await replay_comparison(before)
        assert replay.equal
        assert changed(replay) == {}
        recorded(recording, ROWS[:-5])
        replay = await replay_comparison(before)
    assert not replay.equal
    assert any(name.endswith("SHA-256") for name in changed(replay))


async def test_the_recordings_of_a_comparison_that_are_gone_are_named(network: Path, recording: Path) -> None:
    loaded = Network.load(network, dt="1ms", encoding=Encoding(polarity="merge"))
    async with asyncio.timeout(60):
        before = await compare(loaded, [recording], ["null:"])
        os.unlink(recording)
        with pytest.raises(nrt.NotFound, match="a recording of this comparison is gone"):
            await replay_comparison(before)
        with pytest.raises(nrt.ConfigError, match="only its network can be replaced"):
            await replay_comparison(before, Instead(device="null:"))


async def test_a_comparison_of_devices_that_are_gone_is_told_as_such(network: Path, recording: Path) -> None:
    loaded = Network.load(network, dt="1ms", encoding=Encoding(polarity="merge"))
    async with asyncio.timeout(60):
        before = await compare(loaded, [recording, recording], ["null:"])
        gone = dataclasses.replace(before, devices=(dataclasses.replace(before.devices[0], uri="nothing:"),))
        replay = await replay_comparison(gone)
    assert not replay.equal
    told = changed(replay)
    assert told["recordings"] == ("2", "0")
    assert "nothing" in told["nothing: error"][1]


def test_the_command_says_by_its_exit_code_whether_the_outputs_are_equal(
    network: Path, recording: Path, tmp_path: Path
) -> None:
    file, page = tmp_path / "report.json", tmp_path / "again.html"
    chosen = ["--on", "reference:", "--encode", "polarity=merge", "--decide", "10ms", "--report", str(file)]
    runner = CliRunner()
    assert runner.invoke(app, ["run", str(network), "--from", str(recording), *chosen]).exit_code == 0
    pages = [*chosen[:-1], str(tmp_path / "run.html")]
    assert runner.invoke(app, ["run", str(network), "--from", str(recording), *pages]).exit_code == 0
    assert "spikes of c" in (tmp_path / "run.html").read_text()
    same = runner.invoke(app, ["replay", str(file), "--out", str(page)])
    assert same.exit_code == 0
    assert "the outputs are equal" in same.stdout
    assert page.read_text().startswith("<!doctype html>")
    other = runner.invoke(app, ["replay", str(file), "--on", "null:", "--json"])
    assert other.exit_code == 1
    assert json.loads(other.stdout)["equal"] is False


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no report"),
        ('{"format": "something"}', "holds no report of a run and no comparison"),
        ('{"format": "nrt report 1"}', "is missing"),
    ],
)
def test_a_file_that_holds_no_report_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    done = CliRunner().invoke(app, ["replay", str(file)])
    assert done.exit_code == 1
    assert sentence in str(done.exception)

"""Sweeps on this machine: resumed, side by side, with devices and recordings that fail."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import h5py
import pytest

from nrt.dataset import Dataset, Sample
from nrt.errors import ConfigError
from nrt.sweep import Local, Plan, Row, Sweep, sweep
from nrt.sweep.local import Lane
from nrt.sweep.process import ProcessStation
from nrt.testing.stimulus import small
from tests.e2e.conftest import environment
from tests.nir_graphs import chain, lif, written
from tests.unit.sweep.sweeps import CHIP, assert_each_once, lines, plan, recordings

hdf5: Any = h5py  # its types are wider than what it returns


async def run(
    wanted: Plan, out: Path, jobs: int = 1, limit: float | None = None, *, retry: bool = False
) -> Sweep:
    async with asyncio.timeout(100):
        return await sweep(wanted, out, Local(jobs, limit), retry=retry)


def answers(found: Sequence[Row]) -> dict[str, tuple[int | None, int, int]]:
    return {row.recording: (row.winner, row.events, row.spikes) for row in found}


async def test_every_item_has_its_row_in_the_journal_and_in_the_results(tmp_path: Path) -> None:
    wanted = plan(tmp_path / "data", 5, "reference:", CHIP)
    found = await run(wanted, tmp_path / "r.h5")
    assert found.done
    assert not found.failed
    assert [row.id for row in found.rows] == [item.id for item in wanted.items()]
    assert_each_once(wanted.items(), tmp_path / "r.h5.journal")
    with hdf5.File(tmp_path / "r.h5") as file:
        assert file["rows"]["id"].asstr()[:].tolist() == [item.id for item in wanted.items()]
    here, chip = found.rows[:5], found.rows[5:]
    assert all(row.events == 50 and row.spikes for row in found.rows)
    assert answers(here) == answers(chip)


async def test_a_second_run_does_nothing_and_a_longer_list_only_what_is_new(tmp_path: Path) -> None:
    out = tmp_path / "r.h5"
    await run(plan(tmp_path / "data", 3, "null:"), out)
    before = (tmp_path / "r.h5.journal").read_bytes()
    again = await run(plan(tmp_path / "data", 3, "null:"), out)
    assert (again.resumed, len(again.rows)) == (3, 3)
    assert (tmp_path / "r.h5.journal").read_bytes() == before
    more = plan(tmp_path / "data", 4, "null:", "reference:")
    found = await run(more, out)
    assert (found.resumed, len(found.rows)) == (3, 8)
    assert_each_once(more.items(), tmp_path / "r.h5.journal")


@pytest.fixture
def slow(tmp_path: Path) -> list[str]:
    """`nrt sweep` over two recordings that are done at once, one that takes an hour, and two more."""
    shape = (2, 1, 8)
    network = written(chain(lif(shape), inputs=shape, outputs=shape), tmp_path)
    data = [sample.source for sample in recordings(tmp_path / "data", 5).samples]
    data[2] = f"file:{data[2]}?speed=0.00001"
    command = [
        sys.executable,
        "-m",
        "nrt",
        "sweep",
        str(network),
        "--on",
        "null:",
        "--out",
        str(tmp_path / "r.h5"),
    ]
    return [*command, "--json", *(part for source in data for part in ("--from", source))]


@contextlib.contextmanager
def begun(command: Sequence[str]) -> Generator[subprocess.Popen[str]]:
    """A process, which is gone afterwards."""
    with subprocess.Popen(
        command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_rows(journal: Path, count: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 90
    while not journal.exists() or len(lines(journal)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "no rows after 90 s"
        time.sleep(0.02)


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path, slow: list[str]) -> None:
    journal = tmp_path / "r.h5.journal"
    with begun(slow) as process:
        wait_for_rows(journal, 2, process)
    kept = lines(journal)
    assert len(kept) == 2
    with journal.open("ab") as file:  # a line that the kill cut in two
        file.write(b'{"id":"b6525f98')
    with begun([*slow, "--patience", "300ms"]) as process:
        output, errors = process.communicate(timeout=90)
    outcome = json.loads(output)
    assert (outcome["items"], outcome["rows"], outcome["resumed"]) == (5, 5, 2), errors
    assert [row["error"] for row in outcome["failed"]] == ["TimeoutError: not done after 0.3 s"]
    assert process.returncode == 1
    rows = lines(journal)
    assert rows[:2] == kept
    assert len({row["id"] for row in rows}) == len(rows) == 5


def test_ctrl_c_writes_the_results_so_far(tmp_path: Path, slow: list[str]) -> None:
    with begun(slow) as process:
        wait_for_rows(tmp_path / "r.h5.journal", 2, process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=90)
    assert process.returncode == 1
    assert json.loads(output)["stopped"]
    assert "stopped: 3 of 5 were not run; the same command goes on with them" in errors
    with hdf5.File(tmp_path / "r.h5") as file:
        assert file["rows"]["id"].asstr()[:].tolist() == [
            row["id"] for row in lines(tmp_path / "r.h5.journal")
        ]


async def test_a_recording_that_is_damaged_is_a_row_and_a_repaired_one_another_item(tmp_path: Path) -> None:
    whole = plan(tmp_path / "data", 3, "reference:")
    before = whole.items()
    (tmp_path / "data" / "1" / "001.es").write_bytes(b"Event Stream\x02\x00\x00cut")
    found = await run(whole, tmp_path / "r.h5")
    assert found.done
    (failed,) = found.failed
    assert failed.recording == "1/001.es"
    assert failed.error.startswith("BadRecording: ")
    assert failed.right is None
    repaired = await run(plan(tmp_path / "data", 3, "reference:"), tmp_path / "r.h5")
    assert (repaired.resumed, len(repaired.failed)) == (2, 0)
    assert [row.id for row in repaired.rows] == [item.id for item in before]


async def test_what_failed_is_run_again_only_when_asked_for(tmp_path: Path) -> None:
    wanted = plan(tmp_path / "data", 2, "null:")
    slow = dataclasses.replace(
        wanted.dataset.samples[0], source=f"file:{wanted.dataset.samples[0].source}?speed=1"
    )
    samples = (slow, wanted.dataset.samples[1])
    wanted = dataclasses.replace(wanted, dataset=dataclasses.replace(wanted.dataset, samples=samples))
    out = tmp_path / "r.h5"
    first = await run(wanted, out, limit=0.05)
    assert [row.error for row in first.failed] == ["TimeoutError: not done after 0.05 s"]
    again = await run(wanted, out)
    assert (again.resumed, len(again.failed)) == (2, 1)
    retried = await run(wanted, out, retry=True)
    assert (retried.resumed, len(retried.failed)) == (1, 0)


async def test_a_device_that_cannot_be_had_does_not_stop_the_others(tmp_path: Path) -> None:
    wanted = plan(tmp_path / "data", 2, "nope:", "torch:cpu?batch=x", "null:", "tinyodin+serial:///dev/none")
    found = await run(wanted, tmp_path / "r.h5")
    assert {row.device for row in found.rows} == {"null:"}
    assert {each.device: each.items for each in found.not_run} == {
        "nope:": 2,
        "torch:cpu?batch=x": 2,
        "tinyodin+serial:///dev/none": 2,
    }
    assert "no device 'nope:'" in str(found.not_run[0])


async def test_a_network_that_does_not_fit_is_told_and_tried_again_later(tmp_path: Path) -> None:
    data = plan(tmp_path / "data", 2).dataset
    wanted = Plan({"large": small(hidden=300), "small": small()}, data, (CHIP,))
    found = await run(wanted, tmp_path / "r.h5")
    assert {row.model for row in found.rows} == {"small"}
    (refused,) = found.not_run
    assert (refused.model, refused.items) == ("large", 2)
    assert "does not fit" in refused.reason


async def test_a_device_that_dies_under_an_item_is_opened_again(tmp_path: Path) -> None:
    lost = f"{CHIP}?faults=unplug:12000"
    found = await run(plan(tmp_path / "data", 12, lost, span=400_000), tmp_path / "r.h5")
    assert found.done
    assert not found.failed
    assert max(row.attempts for row in found.rows) == 2


async def test_an_item_that_kills_its_device_twice_is_at_fault(tmp_path: Path) -> None:
    found = await run(
        plan(tmp_path / "data", 2, f"{CHIP}?faults=unplug:5000", span=400_000), tmp_path / "r.h5"
    )
    assert {row.attempts for row in found.failed} == {2}
    assert all("DeviceLost" in row.error for row in found.failed)


async def test_a_recording_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    data = Dataset("d", (Sample("synth:bar?width=8&height=1&seconds=60", None, "bar"),))
    found = await run(Plan({"small": small()}, data, ("null:",)), tmp_path / "r.h5", limit=0.3)
    assert found.rows[0].error == "TimeoutError: not done after 0.3 s"


async def test_a_source_without_an_end_is_refused(tmp_path: Path) -> None:
    data = Dataset("d", (Sample("synth:bar?width=8&height=1&seconds=0", None, "bar"),))
    found = await run(Plan({"small": small()}, data, ("null:",)), tmp_path / "r.h5")
    assert "never ends; a sweep takes recordings" in found.rows[0].error


@pytest.mark.parametrize("device", ["reference:", CHIP])
async def test_recordings_side_by_side_give_the_same_answers(tmp_path: Path, device: str) -> None:
    wanted = plan(tmp_path / "data", 6, device)
    alone = await run(wanted, tmp_path / "a.h5")
    beside = await run(wanted, tmp_path / "b.h5", jobs=2)
    assert answers(alone.rows) == answers(beside.rows)
    assert_each_once(wanted.items(), tmp_path / "b.h5.journal")
    assert not multiprocessing.active_children()


async def test_a_process_that_dies_costs_an_attempt_and_no_item(tmp_path: Path) -> None:
    (item,) = plan(tmp_path / "data", 1, CHIP, span=20_000_000).items()
    station: Lane = ProcessStation(CHIP)
    async with asyncio.timeout(90):
        work = asyncio.create_task(station.run(item, small()))
        victim = await kill_the_first_child()
        row = await work
        await station.close()
    assert row.id == item.id
    assert not row.error
    assert victim not in [child.pid for child in multiprocessing.active_children()]


async def kill_the_first_child() -> int:
    """Kills the one child of this process as soon as there is one; its number."""
    while True:
        for child in multiprocessing.active_children():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            return child.pid
        await asyncio.sleep(0.01)


async def test_results_without_a_journal_are_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "r.h5"
    out.write_bytes(b"precious")
    with pytest.raises(ConfigError, match=r"without the journal of a sweep \(r\.h5\.journal\)"):
        await run(plan(tmp_path / "data", 1, "null:"), out)
    assert out.read_bytes() == b"precious"


async def test_stopping_drops_what_is_under_way_and_keeps_what_is_done(tmp_path: Path) -> None:
    wanted = plan(tmp_path / "data", 8, "null:")
    stop = asyncio.Event()
    seen: list[str] = []

    def done(row: Row) -> None:
        seen.append(row.id)
        if len(seen) == 3:
            stop.set()

    async with asyncio.timeout(60):
        found = await sweep(wanted, tmp_path / "r.h5", Local(), done=done, stop=stop)
    assert not found.done
    assert [row.id for row in found.rows] == seen
    assert len(seen) >= 3

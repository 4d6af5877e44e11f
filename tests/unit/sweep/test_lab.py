"""Sweeps across a lab: a scheduler and a worker in this process, another worker in one that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed (extra lab)")

from distributed import Scheduler

from nrt.dataset import Dataset, load
from nrt.errors import DeviceBusy, NrtError
from nrt.lease import Lease
from nrt.sweep import Local, Plan, Sweep, sweep
from nrt.sweep.lab import Lab, status
from nrt.sweep.offers import Offer, serve
from nrt.testing.stimulus import small
from nrt.version import __version__
from tests.e2e.conftest import environment
from tests.unit.sweep.sweeps import CHIP, assert_each_once, lines, plan, recordings


@contextlib.asynccontextmanager
async def scheduling(**options: int) -> AsyncGenerator[Any]:
    """A scheduler on a port of its own."""
    made: Any = Scheduler  # not typed
    async with asyncio.timeout(90), made(host="127.0.0.1", port=0, dashboard=False, **options) as scheduler:
        yield scheduler


@contextlib.asynccontextmanager
async def working(address: str, *offers: str) -> AsyncGenerator[asyncio.Task[None]]:
    """A worker in this process, once its offer stands."""
    there = asyncio.Event()
    task = asyncio.create_task(
        serve(address, [Offer.parse(text) for text in offers], name="here", ready=lambda _: there.set())
    )
    waiting = asyncio.create_task(there.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield task
    finally:
        for each in (task, waiting):
            each.cancel()
        await asyncio.wait({task, waiting})


@contextlib.contextmanager
def working_elsewhere(address: str, *offers: str) -> Generator[subprocess.Popen[str]]:
    """`nrt lab worker` in a process of its own. It needs this process's event loop to reach the scheduler."""
    options = [part for offer in offers for part in ("--offer", offer)]
    with subprocess.Popen(
        [sys.executable, "-m", "nrt", "lab", "worker", *options, "--name", "there", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def until(true: Callable[[], bool]) -> None:
    """Returns when that is so; the scheduler's own state changes without an event that could be waited for."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def busy(scheduler: Any, name: str) -> None:
    """Returns when the worker of that name has tasks."""
    await until(lambda: any(w.processing for w in scheduler.workers.values() if w.name == name))


def paced(folder: Path, count: int, span: int = 200_000) -> Dataset:
    """Recordings that take `span` µs each."""
    recordings(folder, count, span)
    return load(f"{folder}?speed=1")


def answers(found: Sweep) -> list[tuple[str, int | None, int]]:
    return [(row.recording, row.winner, row.spikes) for row in found.rows]


async def test_a_killed_worker_costs_no_item_and_none_is_counted_twice(tmp_path: Path) -> None:
    wanted = Plan({"small": small()}, paced(tmp_path / "data", 12), (CHIP,))
    async with scheduling() as scheduler:
        address = scheduler.address
        async with working(address, CHIP):
            with working_elsewhere(address, CHIP) as victim:
                await until(lambda: len(scheduler.workers) == 2)
                work = asyncio.create_task(sweep(wanted, tmp_path / "r.h5", Lab(address)))
                await busy(scheduler, "there")
                victim.kill()
                found = await work
    assert found.done
    assert not found.failed
    assert not found.not_run
    assert_each_once(wanted.items(), tmp_path / "r.h5.journal")
    alone = await sweep(plan(tmp_path / "data", 12, CHIP, span=200_000), tmp_path / "alone.h5", Local())
    assert answers(found) == answers(alone)


async def test_an_item_that_kills_every_worker_it_is_given_to_is_at_fault(tmp_path: Path) -> None:
    wanted = Plan({"small": small()}, paced(tmp_path / "data", 1, span=60_000_000), (CHIP,))
    async with scheduling(allowed_failures=0) as scheduler:
        with working_elsewhere(scheduler.address, CHIP) as victim:
            await until(lambda: len(scheduler.workers) == 1)
            work = asyncio.create_task(sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address)))
            await busy(scheduler, "there")
            victim.kill()
            found = await work
    assert [(row.error, row.attempts) for row in found.rows] == [("1 workers died running it", 1)]
    assert_each_once(wanted.items(), tmp_path / "r.h5.journal")


async def test_workers_of_another_version_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = plan(tmp_path / "data", 1, CHIP)
    async with scheduling() as scheduler, working(scheduler.address, CHIP):
        monkeypatch.setattr("nrt.sweep.lab.__version__", "0.0.0")
        with pytest.raises(NrtError, match=rf"runs nrt {__version__} and this is 0\.0\.0; a lab needs one"):
            await sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address))
    assert not lines(tmp_path / "r.h5.journal")


async def test_what_nobody_offers_is_refused_at_once_and_the_rest_goes_on(tmp_path: Path) -> None:
    wanted = plan(tmp_path / "data", 2, "speck+samna:", "board")
    async with scheduling() as scheduler, working(scheduler.address, f"board={CHIP}"):
        found = await sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address))
    assert {row.device for row in found.rows} == {"board"}
    (refused,) = found.not_run
    assert (refused.device, refused.items) == ("speck+samna:", 2)
    assert refused.reason.startswith(
        "nobody in the lab offers speck+samna:; there is board (nrt lab worker --offer"
    )


async def test_a_device_whose_last_worker_leaves_is_given_up_and_resumed_with_the_next(
    tmp_path: Path,
) -> None:
    wanted = Plan({"small": small()}, paced(tmp_path / "data", 8), (CHIP,))
    async with scheduling() as scheduler:
        address = scheduler.address
        async with working(address, CHIP) as worker:
            work = asyncio.create_task(sweep(wanted, tmp_path / "r.h5", Lab(address, grace=0.3)))
            await busy(scheduler, "here")
            worker.cancel()
            found = await work
        assert not found.done
        assert found.not_run[0].items == 8 - len(found.rows)
        assert "nobody in the lab offers tinyodin+emu:; there is nothing" in str(found.not_run[0])
        async with working(address, CHIP):
            again = await sweep(wanted, tmp_path / "r.h5", Lab(address))
    assert again.done
    assert again.resumed == len(found.rows)
    assert_each_once(wanted.items(), tmp_path / "r.h5.journal")


async def test_a_network_that_does_not_fit_is_refused_by_the_chip_that_was_asked(tmp_path: Path) -> None:
    data = recordings(tmp_path / "data", 2)
    wanted = Plan({"large": small(hidden=300), "small": small()}, data, (CHIP,))
    async with scheduling() as scheduler, working(scheduler.address, CHIP):
        found = await sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address))
    assert {row.model for row in found.rows} == {"small"}
    (refused,) = found.not_run
    assert (refused.model, refused.items) == ("large", 2)
    assert "does not fit" in refused.reason


async def test_a_device_that_fails_again_and_again_is_withdrawn(tmp_path: Path) -> None:
    dying = f"{CHIP}?faults=unplug:2000"  # enough to open it, too little to program it
    wanted = plan(tmp_path / "data", 3, dying)
    async with scheduling() as scheduler, working(scheduler.address, dying):
        found = await sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address, grace=0.3))
    assert found.not_run[0].items == 3
    assert "nobody in the lab offers" in found.not_run[0].reason


async def test_stopping_leaves_nothing_behind_at_the_scheduler(tmp_path: Path) -> None:
    wanted = Plan({"small": small()}, paced(tmp_path / "data", 8), (CHIP,))
    stop = asyncio.Event()
    async with scheduling() as scheduler, working(scheduler.address, CHIP):
        work = asyncio.create_task(sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address), stop=stop))
        await busy(scheduler, "here")
        stop.set()
        found = await work
        await until(lambda: not scheduler.tasks)
    assert not found.done


async def test_a_board_that_somebody_else_has_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NRT_LEASES", str(tmp_path))
    board = "tinyodin+serial:///dev/ttyNRT0"
    with Lease(board, "somebody else"), pytest.raises(DeviceBusy, match="leased to somebody else"):
        await serve("tcp://127.0.0.1:1", [Offer.parse(board)])


async def test_the_status_of_a_lab_says_who_offers_what() -> None:
    async with scheduling() as scheduler, working(scheduler.address, CHIP, CHIP, "board=null:"):
        (worker,) = await status(scheduler.address)
    assert (worker.name, dict(worker.offers)) == ("here", {CHIP: 2, "board": 1})


async def test_a_scheduler_that_goes_away_ends_the_sweep_with_the_rows_so_far(tmp_path: Path) -> None:
    wanted = Plan({"small": small()}, paced(tmp_path / "data", 8), (CHIP,))
    async with scheduling() as scheduler, working(scheduler.address, CHIP):
        work = asyncio.create_task(sweep(wanted, tmp_path / "r.h5", Lab(scheduler.address)))
        await busy(scheduler, "here")
        await scheduler.close()
        found = await work
    assert not found.done
    assert "is gone" in found.not_run[0].reason
    assert (tmp_path / "r.h5").exists()


async def test_a_scheduler_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NrtError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1"):
        await sweep(plan(tmp_path / "data", 1, CHIP), tmp_path / "r.h5", Lab("tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("text", "offer"),
    [
        ("tinyodin+emu:?seed=3", Offer("tinyodin+emu:?seed=3", "tinyodin+emu:?seed=3")),
        ("board=tinyodin+emu:?seed=3", Offer("board", "tinyodin+emu:?seed=3")),
    ],
)
def test_an_offer_may_have_a_name(text: str, offer: Offer) -> None:
    assert Offer.parse(text) == offer

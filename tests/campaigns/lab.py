"""A sweep across a lab whose workers are killed: no item lost, none counted twice, every answer as on one machine.

    python -m tests.campaigns.lab --recordings 60 --kills 4

A scheduler here, and two workers in processes of their own (`nrt lab worker`), each with the same emulated chips. While
the digits are read on all of them, a worker that is busy is killed (SIGKILL) again and again, and another one started
in its place. Then the books must balance: one row for every item in the journal, none failed, and the same answers and
spikes as the same sweep on this machine alone. Last, a device that nobody offers is asked for: it must be refused at
once.

    python -m tests.campaigns.lab --cost

prints instead what the book-keeping costs: the same 200 short recordings on `null:` by `Session.run_all`, which keeps
nothing, by a sweep, and by a sweep through a scheduler and a worker in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from distributed import Scheduler

import nrt
from nrt import dataset
from nrt.sweep import Local, Plan, Row, Sweep, summaries, sweep
from nrt.sweep.lab import Lab
from nrt_sim.models import reading
from tests.e2e.conftest import environment
from tests.unit.sweep import sweeps
from tests.unit.sweep.test_lab import scheduling, working

DEVICES: Final = ("speck+emu:?leak=linear", "loihi2+sim:", "cpu:")
HANG: Final = 1200.0  # s
NOBODY: Final = "speck+samna:"


class Workers:
    """Two workers of a scheduler, of which one is replaced now and then."""

    def __init__(self, scheduler: Any, seed: int) -> None:
        self._scheduler = scheduler
        self._random = random.Random(seed)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self.victims: Counter[str] = Counter()

    def start(self) -> None:
        """One more worker; it joins by itself."""
        self._started += 1
        name = f"worker {self._started}"
        options = [part for device in DEVICES for part in ("--offer", device)]
        self._running[name] = subprocess.Popen(
            [sys.executable, "-m", "nrt", "lab", "worker", *options, "--name", name, self._scheduler.address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )

    async def joined(self, count: int) -> None:
        """Waits until so many workers are there."""
        while len(self._scheduler.workers) < count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)

    async def kill_one(self) -> None:
        """Kills a worker that is busy, and starts another."""
        await asyncio.sleep(self._random.uniform(1, 4))
        while not (busy := [each for each in self._scheduler.workers.values() if each.processing]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        victim = self._random.choice(busy)
        process = self._running.pop(str(victim.name))
        self.victims[f"{len(victim.processing)} items under way"] += 1
        process.kill()
        await asyncio.to_thread(process.wait)
        self.start()
        await asyncio.sleep(0.5)  # until the scheduler has noticed
        await self.joined(2)

    def end(self) -> None:
        """Ends all of them."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait()


async def killed(plan: Plan, out: Path, kills: int, seed: int) -> tuple[Sweep, Counter[str], float]:
    """The sweep across the lab, who was killed, and the seconds it took."""
    made: Any = Scheduler
    async with made(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        workers = Workers(scheduler, seed)
        try:
            workers.start()
            workers.start()
            await workers.joined(2)
            began = time.monotonic()
            work = asyncio.create_task(sweep(plan, out, Lab(scheduler.address)))
            for _ in range(kills):
                kill = asyncio.create_task(workers.kill_one())
                await asyncio.wait({work, kill}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    kill.cancel()
                    break
            return await work, workers.victims, time.monotonic() - began
        finally:
            workers.end()


def differences(plan: Plan, found: Sweep, alone: Sweep, journal: Path) -> list[str]:
    """What is wrong; nothing, if all is well."""
    wrong: list[str] = []
    counts = Counter(str(line["id"]) for line in sweeps.lines(journal))
    wanted = Counter(item.id for item in plan.items())
    wrong += [f"{key}: {counts[key]} rows" for key in wanted | counts if counts[key] != wanted[key]]
    wrong += [f"{row.device}, {row.recording}: {row.error}" for row in found.failed]
    mine, theirs = ({row.id: _answer(row) for row in each.rows} for each in (found, alone))
    wrong += [
        f"{key}: {mine.get(key)} here, {theirs[key]} alone" for key in theirs if mine.get(key) != theirs[key]
    ]
    return wrong


def _answer(row: Row) -> tuple[int | None, int, int, int]:
    return row.winner, row.events, row.spikes, row.synops


async def campaign(recordings: int, kills: int, seed: int) -> bool:
    """Runs it and prints what came of it."""
    data = dataset.load("digits").first(recordings)
    plan = Plan({"digits": reading.network()}, data, (*DEVICES, NOBODY))
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        async with asyncio.timeout(HANG):
            found, victims, seconds = await killed(plan, here / "lab.h5", kills, seed)
            known = Plan(plan.models, data, DEVICES)
            alone = await sweep(known, here / "alone.h5", Local())
        wrong = differences(known, found, alone, here / "lab.h5.journal")
    print(
        f"{len(found.rows)} of {found.items} rows in {seconds:.0f} s, {sum(victims.values())} workers killed"
    )
    for what, count in sorted(victims.items()):
        print(f"  {count} x with {what}")
    print(f"rows that needed a second attempt on their device: {sum(row.attempts > 1 for row in found.rows)}")
    for each in found.not_run:
        print(f"refused: {each}")
    for summary in summaries(found.rows):
        interval = f"{100 * summary.low:.1f} to {100 * summary.high:.1f} %"
        print(f"{summary.device:24} {summary.right} of {summary.of} right ({interval})")
    print(
        "\n".join(wrong)
        or "every item has one row; answers, events, spikes and synaptic operations as on one machine"
    )
    return not wrong and [each.device for each in found.not_run] == [NOBODY]


async def cost(rounds: int = 5) -> None:
    """Prints the seconds of each way, and the medians of their ratios to the first, round by round."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        wanted = sweeps.plan(here / "data", 200, "null:")
        async with scheduling() as scheduler, working(scheduler.address, "null:"):
            for k in range(rounds):
                ways = {
                    "Session.run_all": run_all(wanted),
                    "sweep": sweep(wanted, here / f"alone{k}.h5", Local()),
                    "sweep across a lab": sweep(wanted, here / f"lab{k}.h5", Lab(scheduler.address)),
                }
                for name, way in ways.items():
                    began = time.monotonic()
                    await way
                    seconds.setdefault(name, []).append(time.monotonic() - began)
    (first, *_) = seconds.values()
    for name, taken in seconds.items():
        ratio = median(one / other for one, other in zip(taken, first, strict=True))
        print(f"{name:20} {median(taken):.2f} s, {ratio:.2f} times")


async def run_all(wanted: Plan) -> None:
    """The recordings of a plan of one model and one device, without a journal."""
    (network,), (device,) = wanted.models.values(), wanted.devices
    async with nrt.open(device) as session:
        await session.deploy(network)
        await session.run_all([sample.source for sample in wanted.dataset.samples])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 0 where all was well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--recordings", type=int, default=60)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args(arguments)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it tells of every worker that is killed
    if given.cost:
        asyncio.run(cost())
        return 0
    return 0 if asyncio.run(campaign(given.recordings, given.kills, given.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())

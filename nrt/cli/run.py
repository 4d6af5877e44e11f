"""`nrt run`: one recording with live progress, or many as a table."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_module
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

import nrt
from nrt import formats, page
from nrt.cli.choices import Choices
from nrt.cli.interrupt import interruptible
from nrt.clock import readable
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.report import Report
from nrt.run import Run

_EXCERPT: Final = 4_000
"""Output spikes that a report keeps when it is written to a file, for its raster."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What the command line asks of one run; as in `Session.stream`."""

    decide: str | None = None
    label: int | None = None
    deadline: str | None = None


def run_one(
    choices: Choices,
    source: str,
    questions: Questions,
    *,
    spikes: Path | None,
    report: Path | None,
    json: bool,
) -> None:
    """Runs one source and prints its report; exits with 1 if it ended in an error."""
    if report is not None:
        page.check(report)
    result, failure = asyncio.run(_run_one(choices, source, questions, spikes, _EXCERPT if report else 0))
    if report is not None:
        page.save(result, report)
    if json:
        print(result.to_json())
    else:
        print(result)
        print(_verdict(result))
    if failure is not None:
        raise failure


async def _run_one(
    choices: Choices, source: str, questions: Questions, spikes: Path | None, excerpt: int
) -> tuple[Report, nrt.NrtError | None]:
    network = choices.load()
    failure: nrt.NrtError | None = None
    async with nrt.open(choices.device) as session:
        placement = await session.deploy(network, taps=choices.taps)
        run = session.stream(
            source,
            decide=questions.decide,
            label=questions.label,
            deadline=questions.deadline,
            excerpt=excerpt,
        )
        with contextlib.ExitStack() as stack:
            keep = stack.enter_context(_spike_file(spikes, network)) if spikes else None
            try:
                async with run, _progress(run):
                    stack.enter_context(interruptible(run.stop))
                    print(placement, file=sys.stderr)
                    async for packet in run:
                        if keep is not None and packet.origin in network.outputs:
                            keep.write(packet.data)
            except nrt.NrtError as error:
                if not run.report.packets:
                    raise
                failure = error
        return run.report, failure


@contextlib.contextmanager
def _spike_file(path: Path, network: Network) -> Generator[formats.Writer]:
    population = network[network.outputs[0]]
    with formats.create(path, "hdf5", (1, 1, population.size), spikes=True) as writer:
        yield writer


@contextlib.asynccontextmanager
async def _progress(run: Run) -> AsyncGenerator[None]:
    """A line on the terminal that says how the run is doing, ten times a second."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return

    async def refresh(live: Live) -> None:
        while True:
            await asyncio.sleep(0.1)
            live.update(_line(run.report))

    with Live(console=console, transient=True, auto_refresh=True) as live:
        task = asyncio.create_task(refresh(live))
        try:
            yield
        finally:
            task.cancel()


def _line(report: Report) -> str:
    rate = report.events / report.wall_s / 1e6 if report.wall_s else 0.0
    fired = sum(report.counters.spikes.values())
    return (
        f"{readable(report.stream_s * 1e6)} of stream · {report.events:,} events · {rate:.2f} Mev/s · "
        f"{fired:,} spikes · {report.real_time_factor:.2g} x real time · lost {report.lost:,}"
    )


def _verdict(report: Report) -> str:
    """The winning class, or why there is none."""
    if len(report.counts) != 1:
        return "no single output to read a class from"
    ((name, values),) = report.counts.items()
    if report.winner is None:
        return f"no winner: output {name} is tied at {max(values, default=0):g}"
    ranked = np.argsort(values)[::-1][:3]
    runners = ", ".join(f"{k} with {values[k]:g}" for k in ranked[1:].tolist())
    return f"class {report.winner} with {values[report.winner]:g}" + (f" (then {runners})" if runners else "")


def run_many(
    choices: Choices, sources: Sequence[str], *, jobs: int, batch: int, report: Path | None, json: bool
) -> None:
    """Runs every source from the reset state; a row each, the failures named, and the totals."""
    if report is not None and report.suffix != ".json":
        raise ConfigError(f"--report {report}: reports of several recordings are written as .json")
    reports = asyncio.run(_run_many(choices, sources, jobs, batch))
    plain = [result.to_dict() for result in reports]
    if report is not None:
        report.write_text(json_module.dumps(plain, indent=2) + "\n", encoding="utf-8")
    if json:
        print(json_module.dumps(plain, indent=2))
    else:
        _print_table(sources, reports)
    failed = [source for source, result in zip(sources, reports, strict=True) if result.error]
    if failed:
        raise nrt.StreamError(f"{len(failed)} of {len(sources)} recordings failed")


async def _run_many(choices: Choices, sources: Sequence[str], jobs: int, batch: int) -> list[Report]:
    network = choices.load()
    console = Console(stderr=True)
    async with nrt.open(choices.device) as session:
        await session.deploy(network, taps=choices.taps)
        with console.status(f"0 of {len(sources)}") as status:
            count = 0

            def done(index: int, result: Report) -> None:
                nonlocal count
                count += 1
                status.update(f"{count} of {len(sources)}  {sources[index]}  {result.error}")

            return await session.run_all(sources, jobs=jobs, batch=batch, done=done)


def _print_table(sources: Sequence[str], reports: Sequence[Report]) -> None:
    table = Table("recording", "class", "events", "stream", "real time", "error", box=None)
    for column in table.columns[1:5]:
        column.justify = "right"
    for source, result in zip(sources, reports, strict=True):
        winner = "-" if result.winner is None else str(result.winner)
        stream, factor = readable(result.stream_s * 1e6), f"{result.real_time_factor:.3g} x"
        table.add_row(source, winner, f"{result.events:,}", stream, factor, result.error)
    Console(markup=False).print(table)
    events, wall = sum(r.events for r in reports), sum(r.wall_s for r in reports)
    print(f"{len(reports)} recordings, {events:,} events, {readable(wall * 1e6)} of computing")

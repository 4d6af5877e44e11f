"""What `nrt sweep` and `nrt lab` do: the progress bar, the table at the end, a worker until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_module
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from nrt import dataset, plain
from nrt.cli.choices import Choices
from nrt.cli.interrupt import interruptible
from nrt.clock import microseconds, readable
from nrt.dataset import Dataset
from nrt.errors import NrtError
from nrt.profile.energy import readable_joules
from nrt.sweep import Executor, Local, Plan, Row, Summary, Sweep, names, summaries, sweep


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command line asks for. data: of a data set, else the recordings `sources` · patience: for each"""

    choices: Sequence[Choices]
    data: str | None
    sources: Sequence[str]
    limit: int | None
    devices: tuple[str, ...]
    jobs: int
    lab: str | None
    patience: str | None

    def plan(self) -> Plan:
        """Loads networks and the list of recordings. Raises what loading raises."""
        called = names(each.network for each in self.choices)
        models = {called[each.network]: each.load() for each in self.choices}
        return Plan(models, self._dataset(), self.devices)

    def executor(self) -> Executor:
        """Who runs it. Raises MissingDependency where a lab is asked for and Dask is not there."""
        seconds = microseconds(self.patience) / 1e6 if self.patience else None
        if self.lab is None:
            return Local(self.jobs, seconds)
        from nrt.sweep.lab import Lab  # Dask takes half a second

        return Lab(self.lab, seconds)

    def _dataset(self) -> Dataset:
        found = dataset.unlabelled(self.sources) if self.data is None else dataset.load(self.data)
        return found if self.limit is None else found.first(self.limit)


def run_sweeping(wanted: Wanted, out: Path, *, retry: bool, json: bool) -> None:
    """Runs what is wanted and prints it. Raises NrtError unless every item ran without an error."""
    outcome, stopped = asyncio.run(_run(wanted.plan(), out, wanted.executor(), retry))
    if json:
        print(json_module.dumps(_as_json(outcome, stopped), indent=2, allow_nan=False))
    else:
        _print(outcome, out)
    _complain(outcome, stopped, out)


async def _run(plan: Plan, out: Path, executor: Executor, retry: bool) -> tuple[Sweep, bool]:
    """The sweep with a progress bar; whether it was stopped."""
    stop = asyncio.Event()
    async with _bar() as (started, done):
        with interruptible(stop.set):
            outcome = await sweep(plan, out, executor, retry=retry, started=started, done=done, stop=stop)
    return outcome, stop.is_set()


@contextlib.asynccontextmanager
async def _bar() -> AsyncGenerator[tuple[Callable[[int, int], None], Callable[[Row], None]]]:
    """What to call when a sweep starts and with each of its rows; drawn where there is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("sweep", total=None)
        failed = 0

        def started(there: int, total: int) -> None:
            progress.update(task, completed=there, total=total)

        def done(row: Row) -> None:
            nonlocal failed
            failed += bool(row.error)
            text = f"{row.model} on {row.device}" + (f", {failed} failed" if failed else "")
            progress.update(task, advance=1, description=text)

        yield started, done


def _print(outcome: Sweep, out: Path) -> None:
    table = Table("model", "device", "accuracy, 95 %", "right", "latency p50", "worst p99", box=None)
    for column in table.columns[3:]:
        column.justify = "right"
    found = summaries(outcome.rows)
    for each in found:
        right = f"{each.right} of {each.of}" if each.of else "-"
        table.add_row(
            each.model, each.device, _accuracy(each), right, _latency(each.p50_ms), _latency(each.p99_ms)
        )
    for column in table.columns:
        column.no_wrap = True
    console = Console(markup=False, highlight=False)
    console.width = max(console.width, 120)  # a wide line is better than a narrow column
    console.print(table)
    for line in [*_remarks(found), *_energy(found)]:
        console.print(line, soft_wrap=True)
    for row in outcome.failed:
        console.print(f"failed: {row.model} on {row.device}, {row.recording}: {row.error}", soft_wrap=True)
    console.print(
        f"{len(outcome.rows):,} of {outcome.items:,} rows in {out}, {outcome.resumed:,} from before"
    )


def _accuracy(each: Summary) -> str:
    if not each.of:
        return "no labels"
    share = f"{100 * each.right / each.of:.1f} % ({100 * each.low:.1f} to {100 * each.high:.1f})"
    return share + (f", {each.ties} tied" if each.ties else "")


def _latency(value: float | None) -> str:
    return "-" if value is None else readable(value * 1e3)


def _remarks(found: Sequence[Summary]) -> list[str]:
    """What latency is counted from, and what was lost."""
    since = sorted({each.since for each in found if each.since})
    lines = [f"latency is counted from: {', '.join(since)} (docs/latency.md)"] if since else []
    return lines + [
        f"lost: {each.model} on {each.device}: {each.lost:,} events" for each in found if each.lost
    ]


def _energy(found: Sequence[Summary]) -> list[str]:
    """A line for each figure, with its label; figures are never added up."""
    lines: list[str] = []
    for each in found:
        for figure in each.energy:
            net = "" if figure.net is None else f", {readable_joules(figure.net)} net of idle"
            lines.append(
                f"energy: {each.model} on {each.device}: {readable_joules(figure.joules)} a recording{net}, "
                f"{figure.kind}, {figure.boundary} ({figure.source}), mean of {figure.of:,}"
            )
    return lines


def _as_json(outcome: Sweep, stopped: bool) -> dict[str, Any]:
    return {
        "rows": len(outcome.rows),
        "items": outcome.items,
        "resumed": outcome.resumed,
        "stopped": stopped,
        "summaries": [plain.encode(each) for each in summaries(outcome.rows)],
        "failed": [plain.encode(row) for row in outcome.failed],
        "not_run": [plain.encode(each) for each in outcome.not_run],
    }


def _complain(outcome: Sweep, stopped: bool, out: Path) -> None:
    """Raises NrtError unless every item ran without an error."""
    for each in outcome.not_run:
        print(each, file=sys.stderr)
    missing = outcome.items - len(outcome.rows)
    if missing:
        why = "stopped: " if stopped else ""
        raise NrtError(
            f"{why}{missing:,} of {outcome.items:,} were not run; the same command goes on with them"
        )
    if outcome.failed:
        raise NrtError(
            f"{len(outcome.failed):,} of {outcome.items:,} failed; --retry runs them again, see {out}"
        )


def offer_devices(scheduler: str, texts: Sequence[str], name: str | None) -> None:
    """Offers devices to a lab until Ctrl-C, or until its scheduler is gone. Raises what opening a device raises."""
    from nrt.sweep.offers import Offer, serve

    offers = [Offer.parse(text) for text in texts]

    def ready(address: str) -> None:
        print(f"{address} offers {', '.join(offer.name for offer in offers)} to {scheduler}", flush=True)

    async def until_stopped() -> None:
        task = asyncio.create_task(serve(scheduler, offers, name=name, ready=ready), name="nrt.lab")

        def stop() -> None:
            task.cancel()

        with interruptible(stop):
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    asyncio.run(until_stopped())


def show_lab(scheduler: str, json: bool) -> None:
    """Prints the lab's workers, what they offer and what they run. Raises NrtError where no scheduler answers."""
    from nrt.sweep.lab import status

    workers = asyncio.run(status(scheduler))
    if json:
        print(json_module.dumps([plain.encode(each) for each in workers], indent=2))
        return
    table = Table("worker", "machine", "offers", "running", box=None)
    for each in workers:
        offers = ", ".join(f"{count} x {name}" if count > 1 else name for name, count in each.offers.items())
        table.add_row(each.name, each.host, offers or "nothing", str(each.running))
    Console(markup=False, highlight=False).print(table if workers else "no workers")

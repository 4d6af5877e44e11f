"""`nrt demo`: a simulated camera reads handwritten digits, live, on every simulated device there is.

The task (network, what is watched, how spikes become answers) is `nrt_sim.models.reading`; what is seen of a run is
kept by `Watch`, shown by `View` and written to a page by `write_page`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json as json_module
import multiprocessing
import signal
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

import nrt
from nrt.cli.demo_screen import Screen
from nrt.cli.demo_view import View, look
from nrt.cli.demo_watch import Watch
from nrt.cli.interrupt import abandoned, interruptible
from nrt.cli.page import write_page
from nrt.errors import ConfigError, NrtError
from nrt.report import Report
from nrt.run import Run
from nrt.source import Source

TASK: Final = "nrt_sim.models.reading"
SIMULATORS: Final = ("cpu:", "cuda:0")
"""Devices that need no hardware but this computer's own, and keep up; others are asked for with --on."""
REFRESH: Final = 1 / 12
"""Seconds between two looks at the terminal."""
FIGURES: Final = 6
"""Looks for which rate and latency stay the same: a report takes longer to make than a look."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one device made of the digits; without a watch, why it did not run."""

    device: str
    watch: Watch | None = None
    report: Report | None = None
    error: str = ""
    stopped: bool = False

    @property
    def accuracy(self) -> float:
        """Fraction of the digits answered right."""
        return float(np.mean(self.watch.answers == self.watch.truth)) if self.watch else 0.0


def show_demo(*, digits: int, seed: int, on: Sequence[str], html: Path | None, json: bool) -> None:
    """Runs the demo and prints the report. html: None for no page. Raises ConfigError, and what the device raised."""
    if html is not None and not html.absolute().parent.is_dir():
        raise ConfigError(f"--html {html}: there is no folder {html.absolute().parent}")
    devices = list(on) or simulators()
    console = Console(stderr=json)
    if not json:
        console.print(
            f"A simulated event camera reads {digits} handwritten digits;\na spiking network on "
            f"{', '.join(devices)} says which.\nNothing is downloaded. The first run compiles for some seconds.\n",
            highlight=False,
        )
    share = max(digits // len(devices), 1)
    outcomes: list[Outcome] = []
    for device in devices:
        outcomes.append(_run(device, share, seed, console))
        if outcomes[-1].stopped:
            break
    _require_one(outcomes)
    if json:
        print(json_module.dumps(_as_json(outcomes), indent=2))
    else:
        for outcome in outcomes:
            _print(outcome, console)
    if html is not None:
        write_page(html, [(o.watch, o.report) for o in outcomes if o.watch and o.report])
        console.print(f"\nplots: {html.absolute()}", highlight=False, soft_wrap=True)


def simulators() -> list[str]:
    """The URIs of the simulators that are ready here."""
    return [uri for uri in SIMULATORS if asyncio.run(_opens(uri))]


async def _opens(uri: str) -> bool:
    try:
        async with nrt.open(uri):
            return True
    except NrtError:
        return False


def _run(device: str, digits: int, seed: int, console: Console) -> Outcome:
    """One run, drawn where there is a terminal."""
    if not console.is_terminal:
        return asyncio.run(_watch(device, digits, seed, None))
    with Screen(stderr=console.stderr) as screen:
        return asyncio.run(_watch(device, digits, seed, screen))


async def _watch(device: str, digits: int, seed: int, screen: Screen | None) -> Outcome:
    """One run in real time. An error of the device ends in the outcome."""
    task: Any = importlib.import_module(TASK)
    try:
        async with nrt.open(device) as session:
            async with _compiling():
                await session.deploy(task.network())
            source: Any = task.Reading(digits, seed=seed)
            watch = Watch(source, source.answers, source.episode, task)
            if screen is not None:
                screen.wait()
            async with session.stream(watch.source) as run, _live(watch, run, screen):
                with interruptible(run.stop):
                    async for packet in run:
                        watch.take(packet)
    except NrtError as error:
        return Outcome(device, error=str(error))
    watch.add_up()
    if run.report.error:
        watch.cut()
        if not watch.done:
            return Outcome(device, error="stopped before the first digit was over", stopped=True)
    return Outcome(device, watch, run.report, stopped=bool(run.report.error))


@contextlib.asynccontextmanager
async def _compiling() -> AsyncGenerator[None]:
    """Compiles the sensor's kernels, or loads them: in a second process meanwhile, in this one at the end.

    Kernels are cached on disk, and numba compiles one at a time in a process: the second core halves the first run.
    """
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=_compile, name="nrt.compile", daemon=True)
    other.start()
    try:
        with abandoned(other.terminate):
            yield
            await asyncio.to_thread(other.join)
            await _exhaust()
    finally:
        other.terminate()


def _compile() -> None:
    """What the second process does; whoever started it answers Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_exhaust())


async def _exhaust() -> None:
    """Takes all packets of one digit as fast as they come."""
    source: Source = importlib.import_module(TASK).Reading(1, seed=0, speed=0)
    async for _ in source.packets():
        pass
    await source.close()


@contextlib.asynccontextmanager
async def _live(watch: Watch, run: Run, screen: Screen | None) -> AsyncGenerator[None]:
    """Shows the run twelve times a second, while it lasts."""
    if screen is None:
        yield
        return

    async def refresh() -> None:
        while True:
            report = run.report
            for _ in range(FIGURES):
                await asyncio.sleep(REFRESH)
                screen.show(View(look(watch, report)))

    task = asyncio.create_task(refresh())
    try:
        yield
        screen.last(View(look(watch, run.report)))
    finally:
        task.cancel()


def _require_one(outcomes: Sequence[Outcome]) -> None:
    """Raises NrtError if no device ran."""
    if not any(outcome.watch for outcome in outcomes):
        raise NrtError("; ".join(outcome.error for outcome in outcomes))


def _as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """accuracy, episodes and report of the first device that ran; others: the rest."""
    ran = [outcome for outcome in outcomes if outcome.watch]
    plain = [
        {"accuracy": o.accuracy, "episodes": len(o.watch.truth), "report": o.report.to_dict()}
        for o in ran
        if o.watch and o.report
    ]
    failed = [{"device": outcome.device, "error": outcome.error} for outcome in outcomes if outcome.error]
    return {**plain[0], **({"others": plain[1:] + failed} if len(outcomes) > 1 else {})}


def _print(outcome: Outcome, console: Console) -> None:
    """Answers and report."""
    if outcome.watch is None:
        console.print(f"\n{outcome.device} did not run: {outcome.error}", highlight=False, markup=False)
        return
    watch = outcome.watch
    wrong = [f"{t} as {a}" for t, a in zip(watch.truth, watch.answers, strict=True) if t != a]
    misread = f"; misread {', '.join(wrong)}" if wrong else ""
    console.print(
        f"\n{len(watch.truth) - len(wrong)} of {len(watch.truth)} digits right "
        f"({100 * outcome.accuracy:.1f} %, chance is 10 %){misread}\n",
        highlight=False,
    )
    console.print(str(outcome.report), highlight=False, soft_wrap=True, markup=False)

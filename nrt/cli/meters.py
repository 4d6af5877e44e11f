"""`nrt meters`, and `nrt run --meter`."""

from __future__ import annotations

import asyncio
import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import nrt
from nrt import page, registry
from nrt.cli.choices import Choices
from nrt.clock import microseconds, readable
from nrt.errors import MissingDependency
from nrt.profile.meters.base import Meter


def _status(entry: registry.Entry) -> str:
    try:
        loaded: Any = registry.load(entry)
        return str(loaded.availability())
    except MissingDependency as error:
        return str(error)
    except (ImportError, AttributeError) as error:  # one broken plug-in must not hide all others
        return f"cannot be loaded: {error}"


def show_meters(json: bool) -> None:
    """Prints every kind of meter, which there are on this machine, and what each still needs."""
    rows = [
        {"scheme": f"{scheme}:", "summary": entry.summary, "status": _status(entry)}
        for scheme, entry in registry.table("meters").items()
    ]
    if json:
        print(json_module.dumps({"meters": rows}, indent=2))
        return
    table = Table("scheme", "what it is", "status", title="meters", title_justify="left", box=None)
    for row in rows:
        table.add_row(row["scheme"], row["summary"], row["status"])
    console = Console(markup=False)
    console.print(table)
    console.print(
        "measure a run: nrt run NETWORK --from RECORDING --on DEVICE --meter rapl:   (docs/energy.md)"
    )


def run_measured(
    choices: Choices,
    source: str,
    meters: Sequence[str],
    *,
    windows: int,
    window: str | None,
    report: Path | None,
    json: bool,
) -> None:
    """Runs one recording again and again while meters look, and prints the report with their figures."""
    if report is not None:
        page.check(report)
    found = [registry.meter(each) for each in meters]
    seconds = microseconds(window) / 1e6 if window else 0.0
    result = asyncio.run(_run_measured(choices, source, found, windows, seconds))
    if report is not None:
        page.save(result, report)
    print(result.to_json() if json else result)


async def _run_measured(
    choices: Choices, source: str, meters: Sequence[Meter], windows: int, seconds: float
) -> nrt.Report:
    async with nrt.open(choices.device) as session:
        print(await session.deploy(choices.load(), taps=choices.taps), file=sys.stderr)
        length = max(seconds, *(meter.shortest_s for meter in meters))
        about = (
            f"at least {readable((windows + 2) * length * 1e6)}: {windows} windows of {length:g} s and idle"
        )
        with Console(stderr=True).status(f"measuring, {about}"):
            return await session.measure(source, meters, windows=windows, seconds=seconds)

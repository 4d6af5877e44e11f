"""`nrt devices` and `nrt warm`: what there is, what is missing, what is compiled."""

from __future__ import annotations

import importlib
import json as json_module
import time
from dataclasses import asdict
from typing import Literal

from rich.console import Console
from rich.table import Table

from nrt import registry
from nrt.cli.attached import attached
from nrt.device import Device
from nrt.errors import MissingDependency
from nrt.filters import FILTERS
from nrt.formats import FORMATS
from nrt.source import Source

KERNELS = (
    "nrt_sim.cpu.engine:warm",
    "nrt.formats.warm:warm",
    "nrt.filters.chain:warm",
    "nrt_sim.sensors.warm:warm",
    "nrt_sim.chips.warm:warm",
)
"""Functions that compile a package's kernels."""


def _status(entry: registry.Entry) -> str:
    try:
        loaded = registry.load(entry)
    except MissingDependency as error:
        return str(error)
    except (ImportError, AttributeError) as error:  # one broken plug-in must not hide all others
        return f"cannot be loaded: {error}"
    return (
        loaded.availability() if isinstance(loaded, type) and issubclass(loaded, Device | Source) else "ready"
    )


def show_registry(json: bool) -> None:
    """Prints devices, sources, emulated boards and formats."""
    kinds: tuple[Literal["devices", "sources", "boards"], ...] = ("devices", "sources", "boards")
    rows = {
        kind: [
            {
                "scheme": f"{scheme}+emu:" if kind == "boards" else f"{scheme}:",
                "summary": entry.summary,
                "status": _status(entry),
            }
            for scheme, entry in registry.table(kind).items()
        ]
        for kind in kinds
    }
    plugged = attached()
    if json:
        here = [{**asdict(each), "uris": each.uris} for each in plugged]
        lists = {"attached": here, "formats": [row.name for row in FORMATS], "filters": list(FILTERS)}
        print(json_module.dumps({**rows, **lists}, indent=2))
        return
    console = Console(markup=False)  # an extra in brackets, nrt-runtime[torch], is text
    for each in plugged:
        console.print(f"attached: {each}", highlight=False)
    if plugged:
        console.print()
    for kind in kinds:
        table = Table("scheme", "what it is", "status", title=kind, title_justify="left", box=None)
        for row in rows[kind]:
            table.add_row(row["scheme"], row["summary"], row["status"])
        console.print(table)
        console.print()
    console.print("recording formats, found by content: " + ", ".join(row.name for row in FORMATS))
    console.print("filters of any source, ?filter=name:option,name:option: " + ", ".join(FILTERS))


def show_warm() -> None:
    """Compiles every kernel and says how long it took."""
    for where in KERNELS:
        module, _, name = where.partition(":")
        begin = time.perf_counter()
        getattr(importlib.import_module(module), name)()
        print(f"{module}: {time.perf_counter() - begin:.1f} s")

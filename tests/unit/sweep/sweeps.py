"""A small sweep: recordings in files, a network that every chip can run, and what must hold of any journal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nrt import formats
from nrt.dataset import Dataset, load
from nrt.sweep import Item, Plan, Row
from nrt.testing.stimulus import events, small

CHIP = "tinyodin+emu:"


def recordings(folder: Path, count: int, span: int = 100_000) -> Dataset:
    """`count` recordings of 8x1 pixels in four classes, each 50 events over `span` µs that no other has."""
    for k in range(count):
        path = folder / str(k % 4) / f"{k:03d}.es"
        path.parent.mkdir(parents=True, exist_ok=True)
        with formats.create(path, "es", (2, 1, 8)) as writer:
            writer.write(events(*(((j + 1) * span // 50, (j * (k + 1)) % 8, 0, 1) for j in range(50))))
    return load(folder)


def plan(folder: Path, count: int, *devices: str, span: int = 100_000) -> Plan:
    """`small()` on `devices` with `count` recordings."""
    return Plan({"small": small()}, recordings(folder, count, span), devices)


def row(item: Item, winner: int | None = 0, error: str = "") -> Row:
    """A row as a device might have made it."""
    return Row(
        item.id,
        item.model,
        item.network,
        item.device,
        item.recording,
        item.source,
        item.label,
        winner,
        error=error,
    )


def lines(journal: Path) -> list[dict[str, object]]:
    """The rows that a journal holds, whole lines only, in the order in which they were written."""
    text = journal.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()[1:]]


def assert_each_once(items: Sequence[Item], journal: Path) -> None:
    """Every item has exactly one row on disk, and there is no other row."""
    counts = Counter(line["id"] for line in lines(journal))
    assert counts == Counter(item.id for item in items)

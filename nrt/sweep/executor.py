"""Executor: whoever runs the items of a sweep. Here, in a process or several, or across the machines of a lab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nrt.network import Network
from nrt.sweep.item import Item, Row


@dataclass(frozen=True, slots=True)
class NotRun:
    """Items that were not begun, or not to their end, and why; running the sweep again tries them."""

    device: str
    model: str
    items: int
    reason: str

    def __str__(self) -> str:
        return f"{self.device}, {self.model}: {self.items:,} not run: {self.reason}"


class Executor(Protocol):
    """Runs items in any order, anywhere."""

    async def run(
        self, items: Sequence[Item], networks: Mapping[str, Network], done: Callable[[Row], None]
    ) -> Sequence[NotRun]:
        """Calls `done` with the row of each item as it ends; returns what could not be run.

        networks: by model. A failing device does not stop the others. Cancelled, it leaves no device open. Raises
        what `done` raises.
        """
        ...


def groups(items: Sequence[Item]) -> dict[tuple[str, str], list[Item]]:
    """The items by (device, model), in the order in which those first appear."""
    found: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        found.setdefault((item.device, item.model), []).append(item)
    return found

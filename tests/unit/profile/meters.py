"""Parts that tests of meters share: a clock that stands still, trees of sysfs files, a meter of laps made up before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nrt.profile.energy import Kind
from nrt.profile.meters import Channel, Lap


class Clock:
    """Seconds that pass when a test says so; sleeping on it is at once over."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def tree(root: Path, files: dict[str, object]) -> Path:
    """Files below `root` by their path, as sysfs has them: a line each."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


@dataclass
class Instrument:
    """An instrument that shows laps which the test has made up: what it does not show, nobody measured."""

    script: list[Lap]
    rate_hz: float = 10.0
    shortest_s: float = 1.0
    samples_counted: bool = False
    notes: Sequence[str] = ()
    kind: Kind = "measured"
    name: str = "instrument:"
    instrument: str = "an instrument"
    channels: Sequence[Channel] = (Channel("rail", "board"),)
    log: list[str] = field(default_factory=list[str])

    async def open(self) -> None:
        self.log.append("open")

    async def close(self) -> None:
        self.log.append("close")

    async def lap(self) -> Sequence[Lap]:
        self.log.append("lap")
        return [self.script.pop(0)]

"""`nrt view`: a source as it streams, in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json as json_module
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from nrt.cli.demo_screen import Screen
from nrt.cli.interrupt import interruptible
from nrt.cli.picture import halves, levels
from nrt.cli.record import limit_of, paced
from nrt.clock import readable
from nrt.errors import ConfigError
from nrt.live.intake import PPM
from nrt.live.watch import Glance, Watch
from nrt.packet import Packet
from nrt.record import Sink, Totals, Transfer
from nrt.source import Source

EVERY: Final = 1 / 12
"""Seconds between two pictures."""
_LINES: Final = 4
"""Lines below the picture."""


class Eye(Sink):
    """The sink that looks: hands packets to a Watch."""

    def __init__(self) -> None:
        self.watch: Watch | None = None

    def open(self, source: Source) -> None:
        """Raises ConfigError where the source's size is not known."""
        if source.shape is None:
            raise ConfigError(f"{source.uri} does not say how large its sensor is, so it cannot be drawn")
        self.watch = Watch(source.shape)

    def take(self, packet: Packet) -> None:
        assert self.watch is not None
        self.watch.take(packet)

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture and what is written under it; a renderable, small enough to be handed to the drawing process."""

    picture: NDArray[np.int8]
    title: str
    status: str
    notes: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in halves(self.picture):
            yield from Segment.adjust_line_length(line, options.max_width, pad=False)
            yield Segment.line()
        yield Text(self.title, style="bold", no_wrap=True, overflow="ellipsis")
        yield Text(self.status, no_wrap=True, overflow="ellipsis")
        yield Text(self.notes, style="yellow", no_wrap=True, overflow="ellipsis")


def view_source(text: str, *, limit: str | None, json: bool) -> None:
    """Shows `text` until it ends, `limit` of it has passed or Ctrl-C; prints a summary."""
    source, speed = paced(text, None)
    eye = Eye()
    transfer = Transfer(source, eye, limit=limit_of(limit), speed=speed)
    console = Console(stderr=json)
    try:
        if console.is_terminal:
            with Screen(stderr=json) as screen:
                screen.wait()
                asyncio.run(_run(transfer, source, eye, screen, console))
        else:
            asyncio.run(_run(transfer, source, eye, None, console))
    finally:
        totals = transfer.totals
        if json:
            print(json_module.dumps({**dataclasses.asdict(totals), **_told(source)}, indent=2))
        elif totals.wall_s:
            print(f"{text}: {_summary(totals, source)}")


def _summary(totals: Totals, source: Source) -> str:
    told = _told(source)
    return " · ".join([str(totals), *(f"{name} {value}" for name, value in told.items())])


async def _run(transfer: Transfer, source: Source, eye: Eye, screen: Screen | None, console: Console) -> None:
    with interruptible(transfer.stop):
        async with _drawn(source, eye, screen, console):
            await transfer.run()


@contextlib.asynccontextmanager
async def _drawn(source: Source, eye: Eye, screen: Screen | None, console: Console) -> AsyncGenerator[None]:
    """Hands the drawing process a frame, twelve times a second."""
    if screen is None:
        yield
        return

    async def refresh() -> None:
        while True:
            await asyncio.sleep(EVERY)
            if eye.watch is not None:
                screen.show(frame(source, eye.watch.look(), console.width, console.height))

    task = asyncio.create_task(refresh(), name="nrt.view")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def frame(source: Source, seen: Glance, width: int, height: int) -> Frame:
    """What a terminal of that many columns and lines shows."""
    median, p99 = seen.late
    parts = [
        f"{seen.rate / 1e6:.2f} Mev/s" if seen.rate >= 1e5 else f"{seen.rate / 1e3:.1f} kev/s",
        readable(seen.stream_us),
        f"{seen.events:,} events",
        f"lost {seen.lost:,}",
    ]
    if source.scheduled and not np.isnan(median):
        parts.append(f"late p50 {median:.2f} ms, p99 {p99:.2f} ms")
    parts += [f"{name} {value}" for name, value in _told(source).items()]
    plain = {name: count for name, count in source.counters().items() if name != PPM}
    notes = " · ".join(f"{name} {count:,}" for name, count in plain.items())
    room = max(2 * (height - _LINES - 1), 2)
    return Frame(levels(seen.picture, width, room), source.uri, " · ".join(parts), notes)


def _told(source: Source) -> Mapping[str, Any]:
    """What the camera behind a source tells of itself: the drift of its clock, its temperature."""
    told: dict[str, Any] = {}
    inner: object = source
    while inner is not None:
        clock = getattr(inner, "clock", None)
        if clock is not None and clock.drift_ppm is not None:
            told["clock"] = f"{clock.drift_ppm:+.1f} ppm"
        temperature = getattr(inner, "temperature", None)
        if isinstance(temperature, float):
            told["temperature"] = f"{temperature:.1f} °C"
        inner = getattr(inner, "inner", None)
    return told

"""`nrt record` and `nrt play`: a source into a file, onto a wire, or just past the eye."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import json as json_module
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.live import Live

from nrt import registry
from nrt.cli.interrupt import interruptible
from nrt.clock import microseconds, readable
from nrt.errors import ConfigError
from nrt.record import FileSink, Nowhere, Sink, Totals, Transfer
from nrt.record.aer import AerSink
from nrt.record.raw import SUFFIX
from nrt.record.raw_sink import RawSink
from nrt.source import Source


def record_source(
    source: str,
    path: Path,
    *,
    format: str | None,
    limit: str | None,
    size: str | None,
    rebase: bool,
    force: bool,
    raw: bool,
    json: bool,
) -> None:
    """Records `source` into `path` and prints what it holds; a failure is raised after that."""
    if raw or (path.suffix == SUFFIX and format is None):
        _record_raw(source, RawSink(path, replace=force), limit=limit_of(limit), json=json)
        return
    sink = FileSink(path, format, shape=_shape(size), rebase=rebase, replace=force)
    transfer = Transfer(registry.source(source), sink, limit=limit_of(limit))
    try:
        asyncio.run(_watched(transfer))
    finally:
        totals = transfer.totals
        if json:
            print(_json(totals, file=str(path), format=sink.format, safe=sink.safe))
        elif totals.wall_s:
            print(f"{path} ({sink.format}): {totals}")


def _record_raw(source: str, sink: RawSink, *, limit: int, json: bool) -> None:
    transfer = Transfer(registry.source(source), sink, limit=limit)
    try:
        asyncio.run(_watched(transfer))
    finally:
        totals = transfer.totals
        if json:
            print(_json(totals, file=str(sink.path), format="nrtraw"))
        elif totals.wall_s:
            print(f"{sink.path} (nrtraw): {totals}")


def play_source(
    source: str, *, speed: float | None, limit: str | None, to: str | None, wire: str | None, json: bool
) -> None:
    """Plays `source` at `speed`, onto a wire if `to` names one, and prints the totals."""
    opened, pace = paced(source, speed)
    sink = _place(to, wire)
    if sink.address:
        print(f"{source}{f' as {wire}' if wire else ''} on {sink.address}", file=sys.stderr, flush=True)
    transfer = Transfer(opened, sink, limit=limit_of(limit), speed=pace)
    try:
        asyncio.run(_watched(transfer))
    finally:
        totals = transfer.totals
        if json:
            print(_json(totals))
        elif totals.wall_s:
            print(f"{source}: {totals}")


def _place(to: str | None, wire: str | None) -> Sink:
    """Where it is played to."""
    if to is not None and to.startswith("spif:"):
        if wire is not None:
            raise ConfigError("spif has words of its own; leave out --as")
        return AerSink.make(to)
    if to is None and wire is None:
        return Nowhere()
    if to is None or wire is None:
        raise ConfigError("--to names the place and --as the camera's bytes; give both or neither")
    return _emitter(wire, to)


def _emitter(wire: str, to: str) -> Sink:
    """The simulated camera's wire: not of this package, so found by name."""
    if to == "usb":
        raise ConfigError("usb is for programs in the same process; write pty, udp://host:port or file:path")
    made: Sink = importlib.import_module("nrt_sim.wires").emitter(wire, to)
    return made


def paced(text: str, speed: float | None) -> tuple[Source, float]:
    """The source playing at `speed`, and the speed at which the transfer has to pace it, 0 if it paces itself."""
    if speed is not None and not speed >= 0:
        raise ConfigError(f"--speed is {speed}; it must be 0 (as fast as possible) or more")
    is_path = Path(text).exists()
    if not is_path and re.search(r"[?&]speed=", text):
        if speed is not None:
            raise ConfigError(f"{text} says its speed already; leave out --speed")
        return registry.source(text), 0.0
    wanted = 1.0 if speed is None else speed
    uri = f"{registry.file_scheme(Path(text))}:{quote(text)}" if is_path else text
    with contextlib.suppress(ConfigError):  # no such option, or a mistake that comes up again without it
        return registry.source(f"{uri}{'&' if '?' in uri else '?'}speed={wanted:g}"), 0.0
    plain = registry.source(text)
    if not plain.scheduled:
        return plain, wanted
    if wanted != 1.0:
        raise ConfigError(f"{text} has a pace of its own, which --speed cannot change")
    return plain, 0.0


def limit_of(text: str | None) -> int:
    """`--for` in µs, 0 without it. Raises ConfigError."""
    limit = microseconds(text) if text else 0
    if limit < 0 or (text and not limit):
        raise ConfigError(f"--for {text}: it must be longer than 0")
    return limit


def _shape(size: str | None) -> tuple[int, int, int] | None:
    if size is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if not match:
        raise ConfigError(f"--size {size}: write WIDTHxHEIGHT, such as 640x480")
    return 2, int(match[2]), int(match[1])


def _json(totals: Totals, **more: Any) -> str:
    return json_module.dumps({**more, **dataclasses.asdict(totals)}, indent=2)


async def _watched(transfer: Transfer) -> None:
    """Runs the transfer; Ctrl-C (or SIGTERM) ends it in order, a second one ends the program."""
    with interruptible(transfer.stop):
        async with _progress(transfer):
            await transfer.run()


@contextlib.asynccontextmanager
async def _progress(transfer: Transfer) -> AsyncGenerator[None]:
    """A line on the terminal that says how it is going, ten times a second."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return

    async def refresh(live: Live) -> None:
        before = transfer.totals
        while True:
            await asyncio.sleep(0.1)
            totals = transfer.totals
            live.update(_line(totals, before))
            if totals.wall_s - before.wall_s > 1:
                before = totals

    with Live(console=console, transient=True, auto_refresh=True) as live:
        task = asyncio.create_task(refresh(live))
        try:
            yield
        finally:
            task.cancel()


def _line(totals: Totals, before: Totals) -> str:
    """Rate since `before`; time of the stream; lateness; losses."""
    span = totals.wall_s - before.wall_s
    rate = (totals.events - before.events) / span / 1e6 if span else 0.0
    late = f"p99 late {totals.late_ms[0]:.2g} ms · " if totals.late_ms else ""
    return (
        f"{readable(totals.stream_us)} of stream · {totals.events:,} events · {rate:.2f} Mev/s · {late}"
        f"{totals.bytes:,} bytes · lost {totals.lost + totals.dropped:,}"
    )

"""What the daemon adds to a session: the same recording, paced, through the same network on the same device.

Bare: `nrt.open`, `deploy`, `stream`. Daemon: a `Node` with one pipeline that decides five times a second, with somebody
who listens; and the same with the services that a configuration names, in the same process as they are in reality.
Latency is counted from when events were due (`nrt.profile.latency`), so a stall of the event loop counts for every
packet behind it. The kinds take turns, so that what else the machine does hits all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib
import socket
import statistics
import tempfile
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

import nrt
from nrt import formats
from nrt.daemon.config import Config, LogConfig, NodeConfig, PipelineConfig, settings_of
from nrt.daemon.node import Node
from nrt.daemon.notice import Notice, StateChange
from nrt.packet import EVENT
from nrt.profile import Latency
from nrt.registry import Duration
from nrt.report import Report, host

NAME: Final = "bench"
"""Of the node and its pipeline."""
SIDE: Final = 32
RATE: Final = 300
"""Events per ms, over a sensor of 32 x 32: what a lively scene gives."""
SETTLE: Final = 3.0
"""Seconds in which services start and connect, before what is measured."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One kind: medians over the turns, in ms, and as a ratio of the bare session's in the same turn."""

    kind: str
    p50: float
    p99: float
    p999: float
    added_p50: float
    added_p99: float


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What was measured. turns: of every kind · seconds: of stream in each."""

    rows: tuple[Row, ...]
    turns: int
    seconds: float
    device: str
    host: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        head = (
            f"{self.host['cpu']}, {self.host['cores']} cores, Python {self.host['python']}\n"
            f"{RATE * 1e3:,.0f} events/s in packets of 1 ms on {self.device}, {self.turns} turns of "
            f"{self.seconds:g} s each; latency from when events were due, in ms, medians of the turns:"
        )
        lines = [
            f"{row.kind:<22}  p50 {row.p50:.3f}  p99 {row.p99:.3f}  p99.9 {row.p999:.3f}"
            f"  added: p50 {row.added_p50:+.3f}  p99 {row.added_p99:+.3f}"
            for row in self.rows
        ]
        return "\n".join([head, *lines])


async def measure(
    seconds: float, turns: int, device: str, tables: Mapping[str, object] | None = None
) -> Result:
    """tables: of services, as a configuration has them, for the third kind."""
    with tempfile.TemporaryDirectory(prefix="nrt-bench-") as folder:
        pipeline = paced(Path(folder), seconds, device)
        kinds: dict[str, Mapping[str, object] | None] = {"bare session": None, "daemon": {}}
        if tables:
            kinds[f"daemon with {', '.join(tables)}"] = tables
        found: dict[str, list[Latency]] = {kind: [] for kind in kinds}
        for turn in range(turns + 1):
            for kind, services in kinds.items():
                if services is None:
                    report = await _bare(pipeline)
                else:
                    report = await _daemon(pipeline, Path(folder) / "data", services)
                if turn:  # the first compiles and fills caches
                    found[kind].append(report.latency)
    bare = found["bare session"]
    rows = tuple(_row(kind, each, bare) for kind, each in found.items())
    return Result(rows, turns, seconds, device, host())


def service_tables() -> dict[str, object]:
    """A broker, a link to it and a dashboard, on ports that are free now."""
    broker, web = free_port(), free_port()
    values: dict[str, dict[str, object]] = {
        "broker": {"port": broker},
        "mqtt": {"broker": f"mqtt://127.0.0.1:{broker}", "spikes": ("*",)},
        "web": {"port": web},
    }
    return {name: settings_of(name)(**each) for name, each in values.items()}


def paced(folder: Path, seconds: float, device: str) -> PipelineConfig:
    """A pipeline on a recording that is made in `folder` and played in real time; it does not start by itself."""
    recording = folder / "events.es"
    write_recording(recording, seconds)
    return PipelineConfig(
        name=NAME,
        source=f"{recording}?speed=1",
        network=Path(importlib.import_module("nrt_sim.models").digits()),
        device=device,
        decide=Duration(200_000),
        start=False,
        folder=folder,
    )


@contextlib.asynccontextmanager
async def running(pipeline: PipelineConfig, data: Path, tables: Mapping[str, object]) -> AsyncGenerator[Node]:
    """A node with one pipeline and the services of `tables`, while this lasts."""
    node = Node(Config(Path(NAME), NodeConfig(NAME, data), LogConfig(), (pipeline,), (), tables))
    task = asyncio.create_task(node.run(), name="nrt.bench")
    try:
        await node.up.wait()
        yield node
    finally:
        await node.stop()
        await task


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def write_recording(path: Path, seconds: float) -> None:
    """Random events at an even rate."""
    chance = np.random.default_rng(5)
    events = np.zeros(round(seconds * 1e3) * RATE, EVENT)
    events["t"] = np.sort(chance.integers(0, round(seconds * 1e6), len(events)))
    events["x"], events["y"] = chance.integers(0, SIDE, (2, len(events)))
    events["p"] = chance.integers(0, 2, len(events))
    with formats.create(path, "es", (2, SIDE, SIDE)) as writer:
        writer.write(events)


def _row(kind: str, latencies: list[Latency], bare: list[Latency]) -> Row:
    pairs = list(zip(latencies, bare, strict=True))
    return Row(
        kind,
        statistics.median(each.p50 for each in latencies),
        statistics.median(each.p99 for each in latencies),
        statistics.median(each.p999 for each in latencies),
        statistics.median(each.p50 - base.p50 for each, base in pairs),
        statistics.median(each.p99 - base.p99 for each, base in pairs),
    )


async def _bare(pipeline: PipelineConfig) -> Report:
    async with nrt.open(pipeline.device) as session:
        await session.deploy(pipeline.load_network())
        return await session.run(pipeline.open_source())


async def _daemon(pipeline: PipelineConfig, data: Path, tables: Mapping[str, object]) -> Report:
    ended = asyncio.Event()

    def hear(notice: Notice) -> None:
        if isinstance(notice, StateChange) and notice.reason:
            ended.set()

    async with running(pipeline, data, tables) as node:
        if tables:
            await asyncio.sleep(SETTLE)
        node.listen(hear)
        bench = node.pipelines[NAME]
        await bench.start()
        await ended.wait()
        if bench.last_decision is None:
            raise nrt.StreamError(f"the daemon decided nothing: {bench.state}, {bench.reason}")
        return bench.report()

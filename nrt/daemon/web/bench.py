"""What the dashboard costs a pipeline, and what a viewer gets: `nrt bench dashboard`.

A recording of a camera of 640 x 480 pixels that sends 3 million events a second, half of them noise all over, is played
in real time through a small network on `cpu:` by a node like any other. Once nobody looks, then some do, then some and
one that reads nothing, then the page in a browser. For each: the pipeline's latency from when events were due, what it
lost, and the part of a core that the daemon took, beside the same without anybody; and what the viewers got.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import resource
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from nrt import formats
from nrt.clock import now
from nrt.daemon.config import load
from nrt.daemon.node import Node
from nrt.daemon.notice import State
from nrt.daemon.stats import Stats
from nrt.daemon.web.server import Server
from nrt.packet import EVENT

WIDTH: Final = 640
HEIGHT: Final = 480
_SPARE: Final = 6.0
"""Seconds of recording beyond what is measured."""
_CONFIG: Final = """
[node]
name = "bench"
data = "{folder}/data"
[web]
port = 0
[[pipeline]]
name = "camera"
source = "file:{recording}?speed=1"
network = "{network}"
device = "cpu:"
decide = "200ms"
at_end = "repeat"
[pipeline.reading.encoding]
crop = "304,224,32,32"
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Medians of the repeats. viewers: who looked.

    p50, p99, p999: ms of the pipeline's latency · lost: events · cpu: part of a core that the daemon took
    frames: of a viewer, per second · age_p50, age_p99: ms of what was shown; nan where nobody looked
    """

    viewers: str
    events_per_s: float
    p50: float
    p99: float
    p999: float
    lost: float
    cpu: float
    frames: float
    age_p50: float
    age_p99: float

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            name: value if isinstance(value, str) or math.isfinite(value) else None
            for name, value in dataclasses.asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who looks. stalled: with one more that reads nothing."""

    name: str
    count: int = 0
    stalled: bool = False
    chromium: str = ""


async def measure(seconds: float, rate: float, repeat: int, chromium: str | None) -> list[Case]:
    """Every case `repeat` times, in turn, after one that warms up."""
    crowds = [
        Crowd("nobody"),
        Crowd("1 viewer", 1),
        Crowd("4 viewers", 4),
        Crowd("4 viewers, 1 that reads nothing", 4, stalled=True),
    ]
    if chromium is not None:
        crowds.append(Crowd("the page in Chromium", chromium=chromium))
    found: list[list[Case]] = [[] for _ in crowds]
    with tempfile.TemporaryDirectory(prefix="nrt-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(record, folder / "camera.raw", seconds + _SPARE, rate)
        await _case(crowds[0], folder, 1.0)
        for _ in range(repeat):
            for crowd, cases in zip(crowds, found, strict=True):
                cases.append(await _case(crowd, folder, seconds))
    return [_median(cases) for cases in found]


def _median(cases: list[Case]) -> Case:
    names = [field.name for field in dataclasses.fields(Case) if field.name != "viewers"]
    return Case(
        cases[0].viewers, *(statistics.median(getattr(case, name) for case in cases) for name in names)
    )


async def _case(crowd: Crowd, folder: Path, seconds: float) -> Case:
    async with _running(folder) as (node, url):
        pipeline = node.pipelines["camera"]
        process = await _look(crowd, url, seconds)
        before, began, used = pipeline.stats(), now(), _used()
        await asyncio.sleep(seconds)
        after, lasted, cpu = pipeline.stats(), (now() - began) / 1e9, _used() - used
        ages = await _seen(process) if process is not None else []
    every = np.concatenate([np.asarray(each) for each in ages]) if ages else np.full(1, math.nan)
    return Case(
        crowd.name,
        (after.events - before.events) / lasted,
        *_percentiles(before, after),
        after.lost,
        cpu / lasted,
        len(every) / len(ages) / seconds if ages else math.nan,
        float(np.percentile(every, 50)),
        float(np.percentile(every, 99)),
    )


def _percentiles(before: Stats, after: Stats) -> tuple[float, float, float]:
    """p50, p99 and p99.9 in ms of the packets between two moments of one run."""
    assert before.latency is not None
    assert after.latency is not None
    counts = {high: count for _, high, count in after.latency.buckets}
    for _, high, count in before.latency.buckets:
        counts[high] -= count
    tops, below = np.array(list(counts)), np.cumsum(list(counts.values()))
    p50, p99, p999 = (float(tops[np.searchsorted(below, q * below[-1])]) / 1e6 for q in (0.5, 0.99, 0.999))
    return p50, p99, p999


@contextlib.asynccontextmanager
async def _running(folder: Path) -> AsyncGenerator[tuple[Node, str]]:
    """A node whose pipeline runs, and where its dashboard is."""
    path = folder / "edge.toml"
    network = resources.files("nrt_sim").joinpath("models", "digits.nir")
    path.write_text(
        _CONFIG.format(folder=folder, recording=folder / "camera.raw", network=network), encoding="utf-8"
    )
    node = Node(load(path))
    task = asyncio.create_task(node.run(), name="nrt.bench")
    try:
        async with asyncio.timeout(60):
            while not _up(node):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield node, _url(node)
    finally:
        await node.stop()
        await asyncio.wait([task])


def _up(node: Node) -> bool:
    return bool(_url(node)) and node.pipelines["camera"].state is State.running


def _url(node: Node) -> str:
    server = node.services.get("web")
    return server.url if isinstance(server, Server) else ""


async def _look(crowd: Crowd, url: str, seconds: float) -> asyncio.subprocess.Process | None:
    """Has `crowd` look, for so long from when all of it sees something; None where it is nobody."""
    if crowd == Crowd(crowd.name):
        return None
    words = [url, str(seconds), str(crowd.count), "1" if crowd.stalled else "0", crowd.chromium]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nrt.daemon.web.crowd", *words, stdout=asyncio.subprocess.PIPE, limit=1 << 24
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def _seen(process: asyncio.subprocess.Process) -> list[list[float]]:
    """For each viewer the ages of its frames, ms."""
    output, _ = await process.communicate()
    ages: list[list[float]] = json.loads(output)["ages"]
    return ages


def _used() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def record(path: Path, seconds: float, rate: float) -> None:
    """A recording of something round that moves over noise: `rate` events/s, half of each."""
    chance = np.random.default_rng(7)
    span, count = 100_000, round(rate / 10)
    with formats.create(path, "evt2", (2, HEIGHT, WIDTH)) as writer:
        for k in range(round(seconds * 10)):
            events = np.zeros(count, EVENT)
            t = np.sort(chance.integers(k * span, (k + 1) * span, count))
            turn, angle = t * 2e-6, chance.uniform(0, 2 * np.pi, count)
            radius = chance.normal(90, 4, count)
            round_x = 320 + 180 * np.cos(turn) + radius * np.cos(angle)
            round_y = 240 + 110 * np.sin(turn) + radius * np.sin(angle)
            noise = chance.random(count) < 0.5
            events["t"] = t
            events["x"] = np.where(noise, chance.integers(0, WIDTH, count), round_x)
            events["y"] = np.where(noise, chance.integers(0, HEIGHT, count), round_y)
            events["p"] = np.where(noise, chance.integers(0, 2, count), np.cos(angle - turn - np.pi / 2) > 0)
            writer.write(events)


def table(cases: list[Case]) -> str:
    """For people."""
    lines = [
        f"{'who looks':<32}{'p50 ms':>8}{'p99':>8}{'p99.9':>8}{'lost':>6}{'core':>7}"
        f"{'frames/s':>10}{'age p50 ms':>12}{'p99':>7}"
    ]
    for case in cases:
        line = f"{case.viewers:<32}{case.p50:>8.2f}{case.p99:>8.1f}{case.p999:>8.1f}{case.lost:>6.0f}{case.cpu:>7.2f}"
        seen = (
            f"{case.frames:>10.1f}{case.age_p50:>12.1f}{case.age_p99:>7.1f}"
            if case.frames == case.frames
            else ""
        )
        lines.append(line + seen)
    base = cases[0]
    lines += [
        f"{case.viewers}: {case.cpu - base.cpu:+.2f} of a core, p50 {case.p50 / base.p50:.2f} x, "
        f"p99 {case.p99 / base.p99:.2f} x nobody's"
        for case in cases[1:]
    ]
    return "\n".join([f"{base.events_per_s / 1e6:.2f} million events/s of {WIDTH} x {HEIGHT} pixels", *lines])

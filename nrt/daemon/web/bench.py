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
import resource
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
from nrt.daemon.web.server import Server
from nrt.packet import EVENT
from nrt.report import Latency

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
    """viewers: who looked. cpu: part of a core. frames: of each viewer, per second. age: ms of what was shown."""

    viewers: str
    latency: Latency
    events_per_s: float
    lost: int
    cpu: float
    frames: tuple[float, ...] = ()
    age_p50: float | None = None
    age_p99: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return dataclasses.asdict(
            dataclasses.replace(self, latency=dataclasses.replace(self.latency, buckets=()))
        )


async def measure(seconds: float, rate: float, chromium: str | None) -> list[Case]:
    """All cases, after one that warms up."""
    with tempfile.TemporaryDirectory(prefix="nrt-bench-") as name:
        folder = Path(name)
        await asyncio.to_thread(record, folder / "camera.raw", seconds + _SPARE, rate)
        await _case("nobody", folder, 1.0, 0)
        cases = [
            await _case("nobody", folder, seconds, 0),
            await _case("1 viewer", folder, seconds, 1),
            await _case("4 viewers", folder, seconds, 4),
            await _case("4 viewers, 1 that reads nothing", folder, seconds, 4, stalled=True),
        ]
        if chromium is not None:
            cases.append(await _case("the page in Chromium", folder, seconds, 0, chromium=chromium))
    return cases


async def _case(
    viewers: str, folder: Path, seconds: float, count: int, *, stalled: bool = False, chromium: str = ""
) -> Case:
    async with _running(folder) as (node, url):
        pipeline = node.pipelines["camera"]
        crowd = _crowd(url, seconds, count, stalled, chromium) if count or stalled or chromium else None
        before, began, used = pipeline.stats(), now(), _used()
        ages = await crowd if crowd is not None else await asyncio.sleep(seconds, [])
        lasted = (now() - began) / 1e9
        after = pipeline.stats()
        cpu = (_used() - used) / lasted
    assert after.latency is not None
    every = np.concatenate([np.asarray(each) for each in ages]) if ages else np.empty(0)
    return Case(
        viewers,
        after.latency,
        (after.events - before.events) / lasted,
        after.lost,
        cpu,
        tuple(round(len(each) / seconds, 1) for each in ages),
        float(np.percentile(every, 50)) if len(every) else None,
        float(np.percentile(every, 99)) if len(every) else None,
    )


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


async def _crowd(url: str, seconds: float, count: int, stalled: bool, chromium: str) -> list[list[float]]:
    words = [url, str(seconds), str(count), "1" if stalled else "0", *([chromium] if chromium else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nrt.daemon.web.crowd", *words, stdout=asyncio.subprocess.PIPE
    )
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
        f"{'who looks':<32}{'latency p50':>12}{'p99':>9}{'p99.9':>9}{'lost':>6}{'cpu':>7}  frames/s, age p50 / p99"
    ]
    for case in cases:
        ms = case.latency
        seen = f"  {', '.join(f'{f:g}' for f in case.frames)}" if case.frames else "  -"
        if case.age_p50 is not None and case.age_p99 is not None:
            seen += f"; {case.age_p50:.1f} / {case.age_p99:.1f} ms"
        lines.append(
            f"{case.viewers:<32}{ms.p50:>9.2f} ms{ms.p99:>9.2f}{ms.p999:>9.2f}{case.lost:>6}{case.cpu:>7.2f}{seen}"
        )
    base = cases[0]
    lines += [
        f"{case.viewers}: cpu {case.cpu - base.cpu:+.2f} of a core, p50 {case.latency.p50 / base.latency.p50:.2f} x, "
        f"p99 {case.latency.p99 / base.latency.p99:.2f} x of nobody's"
        for case in cases[1:]
    ]
    return "\n".join([f"{base.events_per_s / 1e6:.2f} million events/s of {WIDTH} x {HEIGHT} pixels", *lines])

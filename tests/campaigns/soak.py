"""The daemon for an hour: does its memory grow, do its descriptors, does it keep up, does anything get lost.

    python -m tests.campaigns.soak --for 1h

One `cpu:` pipeline with MQTT (broker inside), dashboard, recording and decisions; a subscriber counts what it is sent,
a dashboard viewer reads frames, Prometheus scrapes, and every minute commands come (snapshot, reset, set, stop, start).
Printed is a line per sample and, at the end, the trend of memory from the tenth minute on (or from a quarter of a
shorter run). It fails where decisions are missing or repeated, memory grows by more than `--growth` MB in an hour, or
descriptors do.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from nrt.clock import microseconds, readable
from tests.campaigns.books import Books
from tests.campaigns.edge import ROOT, Edge, free_port
from tests.campaigns.subscriber import Subscriber

EVERY: Final = 60.0
"""Seconds between two rounds of commands."""
HOUR: Final = 3_600.0

CONFIG: Final = """
[node]
name = "soak"
data = "data"
reports = 5

[[pipeline]]
name = "digits"
source = "synth:digits?sensor=davis346&width=32&height=32&seconds=0"
network = "{network}"
device = "cpu:"
decide = "50ms"
deadline = "20ms"

[[pipeline.record]]
rotate = "10s"
most = "20MB"
size = "5MB"
spare = "1MB"

[broker]
port = {broker}

[mqtt]
broker = "mqtt://127.0.0.1:{broker}"
spikes = ["*"]

[web]
port = {web}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon at one moment. seconds: since the start; cores: busy since the sample before.

    resident: of the daemon; beside: of the broker that it started
    """

    seconds: float
    resident: int
    beside: int
    descriptors: int
    threads: int
    cores: float
    frames: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:7.0f} s  {self.resident / 1e6:7.1f} + {self.beside / 1e6:.1f} MB"
            f"  {self.descriptors:3} fds  {self.threads:2} threads"
            f"  {self.cores:4.2f} cores  {self.frames:6} frames"
        )


class Soak:
    """One run. Call `run` once."""

    def __init__(self, seconds: float, period: float, folder: Path) -> None:
        self._seconds, self._period, self._folder = seconds, period, folder
        self._broker, self._web = free_port(), free_port()
        network = ROOT / "sim/nrt_sim/models/digits.nir"
        config = folder / "soak.toml"
        text = CONFIG.format(network=network, broker=self._broker, web=self._web)
        config.write_text(text, encoding="utf-8")
        self.edge = Edge(config)
        self.books = Books()
        self.samples: list[Sample] = []
        self.figures: dict[str, Any] = {}
        self._frames = 0

    async def run(self) -> None:
        """Fills `samples` and `books`."""
        await self.edge.start()
        try:
            await self.edge.said("digits: running")
            async with self._company():
                await self._sample()
            await asyncio.sleep(1)
        finally:
            took = await self.edge.terminate()
            print(f"SIGTERM: ended after {took:.2f} s")
            await self.edge.close()

    @asynccontextmanager
    async def _company(self) -> AsyncGenerator[None]:
        """Everybody who looks at the daemon."""
        with Subscriber(self._broker, "soak", self.books):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in (self._view(), self._command())]
                yield
                for task in tasks:
                    task.cancel()
            await asyncio.sleep(2)

    async def _sample(self) -> None:
        began, busy, last = time.monotonic(), self.edge.busy(), time.monotonic()
        while (passed := time.monotonic() - began) < self._seconds:
            await asyncio.sleep(min(self._period, self._seconds - passed))
            used, present = self.edge.busy(), time.monotonic()
            cores, busy = (used - busy) / (present - last), used
            last = present
            self.samples.append(
                Sample(
                    present - began,
                    self.edge.resident(),
                    self.edge.resident_beside(),
                    self.edge.descriptors(),
                    self.edge.threads(),
                    cores,
                    self._frames,
                )
            )
            print(self.samples[-1], flush=True)

    async def _view(self) -> None:
        """A page that draws every frame at once."""
        url = f"http://127.0.0.1:{self._web}"
        async with (
            aiohttp.ClientSession(headers={"Origin": url}) as session,
            session.ws_connect(f"{url}/api/live", max_msg_size=0) as socket,
        ):
            await socket.send_json({"view": "digits"})
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    self._frames += 1
                    await socket.send_json({"drawn": int.from_bytes(message.data[12:16], "little")})

    async def _command(self) -> None:
        """Scrapes every five seconds; every minute, one round of commands over HTTP."""
        url = f"http://127.0.0.1:{self._web}"
        async with aiohttp.ClientSession(headers={"Origin": url}) as session:
            for round in itertools.count():
                async with session.get(f"{url}/metrics") as response:
                    response.raise_for_status()
                    self._note(await response.text())
                if round % round_of(5.0) == round_of(5.0) - 1:
                    await self._round(session, url, round)
                await asyncio.sleep(5.0)

    def _note(self, metrics: str) -> None:
        """Whatever was decided until now must be received in the end."""
        found = re.search(r'^nrt_decisions_total\{pipeline="digits"\} (\S+)$', metrics, re.MULTILINE)
        boot = re.search(r'nrt_info\{boot="(\w+)"', metrics)
        if found and boot:
            self.books.made(f"soak.{boot[1]}.digits.decision-{int(float(found[1]))}")

    async def _round(self, session: aiohttp.ClientSession, url: str, number: int) -> None:
        steps: list[tuple[str, dict[str, str]]] = [
            ("snapshot", {}),
            ("report", {}),
            ("reset", {}),
            ("set", {"filter": "background:5ms" if number % 2 else ""}),
            ("stop", {}),
            ("start", {}),
        ]
        for verb, arguments in steps:
            command = {
                "id": f"soak-{number}-{verb}",
                "verb": verb,
                "pipeline": "digits",
                "arguments": arguments,
            }
            async with session.post(f"{url}/api/command", json=command) as response:
                reply = json.loads(await response.text())
                if not reply.get("ok"):
                    print(f"{verb}: {reply}", flush=True)
            await asyncio.sleep(1.5)


def round_of(seconds: float) -> int:
    """Scrapes in a round of commands."""
    return max(round(EVERY / seconds), 1)


def trend(samples: list[Sample]) -> float:
    """Growth of memory in bytes per hour: a line through the samples after the first, when buffers find their size."""
    whole = samples[-1].seconds
    chosen = [each for each in samples if each.seconds >= min(600.0, whole / 4)]
    if len(chosen) < 3:
        return 0.0
    slope = np.polyfit([each.seconds for each in chosen], [each.resident for each in chosen], 1)[0]
    return float(slope) * HOUR


def verdict(soak: Soak, growth: float) -> list[str]:
    """What is wrong; empty where nothing is."""
    samples, wrong = soak.samples, soak.books.verdict()
    per_hour = trend(samples) / 1e6
    most = max(each.resident for each in samples) / 1e6
    settled = samples[len(samples) // 4 :]
    fds = [each.descriptors for each in settled]
    print(
        f"memory: {samples[0].resident / 1e6:.1f} MB first, {samples[-1].resident / 1e6:.1f} MB last, {most:.1f} MB "
    )
    print(f"        at most; trend {per_hour:+.2f} MB per hour")
    print(f"        the broker beside it: {max(each.beside for each in samples) / 1e6:.1f} MB at most")
    print(f"descriptors: {min(fds)} to {max(fds)}; threads: {max(each.threads for each in samples)} at most")
    print(f"cores busy: {np.mean([each.cores for each in samples]):.2f}")
    print(soak.books)
    half = len(settled) // 2
    if samples[-1].seconds < 1_800:
        print("        (buffers find their size in the first ten minutes: too short a run to judge by)")
    elif per_hour > growth:
        wrong.append(f"memory grows by {per_hour:.1f} MB an hour, more than {growth:g}")
    if half > 2 and np.median(fds[half:]) > np.median(fds[:half]) + 2:
        wrong.append("descriptors grow")
    if most > 350:
        wrong.append(f"{most:.0f} MB are more than the 350 that are promised")
    return wrong


def main() -> None:
    """Runs the soak; exits with 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--for", dest="limit", default="1h", help="such as 10min")
    parser.add_argument("--every", default="30s", help="between two samples")
    parser.add_argument("--growth", type=float, default=8.0, help="MB per hour that are still flat")
    arguments = parser.parse_args()
    seconds, period = microseconds(arguments.limit) / 1e6, microseconds(arguments.every) / 1e6
    with tempfile.TemporaryDirectory(prefix="nrt-soak-") as folder:
        soak = Soak(seconds, period, Path(folder))
        print(f"soak of {readable(seconds * 1e6)}")
        try:
            asyncio.run(soak.run())
        finally:
            print("\n".join([line for line in soak.edge.lines if " info " not in line][-40:]))
        wrong = verdict(soak, arguments.growth)
    print("\n".join(wrong) or "nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

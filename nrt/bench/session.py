"""What the pipeline itself costs: source thread → event loop → a device that does nothing → Run.

Carried: packets of 1000 events as fast as they go. Late: packets due at exact multiples of 1 ms, from when they were
due (so a stall counts for every packet behind it) to when the empty output packet is there. That has two parts, taken
from the same packets: how late the operating system woke the source's thread, which is the machine's, and what the
pipeline added from there on.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np

import nrt
from nrt.clock import now
from nrt.network import Network, Population
from nrt.packet import EVENT, Packet
from nrt.profile import Histogram, Latency
from nrt.report import Report, host
from nrt.source import Source
from nrt.worker import Reader

SIZE = 1_000


class Ticks(Source):
    """Packets of `SIZE` events each ms of stream time, made in a thread as a camera's would be."""

    uri = "bench:ticks"
    shape = (2, 128, 128)

    def __init__(self, packets: int, *, paced: bool) -> None:
        self._packets = packets
        self.scheduled = paced
        self._reader: Reader[Packet] | None = None
        self._events = np.zeros(SIZE, EVENT)
        self._events["t"] = np.arange(SIZE)
        self.begin = 0
        self.woke: list[int] = []
        """Host time in ns at which the thread came to make each packet."""

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=8, name="nrt.bench")
        async for packet in self._reader.items():
            yield packet

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        self.begin = now() + 1_000_000
        for k in range(self._packets):
            due = self.begin + (k + 1) * 1_000_000
            if self.scheduled and (wait := due - now()) > 0:
                stop.wait(wait / 1e9)
            self.woke.append(now())
            yield Packet(self._events, k * 1_000, (k + 1) * 1_000, due if self.scheduled else now())

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """events_per_s: carried as fast as possible, median of the repeats.

    At 1000 packets/s: late from the scheduled time, of which timer until the source's thread woke, and added after it.
    """

    events_per_s: float
    late: Latency
    timer: Latency
    added: Latency
    host: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.host['cpu']}, {self.host['cores']} cores, Python {self.host['python']}",
                f"carried  {self.events_per_s / 1e6:.1f} million events/s in packets of {SIZE} through null:",
                f"at 1 kHz, {self.late.packets} packets, in ms:",
                *(_line(name, getattr(self, name)) for name in ("added", "timer", "late")),
            ]
        )


def _line(name: str, latency: Latency) -> str:
    what = {
        "added": "by the pipeline",
        "timer": "until the operating system woke the source",
        "late": "from the scheduled time, both together",
    }[name]
    figures = (
        f"p50 {latency.p50:.3f}  p99 {latency.p99:.3f}  p99.9 {latency.p999:.3f}  max {latency.maximum:.3f}"
    )
    return f"{name:<7}  {figures}  {what}"


async def measure(seconds: float, repeats: int = 5) -> Result:
    """Both figures; takes a little over `seconds`."""
    network = Network((Population("input", (2, 128, 128)),), (), ("input",), ("input",))
    async with nrt.open("null:") as session:
        await session.deploy(network)
        await session.run(Ticks(2_000, paced=False))
        fast = [await session.run(Ticks(20_000, paced=False)) for _ in range(repeats)]
        source = Ticks(max(int(seconds * 1_000), 1), paced=True)
        added, timer = Histogram(), Histogram()
        async with session.stream(source) as run:
            async for packet in run:
                k = packet.end // 1_000 - 1
                added.record(packet.stamp - source.woke[k])
                timer.record(source.woke[k] - source.begin - (k + 1) * 1_000_000)
    return Result(
        float(np.median([_rate(report) for report in fast])),
        run.report.latency,
        Latency.of(timer, "schedule"),
        Latency.of(added, "read"),
        host(),
    )


def _rate(report: Report) -> float:
    return report.events / report.wall_s

"""What the pipeline itself costs: source thread → event loop → a device that does nothing → Run.

Two figures. Carried: packets of 1000 events as fast as they go. Added: packets due at exact multiples of 1 ms,
latency counted from when they were due (so a stall counts for every packet behind it) to when the empty output
packet is there.
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
from nrt.report import Latency, Report, host
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

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=8, name="nrt.bench")
        async for packet in self._reader.items():
            yield packet

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        begin = now() + 1_000_000
        for k in range(self._packets):
            due = begin + (k + 1) * 1_000_000
            if self.scheduled and (wait := due - now()) > 0:
                stop.wait(wait / 1e9)
            yield Packet(self._events, k * 1_000, (k + 1) * 1_000, due if self.scheduled else now())

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """events_per_s: carried as fast as possible, median of the repeats · added: latency at 1000 packets/s."""

    events_per_s: float
    added: Latency
    host: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        a = self.added
        return (
            f"{self.host['cpu']}, {self.host['cores']} cores, Python {self.host['python']}\n"
            f"carried   {self.events_per_s / 1e6:.1f} million events/s in packets of {SIZE} through null:\n"
            f"added     p50 {a.p50:.3f} ms, p99 {a.p99:.3f} ms, p99.9 {a.p999:.3f} ms, max {a.maximum:.3f} ms "
            f"at 1 kHz, from the scheduled time, {a.packets} packets"
        )


async def measure(seconds: float, repeats: int = 5) -> Result:
    """Both figures; takes a little over `seconds`."""
    network = Network((Population("input", (2, 128, 128)),), (), ("input",), ("input",))
    async with nrt.open("null:") as session:
        await session.deploy(network)
        await session.run(Ticks(2_000, paced=False))
        fast = [await session.run(Ticks(20_000, paced=False)) for _ in range(repeats)]
        paced = await session.run(Ticks(max(int(seconds * 1_000), 1), paced=True))
    return Result(float(np.median([_rate(report) for report in fast])), paced.latency, host())


def _rate(report: Report) -> float:
    return report.events / report.wall_s

"""Sources and devices that stand on the far side of the daemon, and how tests wait for what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from nrt import registry
from nrt.clock import now
from nrt.daemon.backoff import Backoff
from nrt.daemon.config import Config, LogConfig, NodeConfig, PipelineConfig
from nrt.daemon.node import Node
from nrt.daemon.notice import Alarm, Decision, Notice, State, StateChange
from nrt.errors import DeviceLost, NotFound
from nrt.packet import Packet
from nrt.registry import Entry, Uri
from nrt.source import Source
from nrt.testing import events
from nrt_sim.cpu.device import CpuDevice
from tests.nir_graphs import chain, nir, written

PATIENCE = 30.0
"""Seconds after which a test gives up."""


@dataclass
class Bench:
    """What a test has in its hands: whether the camera is there, what the device does."""

    plugged: asyncio.Event = field(default_factory=asyncio.Event)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    opened: int = 0
    given: list[int] = field(default_factory=list[int])
    """Stream time at which each packet began."""


bench = Bench()


class Drip(Source):
    """`drip:`: a packet of 1 ms with one event at pixel (0, 0) about every ms, while `bench` lets it.

    packets: after which it ends; 0: never · live: whether it is a camera, which cannot wait
    """

    def __init__(self, uri: Uri, *, packets: int = 0, live: bool = True) -> None:
        self.uri, self._packets = str(uri), packets
        self.shape, self.finite, self.scheduled = (2, 2, 2), packets > 0, live

    async def open(self) -> None:
        if not bench.plugged.is_set():
            raise NotFound("drip", "the camera is not there")
        bench.opened += 1

    async def packets(self) -> AsyncIterator[Packet]:
        k = 0
        while not self._packets or k < self._packets:
            await bench.flowing.wait()
            if not bench.plugged.is_set():
                raise DeviceLost(self.uri, "it was unplugged")
            start = 1_000 * k
            bench.given.append(start)
            yield Packet(events((start, 0, 0, 1)), start, start + 1_000, now(), origin=self.uri)
            k += 1
            await asyncio.sleep(0.001 if self.scheduled else 0)


class Mute(CpuDevice):
    """`mute:`: the cpu: device; it gives nothing back while `bench` does not let it."""

    async def spikes(self) -> AsyncIterator[Packet]:
        async for packet in super().spikes():
            await bench.answering.wait()
            yield packet


class Only(CpuDevice):
    """`only:`: the cpu: device, of which there is one, as of a chip."""

    async def fork(self) -> CpuDevice:
        from nrt.errors import Unsupported

        raise Unsupported(self.uri, "there is one of it")


@pytest.fixture(autouse=True)
def far_side(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The registry knows them, and everything works at first."""
    here = "tests.unit.daemon.conftest"
    monkeypatch.setitem(registry.SOURCES, "drip", Entry(f"{here}:Drip", "for tests"))
    monkeypatch.setitem(registry.DEVICES, "mute", Entry(f"{here}:Mute", "for tests"))
    monkeypatch.setitem(registry.DEVICES, "only", Entry(f"{here}:Only", "for tests"))
    bench.plugged, bench.flowing, bench.answering = (asyncio.Event() for _ in range(3))  # of this test's loop
    for event in (bench.plugged, bench.flowing, bench.answering):
        event.set()
    bench.opened = 0
    bench.given.clear()
    return bench


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network that fires neuron n of its output once for every event of input n."""
    shape = (2, 2, 2)
    ones = np.ones(shape)
    return written(chain(nir.IF(r=ones, v_threshold=0.5 * ones), inputs=shape, outputs=shape), tmp_path)


class Heard:
    """Everything that a node told."""

    def __init__(self, node: Node) -> None:
        self.notices: list[Notice] = []
        self._news = asyncio.Event()
        node.listen(self._take)

    def _take(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()

    async def until(self, wanted: Callable[[Notice], bool], after: int = 0) -> int:
        """Waits for a notice from number `after` on; the number of the one after it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for number in range(after, len(self.notices)):
                    if wanted(self.notices[number]):
                        return number + 1
                after = len(self.notices)
                self._news.clear()
                await self._news.wait()

    async def state(self, state: State, after: int = 0) -> int:
        """Waits until a pipeline becomes that."""
        return await self.until(lambda each: isinstance(each, StateChange) and each.state is state, after)

    async def alarm(self, kind: str, after: int = 0) -> int:
        """Waits for an alarm."""
        return await self.until(lambda each: isinstance(each, Alarm) and each.kind == kind, after)

    async def decisions(self, count: int, after: int = 0) -> int:
        """Waits for so many decisions."""
        for _ in range(count):
            after = await self.until(lambda each: isinstance(each, Decision), after)
        return after

    def states(self) -> list[State]:
        """The states in order."""
        return [each.state for each in self.notices if isinstance(each, StateChange)]

    def alarms(self) -> list[str]:
        """The kinds of alarms in order."""
        return [each.kind for each in self.notices if isinstance(each, Alarm)]


def at_once(self: Backoff, worked: float = 0.0) -> float:
    """In place of `Backoff.next`."""
    return 0.01


def configuration(folder: Path, *pipelines: PipelineConfig, **tables: object) -> Config:
    """A configuration with its data in `folder`."""
    return Config(
        folder / "edge.toml", NodeConfig("test", folder / "data"), LogConfig(), pipelines, (), tables
    )

"""A Device of any Engine: packets are cut into time steps (`nrt.steps`), which one thread computes."""

from __future__ import annotations

import asyncio
import dataclasses
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import numpy as np

from nrt.clock import now
from nrt.device import Counters, Device, Placement, watched
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import EVENT, SPIKE, Packet, events_from_array
from nrt.registry import Uri
from nrt.steps import Steps
from nrt.worker import Worker
from nrt_sim.engine import Engine

DEPTH: Final = 8
"""Packets under way in the device; more wait in the source."""


class ClockedDevice(Device):
    """Runs an Engine in a thread of its own. Subclasses say which engine, and how to place a network on it."""

    def __init__(self, uri: Uri) -> None:
        self.uri = str(uri)
        self._uri = uri
        self._engine: Engine | None = None
        self._worker: Worker[Packet | None, Packet] | None = None

    @abstractmethod
    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        """The engine in its reset state; may take a while."""

    def _ready(self, network: Network, watched: tuple[str, ...]) -> Engine:
        """The engine, with its kernels compiled or loaded: the first packet must not wait for that."""
        engine = self._build(network, watched)
        engine.run(np.zeros(1, EVENT), 0, 1)
        engine.reset()
        return engine

    @abstractmethod
    def _placement(self, engine: Engine) -> Placement:
        """What went where."""

    @abstractmethod
    def _sibling(self) -> ClockedDevice:
        """A device of the same kind and options, without an engine."""

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        await self._halt()
        self._engine = await asyncio.to_thread(self._ready, network, watched(network, taps, membranes))
        return self._placement(self._engine)

    async def plan(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        return self._placement(
            await asyncio.to_thread(self._build, network, watched(network, taps, membranes))
        )

    async def reset(self) -> None:
        await self._halt()
        self._deployed().reset()

    async def send(self, packet: Packet) -> None:
        if packet.data.dtype not in (EVENT, SPIKE):
            packet = dataclasses.replace(packet, data=events_from_array(packet.data))
        await self._running().put(packet)

    async def finish(self) -> None:
        worker = self._running()
        await worker.put(None)
        worker.end()

    async def spikes(self) -> AsyncIterator[Packet]:
        async for packet in self._running().results():
            yield packet

    async def fork(self) -> ClockedDevice:
        sibling = self._sibling()
        sibling._engine = self._deployed().fork()
        return sibling

    async def close(self) -> None:
        await self._halt()

    def counters(self) -> Counters:
        return self._engine.counters() if self._engine is not None else Counters()

    def _deployed(self) -> Engine:
        if self._engine is None:
            raise ConfigError(f"{self.uri}: no network is deployed")
        return self._engine

    def _running(self) -> Worker[Packet | None, Packet]:
        """The thread of this run; it starts with the run's first packet or reader."""
        if self._worker is None:
            stepping = _Stepping(self._deployed())
            self._worker = Worker(stepping.advance, depth=DEPTH, name=f"nrt.{self.uri}")
        return self._worker

    async def _halt(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.close()


class _Stepping:
    """Runs an engine over the steps of one run and makes packets of what it returns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._steps = Steps(engine.network.semantics.dt)

    def advance(self, packet: Packet | None) -> Iterator[Packet]:
        """The outputs of the steps that `packet` completes; None completes the last step."""
        span = self._steps.finish() if packet is None else self._steps.advance(packet)
        if span is None:
            return
        begun = now()
        records = self._engine.run(span.records, span.start, span.steps)
        done = now()
        for name, data in records.items():
            yield Packet(data, span.start, span.end, done, origin=name, begun=begun, done=done)

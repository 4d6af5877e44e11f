"""`null:`: a device that computes nothing; what a run on it takes is the cost of the pipeline itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from nrt.clock import now
from nrt.device import Counters, Device, Placement, Row
from nrt.network import Network
from nrt.packet import SPIKE, Packet
from nrt.registry import Uri


class NullDevice(Device):
    """Answers every packet at once with an empty one per output. depth: packets that may wait for the user."""

    def __init__(self, uri: Uri, *, depth: int = 8) -> None:
        self.uri = str(uri)
        self._depth = depth
        self._watched: tuple[str, ...] = ()
        self._events = 0
        self._queue: asyncio.Queue[Packet | None] = asyncio.Queue(depth)

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        self._watched = (*network.outputs, *taps)
        return Placement(
            self.uri, network.name, tuple(Row(p.name, f"{p.shape}", "nowhere") for p in network.populations)
        )

    async def reset(self) -> None:
        self._queue = asyncio.Queue(self._depth)
        self._events = 0

    async def send(self, packet: Packet) -> None:
        self._events += len(packet.data)
        for name in self._watched:
            await self._queue.put(Packet(np.empty(0, SPIKE), packet.start, packet.end, now(), origin=name))

    async def finish(self) -> None:
        await self._queue.put(None)

    async def spikes(self) -> AsyncIterator[Packet]:
        while (packet := await self._queue.get()) is not None:
            yield packet

    def counters(self) -> Counters:
        return Counters(events=self._events)

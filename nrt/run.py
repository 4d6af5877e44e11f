"""Run: one source streaming through one device.

One task pumps packets from the source into the device; the user's iteration takes what comes out. However it
ends (end of the recording, `break`, an exception, a timeout, `stop`), the pump is gone, the source closed and
the device reset before the `async with` is left. An error of the source is raised where the user iterates,
after every spike of the events before it.

Latency: the Run keeps (end, stamp) of the packets it sent. An output packet that reaches time `end` was caused
by the first input packet that reaches it too; the difference of their stamps goes into a histogram. Stamps of a
paced source are the times at which its events were due, so a stall is counted for every packet it delays.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nrt import report
from nrt.clock import now
from nrt.device import Counters, Device, Energy
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import SPIKE, Packet
from nrt.profile import ClockMap, Histogram
from nrt.report import Latency, Report
from nrt.source import Source


class Run:
    """A source streaming through a deployed network: `async with` it, iterate it for output packets."""

    def __init__(
        self,
        source: Source,
        device: Device,
        network: Network,
        claim: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._source, self._device, self._network, self._claim = source, device, network, claim
        self._stack = AsyncExitStack()
        self._pump_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: BaseException | None = None
        self._output: AsyncIterator[Packet] | None = None
        self._tally = _Tally(network)
        self._energy: tuple[Energy, ...] = ()
        self._identity: dict[str, str] = {"uri": source.uri}

    @property
    def source(self) -> Source:
        """What streams."""
        return self._source

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._claim())
            stack.push_async_callback(self._source.close)
            await self._source.open()
            self._identity = dict(self._source.identity())
            self._check_shape()
            await self._device.reset()
            stack.push_async_callback(self._settle)
            self._output = self._device.spikes()
            stack.push_async_exit(self._close_output)
            self._pump_task = asyncio.create_task(self._pump(), name="nrt.pump")
            stack.push_async_callback(self._end_pump)
            self._tally.begin()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._tally.finish()
        if value is not None:
            self.fail(value)
        await self._stack.__aexit__(kind, value, tb)
        failure, self._failure = self._failure, None
        if failure is not None and value is None:
            raise failure

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Packet:
        if self._output is None:
            raise ConfigError("a run is used with 'async with' before it is iterated")
        try:
            packet = await anext(self._output)
        except StopAsyncIteration:
            self._tally.finish()
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure from None
            raise
        self._tally.received(packet)
        return packet

    def stop(self) -> None:
        """Ends the run early but in order: nothing more is read, what was sent is computed and delivered."""
        self._stopping = True
        self._tally.error = self._tally.error or "stopped by the user"
        if self._pump_task is not None:
            self._pump_task.cancel()

    def fail(self, error: BaseException) -> None:
        """Keeps `error` in the report as what ended the run, unless something else did before."""
        self._tally.error = self._tally.error or f"{type(error).__name__}: {error}"

    @property
    def report(self) -> Report:
        """What was measured: so far during the run, in all after it."""
        return self._tally.report(
            self._device, self._identity, dict(self._source.counters()), self._source.scheduled, self._energy
        )

    def _check_shape(self) -> None:
        shape = self._source.shape
        if shape is not None and self._network.inputs:
            self._network.encoding.check(shape, self._network[self._network.inputs[0]].shape)

    async def _pump(self) -> None:
        packets = self._source.packets()
        try:
            async for packet in packets:
                self._tally.sent(packet)
                await self._device.send(packet)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except Exception as error:
            self._failure = error
            self.fail(error)
        await self._device.finish()

    async def _end_pump(self) -> None:
        """The one task of a run never outlives it. Its errors are kept by `_pump`, or are the device's own."""
        assert self._pump_task is not None
        self._pump_task.cancel()
        await asyncio.wait([self._pump_task])
        if not self._pump_task.cancelled() and (error := self._pump_task.exception()) is not None:
            self._failure = self._failure or error

    async def _settle(self) -> None:
        """Takes the last figures and leaves the device ready for the next run."""
        self._energy = await self._device.energy()
        self._tally.counters = self._device.counters()
        self._tally.clock = self._device.clock
        await self._device.reset()

    async def _close_output(self, *_: object) -> None:
        aclose = getattr(self._output, "aclose", None)
        if aclose is not None:
            await aclose()


class _Tally:
    """Counts what passes through a run; a few additions per packet, nothing per event."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._outputs = frozenset(network.outputs)
        self._about = {"name": network.name, "hash": network.hash, "neurons": str(network.neurons)}
        self._sent: deque[tuple[int, int]] = deque()
        self._latency = Histogram()
        self._counts: dict[str, NDArray[np.float64]] = {}
        self._readout_steps: dict[str, int] = {}
        self._first: int | None = None
        self._last = self._reached = 0
        self._began = self._ended = 0
        self._started = ""
        self.packets = self.events = self.lost = 0
        self.counters: Counters | None = None
        self.clock: ClockMap | None = None
        self.error = ""

    def begin(self) -> None:
        self._began, self._started = now(), report.timestamp()

    def finish(self) -> None:
        self._ended = self._ended or now()

    def sent(self, packet: Packet) -> None:
        if self._first is None:
            self._first = self._reached = packet.start
        self._last = packet.end
        self.packets += 1
        self.events += len(packet.data)
        self.lost += packet.lost
        self._sent.append((packet.end, packet.stamp))

    def received(self, packet: Packet) -> None:
        if packet.end > self._reached:
            self._reached = packet.end
            while self._sent and self._sent[0][0] < packet.end:
                self._sent.popleft()
            if self._sent:
                self._latency.record(packet.stamp - self._sent[0][1])
        if packet.origin in self._outputs and len(packet.data):
            self._count(packet)

    def _count(self, packet: Packet) -> None:
        size = self._network[packet.origin].size
        sums = np.bincount(packet.data["n"], packet.data["v"], minlength=size).astype(np.float64)
        if packet.data.dtype != SPIKE:
            self._readout_steps[packet.origin] = (
                self._readout_steps.get(packet.origin, 0) + len(packet.data) // size
            )
        if packet.origin in self._counts:
            self._counts[packet.origin] += sums
        else:
            self._counts[packet.origin] = sums

    def counts(self) -> dict[str, tuple[float, ...]]:
        """Per output with at most 10 000 neurons; zeros where nothing came."""
        result: dict[str, tuple[float, ...]] = {}
        for name in self._network.outputs:
            size = self._network[name].size
            if size <= 10_000:
                sums = self._counts.get(name, np.zeros(size)) / self._readout_steps.get(name, 1)
                result[name] = tuple(sums.tolist())
        return result

    def report(
        self,
        device: Device,
        source: dict[str, str],
        repaired: dict[str, int],
        scheduled: bool,
        energy: tuple[Energy, ...],
    ) -> Report:
        network = self._network
        return Report(
            network=self._about,
            device=device.uri,
            source=source,
            semantics=dataclasses.asdict(network.semantics),
            started=self._started,
            stream_s=(self._last - (self._first or 0)) / 1e6,
            wall_s=((self._ended or now()) - self._began) / 1e9 if self._began else 0.0,
            packets=self.packets,
            events=self.events,
            lost=self.lost,
            source_counts=repaired,
            counters=self.counters or device.counters(),
            counts=self.counts(),
            latency=Latency.of(self._latency, "schedule" if scheduled else "read"),
            energy=energy,
            clock=self.clock or device.clock,
            error=self.error,
            versions=report.versions(),
            host=report.host(),
        )

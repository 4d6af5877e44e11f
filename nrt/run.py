"""Run: one source streaming through one device.

One task pumps packets from the source into the device; the user's iteration takes what comes out. However it
ends (end of the recording, `break`, an exception, a timeout, `stop`), the pump is gone, the source closed and
the device reset before the `async with` is left. An error of the source is raised where the user iterates,
after every spike of the events before it.

What passes through is counted by `nrt.tally`; how latency is told is written in `nrt.profile.latency`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import Self

from nrt.device import Device
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import Packet
from nrt.profile.energy import Energy
from nrt.profile.model import modelled
from nrt.report import Report, Settings
from nrt.source import Source
from nrt.tally import Tally


class Run:
    """A source streaming through a deployed network: `async with` it, iterate it for output packets."""

    def __init__(
        self,
        source: Source,
        device: Device,
        network: Network,
        claim: Callable[[], AbstractContextManager[None]],
        settings: Settings,
    ) -> None:
        """Raises ConfigError for settings that do not fit the network."""
        self._source, self._device, self._network, self._claim = source, device, network, claim
        self._stack = AsyncExitStack()
        self._pump_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failure: BaseException | None = None
        self._output: AsyncIterator[Packet] | None = None
        self._tally = Tally(network, settings)
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

    def stop(self, why: str = "stopped by the user") -> None:
        """Ends the run early but in order: nothing more is read, what was sent is computed and delivered.

        why: what the report says ended it
        """
        self._stopping = True
        self._tally.error = self._tally.error or why
        if self._pump_task is not None:
            self._pump_task.cancel()

    def fail(self, error: BaseException) -> None:
        """Keeps `error` in the report as what ended the run, unless something else did before."""
        self._tally.error = self._tally.error or f"{type(error).__name__}: {error}"

    @property
    def report(self) -> Report:
        """What was measured: so far during the run, in all after it."""
        return self._tally.report(self._device, self._source, self._identity)

    async def energy(self) -> tuple[Energy, ...]:
        """What the run has taken so far: the device's own figures, and models of what it counted."""
        device = self._device
        own = await device.energy()  # first: a device elsewhere brings its counters along
        seconds = self._tally.stream_s
        models = modelled(
            self._network, device.counters(), device.tables, seconds=seconds, dense=device.dense
        )
        return (*own, *models)

    def _check_shape(self) -> None:
        shape = self._source.shape
        if shape is not None and self._network.inputs:
            self._network.encoding.check(shape, self._network[self._network.inputs[0]].shape)

    async def _pump(self) -> None:
        packets = self._source.packets()
        try:
            async for packet in packets:
                self._tally.sent(packet, self._source.host_time(packet.end))
                await self._device.send(packet)
                self._tally.accepted()
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
        self._tally.energy = await self.energy()
        self._tally.counters = self._device.counters()
        self._tally.clock = self._device.clock
        await self._device.reset()

    async def _close_output(self, *_: object) -> None:
        aclose = getattr(self._output, "aclose", None)
        if aclose is not None:
            await aclose()

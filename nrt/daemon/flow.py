"""Flow: one life of a pipeline, from opening its device and source to closing them.

While the source stays open (`Feed`), one run follows the other: after a reset, or after another network was deployed,
the next run goes on with the packet after the last. Another network is got ready beside the running one where the
device can be had twice, as simulators can; a chip is stopped for it, and what arrives meanwhile waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import nrt
from nrt.daemon.config import PipelineConfig
from nrt.daemon.feed import Feed, Portion
from nrt.device import Placement
from nrt.errors import ConfigError, Unsupported
from nrt.network import Network
from nrt.packet import Packet
from nrt.report import Report
from nrt.run import Run
from nrt.session import Session
from nrt.source import Source


@dataclass(frozen=True, slots=True)
class Ears:
    """Who is told what, on the loop. saw: every packet of the source; what it returns is awaited. said: every
    packet of the device. opened: source and device are. began: a run begins. ended: a run has ended."""

    saw: Callable[[Packet], Awaitable[None] | None]
    said: Callable[[Packet], None]
    opened: Callable[[Source], None]
    began: Callable[[Network, Placement], None]
    ended: Callable[[Report], None]


@dataclass(slots=True)
class _Change:
    """What happens between two runs. None for the network: the state begins anew, nothing else changes."""

    network: Network | None
    ready: tuple[Session, Placement, AsyncExitStack] | None
    done: asyncio.Future[Placement]


class Flow:
    """One life of a pipeline. Call `run` once."""

    def __init__(self, config: PipelineConfig, ears: Ears) -> None:
        self._config, self._ears = config, ears
        self._stack = AsyncExitStack()
        """That the present session is closed by."""
        self._session: Session | None = None
        self._portion: Portion | None = None
        self._change: _Change | None = None
        self._ending = False
        self.feed: Feed | None = None
        self.network: Network | None = None
        self.placement: Placement | None = None
        self.present: Run | None = None
        """The run under way."""
        self.at: Literal["network", "device", "source", "stream"] = "network"
        """Where it is, or where it failed: reading the network, opening the device, opening the source, streaming."""

    @property
    def session(self) -> Session:
        """The open device. Raises ConfigError where there is none yet."""
        if self._session is None:
            raise ConfigError(f"{self._config.name} is not running")
        return self._session

    async def run(self) -> None:
        """Streams until the source ends or `end` is called. Raises what network, device or source failed with."""
        config = self._config
        try:
            network = await asyncio.to_thread(config.load_network)
            self.at = "device"
            self._session, self.placement, self._stack = await self._open(nrt.open(config.device), network)
            self.network = network
            self.at = "source"
            source = await asyncio.to_thread(config.open_source)  # looks through what is installed
            self.feed = Feed(source, self._ears.saw)
            await self.feed.open()
            self._ears.opened(self.feed.source)
            self.at = "stream"
            while await self._one_run():
                pass
        finally:
            await self._close()

    async def _one_run(self) -> bool:
        """One run; whether another follows."""
        assert self.feed is not None
        assert self.network is not None
        assert self.placement is not None
        if self._ending:
            return False
        self._portion = self.feed.portion()
        run = self.present = self.session.stream(self._portion, deadline=self._config.deadline)
        self._ears.began(self.network, self.placement)
        try:
            async with run:
                async for packet in run:
                    self._ears.said(packet)
        finally:
            self.present = None
            self._ears.ended(run.report)
        if self._change is not None:
            await self._apply(self._change)
            return True
        return not (self._ending or self.feed.ended)

    def end(self) -> None:
        """Ends between two packets: what the source gave is computed and delivered, then everything is closed."""
        self._ending = True
        if self.feed is not None:
            self.feed.end()

    async def reset(self) -> None:
        """The network's state as after `deploy`; no packet is lost. Returns when it is done."""
        await self._between(_Change(None, None, asyncio.get_running_loop().create_future()))

    async def deploy(self, network: Network) -> Placement:
        """Another network, between two packets; no packet is lost.

        Raises what the device or the network's shape has against it; then the one before goes on.
        """
        shape = self.feed.source.shape if self.feed is not None else None
        if shape is not None and network.inputs:
            network.encoding.check(shape, network[network.inputs[0]].shape)
        ready = await self._beside(network)
        change = _Change(network, ready, asyncio.get_running_loop().create_future())
        try:
            return await self._between(change)
        except BaseException:
            if (
                self._change is change and self.feed is not None
            ):  # whoever asked has gone before anything was done
                self._change = None
                self.feed.release()
            if ready is not None and self._session is not ready[0]:
                await ready[2].aclose()
            raise

    async def _between(self, change: _Change) -> Placement:
        if self.at != "stream" or self._portion is None or self.feed is None:
            raise ConfigError(f"{self._config.name} is not running")
        if self._change is not None:
            raise ConfigError(f"{self._config.name} is being changed already")
        self._change = change
        self.feed.hold()
        self._portion.end()
        return await asyncio.shield(change.done)

    async def _apply(self, change: _Change) -> None:
        assert self.feed is not None
        try:
            if change.network is not None:
                await self._switch(change.network, change.ready)
        except Exception as error:
            change.done.set_exception(error)
            change.done.exception()  # looked at, also where nobody waits any more
        else:
            assert self.placement is not None
            change.done.set_result(self.placement)
        finally:
            self._change = None
            self.feed.release()

    async def _switch(
        self, network: Network, ready: tuple[Session, Placement, AsyncExitStack] | None
    ) -> None:
        if ready is not None:
            old = self._stack
            self._session, self.placement, self._stack = ready
            self.network = network
            await old.aclose()
            return
        assert self.network is not None
        try:
            self.placement = await self.session.deploy(network, taps=self._config.taps)
        except Exception:
            await self.session.deploy(self.network, taps=self._config.taps)
            raise
        self.network = network

    async def _beside(self, network: Network) -> tuple[Session, Placement, AsyncExitStack] | None:
        """A session of its own with the network deployed; None where there is only one of the device."""
        try:
            device = await self.session.device.fork()
        except Unsupported:
            return None
        return await self._open(Session(device), network)

    async def _open(self, session: Session, network: Network) -> tuple[Session, Placement, AsyncExitStack]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(session)
            placement = await session.deploy(network, taps=self._config.taps)
            return session, placement, stack.pop_all()

    async def _close(self) -> None:
        """In order: the source, then the device; whoever waits for a change is told."""
        if self._change is not None and not self._change.done.done():
            self._change.done.set_exception(ConfigError(f"{self._config.name} stopped before that"))
            self._change.done.exception()
        try:
            if self.feed is not None:
                await self.feed.close()
        finally:
            await self._stack.aclose()

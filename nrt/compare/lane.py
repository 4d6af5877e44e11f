"""Lanes: a device of a comparison, open, with the network deployed and everything watched that it can show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from nrt.compare.recorded import Recorded
from nrt.compare.trace import Trace, trace
from nrt.device import Device
from nrt.errors import DeviceError, NrtError, Unsupported
from nrt.network import Network
from nrt.session import Session, open


@dataclass(slots=True)
class Lane:
    """One device. Where it does not run, `error` says why and there is no session.

    watched: populations that it shows · unwatched: the others, and why · alone: why it runs one recording at a time
    """

    uri: str
    error: str = ""
    clocked: bool = True
    placement: str = ""
    watched: tuple[str, ...] = ()
    unwatched: Mapping[str, str] = field(default_factory=dict[str, str])
    alone: str = ""
    sessions: list[Session] = field(default_factory=list[Session])
    _free: asyncio.Queue[Session] = field(default_factory=lambda: asyncio.Queue[Session]())

    async def run(self, recorded: Recorded, speed: float) -> Trace:
        """Runs one recording as soon as there is room. Raises what the device raises; a DeviceError ends its use."""
        if self.error:
            raise DeviceError(self.uri, f"not run any more, {self.error}")
        async with self._session() as session:
            try:
                return await trace(session, recorded, speed)
            except DeviceError as error:
                self.error = f"lost: {error}"
                raise

    async def membranes(self, recorded: Recorded, population: str) -> Trace:
        """Runs one recording with the membranes of `population` watched. Raises Unsupported where it has none."""
        async with self._session() as session:
            await session.deploy(session.network, membranes=[population])
            return await trace(session, recorded)

    async def start(
        self, stack: AsyncExitStack, network: Network, jobs: int, device: Device | None = None
    ) -> None:
        """Opens the device and deploys the network, on up to `jobs` copies of it where it can be copied.

        device: the device itself, where its URI is not enough to make it
        """
        try:
            session = await stack.enter_async_context(open(device or self.uri))
            self.clocked = session.device.clocked
            await self._deploy(session, network)
            self.sessions.append(session)
            await self._fork(stack, session, jobs)
        except Exception as error:
            self.error = said(error)
            return
        for each in self.sessions:
            self._free.put_nowait(each)

    async def _deploy(self, session: Session, network: Network) -> None:
        """Watches what can be watched: every population, without those that the device names, or the outputs alone."""
        taps = [p.name for p in network.populations if p.neuron is not None]
        refused: dict[str, str] = {}
        while True:
            try:
                self.placement = str(await session.deploy(network, taps=taps))
                break
            except Unsupported as error:
                extra = [name for name in taps if name not in network.outputs]
                if not extra:
                    raise
                named = [name for name in extra if name == error.node] or extra
                refused |= {name: str(error) for name in named}
                taps = [name for name in taps if name not in named]
        self.watched, self.unwatched = tuple(dict.fromkeys((*network.outputs, *taps))), refused

    async def _fork(self, stack: AsyncExitStack, session: Session, jobs: int) -> None:
        for _ in range(jobs - 1):
            try:
                self.sessions.append(await stack.enter_async_context(await session.fork()))
            except NrtError as error:
                self.alone = str(error)
                return

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncGenerator[Session]:
        session = await self._free.get()
        try:
            yield session
        finally:
            self._free.put_nowait(session)


@contextlib.asynccontextmanager
async def lanes(devices: Sequence[str | Device], network: Network, jobs: int) -> AsyncGenerator[list[Lane]]:
    """All of them, in order; those that cannot run the network say why in `error`."""
    async with AsyncExitStack() as stack:
        found = [Lane(device if isinstance(device, str) else device.uri) for device in devices]
        for lane, device in zip(found, devices, strict=True):
            await lane.start(stack, network, jobs, None if isinstance(device, str) else device)
        yield found


def said(error: Exception) -> str:
    """An error as one sentence: ours speak for themselves, of others the kind is worth knowing."""
    return str(error) if isinstance(error, NrtError) else f"{type(error).__name__}: {error}"

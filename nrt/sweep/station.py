"""Station: one device of a sweep, kept open and programmed, that items are run on one after the other.

A device that fails under an item is opened anew, and the item begun once more. If it fails again the item is at fault
and becomes a row with that error; if the device cannot be opened it is gone, and what is left has to be done elsewhere
or another day.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from nrt import registry
from nrt.errors import ConfigError, DeployError, DeviceError, NrtError
from nrt.lease import Lease
from nrt.network import Network
from nrt.session import Session
from nrt.sweep.item import Item, Row

ATTEMPTS: Final = 2
HOST: Final = socket.gethostname()

Opener = Callable[[], Awaitable[Session]]


class Station:
    """A device by its URI, leased while it is open; `run` opens and programs it as needed.

    opener: another way to an open session, such as a copy of one that has its network already
    """

    def __init__(self, device: str, *, opener: Opener | None = None) -> None:
        self.device = device
        self._opener = opener or self._open
        self._lease = Lease(device, "nrt sweep")
        self._session: Session | None = None
        self._deployed = ""

    async def open(self) -> Session:
        """The open session. Raises DeviceBusy where somebody else has the device, and what opening raises."""
        if self._session is None:
            self._session = await self._opener()
            self._deployed = _deployed(self._session)
        return self._session

    async def prepare(self, item: Item, network: Network) -> Session:
        """The session with `network`, the one of `item`, on it. Raises DeployError, and what opening raises."""
        session = await self.open()
        if self._deployed != item.network:
            self._deployed = ""
            try:
                await session.deploy(network)
            except DeployError:
                raise
            except BaseException:
                await self.close()
                raise
            self._deployed = item.network
        return session

    async def run(self, item: Item, network: Network, limit: float | None = None) -> Row:
        """Runs one item; what goes wrong with it is in its row. Raises what `prepare` does.

        limit: s that it may take; None for as long as it takes
        """
        attempt = 1
        while True:
            try:
                session = await self.prepare(item, network)
            except DeviceError:
                if attempt == ATTEMPTS:
                    raise
                attempt += 1
                continue
            row, broken = await self._stream(session, item, attempt, limit)
            if broken:
                await self.close()
            if not broken or attempt == ATTEMPTS:
                return row
            attempt += 1

    async def close(self) -> None:
        """Closes the device, in whatever state, and lets others have it."""
        session, self._session = self._session, None
        try:
            if session is not None:
                await session.__aexit__(None, None, None)
        finally:
            self._lease.__exit__(None, None, None)

    async def _open(self) -> Session:
        self._lease.__enter__()
        try:
            return await Session(registry.device(self.device)).__aenter__()
        except BaseException:
            self._lease.__exit__(None, None, None)
            raise

    async def _stream(
        self, session: Session, item: Item, attempt: int, limit: float | None
    ) -> tuple[Row, bool]:
        """The row of one run, and whether the device may be to blame for its error."""
        try:
            source = registry.source(item.source)
            if not source.finite:
                raise ConfigError(f"{item.source} never ends; a sweep takes recordings")
            run = session.stream(source)
        except (NrtError, OSError) as error:
            return Row.failed(item, HOST, attempt, _sentence(error)), False
        failure: Exception | None = None
        try:
            async with asyncio.timeout(limit), run:
                async for _ in run:
                    pass
        except TimeoutError as error:
            failure = error if str(error) else TimeoutError(f"not done after {limit:g} s")
        except Exception as error:
            failure = error
        row = Row.of(item, run.report, HOST, attempt, "" if failure is None else _sentence(failure))
        blame = failure is not None and (
            isinstance(failure, DeviceError) or not isinstance(failure, NrtError | OSError)
        )
        return row, blame


def _deployed(session: Session) -> str:
    """Hash of the network that a session has already, as a copy of another does; "" without one."""
    try:
        return session.network.hash
    except ConfigError:
        return ""


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

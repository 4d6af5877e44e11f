"""What sources over a network share: bytes from a socket's thread into the intake, and what the end of them means."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Unpack

from nrt.live import Intake, LiveOptions, LiveSource
from nrt.registry import Uri
from nrt.wire import Faults, FaultyWire, HungUp, Wire


class NetworkOptions(LiveOptions, total=False):
    """What every source over a network has as options."""

    faults: str


class NetworkSource(LiveSource):
    """Bytes that arrive at a socket. A subclass makes the wire and turns bytes into events.

    faults: what goes wrong on the wire on purpose (`nrt.wire.Faults`)
    """

    datagrams: bool = False
    idle_ms: int = 10

    def __init__(self, uri: Uri, *, faults: str = "", **live: Unpack[LiveOptions]) -> None:
        super().__init__(uri, **live)
        line = self._line(uri)
        self._wire: Wire = (
            FaultyWire(line, *Faults.parse(faults), datagrams=self.datagrams) if faults else line
        )
        self._watch: asyncio.Task[None] | None = None

    @abstractmethod
    def _line(self, uri: Uri) -> Wire:
        """The wire of `uri`, not yet open."""

    @abstractmethod
    def _take(self, intake: Intake, data: bytes, stamp: int) -> None:
        """Bytes that arrived at host time `stamp`, ns; without bytes: none have come for a while."""

    def _last(self, intake: Intake) -> None:
        """The far side has ended the stream: what is left goes to `intake` before it is finished."""

    async def open(self) -> None:
        """Binds or connects the socket. Raises NotFound, DeviceBusy, DeviceError."""
        await self._wire.open()

    async def close(self) -> None:
        await self._stop()
        await self._wire.close()

    async def _start(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        def take(data: bytes, stamp: int) -> None:
            if self._watch is not None:  # else nobody takes packets any more
                self._take(intake, data, stamp)

        self._watch = asyncio.create_task(self._until_gone(intake, end), name="nrt.network")
        self._wire.feed(take, self.idle_ms)

    async def _until_gone(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        try:
            await self._wire.read()
        except HungUp:  # the wire's thread has ended: the intake is ours
            end(self._finished(intake))
        except Exception as error:
            end(error)

    def _finished(self, intake: Intake) -> BaseException | None:
        try:
            self._last(intake)
        except Exception as error:
            return error
        return None

    async def _stop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is None:
            return
        watch.cancel()
        await asyncio.wait([watch])

    def counters(self) -> Mapping[str, int]:
        """What was repaired or dropped, here and on the wire; only what is not zero."""
        plain = ("bytes in", "bytes out", "datagrams in")
        line = {name: count for name, count in self._wire.counters().items() if name not in plain}
        return {**super().counters(), **line}

"""A Station in a process of its own: for drivers and emulators that are Python, and so share one core in one process.

Parent and child exchange pickled items and rows over a pipe. A child that dies, whatever of, costs the item one of its
attempts; the next item starts a new child.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from nrt.errors import NrtError
from nrt.network import Network
from nrt.sweep.item import Item, Row
from nrt.sweep.station import ATTEMPTS, HOST, Station


class ProcessStation:
    """See `Station`; the child starts with the first item."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._child: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._sent = ""
        self._busy = False

    async def run(self, item: Item, network: Network, limit: float | None = None) -> Row:
        """See `Station.run`."""
        attempt = 1
        while True:
            try:
                answer = await asyncio.to_thread(self._ask, item, network, limit)
            except (EOFError, OSError):
                cause = _cause(await self._end())
                if attempt == ATTEMPTS:
                    return Row.failed(item, HOST, attempt, f"the process of {self._device} died ({cause})")
                attempt += 1
                continue
            if isinstance(answer, NrtError):
                raise answer
            return answer

    async def close(self) -> None:
        """Ends the child: one that waits closes its device, one that computes is stopped, for it is only emulated."""
        if self._pipe is not None and not self._busy:
            self._pipe.close()
        elif self._child is not None:
            self._child.terminate()  # a thread of this process reads from the pipe until then
        await self._end()

    def _ask(self, item: Item, network: Network, limit: float | None) -> Row | NrtError:
        """What the child says; raises EOFError or OSError where it died."""
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        self._busy = True
        self._pipe.send((item, network if self._sent != item.network else None, limit))
        self._sent = item.network
        answer: Row | NrtError = self._pipe.recv()
        self._busy = False
        return answer

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._child = context.Process(
            target=_serve, args=(far, self._device), name="nrt.station", daemon=True
        )
        self._child.start()
        far.close()
        self._sent = ""

    async def _end(self) -> int | None:
        """Waits for the child, a while; its exit code."""
        child, self._child, self._pipe, self._busy = self._child, None, None, False
        if child is None:
            return None
        await asyncio.to_thread(child.join, 5)
        if child.is_alive():
            child.kill()
            await asyncio.to_thread(child.join)
        code = child.exitcode
        child.close()
        return code


def _cause(code: int | None) -> str:
    if code is None:
        return "before it began"
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _serve(pipe: Connection, device: str) -> None:
    """The child: items in, rows out, until the pipe closes. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_answer(pipe, Station(device)))


async def _answer(pipe: Connection, station: Station) -> None:
    network: Network | None = None
    try:
        while True:
            try:
                item, given, limit = await asyncio.to_thread(pipe.recv)
            except (EOFError, OSError):
                return
            network = given or network
            assert network is not None
            try:
                answer: Row | NrtError = await station.run(item, network, limit)
            except NrtError as error:
                answer = NrtError(
                    str(error)
                )  # its subclasses have data of their own, which pickle cannot put back
            pipe.send(answer)
    finally:
        with contextlib.suppress(NrtError, OSError):
            await station.close()

"""Inlet: the one thread that waits for a line's bytes, and the mailbox through which they reach the event loop.

The thread stamps what it received at once, however busy the loop is. It stops receiving while more than `LIMIT`
bytes wait for the driver; what the line does then (flow control, or loss that it counts) is the line's nature.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Final

from nrt.clock import now
from nrt.errors import DeviceError, DeviceLost, NrtError
from nrt.wire.base import Chunk
from nrt.wire.feed import Take
from nrt.worker import Mailbox

LIMIT: Final = 1 << 22
"""Bytes received and not yet read at which the thread pauses: 3 s of the fastest serial line."""


class Inlet:
    """Runs `receive` in a thread until it raises or the inlet is closed.

    receive: blocks for the next bytes; b"" means to be called again (it was woken, or its patience ended)
    wake:    makes a blocked `receive` return soon; called from the loop
    """

    def __init__(self, name: str, receive: Callable[[], bytes], wake: Callable[[], None]) -> None:
        self._name, self._receive, self._wake = name, receive, wake
        self._mail: Mailbox[Chunk | Exception] = Mailbox()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._error: Exception | None = None
        self._room = threading.Event()
        self._feeding = threading.Lock()
        self._take: Take | None = None
        self._closing = False
        self.received = self.taken = 0
        self._thread = threading.Thread(target=self._main, name=f"nrt.wire {name}", daemon=True)
        self._thread.start()

    def _main(self) -> None:
        try:
            self._pump()
            end: Exception = DeviceLost(self._name, "the wire was closed")
        except NrtError as error:
            end = error
        except Exception as error:
            end = DeviceError(self._name, f"its reader failed: {error!r}")
        self._mail.post(end)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._ended.set)

    def _pump(self) -> None:
        while not self._closing:
            data = self._receive()
            with self._feeding:
                self.received += len(data)
                if self._take is not None:
                    self.taken = self.received
                    self._take(data, now())
                    continue
                if not data:
                    continue
                self._mail.post(Chunk(data, now()))
            self._room.clear()
            if self.received - self.taken > LIMIT and not self._closing:
                self._room.wait()

    def feed(self, take: Take) -> None:
        """From now on `take` gets the bytes, in the thread; first of all, here, those that wait.

        Raises what `take` raises.
        """
        with self._feeding:
            for item in self._mail.waiting():
                if isinstance(item, Chunk):
                    take(item.data, item.stamp)
                else:
                    self._error = item
            self.taken, self._take = self.received, take
        self._room.set()

    async def take(self) -> Chunk:
        """The next bytes. Raises what ended the line, after everything that came before."""
        if self._error is None:
            item = await self._mail.take()
            if isinstance(item, Chunk):
                self.taken += len(item.data)
                self._room.set()
                return item
            self._error = item
        raise self._error

    async def close(self) -> None:
        """Ends the thread. A `take` under way gets DeviceLost; what nobody took is dropped."""
        self._closing = True
        self._room.set()
        self._wake()
        try:
            await self._ended.wait()
        finally:
            self._thread.join()

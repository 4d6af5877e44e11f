"""Port: the host's end of the line to a bridge, with I/O: a Link over a Wire, and the two tasks that keep it going.

One task reads, one writes; neither waits for the other, so a full line never stops what comes back. Whatever ends
the line (unplugged, silent, a board that restarted) is kept in `failure` and told to the owner once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Final

from nrt.bridge import words
from nrt.bridge.link import Link, Received
from nrt.bridge.words import CLOSED, DATA, ECHO, PROBE
from nrt.clock import now
from nrt.errors import DeviceError, DeviceLost, DeviceTimeout, ProtocolError
from nrt.wire.base import Wire

PATIENCE: Final = words.nanoseconds("patience")
_PROBE: Final = words.BRIDGE.record("probe")


class Port:
    """Messages to a bridge and back, for one owner.

    take:     gets every message and echo, with the host's stamp of its arrival; must not wait
    heard:    called after whatever arrived, since every frame may bring credit
    owed:     whether the owner waits for something that the link itself does not know of
    failed:   told once what the line died of
    patience: ns without progress after which a board that owes something counts as gone
    """

    def __init__(
        self,
        wire: Wire,
        *,
        take: Callable[[Received, int], None],
        heard: Callable[[], None],
        owed: Callable[[], bool],
        failed: Callable[[DeviceError], None],
        patience: int = PATIENCE,
    ) -> None:
        self._wire = wire
        self._take, self._heard, self._owed, self._failed = take, heard, owed, failed
        self._patience = patience
        self._tasks: list[asyncio.Task[None]] = []
        self._go = asyncio.Event()
        self._opened: asyncio.Future[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.link = Link("host")
        self.failure: DeviceError | None = None
        self._progress = self._doubt = self._last = 0
        self._first = b""  # the first bytes that came: they tell whose they are, if the board is no bridge

    @property
    def name(self) -> str:
        """The URI, for messages."""
        return self._wire.name

    async def open(self) -> None:
        """Acquires the wire and opens a session. Raises NotFound, DeviceBusy, DeviceTimeout, ProtocolError."""
        await self._wire.open()
        self.link, self.failure, self._first = Link("host"), None, b""
        self._progress, self._doubt = now(), 0
        self._opened = asyncio.get_running_loop().create_future()
        self.link.open(secrets.randbelow(words.SEQUENCES), now())
        self._tasks = [
            asyncio.create_task(self._guard(self._read()), name="nrt.bridge read"),
            asyncio.create_task(self._guard(self._write()), name="nrt.bridge write"),
        ]
        self._look()
        await self._opened

    async def close(self) -> None:
        """Ends the tasks and releases the wire, in whatever state; may be called twice."""
        tasks, self._tasks = self._tasks, []
        if self._watch is not None:
            self._watch.cancel()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._wire.close()
        self.fail(DeviceLost(self.name, "it was closed"))

    def send(self, message: bytes) -> None:
        """Queues a message. Raises what the line died of."""
        self.require()
        self.link.send(message)
        self._go.set()

    def send_loose(self, kind: int, body: bytes) -> None:
        """Queues a frame that may be lost. Raises what the line died of."""
        self.require()
        self.link.send_loose(kind, body)
        self._go.set()

    def require(self) -> None:
        """Raises what the line died of, if it did."""
        if self.failure is not None:
            raise self.failure

    def fail(self, error: DeviceError) -> None:
        """Ends the line; the first error counts."""
        if self.failure is not None:
            return
        self.failure = error
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()  # looked at: whoever opened may be gone
        self._failed(error)

    async def _guard(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except DeviceError as error:
            self.fail(error)
        except Exception as error:
            self.fail(DeviceError(self.name, f"its line failed: {error!r}"))

    async def _read(self) -> None:
        while True:
            chunk = await self._wire.read()
            if not self.link.is_open:
                self._first = (self._first + chunk.data)[:16]
            self._last = now()
            frames = self.link.counts["received"]
            for received in self.link.receive(chunk.data, self._last):
                self._arrived(received, chunk.stamp)
            if self.link.counts["received"] != frames:
                self._heard()
            if self.link.due() == 0:
                self._go.set()

    def _arrived(self, received: Received, stamp: int) -> None:
        if received.kind == CLOSED:
            self.fail(DeviceLost(self.name, "the board restarted: it knows nothing of this session"))
            return
        if received.kind != ECHO:
            self._progress = self._last
        if received.kind in (DATA, ECHO):
            self._take(received, stamp)
        elif self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    async def _write(self) -> None:
        while True:
            self._go.clear()
            data = self.link.transmit(now())
            if data:
                await self._wire.write(data)
            else:
                await self._pause(self.link.due())

    async def _pause(self, due: int | None) -> None:
        """Until something was queued or came, or the link has something to send again."""
        loop = asyncio.get_running_loop()
        timer = None if due is None else loop.call_later(max(0, due - now()) / 1e9, self._go.set)
        try:
            await self._go.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        """Whether a board that owes something has gone silent. Its own timer: writing may be what does not end."""
        time = now()
        silent = time - max(self._progress, self.link.progress)
        if not (self.link.expects or self._owed()):
            self._progress, self._doubt = time, 0
        elif silent < self._patience:
            self._doubt = 0
            if self.link.is_open and time - self._last > self._patience // 8:
                self.link.send_loose(PROBE, _PROBE.pack(host=0))  # its echo brings the credit that was lost
                self._go.set()
        elif not self._doubt:  # it may be this process that was held up: look again before saying so
            self._doubt = time
        elif time - self._doubt >= self._patience // 4:
            self.fail(self._silence())
            return
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(self._patience / 8e9, self._look)

    def _silence(self) -> DeviceError:
        """What to say of a board from which nothing came although something is owed."""
        if self.link.is_open or not self._first:
            what = "it stopped answering" if self.link.is_open else "nothing answers as an AER bridge"
            waited = f"{self._patience / 1e9:.3g} s"
            return DeviceTimeout(
                self.name, f"{what} (waited {waited}); check power, cable, port and baud rate"
            )
        got = f"{self._first.hex(' ')}: another device, or another baud rate"
        return ProtocolError(self.name, 0, "an AER bridge", got)

"""What stands at the far end of the wires under test: small boards, and the doors they are served at."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from nrt.clock import now
from nrt.registry import Uri
from nrt.wire import Board, MemoryWire, Wire, wire
from nrt.wire.usb import UsbWire
from nrt_sim.serve import PtyDoor, Server, TcpDoor
from nrt_sim.serve.usb import UsbBoard

Out = TypeVar("Out")


async def soon(what: Awaitable[Out], seconds: float = 30) -> Out:
    """Nothing in these tests may hang: the bound is generous, for a loaded machine."""
    return await asyncio.wait_for(what, seconds)


async def take(line: Wire, count: int) -> bytes:
    """Exactly `count` bytes."""
    got = bytearray()
    while len(got) < count:
        got += (await soon(line.read())).data
    assert len(got) == count
    return bytes(got)


async def until(true: Callable[[], bool]) -> None:
    """Waits for something that another thread does."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.002)


class Echo:
    """Answers every byte with itself; `greeting` is sent on every fresh link."""

    def __init__(self, *, greeting: bytes = b"") -> None:
        self.links = 0
        self.received = 0
        self._greeting = greeting
        self._out = bytearray()

    def connect(self) -> None:
        self.links += 1
        self._out[:] = self._greeting

    def receive(self, data: bytes, now: int) -> None:
        self.received += len(data)
        self._out += data

    def transmit(self, now: int) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def due(self) -> int | None:
        return now() if self._out else None


class Ticker(Echo):
    """Sends the numbers 0, 1, 2, … as bytes by itself, every `period` ns from the first byte that it gets."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self._period, self._next, self._count = period, 0, 0

    def receive(self, data: bytes, now: int) -> None:
        self._next = now + self._period

    def transmit(self, now: int) -> bytes:
        out = bytearray()
        while self._next and self._next <= now:
            out.append(self._count & 0xFF)
            self._count += 1
            self._next += self._period
        return bytes(out)

    def due(self) -> int | None:
        return self._next or None


class Clock(Echo):
    """Answers every byte with its time, 8 bytes of µs: `offset` µs ahead of the host's, `skew_ppm` too fast."""

    def __init__(self, *, offset: int = 0, skew_ppm: float = 0.0) -> None:
        super().__init__()
        self.offset, self._parts = offset, round(skew_ppm * 1000)

    def time(self, host: int) -> int:
        """Its µs at a host's ns, in whole numbers so that nothing rounds."""
        return self.offset + (host + host * self._parts // 1_000_000_000) // 1000

    def receive(self, data: bytes, now: int) -> None:
        self._out += self.time(now).to_bytes(8, "little") * len(data)


class Far(ABC):
    """A served board."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board, self.folder = board, folder
        self.plug()

    @abstractmethod
    def plug(self) -> None:
        """The board can be reached."""

    @abstractmethod
    def wire(self) -> Wire:
        """A new wire to it."""

    @abstractmethod
    def unplug(self) -> None:
        """The board is gone."""


class SerialFar(Far):
    def plug(self) -> None:
        self.server = Server(self.board, PtyDoor(self.folder / "tty")).start()

    def wire(self) -> Wire:
        return wire(Uri.parse(f"test{self.server.address}"))

    def unplug(self) -> None:
        self.server.stop()


class TcpFar(SerialFar):
    port = 0

    def plug(self) -> None:
        self.server = Server(self.board, TcpDoor(self.port)).start()
        self.port = int(self.server.address.rpartition(":")[2])


class UsbFar(Far):
    def plug(self) -> None:
        if not hasattr(self, "usb"):
            self.usb = UsbBoard(self.board, 0x1209, 0x0001, "A1")
        self.usb.replug()

    def wire(self) -> Wire:
        return UsbWire(Uri.parse("test+usb:A1"), self.usb.backend, vendor=0x1209, product=1)

    def unplug(self) -> None:
        self.usb.unplug()


class MemoryFar(Far):
    def plug(self) -> None:
        self._wire = MemoryWire(self.board, "test+emu:")

    def wire(self) -> Wire:
        return self._wire

    def unplug(self) -> None:
        pass


FARS: dict[str, type[Far]] = {"serial": SerialFar, "tcp": TcpFar, "usb": UsbFar, "memory": MemoryFar}
CABLES = ["serial", "tcp", "usb"]
"""Those that can be unplugged, and that two programs could want at once."""

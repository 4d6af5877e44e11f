"""Wire: bytes both ways between a driver and a board. Board: what stands at the far end when it is emulated.

A driver knows only `Wire`; whether a serial line, a USB device, a socket or an emulated board in this process is
behind it, and whether that wire is clean or faulty, is the URI's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from nrt.errors import DeviceLost

VENDOR_OUT: Final = 0x40
VENDOR_IN: Final = 0xC0
"""bmRequestType of a vendor's control request to a USB device, and of one that it answers (USB 2.0, 9.3.1)."""


class HungUp(DeviceLost):
    """The far side ended the line in order, after all that it had to say; a stream may end so."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as they arrived, and when: host monotonic ns of the last one. A datagram is one chunk."""

    data: bytes
    stamp: int


class Wire(Protocol):
    """Bytes both ways. One reader and one writer at a time; both may be under way at once.

    Life: open → (write, read)… → close → open again if the far side came back.
    """

    @property
    def name(self) -> str:
        """The URI that opened it, for messages."""
        ...

    async def open(self) -> None:
        """Acquires the line. Raises NotFound, DeviceBusy, DeviceError."""
        ...

    async def close(self) -> None:
        """Releases it, in whatever state; may be called twice. A `read` under way raises DeviceLost."""
        ...

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of `data`, in order; waits while the line is full. Raises DeviceLost."""
        ...

    async def read(self) -> Chunk:
        """The next bytes, at least one; waits for them. Cancelling it loses nothing.

        Raises DeviceLost when the far side is gone, after everything that it sent.
        """
        ...

    def feed(self, take: Callable[[bytes, int], None], idle_ms: int = 10) -> None:
        """From now on bytes go to `take(data, stamp)` where they arrive: in the wire's thread, if it has one.

        What has arrived and was not read goes there first. take(b"", now) says that nothing came for `idle_ms`.
        `read` then waits for the end of the line and raises it, or what `take` raised, which ends the feeding.
        """
        ...

    def counters(self) -> Mapping[str, int]:
        """Bytes each way and what went wrong on the line, by name; only what is not zero."""
        ...


class Board(Protocol):
    """An emulated device behind a wire, without I/O and without a clock: bytes and times in, bytes out.

    Whoever serves it (in this process, on a pseudo-terminal, TCP or a USB back-end) calls it from one thread.
    `now` is host monotonic ns and never decreases; an emulated clock (offset, skew) derives from it.
    """

    def connect(self) -> None:
        """Somebody opened the line: a fresh link; whether the chip's state survives is the board's business."""
        ...

    def receive(self, data: bytes, now: int) -> None:
        """Bytes from the host, in order, in whatever pieces the line made of them."""
        ...

    def transmit(self, now: int) -> bytes:
        """What the board has sent up to `now` and nobody fetched yet; empty if nothing."""
        ...

    def due(self) -> int | None:
        """When `transmit` has something next if nothing is received until then; None: never."""
        ...


@runtime_checkable
class Requests(Protocol):
    """What a wire to a USB device has besides: control requests, in order with the writes."""

    async def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int = b""
    ) -> bytes:
        """One control request.

        kind: bmRequestType; with bit 7 `data` is the number of bytes to read, without it the bytes to send.
        Returns what was read. Raises DeviceLost, DeviceError where the device refuses.
        """
        ...


@runtime_checkable
class Answers(Protocol):
    """What an emulated USB device has besides `Board`."""

    def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int, now: int
    ) -> bytes | None:
        """A control request, as of `Requests`: what is read, b"" where something was sent; None refuses it."""
        ...


@runtime_checkable
class Listened(Protocol):
    """A board that wants to know when nobody listens any more, for it plays by itself."""

    def disconnect(self) -> None:
        """The line was closed; may come twice."""
        ...


def hang_up(board: Board) -> None:
    """Tells the board that its line was closed, if that matters to it."""
    if isinstance(board, Listened):
        board.disconnect()

"""A board as a USB device for unmodified pyusb in this process: bulk bytes both ways."""

from __future__ import annotations

import threading
from typing import Final

from nrt.clock import now
from nrt.wire import Answers, Board, hang_up
from nrt_sim.wires.backend import IN, Backend, UsbDevice, fill, no_device, stalled, timed_out

LIMIT: Final = 1 << 16
"""Bytes from the board that the host did not fetch at which the board takes no more."""


class UsbBoard(UsbDevice):
    """`board` behind `endpoints`. `backend` is what `usb.core.find` and `nrt.wire.usb.UsbWire` take.

    Each claim of the interface is a fresh link. What the board sends by itself comes when it is due.
    """

    def __init__(
        self,
        board: Board,
        vendor: int,
        product: int,
        serial: str = "NRT00001",
        endpoints: tuple[int, ...] = (0x81, 0x02),
    ) -> None:
        self.endpoints = endpoints
        self.board = board
        self.vendor, self.product = vendor, product
        self.strings = ("nrt", "emulated board", serial)
        self.backend = Backend(self)
        self._unsent = bytearray()
        self._changed = threading.Condition()

    def claimed(self) -> None:
        with self._changed:
            self._unsent.clear()
            self.board.connect()

    def released(self) -> None:
        with self._changed:
            hang_up(self.board)

    def control(self, kind: int, request: int, value: int, index: int, data: memoryview) -> int:
        with self._changed:
            if not isinstance(self.board, Answers):
                raise stalled()
            sent = len(data) if kind & IN else bytes(data)
            answer = self.board.control(kind, request, value, index, sent, now())
            self._changed.notify_all()
        if answer is None:
            raise stalled()
        return fill(data, answer) if kind & IN else len(data)

    def bulk_in(self, into: memoryview, timeout_ms: int) -> int:
        deadline = now() + timeout_ms * 1_000_000 if timeout_ms else None
        with self._changed:
            while not self._unsent and not self.gone:
                self._unsent += self.board.transmit(now())
                if not self._unsent:
                    self._wait(deadline, self.board.due())
            if not self._unsent:
                raise no_device()
            count = min(len(into), len(self._unsent))
            into[:count] = self._unsent[:count]
            del self._unsent[:count]
            self._changed.notify_all()
            return count

    def bulk_out(self, data: memoryview, timeout_ms: int) -> int:
        deadline = now() + timeout_ms * 1_000_000 if timeout_ms else None
        with self._changed:
            while len(self._unsent) >= LIMIT and not self.gone:
                self._wait(deadline, None)
            if self.gone:
                raise no_device()
            self.board.receive(bytes(data), now())
            self._unsent += self.board.transmit(now())
            self._changed.notify_all()
            return len(data)

    def _wait(self, deadline: int | None, due: int | None) -> None:
        """Until something changed, or it is `due`. Raises where the deadline is over."""
        ends = [each for each in (deadline, due) if each is not None]
        if deadline is not None and now() >= deadline:
            raise timed_out()
        self._changed.wait(max(min(ends) - now(), 0) / 1e9 if ends else None)

    def unplug(self) -> None:
        """From another thread: the device is gone, once the host has read what it sent."""
        with self._changed:
            self.gone = True
            self._changed.notify_all()

    def replug(self) -> None:
        """It can be found and opened again."""
        self.gone = False

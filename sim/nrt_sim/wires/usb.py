"""A camera's bulk endpoint behind unmodified pyusb, without a bus.

`usb.core.find(backend=port.backend, …)` finds it. Its IN endpoint yields the stream; vendor requests are a file of
registers, written with OUT and read back with IN, keyed by (bRequest, wValue, wIndex), as cameras are configured;
every other request stalls. A read times out where nothing comes, and fails with ENODEV after `close`, once it has
yielded what was sent.
"""

from __future__ import annotations

import threading
from typing import Final

from nrt_sim.wires.backend import IN, VENDOR, Backend, UsbDevice, fill, no_device, stalled, timed_out
from nrt_sim.wires.ports import Port

FIFO: Final = 1 << 16
"""Bytes that wait in the device for the host: eight transfers of 8 KiB, what libcaer keeps under way."""


class UsbPort(Port, UsbDevice):
    """A bulk IN endpoint. vendor, product, endpoint: as the real camera has them, for instance 0x152A, 0x841A, 0x82."""

    def __init__(
        self, vendor: int = 0x152A, product: int = 0x841A, endpoint: int = 0x82, serial: str = "NRT00001"
    ) -> None:
        self.address = f"usb:{vendor:04x}:{product:04x}"
        self.vendor, self.product, self.endpoint = vendor, product, endpoint
        self.endpoints = (endpoint,)
        self.strings = ("nrt", "simulated camera", serial)
        self.registers: dict[tuple[int, int, int], bytes] = {}
        self.backend = Backend(self)
        self._cancelled = False
        self._fifo = bytearray()
        self._changed = threading.Condition()

    def write(self, raw: memoryview, word: int) -> int:
        sent = 0
        with self._changed:
            while sent < len(raw):
                self._changed.wait_for(lambda: len(self._fifo) < FIFO or self._cancelled)
                if self._cancelled:
                    break
                part = raw[sent : sent + FIFO - len(self._fifo)]
                self._fifo += part
                sent += len(part)
                self._changed.notify_all()
        return sent

    def bulk_in(self, into: memoryview, timeout_ms: int) -> int:
        """What the host's bulk read gets: as much as there is, at most `into`. 0 ms waits without end."""
        with self._changed:
            wait = timeout_ms / 1e3 if timeout_ms else None
            if not self._changed.wait_for(lambda: self._fifo or self.gone, wait):
                raise timed_out()
            if not self._fifo:
                raise no_device()
            count = min(len(into), len(self._fifo))
            into[:count] = self._fifo[:count]
            del self._fifo[:count]
            self._changed.notify_all()
        return count

    def control(self, kind: int, request: int, value: int, index: int, data: memoryview) -> int:
        key = (request, value, index)
        if not kind & VENDOR:
            raise stalled()
        if kind & IN:
            return fill(data, self.registers.get(key, bytes(len(data))))
        self.registers[key] = bytes(data)
        return len(data)

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.gone = True
            self._changed.notify_all()

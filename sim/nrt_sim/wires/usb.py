"""A camera's bulk endpoint behind unmodified pyusb, without a bus: a `usb.backend.IBackend` that serves the bytes.

`usb.core.find(backend=port.backend, …)` finds one device with one configuration and one interface. Its IN endpoint
yields the stream; vendor requests are a file of registers, written with OUT and read back with IN, keyed by
(bRequest, wValue, wIndex), as cameras are configured; every other request stalls. A read times out where nothing
comes, and fails with ENODEV after `close`, once it has yielded what was sent.
"""

# pyright: reportIncompatibleMethodOverride=false
# pyusb names the parameters of its abstract methods otherwise than its own back-ends do

from __future__ import annotations

import errno
import threading
from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final

import usb.core  # type: ignore[import-untyped]
from usb.backend import IBackend  # type: ignore[import-untyped]

from nrt_sim.wires.ports import Port

FIFO: Final = 1 << 16
"""Bytes that wait in the device for the host: eight transfers of 8 KiB, what libcaer keeps under way."""
_IN: Final = 0x80
_VENDOR: Final = 0x40
_KIND: Final = 0x60
_GET_DESCRIPTOR: Final = 6
_STRING: Final = 3
_PACKET: Final = 512


class UsbPort(Port):
    """A bulk IN endpoint. vendor, product, endpoint: as the real camera has them, for instance 0x152A, 0x841A, 0x82."""

    def __init__(
        self, vendor: int = 0x152A, product: int = 0x841A, endpoint: int = 0x82, serial: str = "NRT00001"
    ) -> None:
        self.address = f"usb:{vendor:04x}:{product:04x}"
        self.vendor, self.product, self.endpoint = vendor, product, endpoint
        self.strings = ("nrt", "simulated camera", serial)
        self.registers: dict[tuple[int, int, int], bytes] = {}
        self.backend = _Backend(self)
        self.gone = self._cancelled = False
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

    def read(self, into: memoryview, timeout_ms: int) -> int:
        """What the host's bulk read gets: as much as there is, at most `into`. 0 ms waits without end."""
        with self._changed:
            wait = timeout_ms / 1e3 if timeout_ms else None
            if not self._changed.wait_for(lambda: self._fifo or self.gone, wait):
                raise usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
            if not self._fifo:
                raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)
            count = min(len(into), len(self._fifo))
            into[:count] = self._fifo[:count]
            del self._fifo[:count]
            self._changed.notify_all()
        return count

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.gone = True
            self._changed.notify_all()


class _Backend(IBackend):  # type: ignore[misc]  # pyusb ships no types
    """What pyusb calls; handles and devices are the port itself."""

    def __init__(self, port: UsbPort) -> None:
        super().__init__()
        self._port = port
        self._configuration = 0

    def enumerate_devices(self) -> Iterator[UsbPort]:
        return iter(() if self._port.gone else (self._port,))

    def get_parent(self, dev: UsbPort) -> None:
        return None

    def get_device_descriptor(self, dev: UsbPort) -> SimpleNamespace:
        return SimpleNamespace(
            bLength=18, bDescriptorType=1, bcdUSB=0x0300, bDeviceClass=0xFF, bDeviceSubClass=0, bDeviceProtocol=0,
            bMaxPacketSize0=64, idVendor=dev.vendor, idProduct=dev.product, bcdDevice=0x0100, iManufacturer=1,
            iProduct=2, iSerialNumber=3, bNumConfigurations=1,
            address=1, bus=1, port_number=1, port_numbers=(1,), speed=3,
        )  # fmt: skip

    def get_configuration_descriptor(self, dev: UsbPort, config: int) -> SimpleNamespace:
        _only_first(config)
        return SimpleNamespace(
            bLength=9, bDescriptorType=2, wTotalLength=25, bNumInterfaces=1, bConfigurationValue=1,
            iConfiguration=0, bmAttributes=0x80, bMaxPower=250, extra_descriptors=[],
        )  # fmt: skip

    def get_interface_descriptor(self, dev: UsbPort, intf: int, alt: int, config: int) -> SimpleNamespace:
        _only_first(intf, alt, config)
        return SimpleNamespace(
            bLength=9, bDescriptorType=4, bInterfaceNumber=0, bAlternateSetting=0, bNumEndpoints=1,
            bInterfaceClass=0xFF, bInterfaceSubClass=0, bInterfaceProtocol=0, iInterface=0, extra_descriptors=[],
        )  # fmt: skip

    def get_endpoint_descriptor(
        self, dev: UsbPort, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        _only_first(ep, intf, alt, config)
        return SimpleNamespace(
            bLength=7, bDescriptorType=5, bEndpointAddress=dev.endpoint, bmAttributes=2, wMaxPacketSize=_PACKET,
            bInterval=0, bRefresh=0, bSynchAddress=0, extra_descriptors=[],
        )  # fmt: skip

    def open_device(self, dev: UsbPort) -> UsbPort:
        return dev

    def close_device(self, dev_handle: UsbPort) -> None:
        pass

    def set_configuration(self, dev_handle: UsbPort, config_value: int) -> None:
        self._configuration = config_value

    def get_configuration(self, dev_handle: UsbPort) -> int:
        return self._configuration

    def set_interface_altsetting(self, dev_handle: UsbPort, intf: int, altsetting: int) -> None:
        pass

    def claim_interface(self, dev_handle: UsbPort, intf: int) -> None:
        pass

    def release_interface(self, dev_handle: UsbPort, intf: int) -> None:
        pass

    def clear_halt(self, dev_handle: UsbPort, ep: int) -> None:
        pass

    def reset_device(self, dev_handle: UsbPort) -> None:
        pass

    def is_kernel_driver_active(self, dev_handle: UsbPort, intf: int) -> bool:
        return False

    def bulk_read(self, dev_handle: UsbPort, ep: int, intf: int, buff: array[int], timeout: int) -> int:
        if ep != dev_handle.endpoint:
            raise _stall()
        return dev_handle.read(memoryview(buff).cast("B"), timeout)

    def ctrl_transfer(
        self,
        dev_handle: UsbPort,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data: array[int],
        timeout: int,
    ) -> int:
        if dev_handle.gone:
            raise usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)
        buffer = memoryview(data).cast("B")
        if bmRequestType & _KIND == _VENDOR:
            return _register(dev_handle, bmRequestType, (bRequest, wValue, wIndex), buffer)
        if bmRequestType & _IN and bRequest == _GET_DESCRIPTOR and wValue >> 8 == _STRING:
            return _fill(buffer, _string(dev_handle.strings, wValue & 0xFF))
        raise _stall()


def _register(port: UsbPort, kind: int, key: tuple[int, int, int], buffer: memoryview) -> int:
    if kind & _IN:
        return _fill(buffer, port.registers.get(key, bytes(len(buffer))))
    port.registers[key] = bytes(buffer)
    return len(buffer)


def _string(strings: tuple[str, ...], index: int) -> bytes:
    """A string descriptor; number 0 lists the languages, US English alone."""
    text = b"\x09\x04" if index == 0 else strings[index - 1].encode("utf-16-le")
    return bytes([2 + len(text), _STRING]) + text


def _fill(buffer: memoryview, content: bytes) -> int:
    count = min(len(buffer), len(content))
    buffer[:count] = content[:count]
    return count


def _only_first(*numbers: int) -> None:
    if any(numbers):
        raise IndexError


def _stall() -> Exception:
    error: Exception = usb.core.USBError("Pipe error", -9, errno.EPIPE)
    return error

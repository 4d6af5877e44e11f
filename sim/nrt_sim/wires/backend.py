"""A USB device behind unmodified pyusb, without a bus: a `usb.backend.IBackend` that any `UsbDevice` stands behind.

`usb.core.find(backend=Backend(device), …)` finds one device with one configuration and one interface of bulk
endpoints. Standard requests are answered here, as far as pyusb makes them; everything else is the device's.
"""

# pyright: reportIncompatibleMethodOverride=false
# pyusb names the parameters of its abstract methods otherwise than its own back-ends do

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final

import usb.core  # type: ignore[import-untyped]
from usb.backend import IBackend  # type: ignore[import-untyped]

VENDOR: Final = 0x40
"""In a request's type: one of the vendor's own. With IN: the device answers."""
IN: Final = 0x80
_KIND: Final = 0x60
_GET_DESCRIPTOR: Final = 6
_STRING: Final = 3
_PACKET: Final = 512


class UsbDevice(ABC):
    """What a host sees. Its methods are called from pyusb's callers' threads, several at once.

    endpoints: addresses of the bulk endpoints, with bit 7 for those towards the host
    strings:   manufacturer, product and serial number
    gone:      whether it was unplugged
    """

    vendor: int
    product: int
    endpoints: tuple[int, ...]
    strings: tuple[str, str, str]
    gone: bool = False

    def claimed(self) -> None:
        """A driver has taken the interface."""

    def released(self) -> None:
        """The driver has let go of it."""

    @abstractmethod
    def bulk_in(self, into: memoryview, timeout_ms: int) -> int:
        """A bulk read: what there is, at least one byte, at most `into`; 0 ms waits without end.

        Raises timed_out() where nothing comes, no_device() where it is gone.
        """

    def bulk_out(self, data: memoryview, timeout_ms: int) -> int:
        """A bulk write: returns how much the device took. Raises as `bulk_in` does."""
        raise stalled()

    def control(self, kind: int, request: int, value: int, index: int, data: memoryview) -> int:
        """A request that is not a standard one: takes or fills `data`, returns how much of it."""
        raise stalled()


class Backend(IBackend):  # type: ignore[misc]  # pyusb ships no types
    """What pyusb calls. A handle is one opening of the device; one of them at a time may hold the interface."""

    def __init__(self, device: UsbDevice) -> None:
        super().__init__()
        self._device = device
        self._configuration = 0
        self._holder: object | None = None

    def enumerate_devices(self) -> Iterator[UsbDevice]:
        return iter(() if self._device.gone else (self._device,))

    def get_parent(self, dev: UsbDevice) -> None:
        return None

    def get_device_descriptor(self, dev: UsbDevice) -> SimpleNamespace:
        return SimpleNamespace(
            bLength=18, bDescriptorType=1, bcdUSB=0x0300, bDeviceClass=0xFF, bDeviceSubClass=0, bDeviceProtocol=0,
            bMaxPacketSize0=64, idVendor=dev.vendor, idProduct=dev.product, bcdDevice=0x0100, iManufacturer=1,
            iProduct=2, iSerialNumber=3, bNumConfigurations=1,
            address=1, bus=1, port_number=1, port_numbers=(1,), speed=3,
        )  # fmt: skip

    def get_configuration_descriptor(self, dev: UsbDevice, config: int) -> SimpleNamespace:
        _only_first(config)
        return SimpleNamespace(
            bLength=9, bDescriptorType=2, wTotalLength=18 + 7 * len(dev.endpoints), bNumInterfaces=1,
            bConfigurationValue=1, iConfiguration=0, bmAttributes=0x80, bMaxPower=250, extra_descriptors=[],
        )  # fmt: skip

    def get_interface_descriptor(self, dev: UsbDevice, intf: int, alt: int, config: int) -> SimpleNamespace:
        _only_first(intf, alt, config)
        return SimpleNamespace(
            bLength=9, bDescriptorType=4, bInterfaceNumber=0, bAlternateSetting=0, bNumEndpoints=len(dev.endpoints),
            bInterfaceClass=0xFF, bInterfaceSubClass=0, bInterfaceProtocol=0, iInterface=0, extra_descriptors=[],
        )  # fmt: skip

    def get_endpoint_descriptor(
        self, dev: UsbDevice, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        _only_first(intf, alt, config)
        return SimpleNamespace(
            bLength=7, bDescriptorType=5, bEndpointAddress=dev.endpoints[ep], bmAttributes=2, wMaxPacketSize=_PACKET,
            bInterval=0, bRefresh=0, bSynchAddress=0, extra_descriptors=[],
        )  # fmt: skip

    def open_device(self, dev: UsbDevice) -> object:
        if dev.gone:
            raise no_device()
        return object()

    def close_device(self, dev_handle: object) -> None:
        self.release_interface(dev_handle, 0)

    def set_configuration(self, dev_handle: object, config_value: int) -> None:
        self._configuration = config_value

    def get_configuration(self, dev_handle: object) -> int:
        return self._configuration

    def set_interface_altsetting(self, dev_handle: object, intf: int, altsetting: int) -> None:
        pass

    def claim_interface(self, dev_handle: object, intf: int) -> None:
        if self._holder not in (None, dev_handle):
            raise usb.core.USBError("Resource busy", -6, errno.EBUSY)
        if self._holder is None:
            self._holder = dev_handle
            self._device.claimed()

    def release_interface(self, dev_handle: object, intf: int) -> None:
        if self._holder is dev_handle:
            self._holder = None
            self._device.released()

    def clear_halt(self, dev_handle: object, ep: int) -> None:
        pass

    def reset_device(self, dev_handle: object) -> None:
        pass

    def is_kernel_driver_active(self, dev_handle: object, intf: int) -> bool:
        return False

    def bulk_read(self, dev_handle: object, ep: int, intf: int, buff: array[int], timeout: int) -> int:
        self._require(ep)
        return self._device.bulk_in(memoryview(buff).cast("B"), timeout)

    def bulk_write(self, dev_handle: object, ep: int, intf: int, data: array[int], timeout: int) -> int:
        self._require(ep)
        return self._device.bulk_out(memoryview(data).cast("B"), timeout)

    def _require(self, endpoint: int) -> None:
        if endpoint not in self._device.endpoints:
            raise stalled()

    def ctrl_transfer(
        self,
        dev_handle: object,
        bmRequestType: int,
        bRequest: int,
        wValue: int,
        wIndex: int,
        data: array[int],
        timeout: int,
    ) -> int:
        if self._device.gone:
            raise no_device()
        buffer = memoryview(data).cast("B")
        if bmRequestType & _KIND:
            return self._device.control(bmRequestType, bRequest, wValue, wIndex, buffer)
        if bmRequestType & IN and bRequest == _GET_DESCRIPTOR and wValue >> 8 == _STRING:
            return fill(buffer, _string(self._device.strings, wValue & 0xFF))
        raise stalled()


def _string(strings: tuple[str, ...], index: int) -> bytes:
    """A string descriptor; number 0 lists the languages, US English alone."""
    text = b"\x09\x04" if index == 0 else strings[index - 1].encode("utf-16-le")
    return bytes([2 + len(text), _STRING]) + text


def fill(buffer: memoryview, content: bytes) -> int:
    """Puts as much of `content` into `buffer` as fits, and returns how much."""
    count = min(len(buffer), len(content))
    buffer[:count] = content[:count]
    return count


def _only_first(*numbers: int) -> None:
    if any(numbers):
        raise IndexError


def stalled() -> Exception:
    """What a device answers to a request that it does not know."""
    error: Exception = usb.core.USBError("Pipe error", -9, errno.EPIPE)
    return error


def timed_out() -> Exception:
    """What the host says when a device has nothing to say, or no room."""
    error: Exception = usb.core.USBTimeoutError("Operation timed out", -7, errno.ETIMEDOUT)
    return error


def no_device() -> Exception:
    """What the host says of a device that was unplugged."""
    error: Exception = usb.core.USBError("No such device (it may have been disconnected)", -4, errno.ENODEV)
    return error

"""A USB device's bulk endpoints, through pyusb and libusb.

pyusb has no asynchronous transfers: one thread reads the IN endpoint, one other writes and makes control requests,
in order. libusb's blocking calls cannot be interrupted, so each has a timeout after which it sees whether the wire
was closed; what a transfer had moved by then is kept. Tested on emulated devices behind pyusb's back-end interface;
never yet on a bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from nrt.errors import ConfigError, DeviceBusy, DeviceError, DeviceLost, NotFound
from nrt.registry import Uri
from nrt.wire.base import Chunk
from nrt.wire.feed import Take
from nrt.wire.inlet import Inlet

_PATIENCE_MS: Final = 200
"""How long one blocking call may take, and so closing."""
_TRANSFER: Final = 1 << 14
"""Bytes of one transfer: 1.3 GB/s through pyusb, where 512 made 43 MB/s."""
_BULK: Final = 2
_IN: Final = 0x80

Out = TypeVar("Out")


class UsbWire:
    """`+usb:` for the first device with the vendor's and product's number, `+usb:SERIAL` for that one.

    vendor, product: as the device's spec says; 0 for any
    interface: its number; by default the first one with a bulk endpoint each way
    endpoint: the address of the one to read; by default the interface's first
    backend: pyusb's own by default; an emulated device brings another
    """

    def __init__(
        self,
        uri: Uri,
        backend: object | None = None,
        *,
        vendor: int = 0,
        product: int = 0,
        interface: int = -1,
        endpoint: int = 0,
    ) -> None:
        if not (0 <= vendor < 65536 and 0 <= product < 65536):
            raise ConfigError(f"{uri}: vendor and product are numbers of 16 bits")
        self._name, self._serial, self._backend = str(uri), uri.place, backend
        self._vendor, self._product, self._wanted = vendor, product, interface
        self._endpoint = endpoint
        self._device: Any = None
        self._interface: Any = None
        self._in = self._out = 0
        self._inlet: Inlet | None = None
        self._outlet: ThreadPoolExecutor | None = None
        self._counts: Counter[str] = Counter()
        self._patience = _PATIENCE_MS

    @property
    def name(self) -> str:
        """The URI that opened it."""
        return self._name

    async def open(self) -> None:
        """Finds the device and claims its interface. Raises NotFound, DeviceBusy, DeviceError."""
        if self._inlet is not None:
            raise DeviceBusy(self._name, "this wire is open already")
        import usb.core  # type: ignore[import-untyped]

        try:
            self._device = self._find()
            self._claim()
        except usb.core.USBError as error:
            self._dispose()
            raise self._refused(error) from error
        except BaseException:
            self._dispose()
            raise
        self._outlet = ThreadPoolExecutor(1, thread_name_prefix=f"nrt.wire out {self._name}")
        self._inlet = Inlet(self._name, self._receive, lambda: None)

    def _find(self) -> Any:
        import usb.core

        wanted = {"idVendor": self._vendor, "idProduct": self._product}
        asked = {name: number for name, number in wanted.items() if number}
        try:
            found: list[Any] = [*(usb.core.find(True, self._backend, **asked) or ())]
        except usb.core.NoBackendError as error:
            raise DeviceError(
                self._name, "libusb-1.0 is not installed (Debian: sudo apt install libusb-1.0-0)"
            ) from error
        serials = [str(each.serial_number) for each in found] if self._serial else []
        for device, serial in zip(found, serials or [""] * len(found), strict=True):
            if serial == self._serial:
                return device
        which = f"{self._vendor:04x}:{self._product:04x}"
        raise NotFound(
            self._serial or which,
            f"{self._name}: no USB device {which}{f' with serial number {self._serial}' if self._serial else ''}"
            f"; there is {', '.join(serials) or 'none'}",
            serials,
        )

    def _claim(self) -> None:
        import usb.core
        import usb.util  # type: ignore[import-untyped]

        try:
            configuration = self._device.get_active_configuration()
        except usb.core.USBError:  # none yet
            self._device.set_configuration()
            configuration = self._device.get_active_configuration()
        self._interface, self._in, self._out = self._endpoints(configuration)
        number = self._interface.bInterfaceNumber
        with contextlib.suppress(NotImplementedError):  # a system without such drivers
            if self._device.is_kernel_driver_active(number):
                self._device.detach_kernel_driver(number)
        usb.util.claim_interface(self._device, number)

    def _endpoints(self, configuration: Any) -> tuple[Any, int, int]:
        """The interface, and its first bulk endpoints in and out; 0 for one that it does not have."""
        for interface in configuration:
            bulk = [int(each.bEndpointAddress) for each in interface if each.bmAttributes & 3 == _BULK]
            inward = next((each for each in bulk if each & _IN and self._endpoint in (0, each)), 0)
            outward = next((each for each in bulk if not each & _IN), 0)
            if interface.bInterfaceNumber == self._wanted or (self._wanted < 0 and inward and outward):
                return interface, inward, outward
        raise DeviceError(self._name, "it has no interface with a bulk endpoint each way")

    def _refused(self, error: OSError) -> DeviceError:
        """libusb's no, with what to do about it."""
        if error.errno == errno.EBUSY:
            return DeviceBusy(self._name, "another process, or another run here, has claimed it")
        if error.errno in (errno.EACCES, errno.EPERM):
            return DeviceError(
                self._name, "no permission; run once: sudo nrt udev --install, and plug the device in again"
            )
        return self._gone(error)

    def _gone(self, error: OSError) -> DeviceLost:
        return DeviceLost(self._name, f"the device is gone ({error.strerror or error})")

    def _dispose(self) -> None:
        if self._device is not None:
            import usb.core
            import usb.util

            with contextlib.suppress(usb.core.USBError):  # it is gone: nothing to release
                usb.util.dispose_resources(self._device)
            self._device = None

    async def close(self) -> None:
        """Releases the interface; may be called twice. Takes as long as a blocking call may, 0.2 s."""
        inlet, outlet = self._inlet, self._outlet
        if inlet is None or outlet is None:
            return
        self._inlet = None
        try:
            await inlet.close()
            await asyncio.get_running_loop().run_in_executor(outlet, lambda: None)
        finally:
            outlet.shutdown()
            self._outlet = None
            self._counts["bytes in"] += inlet.received
            self._counts["bytes never read"] += inlet.received - inlet.taken
            self._patience = _PATIENCE_MS
            self._dispose()

    async def read(self) -> Chunk:
        """The next bytes. Raises DeviceLost."""
        if self._inlet is None:
            raise DeviceLost(self._name, "the wire is not open")
        return await self._inlet.take()

    def _receive(self) -> bytes:
        """In the reader's thread: one transfer, b"" if it timed out."""
        import usb.core

        try:
            return bytes(self._device.read(self._in, _TRANSFER, self._patience))
        except usb.core.USBTimeoutError:
            return b""
        except usb.core.USBError as error:
            raise self._gone(error) from error

    def feed(self, take: Take, idle_ms: int = 10) -> None:
        """From now on `take` gets the bytes, in the reader's thread."""
        if self._inlet is None:
            raise DeviceLost(self._name, "the wire is not open")
        self._patience = idle_ms
        self._inlet.feed(take)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends all of `data`; waits while the device takes none. Raises DeviceLost."""
        raw = bytes(data)
        await self._do(lambda: self._send(raw))

    def _send(self, raw: bytes) -> None:
        import usb.core

        at = 0
        while at < len(raw):
            if self._inlet is None:
                raise DeviceLost(self._name, "the wire was closed")
            with contextlib.suppress(usb.core.USBTimeoutError):
                sent = int(self._device.write(self._out, raw[at : at + _TRANSFER], _PATIENCE_MS))
                self._counts["bytes out"] += sent
                at += sent

    async def control(
        self, kind: int, request: int, value: int, index: int, data: bytes | int = b""
    ) -> bytes:
        """A control request, in order with the writes.

        kind: bmRequestType; with bit 7 `data` is the number of bytes to read, without it the bytes to send.
        Returns what was read. Raises DeviceLost, DeviceError where the device refuses.
        """

        def transfer() -> bytes:
            answer = self._device.ctrl_transfer(kind, request, value, index, data)
            return bytes(answer) if kind & _IN else b""

        return await self._do(transfer)

    async def _do(self, action: Callable[[], Out]) -> Out:
        """Runs `action` in the writer's thread."""
        if self._outlet is None or self._inlet is None:
            raise DeviceLost(self._name, "the wire is not open")
        import usb.core

        try:
            return await asyncio.get_running_loop().run_in_executor(self._outlet, action)
        except usb.core.USBError as error:
            if error.errno == errno.EPIPE:
                raise DeviceError(self._name, "the device refuses this request (stall)") from error
            raise self._gone(error) from error

    def counters(self) -> Mapping[str, int]:
        """Bytes each way and what was never read; only what is not zero."""
        counts = self._counts.copy()
        if self._inlet is not None:
            counts["bytes in"] += self._inlet.received
        return {name: count for name, count in counts.items() if count}

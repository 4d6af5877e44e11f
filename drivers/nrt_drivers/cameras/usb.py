"""What cameras on USB share: vendor requests, and words that come even when nothing is seen."""

from __future__ import annotations

from nrt.errors import Unsupported
from nrt.live import Camera
from nrt.spec import Spec
from nrt.wire import Requests
from nrt.wire.base import VENDOR_IN, VENDOR_OUT


class UsbCamera(Camera):
    """A camera whose commands are vendor requests and whose events come from one bulk endpoint."""

    wires = ("usb", "emu")
    promised = True

    async def _tell(self, request: int, value: int = 0, index: int = 0, data: bytes = b"") -> None:
        """A vendor request to the device."""
        await self._requests().control(VENDOR_OUT, request, value, index, data)

    async def _ask(self, request: int, value: int, index: int, size: int) -> bytes:
        """A vendor request that the device answers with `size` bytes."""
        return await self._requests().control(VENDOR_IN, request, value, index, size)

    def _requests(self) -> Requests:
        if not isinstance(self._wire, Requests):
            raise Unsupported(self.uri, "this wire makes no control requests")
        return self._wire


def line_of(spec: Spec) -> dict[str, int]:
    """What `UsbWire` must know to find the camera and its stream."""
    usb = spec.wire("usb")
    return {
        "vendor": usb.integer("vendor"),
        "product": usb.integers("product")[0],
        "interface": usb.integer("interface"),
        "endpoint": usb.integer("endpoint_in"),
    }

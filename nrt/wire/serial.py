"""A serial line: a USB-to-serial board, a UART, or a pseudo-terminal on which an emulated board is served.

pyserial opens and configures it; its descriptor is then read and written here. A pseudo-terminal has no modem
lines and no latency timer: the calls that fail there with ENOTTY are guarded. Opening discards what has waited.
Tested on pseudo-terminals; never yet on a UART.
"""

from __future__ import annotations

import contextlib
import errno
import os
import termios
from typing import Any, Final

from nrt.errors import ConfigError, DeviceBusy, DeviceError, NotFound
from nrt.registry import Uri
from nrt.wire.descriptor import DescriptorWire

_MUCH: Final = 1 << 11
"""Bytes of one read after which there is probably more: a terminal gives 4095 at most, whatever it has."""
_MOST: Final = 1 << 16
_NO_SUCH_LINES: Final = (errno.ENOTTY, errno.EINVAL)


class SerialWire(DescriptorWire):
    """`+serial:///dev/ttyACM0?baud=2000000`; the lock keeps other users of pyserial or flock(2) out.

    baud: bits per second; a USB CDC board and a pseudo-terminal do not care
    rtscts: hardware flow control
    """

    def __init__(self, uri: Uri, *, baud: int = 115_200, rtscts: bool = False) -> None:
        super().__init__(str(uri))
        if not uri.place:
            raise ConfigError(f"{uri}: name the line, as in {uri.scheme}+serial:///dev/ttyACM0")
        if baud < 1:
            raise ConfigError(f"{uri}: baud is {baud}; it must be positive")
        self._place, self._baud, self._rtscts = uri.place, baud, rtscts
        self._line: Any = None

    async def _acquire(self) -> int:
        import serial  # type: ignore[import-untyped]

        try:
            self._line = serial.Serial(self._place, self._baud, exclusive=True, rtscts=self._rtscts)
        except (OSError, ValueError, OverflowError) as error:
            raise self._why(error) from error
        with contextlib.suppress(OSError, NotImplementedError, ValueError):  # no driver's timer to shorten
            self._line.set_low_latency_mode(True)
        return int(self._line.fileno())

    def _receive(self, descriptor: int) -> bytes:
        """All that has arrived, of a fast line: handing on each 4 KB by itself costs more than reading them."""
        parts = [super()._receive(descriptor)]
        size = len(parts[0])
        with contextlib.suppress(OSError):  # nothing more yet; what else it may be shows in the next read
            while len(parts[-1]) >= _MUCH and size < _MOST:
                parts.append(os.read(descriptor, _MOST))
                size += len(parts[-1])
        return b"".join(parts)

    def _release(self, *, cut: bool = False) -> None:
        with contextlib.suppress(OSError, termios.error):  # the device is gone: nothing to discard or restore
            if cut:
                self._line.reset_output_buffer()
        with contextlib.suppress(OSError):
            self._line.close()
        self._line = None

    def _why(self, error: Exception) -> NotFound | DeviceError:
        """pyserial's one exception as the decision that the caller has to make."""
        number = getattr(error, "errno", None)
        if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
            known = _lines()
            return NotFound(
                self._place, f"{self._name}: no {self._place}; there is {', '.join(known) or 'none'}", known
            )
        if number in (errno.EAGAIN, errno.EBUSY):
            return DeviceBusy(self._name, f"another process, or another run here, has {self._place} open")
        if number in (errno.EACCES, errno.EPERM):
            return DeviceError(
                self._name,
                f"no permission to open {self._place}; `sudo usermod -aG dialout $USER` and log in anew",
            )
        return DeviceError(self._name, f"cannot open {self._place}: {error}")

    def modem(self, *, rts: bool | None = None, dtr: bool | None = None) -> bool:
        """Sets the lines that are given; many boards reset on a falling DTR. False where the line has none."""
        try:
            if rts is not None:
                self._line.rts = rts
            if dtr is not None:
                self._line.dtr = dtr
        except OSError as error:
            if error.errno in _NO_SUCH_LINES:
                return False
            raise self._lost(error) from error
        return True


def _lines() -> list[str]:
    """Serial lines of this machine; pseudo-terminals are not among them."""
    from serial.tools import list_ports  # type: ignore[import-untyped]

    return sorted(port.device for port in list_ports.comports())

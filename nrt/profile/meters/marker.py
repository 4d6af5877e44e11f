"""Marker: one line that the host raises and lowers, so that an external meter sees when a window begins and ends.

A modem line of a serial port (`/dev/ttyUSB0:rts`, or `:dtr`), or a file of the kernel that takes 1 and 0: a GPIO
(`/sys/class/gpio/gpio17/value`) or an LED's brightness. It is wired to a logic input of the meter, whose own samples
then carry the moment: host and meter share a time base, whatever the way of the samples takes.

Never tried on hardware: modem lines and GPIOs do not exist on the pseudo-terminals and files that the tests use.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import termios
from pathlib import Path
from typing import Final

from nrt.clock import now
from nrt.errors import ConfigError, DeviceError, DeviceLost

_LINES: Final = {"rts": termios.TIOCM_RTS, "dtr": termios.TIOCM_DTR}
_NO_LINES: Final = (errno.ENOTTY, errno.EINVAL)


class Marker:
    """`path` or `path:line`. Raises ConfigError for a line that there is not."""

    def __init__(self, place: str) -> None:
        path, colon, line = place.rpartition(":")
        if colon and line not in _LINES:
            raise ConfigError(f"marker {place}: '{line}' is no modem line; write {path}:rts or {path}:dtr")
        self._path = Path(path if colon else place)
        self._line = _LINES[line] if colon else None
        self._file = -1

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    def open(self) -> None:
        """Acquires the line and lowers it. Raises DeviceError."""
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK if self._line else os.O_WRONLY
        try:
            self._file = os.open(self._path, flags)
        except OSError as error:
            raise DeviceError("marker", f"cannot open {self._path}: {error.strerror}") from error
        self.set(False)

    def close(self) -> None:
        """Lets go of it; may be called twice."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def set(self, high: bool) -> int:
        """Raises or lowers it; returns when, in ns of the host. Raises DeviceError, DeviceLost."""
        try:
            if self._line is None:
                os.pwrite(self._file, b"1" if high else b"0", 0)
            else:
                request = termios.TIOCMBIS if high else termios.TIOCMBIC
                fcntl.ioctl(self._file, request, struct.pack("i", self._line))
        except OSError as error:
            if self._line is not None and error.errno in _NO_LINES:
                raise DeviceError("marker", f"{self._path} has no modem lines to signal with") from error
            raise DeviceLost("marker", f"cannot set {self._path}: {error.strerror}") from error
        return now()

"""A board on a pseudo-terminal: what pyserial opens as a serial port, in this or any other process.

The server holds the master side only, so that the kernel tells it when a driver has gone (hang-up) and inotify
when one has come: nothing is polled. The terminal has no speed; the Server gives it one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nrt.errors import ConfigError, DeviceError
from nrt_sim.serve.door import Door
from nrt_sim.wires.ports import open_terminal

_OPEN: Final = 0x20
_CLOSE: Final = 0x18
"""IN_OPEN, and IN_CLOSE_WRITE or IN_CLOSE_NOWRITE, of <sys/inotify.h>."""


class PtyDoor(Door):
    """link: a path of the user's choice that points to the terminal, made here and removed on closing."""

    def __init__(self, link: str | Path | None = None) -> None:
        self._master, slave = open_terminal()
        path = os.ttyname(slave)
        os.close(slave)
        try:
            self.watch = _watch(path)
        except DeviceError:
            os.close(self._master)
            raise
        self._inside = 0
        self._symlink = Path(link) if link is not None else None
        if self._symlink is not None:
            _point(self._symlink, path)
        self.path = str(self._symlink or path)
        self.address = f"+serial://{self.path}"

    def admit(self) -> bool:
        fresh = False
        for mask in _happened(self.watch):
            if mask & _OPEN:
                fresh = fresh or self._inside == 0
                self._inside += 1
            elif mask & _CLOSE:
                self._inside = max(self._inside - 1, 0)
        if fresh:
            self.link = self._master
        return fresh

    def read(self, most: int) -> bytes:
        try:
            return os.read(self._master, most)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal's way to say that its other side is closed
                raise
            return b""

    def write(self, raw: memoryview) -> int:
        return os.write(self._master, raw)

    def hang_up(self) -> None:
        self.link, self._inside = -1, 0

    def close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            os.close(self.watch)
            self.link = self._master = -1
            if self._symlink is not None:
                self._symlink.unlink(missing_ok=True)


def _point(link: Path, path: str) -> None:
    """Makes `link` point to `path`; takes the place of an older link, but of nothing else."""
    if link.exists() and not link.is_symlink():
        raise ConfigError(f"{link} exists already; it is not overwritten")
    link.unlink(missing_ok=True)
    link.symlink_to(path)


def _watch(path: str) -> int:
    """An inotify descriptor that tells of every opening and closing of `path`; Python has no call for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(path), _OPEN | _CLOSE) < 0:
        reason = os.strerror(ctypes.get_errno())
        raise DeviceError(path, f"cannot be watched for drivers (inotify: {reason})")
    return descriptor


def _happened(descriptor: int) -> Iterator[int]:
    """The masks of the events that wait: of each `wd i4, mask u4, cookie u4, length u4, name`."""
    try:
        raw = os.read(descriptor, 1 << 14)
    except BlockingIOError:
        return
    at = 0
    while at < len(raw):
        _, mask, _, length = struct.unpack_from("iIII", raw, at)
        yield mask
        at += 16 + length

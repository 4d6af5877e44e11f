"""Where a camera's bytes go out: a file, a pseudo-terminal, UDP datagrams. `nrt_sim.wires.usb` has the fourth.

None of them buffers more than the operating system does. Where the far side does not take the bytes, `write`
waits, the queue before it fills up, and what finds it full is dropped and counted there, as in a camera's FIFO.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import socket
import struct
import termios
import time
import tty
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from nrt.clock import now
from nrt.errors import ConfigError, StreamError

DATAGRAM: Final = 1024
"""Most bytes of a datagram: fits every network's frames, and 1 kB reached 12 million events/s on loopback."""
PATIENCE: Final = 500_000_000
"""ns for which a reader of a terminal may pause before it is hung up on."""


class Port(ABC):
    """Takes bytes in order. address: what a driver opens to read them."""

    address: str

    @abstractmethod
    def write(self, raw: memoryview, word: int) -> int:
        """Sends `raw`, cut only between words of `word` bytes; waits where it must. Returns the bytes sent.

        That is fewer only after `cancel`. Raises StreamError where the far side is gone.
        """

    def cancel(self) -> None:
        """From another thread: a `write` that waits, and all that follow, return without sending."""

    @abstractmethod
    def close(self) -> None:
        """Ends the far side's stream; may be called twice."""


class FilePort(Port):
    """The bare bytes in a new file, as a probe on the cable would have seen them, or into a device or named pipe."""

    def __init__(self, path: str | Path) -> None:
        self.address = str(path)
        special = Path(path).exists() and not Path(path).is_file()
        try:
            self._file = open(path, "wb" if special else "xb", buffering=0)  # noqa: SIM115  closed by close()
        except FileExistsError as error:
            raise ConfigError(f"{path} exists already; it is not overwritten") from error
        except OSError as error:
            raise StreamError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, raw: memoryview, word: int) -> int:
        sent = 0
        try:
            while sent < len(raw):
                sent += self._file.write(raw[sent:]) or 0
        except OSError as error:
            raise StreamError(f"{self.address}: {error.strerror or error}") from error
        return sent

    def close(self) -> None:
        self._file.close()


def open_terminal() -> tuple[int, int]:
    """Master and slave of a new pseudo-terminal in raw mode; the master does not block."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


class PtyPort(Port):
    """A pseudo-terminal in raw mode: a serial line without its speed. What the far side writes is read and dropped."""

    def __init__(self) -> None:
        self._master, self._slave = open_terminal()
        self._wake = os.eventfd(0)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLOUT | select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._cancelled = self._closed = False
        self.address = os.ttyname(self._slave)
        self.received = 0
        """Bytes that the far side wrote, commands to a camera that is not there."""

    def write(self, raw: memoryview, word: int) -> int:
        sent = 0
        while sent < len(raw) and not self._cancelled:
            ready = dict(self._poll.poll())
            if ready.get(self._master, 0) & select.POLLIN:
                self.received += len(os.read(self._master, 1 << 16))
            if ready.get(self._master, 0) & select.POLLOUT:
                sent += self._send(raw[sent:])
        return sent

    def _send(self, raw: memoryview) -> int:
        try:
            return os.write(self._master, raw)
        except BlockingIOError:  # poll says that a terminal has room before it has room for this
            return 0

    def cancel(self) -> None:
        self._cancelled = True
        if not self._closed:
            os.eventfd_write(self._wake, 1)

    def _drain(self) -> None:
        """Hanging up discards what was not read: waits until it is, unless the reader pauses for `PATIENCE`."""
        waiting, empty, deadline = -1, 0, now() + PATIENCE
        while (
            empty < 3 and not self._cancelled and now() < deadline
        ):  # the kernel passes the bytes on in batches
            (count,) = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4)))
            if count != waiting:
                waiting, deadline = count, now() + PATIENCE
            empty = 0 if count else empty + 1
            time.sleep(0.002)

    def close(self) -> None:
        if not self._closed:
            self._drain()
            self._closed = True
            for descriptor in (self._master, self._slave, self._wake):
                os.close(descriptor)


class UdpPort(Port):
    """Datagrams to host:port. Nobody answers, so what the network or a slow reader loses is not known here."""

    def __init__(self, host: str, port: int) -> None:
        try:
            family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise StreamError(f"udp://{host}:{port}: {error.strerror or error}") from error
        self._target = target
        self._socket = socket.socket(family, kind)
        self.address = f"udp://{host}:{port}"

    def write(self, raw: memoryview, word: int) -> int:
        step = max(DATAGRAM // word, 1) * word
        try:
            for at in range(0, len(raw), step):
                self._socket.sendto(raw[at : at + step], self._target)
        except OSError as error:
            raise StreamError(f"{self.address}: {error.strerror or error}") from error
        return len(raw)

    def close(self) -> None:
        self._socket.close()

"""A board on a TCP port: what `+tcp://host:port` opens, on this machine or another."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

from nrt.errors import DeviceBusy, DeviceError
from nrt_sim.serve.door import Door

_ESTABLISHED: Final = 1
"""First byte of Linux' struct tcp_info while neither side has closed."""


class TcpDoor(Door):
    """port: 0 takes any free one. One driver at a time: others are hung up on with a reset."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind((host, port))
            self._listener.listen()
        except OSError as error:
            self._listener.close()
            busy = DeviceBusy if error.errno == errno.EADDRINUSE else DeviceError
            raise busy(f"tcp://{host}:{port}", f"cannot listen there ({error.strerror or error})") from error
        self._listener.setblocking(False)
        self._driver: socket.socket | None = None
        self.watch = self._listener.fileno()
        shown = f"[{host}]" if ":" in host else host
        self.address = f"+tcp://{shown}:{self._listener.getsockname()[1]}"

    def admit(self) -> bool:
        if self._driver is not None and not self._established():
            return False  # its end is still to be read; the next one waits in the backlog until then
        try:
            newcomer, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        if self._driver is not None:
            newcomer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            newcomer.close()
            return False
        newcomer.setblocking(False)
        newcomer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._driver, self.link = newcomer, newcomer.fileno()
        return True

    def _established(self) -> bool:
        return self._inside().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED

    def _inside(self) -> socket.socket:
        if self._driver is None:
            raise BrokenPipeError
        return self._driver

    def read(self, most: int) -> bytes:
        try:
            return self._inside().recv(most)
        except (ConnectionError, TimeoutError):
            return b""

    def write(self, raw: memoryview) -> int:
        return self._inside().send(raw)

    def hang_up(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver, self.link = None, -1

    def close(self) -> None:
        self.hang_up()
        self._listener.close()

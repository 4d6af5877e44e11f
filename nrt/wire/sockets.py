"""TCP and UDP: boards with a network interface, and emulated ones on another machine.

Neither protocol says whether somebody else uses the board. Two programs on one machine are kept apart by a lease:
an abstract Unix socket with the board's address as its name, which the kernel gives back when its holder dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import sys
from typing import ClassVar, Final

from nrt.errors import ConfigError, DeviceBusy, DeviceError, DeviceLost, DeviceTimeout, NotFound
from nrt.registry import Uri
from nrt.wire.descriptor import DescriptorWire

_PATIENCE: Final = 10.0
"""Seconds to connect in."""
_ALIVE: Final = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 11_000}
"""A peer that vanished without a word is noticed after 11 s (seconds, seconds, probes, ms; tcp(7))."""
_DATAGRAM: Final = 65_507
"""Most bytes of a UDP datagram over IPv4."""
_BUFFER: Final = 8 << 20
"""Bytes asked for of the kernel's receive buffer; it may grant fewer (net.core.rmem_max)."""
_SO_RXQ_OVFL: Final = 40
"""Linux' option that reports datagrams dropped for want of room; Python has no name for it."""


class _SocketWire(DescriptorWire):
    """What TCP and UDP share: an address, a lease on it, a connected socket."""

    kind: ClassVar[socket.SocketKind]

    def __init__(self, uri: Uri) -> None:
        super().__init__(str(uri))
        host, colon, port = uri.place.rpartition(":")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigError(f"{uri}: write the address as {uri.scheme}+{uri.wire}://host:port")
        self._address = (host.strip("[]"), int(port))
        self._socket: socket.socket | None = None
        self._lease: socket.socket | None = None

    async def _acquire(self) -> int:
        self._lease = self._take_lease()
        try:
            self._socket = await self._connected()
        except BaseException:
            self._release()
            raise
        return self._socket.fileno()

    def _take_lease(self) -> socket.socket:
        host, port = self._address
        lease = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lease.bind(f"\0nrt {self.kind.name} {host}:{port}")
        except OSError as error:
            lease.close()
            if error.errno != errno.EADDRINUSE:
                raise self._refused(error, "its lease cannot be taken") from error
            raise DeviceBusy(
                self._name, f"another process, or another run here, talks to {host}:{port}"
            ) from error
        return lease

    async def _connected(self) -> socket.socket:
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE):
                family, *_, address = (await loop.getaddrinfo(host, port, type=self.kind))[0]
                made = socket.socket(family, self.kind)
                try:
                    made.setblocking(False)
                    self._prepare(made)
                    await loop.sock_connect(made, address)
                except BaseException:
                    made.close()
                    raise
                return made
        except TimeoutError as error:
            raise DeviceTimeout(self._name, f"{host}:{port} did not answer within {_PATIENCE:g} s") from error
        except (ConnectionRefusedError, socket.gaierror) as error:
            raise NotFound(
                f"{host}:{port}", f"{self._name}: nothing there ({error.strerror or error})"
            ) from error
        except ConnectionResetError as error:
            raise DeviceBusy(self._name, f"{host}:{port} hung up at once; it serves somebody else") from error
        except OSError as error:
            raise self._refused(error, "is the address right, and the network up?") from error

    def _prepare(self, made: socket.socket) -> None:
        """Sets the socket's options."""

    def _release(self, *, cut: bool = False) -> None:
        for each in (self._socket, self._lease):
            if each is not None:
                each.close()
        self._socket = self._lease = None

    def _line(self) -> socket.socket:
        if self._socket is None:
            raise DeviceLost(self._name, "the wire is not open")
        return self._socket


class TcpWire(_SocketWire):
    """`+tcp://host:port`: a stream, sent without waiting for more (TCP_NODELAY)."""

    kind = socket.SOCK_STREAM

    def __init__(self, uri: Uri) -> None:
        super().__init__(uri)

    def _prepare(self, made: socket.socket) -> None:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            for name, value in _ALIVE.items():
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _release(self, *, cut: bool = False) -> None:
        if cut and self._socket is not None:  # a reset: the far side need not take the rest to see the end
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super()._release(cut=cut)

    def _lost(self, error: OSError) -> DeviceLost:
        if error.errno == errno.ECONNRESET and self._inlet is not None and not self._inlet.received:
            return DeviceLost(self._name, "the far side hung up at once; it may serve somebody else")
        return super()._lost(error)


class UdpWire(_SocketWire):
    """`+udp://host:port`: one chunk is one datagram, one write is one datagram.

    local: the port here that the board sends to; 0 takes any, to which a board can only answer
    """

    kind = socket.SOCK_DGRAM
    slice = 1 << 30

    def __init__(self, uri: Uri, *, local: int = 0) -> None:
        super().__init__(uri)
        if not 0 <= local < 65536:
            raise ConfigError(f"{uri}: local is {local}; a port is between 0 and 65535")
        self._local = local
        self._buffer = bytearray(1 << 16)
        self._overflow = 0

    def _prepare(self, made: socket.socket) -> None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        with contextlib.suppress(OSError):  # an option of Linux
            made.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        if self._local:
            made.bind(("" if made.family == socket.AF_INET else "::", self._local))
        self._overflow = 0

    def _receive(self, descriptor: int) -> bytes:
        count, ancillary, _, sender = self._line().recvmsg_into([self._buffer], 64)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_RXQ_OVFL):
                total = int.from_bytes(data[:4], sys.byteorder)
                self._counts["datagrams dropped"] += (total - self._overflow) & 0xFFFFFFFF
                self._overflow = total
        if not self._admits(sender):
            self._counts["datagrams of others"] += 1
            return b""
        self._counts["datagrams in"] += 1
        return bytes(memoryview(self._buffer)[:count])

    def _admits(self, sender: object) -> bool:
        """Whether a datagram of `sender` is taken; a connected socket gets no others."""
        return True

    def _send(self, descriptor: int, data: memoryview) -> int:
        if len(data) > _DATAGRAM:
            raise DeviceError(self._name, f"{len(data)} bytes do not fit a datagram, which holds {_DATAGRAM}")
        sent = self._line().send(data)
        self._counts["datagrams out"] += 1
        return sent

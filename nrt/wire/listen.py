"""Wires on which this machine waits to be spoken to: a TCP port for one caller, a UDP port for one sender.

Only one far side is listened to. A TCP port closes behind its caller, so that a second one is refused. Any machine
can send to a UDP port: the sender of the first datagram is the one, and what others send is counted
("datagrams of others") and dropped, for the streams of two cameras make no sense as one.
"""

from __future__ import annotations

import asyncio
import errno
import socket

from nrt.errors import ConfigError, DeviceBusy, DeviceLost, NotFound
from nrt.registry import Uri
from nrt.wire.sockets import TcpWire, UdpWire


def address(uri: Uri, *, listens: bool) -> Uri:
    """`uri` with a place of the form host:port. listens: the host may be left out, for every address of this machine.

    Raises ConfigError.
    """
    host, colon, port = uri.place.rpartition(":")
    if not (colon and port.isdecimal() and 0 < int(port) < 65536 and (host or listens)):
        raise ConfigError(f"{uri}: write the address as {uri.scheme}://host:port")
    return Uri(uri.scheme, uri.wire, f"{host or '0.0.0.0'}:{port}", uri.options)


async def _bound(name: str, place: tuple[str, int], kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket bound to `place`. Raises NotFound, DeviceBusy."""
    host, port = place
    loop = asyncio.get_running_loop()
    try:
        family, *_, local = (await loop.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE))[0]
    except socket.gaierror as error:
        raise NotFound(host, f"{name}: no such host ({error.strerror or error})") from error
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(local)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise DeviceBusy(name, f"port {port} is taken; another program listens there") from error
        raise NotFound(
            f"{host}:{port}", f"{name}: cannot listen there ({error.strerror or error})"
        ) from error
    return made


class UdpListener(UdpWire):
    """Datagrams that somebody sends to this port: of the first sender only."""

    def __init__(self, uri: Uri) -> None:
        super().__init__(address(uri, listens=True))
        self._sender: object = None

    async def _connected(self) -> socket.socket:
        self._sender = None
        made = await _bound(self._name, self._address, self.kind)
        self._prepare(made)
        return made

    def _admits(self, sender: object) -> bool:
        if self._sender is None:
            self._sender = sender
        return sender == self._sender

    def _send(self, descriptor: int, data: memoryview) -> int:
        raise DeviceLost(self._name, "nobody listens on this wire; it only receives")


class TcpListener(TcpWire):
    """A port that waits for one caller; `open` returns when it has called."""

    def __init__(self, uri: Uri) -> None:
        super().__init__(address(uri, listens=True))

    async def _connected(self) -> socket.socket:
        with await _bound(self._name, self._address, self.kind) as listener:
            listener.listen(1)
            made, _ = await asyncio.get_running_loop().sock_accept(listener)
        made.setblocking(False)
        self._prepare(made)
        return made

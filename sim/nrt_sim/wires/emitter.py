"""The sink that speaks as a camera: packets in, a vendor's bytes out.

Pace is the source's, or the `Transfer`'s with `speed`: a packet is encoded and sent when it is due, so bytes come
out a packet's length after the first of their events, as from a camera that fills a USB transfer. The clock on the
wire starts at 0 with the first packet, as a camera's does when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

import numpy as np

from nrt.errors import ConfigError
from nrt.formats.base import Encoder
from nrt.formats.davis import DavisEncoder
from nrt.formats.edvs import EdvsEncoder
from nrt.formats.evt3 import Evt3Encoder
from nrt.packet import EVENT, Packet, events_from_array
from nrt.record import Sink
from nrt.source import Source
from nrt_sim.wires.ports import FilePort, Port, PtyPort, UdpPort
from nrt_sim.wires.usb import UsbPort

Wire = Literal["evt3", "davis", "edvs"]

_ENCODERS: Final[Mapping[Wire, Callable[[], Encoder]]] = {
    "evt3": Evt3Encoder,
    "davis": DavisEncoder,
    "edvs": EdvsEncoder,
}
_USB: Final[Mapping[Wire, tuple[int, int, int]]] = {
    "evt3": (0x04B4, 0x00F5, 0x81),
    "davis": (0x152A, 0x841A, 0x82),
}
"""Vendor, product and data endpoint of the cameras that send these words: EVK4 and DAVIS (FX3)."""


class Emitter(Sink):
    """Encodes packets with `encoder` and writes them to `port`."""

    queue = 1 << 20  # 65 536 events, in the range of a camera's FIFO and its driver's buffers

    def __init__(self, encoder: Encoder, port: Port) -> None:
        self.address = port.address
        self._encoder, self._port = encoder, port
        self._unsent = 0
        self._origin: int | None = None

    @property
    def port(self) -> Port:
        """Where the bytes go."""
        return self._port

    @property
    def origin(self) -> int:
        """The time of the source, µs, at which the clock on the wire is 0."""
        return self._origin or 0

    def open(self, source: Source) -> None:
        side = self._encoder.side
        if source.shape is not None and max(source.shape[1:]) > side:
            raise ConfigError(
                f"{source.uri} is {source.shape[2]} x {source.shape[1]} pixels; "
                f"this wire has addresses for {side} x {side}"
            )

    def take(self, packet: Packet) -> None:
        if self._origin is None:
            self._origin = packet.start
        events = events_from_array(packet.data)
        if self._origin:
            events = events.copy()
            events["t"] -= self._origin
        raw = self._encoder.encode(events, packet.end - self._origin)
        sent = self._port.write(raw.data, self._encoder.word)
        self.size += sent
        self._unsent += len(raw) - sent

    def cancel(self) -> None:
        self._port.cancel()

    def close(self) -> None:
        self._port.close()

    def counters(self) -> Mapping[str, int]:
        return {"bytes not sent": self._unsent} if self._unsent else {}


def emitter(wire: str, to: str) -> Emitter:
    """The emitter for `wire` (evt3, davis, edvs) to pty, usb, udp://host:port or file:path.

    Raises ConfigError for other names, StreamError where the place cannot be opened.
    """
    name = next((known for known in get_args(Wire) if known == wire), None)
    if name is None:
        raise ConfigError(f"no wire '{wire}'; there is {', '.join(get_args(Wire))}")
    _ENCODERS[name]().encode(np.zeros(1, EVENT), 1)  # compiles what a live source cannot wait for
    return Emitter(_ENCODERS[name](), _port(name, to))


def _port(wire: Wire, to: str) -> Port:
    kind, _, place = to.partition(":")
    if to == "pty":
        return PtyPort()
    if to == "usb":
        if wire not in _USB:
            raise ConfigError(f"no camera sends {wire} over USB; there is {', '.join(_USB)}")
        return UsbPort(*_USB[wire])
    if kind == "file" and place:
        return FilePort(place)
    if kind == "udp":
        host, colon, port = place.removeprefix("//").rpartition(":")
        if colon and host and port.isdecimal() and 0 < int(port) < 65536:
            return UdpPort(host.strip("[]"), int(port))
    raise ConfigError(f"cannot send to '{to}'; write pty, udp://host:port or file:path")

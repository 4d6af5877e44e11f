"""A device used from afar: the messages between a session here and the device of a daemon there.

One topic each way and client (`Topics.link`); MQTT keeps the order within a topic. A message is a head of 8 bytes,
`nL`, version 1, kind u1, number u4, and a body. Numbers count from 0 each way: one that comes again is dropped, one
that is missing breaks the link (DeviceLost), since a network that has missed an event has another state.

| kind    | way | body                                                                                          |
|---------|-----|-----------------------------------------------------------------------------------------------|
| OPEN    | in  | empty. Answered by what the device is, or DeviceBusy while somebody else has it                |
| DEPLOY  | in  | JSON: taps, membranes, bytes; then PARTs follow. Answered by the Placement                     |
| PART    | in  | a piece of the network (`nrt.mqtt.networks`), in order                                         |
| RESET   | in  | empty; drops what waits, ends a run. Answered                                                  |
| PACKET  | both| a packet: start i8, end i8, lost u8, length u1 of the origin, origin, records (`nrt.mqtt.codec`)|
| FINISH  | in  | empty; followed by END when all spikes are out                                                 |
| FIGURES | in  | empty. Answered by energy and counters                                                         |
| PING    | in  | empty, every few seconds; the node takes the device back from a client that falls silent       |
| CLOSE   | in  | empty. Answered                                                                                |
| REPLY   | out | JSON: to (number of the request), result or error                                              |
| END     | out | empty: this run's spikes are complete                                                          |
| FAILED  | out | JSON: what the device died of                                                                  |
| PONG    | out | empty                                                                                          |

A client has at most `WINDOW` packets under way that were not answered: that is the backpressure.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from nrt import plain
from nrt.device import Counters, Energy
from nrt.errors import (
    ConfigError,
    DeployError,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    DoesNotFit,
    NotFound,
    NrtError,
    ProtocolError,
    Unsupported,
    Violation,
)
from nrt.mqtt import codec
from nrt.packet import Packet

WINDOW: Final = 16
"""Packets under way that the device has not answered yet."""
PART: Final = 1 << 16
"""Bytes of a network in one message."""
PING: Final = 2.0
"""Seconds between two signs of life."""
SILENCE: Final = 10.0
"""Seconds without one after which the other end counts as gone."""

_HEAD: Final = struct.Struct("<2sBBI")
_PACKET: Final = struct.Struct("<qqQB")
_LATEST: Final = 2**62


class Kind(IntEnum):
    """What a message is."""

    OPEN = 1
    DEPLOY = 2
    PART = 3
    RESET = 4
    PACKET = 5
    FINISH = 6
    FIGURES = 7
    PING = 8
    CLOSE = 9
    REPLY = 17
    END = 18
    FAILED = 19
    PONG = 20


@dataclass(frozen=True, slots=True)
class Note:
    """One message of a link."""

    kind: Kind
    number: int
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """As an MQTT payload."""
        return _HEAD.pack(b"nL", 1, self.kind, self.number % 2**32) + self.body

    @classmethod
    def parse(cls, data: bytes, name: str) -> Note:
        """Raises ProtocolError for anything else; it carries `name`."""
        if len(data) < _HEAD.size:
            raise ProtocolError(name, len(data), f"a head of {_HEAD.size} bytes", f"{len(data)} bytes")
        magic, version, kind, number = _HEAD.unpack_from(data)
        if magic != b"nL" or version != 1:
            raise ProtocolError(name, 0, "nL, version 1", f"{magic!r}, version {version}")
        try:
            return cls(Kind(kind), number, data[_HEAD.size :])
        except ValueError:
            raise ProtocolError(name, 3, "a kind of message", str(kind)) from None

    def json(self, name: str) -> dict[str, Any]:
        """The body as a JSON object. Raises ProtocolError."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ProtocolError(name, _HEAD.size, "a JSON object", f"{self.body[:40]!r}")
        return found


class Order:
    """Numbers of what comes: `fresh` says whether a message is new, and raises DeviceLost where one is missing."""

    def __init__(self, name: str) -> None:
        self._name, self._next = name, 0

    def fresh(self, note: Note) -> bool:
        """False for one that came before."""
        ahead = (note.number - self._next) % 2**32
        if ahead >= 2**31:
            return False
        if ahead:
            raise DeviceLost(self._name, f"{ahead} messages were lost on the way")
        self._next = (self._next + 1) % 2**32
        return True


def pack_packet(packet: Packet) -> bytes:
    """A packet as the body of a note. Its stamp stays behind: the clocks of two machines have nothing in common."""
    origin = packet.origin.encode()[:255]
    head = _PACKET.pack(packet.start, packet.end, packet.lost, len(origin))
    return head + origin + codec.encode(packet.data, base=packet.start)


def unpack_packet(body: bytes, stamp: int, name: str) -> Packet:
    """The packet in a body, with the stamp of its arrival here. Raises ProtocolError."""
    if len(body) < _PACKET.size or len(body) < _PACKET.size + body[_PACKET.size - 1]:
        raise ProtocolError(name, len(body), "the head of a packet", f"{len(body)} bytes")
    start, end, lost, length = _PACKET.unpack_from(body)
    if not -_LATEST < start <= end < _LATEST:
        raise ProtocolError(name, 0, "a span of time", f"{start} to {end} µs")
    origin = body[_PACKET.size : _PACKET.size + length].decode(errors="replace")
    records = codec.decode(body[_PACKET.size + length :], name).records
    if len(records) and not start <= int(records["t"][0]) <= int(records["t"][-1]) < end:
        raise ProtocolError(name, _PACKET.size, f"records of {start} to {end} µs", "others")
    return Packet(records, start, end, stamp, lost, origin)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a device tells at the end of a run."""

    energy: tuple[Energy, ...]
    counters: Counters


def error_to(error: BaseException) -> dict[str, Any]:
    """An error as plain data; one that is not nrt's own becomes a DeviceError with its name."""
    data: dict[str, Any] = {"message": str(error), "kind": type(error).__name__}
    if isinstance(error, DoesNotFit):
        data["violations"] = plain.encode(error.violations)
    elif isinstance(error, Unsupported):
        data |= {"node": error.node, "reason": error.reason}
    elif not isinstance(error, NrtError):
        data["message"] = f"{type(error).__name__}: {error}"
    return data


_PLAIN: Final = {kind.__name__: kind for kind in (ConfigError, DeployError)}
_OF_DEVICES: Final = {kind.__name__: kind for kind in (DeviceBusy, DeviceLost, DeviceTimeout)}


def error_from(data: object, uri: str) -> NrtError:
    """The error that `error_to` described, raised where the device is used; `uri` names it there."""
    if not isinstance(data, dict):
        return DeviceError(uri, "it failed and does not say why")
    kind, message = data.get("kind"), str(data.get("message", ""))
    try:
        if kind == "DoesNotFit":
            return DoesNotFit([plain.decode(Violation, each) for each in data["violations"]])
        if kind == "Unsupported":
            return Unsupported(str(data["node"]), str(data["reason"]))
    except (KeyError, TypeError, ConfigError):
        return DeployError(message)
    if kind == "NotFound":
        return NotFound(uri, message)
    if kind in _PLAIN:
        return _PLAIN[kind](message)
    return _OF_DEVICES.get(str(kind), DeviceError)(uri, message)

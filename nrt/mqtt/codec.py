"""Events and spikes as MQTT payloads: a header of 24 bytes, then packed records. Pure code, total over any bytes.

All little-endian:

| offset | bytes | what                                                                                |
|--------|-------|-------------------------------------------------------------------------------------|
| 0      | 2     | `nS`                                                                                |
| 2      | 1     | version of this layout, 1                                                           |
| 3      | 1     | kind of the records: 0 spikes, 1 events, 2 membranes; +128 where they are wide      |
| 4      | 4     | the first 4 bytes of the network's hash: what neuron n means                        |
| 8      | 4     | sequence number, modulo 2³²; a step by more than one says how many messages are lost|
| 12     | 8     | base time, µs on the stream's own clock                                             |
| 20     | 4     | number of records                                                                   |

A record has 12 bytes, its time as unsigned 32 bits of µs after the base: spikes `(t u4, n u4, v i4)`, events
`(t u4, x u2, y u2, p u1, 3 bytes of nothing)`, membranes `(t u4, n u4, v f4)`. Wide records, for spans of more than
71 minutes, are the 16 bytes of `nrt.packet` as they are, with absolute times.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from nrt.errors import ConfigError, ProtocolError
from nrt.packet import EVENT, MEMBRANE, SPIKE, Records

MAGIC: Final = b"nS"
VERSION: Final = 1
HEADER: Final = struct.Struct("<2sBBIIqI")
WIDE: Final = 128
_KINDS: Final[tuple[np.dtype[np.void], ...]] = (SPIKE, EVENT, MEMBRANE)
_NARROW: Final[tuple[np.dtype[np.void], ...]] = tuple(
    np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": 12})
    for names, formats, offsets in (
        (["t", "n", "v"], ["<u4", "<u4", "<i4"], [0, 4, 8]),
        (["t", "x", "y", "p"], ["<u4", "<u2", "<u2", "u1"], [0, 4, 6, 8]),
        (["t", "n", "v"], ["<u4", "<u4", "<f4"], [0, 4, 8]),
    )
)
_SPAN: Final = 2**32
_LATEST: Final = 2**62
"""Times beyond this are refused: arithmetic on them must not overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One decoded message. records: SPIKE, EVENT or MEMBRANE, in time order; spec: of the network's hash."""

    records: Records
    base: int
    sequence: int
    spec: int


def spec_of(network_hash: str) -> int:
    """The first 4 bytes of a network's hash (`Network.hash`), as the header has them."""
    return int.from_bytes(bytes.fromhex(network_hash[:8]), "little")


def encode(records: Records, *, base: int, sequence: int = 0, spec: int = 0) -> bytes:
    """One message of `records` (SPIKE, EVENT or MEMBRANE, in time order). Raises ConfigError for other records.

    base: a time not after the first record
    """
    if records.dtype not in _KINDS:
        raise ConfigError(
            f"records of type {records.dtype} cannot be sent: there are EVENT, SPIKE and MEMBRANE"
        )
    kind = _KINDS.index(records.dtype)
    if len(records) and not (base <= int(records["t"][0]) and int(records["t"][-1]) - base < _SPAN):
        body, kind = np.ascontiguousarray(records).tobytes(), kind + WIDE
    else:
        body = _narrow(records, kind, base).tobytes()
    return HEADER.pack(MAGIC, VERSION, kind, spec, sequence % 2**32, base, len(records)) + body


def _narrow(records: Records, kind: int, base: int) -> Records:
    packed: Records = np.zeros(len(records), _NARROW[kind])
    packed["t"] = records["t"] - base
    for name in (_NARROW[kind].names or ())[1:]:
        packed[name] = records[name]
    return packed


def decode(data: bytes, name: str = "mqtt") -> Block:
    """The block in a payload. Raises ProtocolError, which names the offset and carries `name`."""
    if len(data) < HEADER.size:
        raise ProtocolError(name, len(data), f"a header of {HEADER.size} bytes", f"{len(data)} bytes")
    magic, version, kind, spec, sequence, base, count = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise ProtocolError(name, 0, "nS, version 1", f"{magic!r}, version {version}")
    if kind % WIDE >= len(_KINDS):
        raise ProtocolError(name, 3, "a kind of records: 0, 1 or 2, or 128 more", str(kind))
    if abs(base) > _LATEST:
        raise ProtocolError(name, 12, "a time of less than 2⁶² µs", str(base))
    packed_as = _KINDS[kind % WIDE] if kind >= WIDE else _NARROW[kind]
    if len(data) - HEADER.size != count * packed_as.itemsize:
        expected = f"{count} records of {packed_as.itemsize} bytes"
        raise ProtocolError(name, HEADER.size, expected, f"{len(data) - HEADER.size} bytes")
    packed: Records = np.frombuffer(data, packed_as, count, HEADER.size)
    records: Records = np.zeros(count, _KINDS[kind % WIDE])
    records["t"] = packed["t"] if kind >= WIDE else packed["t"].astype(np.int64) + base
    for each in (packed_as.names or ())[1:]:
        records[each] = packed[each]
    _check_times(records, name)
    return Block(records, base, sequence, spec)


def _check_times(records: Records, name: str) -> None:
    t = records["t"]
    if not len(t):
        return
    backwards = np.flatnonzero(t[1:] < t[:-1])
    if len(backwards):
        raise ProtocolError(
            name, HEADER.size, "records in time order", f"record {backwards[0] + 1} before the last"
        )
    if int(t[0]) < -_LATEST or int(t[-1]) > _LATEST + _SPAN:
        raise ProtocolError(name, HEADER.size, "times of less than 2⁶² µs", f"{t[0]} to {t[-1]}")


class Gaps:
    """Counts messages that are missing between those that came, by their sequence numbers."""

    def __init__(self) -> None:
        self._next: int | None = None
        self.lost = 0

    def seen(self, sequence: int) -> int:
        """How many are missing right before `sequence`; one that came before, or again, counts as a restart."""
        missing = 0 if self._next is None else (sequence - self._next) % 2**32
        missing = missing if missing < 2**31 else 0
        self._next = (sequence + 1) % 2**32
        self.lost += missing
        return missing

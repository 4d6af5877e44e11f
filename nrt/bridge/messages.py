"""Messages: what data frames carry. Each is the record `message` (type, tag, count of rows), then its body.

Packing and unpacking only; what a message means is in docs/aer-bridge.md. Bodies that a message's type does not
allow raise ConfigError, which the side that received them turns into its own complaint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import words
from nrt.bridge.words import BRIDGE, COUNTERS, MESSAGE
from nrt.errors import ConfigError

IDENTITY: Final = BRIDGE.record("identity")
CAPABILITIES: Final = BRIDGE.word("capabilities")
TRANSFER: Final = BRIDGE.record("transfer")
BLOCK: Final = BRIDGE.record("block")
STREAM: Final = BRIDGE.record("stream")
OPTIONS: Final = BRIDGE.word("stream_options")
SERVICE: Final = BRIDGE.record("service")
COUNTER: Final = BRIDGE.record("counter")
POWER: Final = BRIDGE.record("power")
SAMPLE: Final = BRIDGE.record("sample")
ERROR: Final = BRIDGE.record("error")

Data = NDArray[np.uint32]
"""Addresses or data of SPI transactions."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `tag` joins an answer to its request, `count` is the number of rows in `body`."""

    type: int
    tag: int
    count: int
    body: bytes

    @property
    def label(self) -> str:
        """The name of its type."""
        return words.MESSAGES.label(self.type)


def pack(type: int, tag: int = 0, count: int = 0, body: bytes = b"") -> bytes:
    """A message as a data frame carries it."""
    return MESSAGE.pack(type=type, tag=tag, count=count) + body


def unpack(data: bytes) -> Message:
    """The message in a data frame. Raises ConfigError where it is shorter than its header."""
    head = MESSAGE.integers(data)
    return Message(head["type"], head["tag"], head["count"], data[MESSAGE.size :])


# ----------------------------------------------------------------------------------------------- identify


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a bridge is, and which chip it holds. Clock in Hz, FIFO sizes in event words."""

    board: str
    chip: str
    serial: str
    bridge_hash: int
    chip_hash: int
    firmware: int
    chip_clock: int
    events_in: int
    events_out: int
    capabilities: frozenset[str]

    def pack(self) -> bytes:
        """As the body of a message."""
        return IDENTITY.pack(
            capabilities=CAPABILITIES.pack_one(**{n: n in self.capabilities for n in CAPABILITIES.fields}),
            bridge_hash=self.bridge_hash,
            chip_hash=self.chip_hash,
            firmware=self.firmware,
            chip_clock=self.chip_clock,
            events_in=self.events_in,
            events_out=self.events_out,
            board=self.board.encode(),
            chip=self.chip.encode(),
            serial=self.serial.encode(),
        )

    @classmethod
    def unpack(cls, body: bytes) -> Identity:
        """Raises ConfigError."""
        values = IDENTITY.unpack(body)
        numbers = {name: value for name, value in values.items() if isinstance(value, int)}
        texts = {
            name: value.rstrip(b"\0").decode("utf-8", "replace")
            for name, value in values.items()
            if isinstance(value, bytes)
        }
        bits = CAPABILITIES.unpack_one(numbers["capabilities"])
        return cls(
            texts["board"],
            texts["chip"],
            texts["serial"],
            numbers["bridge_hash"],
            numbers["chip_hash"],
            numbers["firmware"],
            numbers["chip_clock"],
            numbers["events_in"],
            numbers["events_out"],
            frozenset(name for name, bit in bits.items() if bit),
        )


# ----------------------------------------------------------------------------------------------- SPI


def pack_transfers(addresses: Data, data: Data) -> bytes:
    """SPI transactions as rows."""
    rows = np.empty(len(addresses), TRANSFER.dtype)
    rows["address"], rows["data"] = addresses, data
    return rows.tobytes()


def unpack_transfers(body: bytes) -> tuple[Data, Data]:
    """Addresses and data. Raises ConfigError for a part of a row."""
    rows = TRANSFER.array(body)
    return rows["address"].astype(np.uint32), rows["data"].astype(np.uint32)


def pack_block(address: int, data: int, contents: bytes = b"") -> bytes:
    """Transactions at consecutive addresses from `address` on, for writing `contents` into the low bits of `data`."""
    return BLOCK.pack(address=address, data=data) + contents


def unpack_block(body: bytes) -> tuple[int, int, bytes]:
    """Address, data and contents. Raises ConfigError."""
    head = BLOCK.integers(body)
    return head["address"], head["data"], body[BLOCK.size :]


# ----------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Service:
    """Input events with `match` in the bits of `mask` keep the chip busy for `time_ns`."""

    mask: int
    match: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Stream:
    """How a bridge hands events to its chip; see `stream` in the definition.

    services: the first that fits an input event says how long it takes
    loop:     the chip feeds its own spikes back, each of which takes `spike_ns`
    cascade:  spikes from one input event that the chip's own queue holds for sure; 0: do not count
    settle_us: the longest wait for the chip to become quiet
    drop:     a full output FIFO drops spikes and counts them, instead of holding the chip
    """

    services: tuple[Service, ...]
    loop: bool = False
    spike_ns: int = 0
    cascade: int = 0
    settle_us: int = 1_000_000
    drop: bool = False

    def pack(self) -> bytes:
        """As the body of a message with a row for each service."""
        head = STREAM.pack(
            options=OPTIONS.pack_one(loop=self.loop, drop=self.drop),
            cascade=self.cascade,
            spike_ns=self.spike_ns,
            settle_us=self.settle_us,
        )
        rows = (SERVICE.pack(mask=s.mask, match=s.match, time_ns=s.time_ns) for s in self.services)
        return head + b"".join(rows)

    @classmethod
    def unpack(cls, body: bytes) -> Stream:
        """Raises ConfigError."""
        head = STREAM.integers(body)
        options = OPTIONS.unpack_one(head["options"])
        rows = SERVICE.array(body[STREAM.size :])
        return cls(
            tuple(Service(int(r["mask"]), int(r["match"]), int(r["time_ns"])) for r in rows),
            bool(options["loop"]),
            head["spike_ns"],
            head["cascade"],
            head["settle_us"],
            bool(options["drop"]),
        )


# ----------------------------------------------------------------------------------------------- the rest


def pack_counts(counts: Mapping[str, int]) -> bytes:
    """Every counter of the definition, in its order; those not given are 0."""
    return b"".join(COUNTER.pack(value=counts.get(name, 0)) for name in COUNTERS.values)


def unpack_counts(body: bytes) -> dict[str, int]:
    """By name; counters that a newer bridge tells and this definition does not know are left out."""
    values = COUNTER.array(body)["value"]
    names = sorted(COUNTERS.values, key=lambda name: COUNTERS[name])
    return {name: int(value) for name, value in zip(names, values, strict=False)}


@dataclass(frozen=True, slots=True)
class Sample:
    """Power of one channel over one period that ended at `time` µs; a jump of `index` is a loss."""

    time: int
    index: int
    channel: int
    nanowatts: int


def pack_samples(samples: Sequence[Sample]) -> bytes:
    """Rows."""
    return b"".join(
        SAMPLE.pack(time=s.time, index=s.index, channel=s.channel, nanowatts=s.nanowatts) for s in samples
    )


def unpack_samples(body: bytes) -> list[Sample]:
    """Raises ConfigError for a part of a row."""
    return [
        Sample(int(r["time"]), int(r["index"]), int(r["channel"]), int(r["nanowatts"]))
        for r in SAMPLE.array(body)
    ]


def pack_error(code: str, about: int, text: str, detail: int = 0) -> bytes:
    """`code` is a name of the enumeration `errors`."""
    return ERROR.pack(code=words.ERRORS[code], about=about, detail=detail) + text.encode()


def unpack_error(body: bytes) -> tuple[str, str]:
    """The code's name, and what the bridge complains of as a sentence."""
    try:
        head = ERROR.integers(body)
    except ConfigError:
        return "malformed", "an error message that is cut short"
    code = words.ERRORS.label(head["code"])
    text = body[ERROR.size :].decode("utf-8", "replace")
    about = f" ({words.MESSAGES.label(head['about'])})" if head["about"] else ""
    return code, f"{code.replace('_', ' ')}{about}: {text}"


def rows(message: Message, size: int) -> bytes:
    """The body, which must be `count` rows of `size` bytes. Raises ConfigError."""
    if len(message.body) != message.count * size:
        raise ConfigError(
            f"{message.label}: {len(message.body)} bytes are not {message.count} rows of {size}"
        )
    return message.body

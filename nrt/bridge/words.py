"""The protocol's definition (firmware_specs/aer_bridge.toml), loaded once, and the numbers in it that have names."""

from __future__ import annotations

from typing import Final

from nrt import spec

BRIDGE: Final = spec.load("aer_bridge")

FRAMES: Final = BRIDGE.enum("frames")
OPEN: Final = FRAMES["open"]
OPENED: Final = FRAMES["opened"]
DATA: Final = FRAMES["data"]
ACKNOWLEDGE: Final = FRAMES["acknowledge"]
REJECT: Final = FRAMES["reject"]
PROBE: Final = FRAMES["probe"]
ECHO: Final = FRAMES["echo"]
CLOSED: Final = FRAMES["closed"]

MESSAGES: Final = BRIDGE.enum("messages")
IDENTIFY: Final = MESSAGES["identify"]
TRANSFER: Final = MESSAGES["transfer"]
WRITE: Final = MESSAGES["write"]
READ: Final = MESSAGES["read"]
CONFIGURE: Final = MESSAGES["configure"]
EVENTS: Final = MESSAGES["events"]
COUNT: Final = MESSAGES["count"]
POWER: Final = MESSAGES["power"]
RESET: Final = MESSAGES["reset"]
ERROR: Final = MESSAGES["error"]
SPIKES: Final = MESSAGES["spikes"]
SAMPLES: Final = MESSAGES["samples"]
ANSWER: Final = MESSAGES["identity"] - IDENTIFY
"""What is added to the type of a request to get that of its answer."""

ERRORS: Final = BRIDGE.enum("errors")
COUNTERS: Final = BRIDGE.enum("counters")

HEADER: Final = BRIDGE.record("header")
LINK: Final = BRIDGE.record("link")
MESSAGE: Final = BRIDGE.record("message")

PAYLOAD: Final = BRIDGE.framing.integer("max_payload_bytes")
"""Bytes of the longest message, its header included."""

SEQUENCES: Final = 1 << 8
"""Sequence numbers of frames wrap here: they are bytes."""

INDICES: Final = 1 << 32
"""Event indices and credits wrap here."""


def nanoseconds(name: str) -> int:
    """One of the protocol's times."""
    return round(BRIDGE.duration(name).value * 1e6)

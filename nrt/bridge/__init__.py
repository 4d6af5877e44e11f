"""The AER bridge protocol, both ends: what a driver and a board with a bare chip say to each other.

`frame` cuts bytes into checked frames, `link` makes a reliable line of them (without I/O: driver and emulated board
use the same), `messages` and `events` are what is said, `port` and `host` are the driver's side over a Wire. Every
layout comes from firmware_specs/aer_bridge.toml; docs/aer-bridge.md is written for the other side.
"""

from __future__ import annotations

from nrt.bridge.events import Batch
from nrt.bridge.host import Bridge
from nrt.bridge.link import Link, Received
from nrt.bridge.messages import Identity, Message, Sample, Service, Stream

__all__ = [
    "Batch",
    "Bridge",
    "Identity",
    "Link",
    "Message",
    "Received",
    "Sample",
    "Service",
    "Stream",
]

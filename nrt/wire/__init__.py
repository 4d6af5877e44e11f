"""Wires between drivers and boards."""

from __future__ import annotations

from nrt.wire.base import Answers, Board, Chunk, HungUp, Listened, Requests, Wire, hang_up
from nrt.wire.faults import Faults
from nrt.wire.faulty import FaultyWire
from nrt.wire.make import board, wire
from nrt.wire.memory import MemoryWire

__all__ = [
    "Answers",
    "Board",
    "Chunk",
    "Faults",
    "FaultyWire",
    "HungUp",
    "Listened",
    "MemoryWire",
    "Requests",
    "Wire",
    "board",
    "hang_up",
    "wire",
]

"""Wires between drivers and boards."""

from __future__ import annotations

from nrt.wire.base import Board, Chunk, Wire
from nrt.wire.faults import Faults
from nrt.wire.faulty import FaultyWire
from nrt.wire.make import board, wire
from nrt.wire.memory import MemoryWire

__all__ = ["Board", "Chunk", "Faults", "FaultyWire", "MemoryWire", "Wire", "board", "wire"]

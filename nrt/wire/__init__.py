"""Wires between drivers and boards."""

from __future__ import annotations

from nrt.wire.base import Board, Chunk, Wire

__all__ = ["Board", "Chunk", "Wire"]

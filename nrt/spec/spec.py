"""Spec: one device's definition, ready for use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nrt.errors import NotFound
from nrt.spec.entries import (
    EnergyRow,
    Enumeration,
    Figures,
    IntegerFormat,
    Kinds,
    Memory,
    Origin,
    Quirk,
    Register,
    Settings,
    Step,
    Table,
    Timing,
    Vector,
)
from nrt.spec.record import Record
from nrt.spec.word import Word

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """A device definition. Look-ups by name raise NotFound, which lists what there is.

    hash: SHA-256, in hexadecimal, of what a driver and a firmware must agree on: everything but prose, sources,
    energy, quirks and vectors. Two files with one hash speak the same bytes.
    """

    path: Path
    hash: str
    name: str
    title: str
    kind: str
    summary: str
    vendor: str
    on_silicon: str
    identity: Settings
    transport: Mapping[str, Settings]
    framing: Settings
    checksum: Settings
    enums: Mapping[str, Enumeration]
    words: Mapping[str, Word]
    groups: Mapping[str, Kinds]
    records: Mapping[str, Record]
    registers: Mapping[str, Register]
    memories: Mapping[str, Memory]
    timing: Mapping[str, Timing]
    limits: Figures
    tables: Mapping[str, Table]
    arithmetic: Mapping[str, IntegerFormat]
    procedures: Mapping[str, tuple[Step, ...]]
    energy: tuple[EnergyRow, ...]
    quirks: tuple[Quirk, ...]
    provenance: Mapping[str, Origin]
    vectors: tuple[Vector, ...]

    @property
    def short_hash(self) -> int:
        """The first 32 bits of the hash, for handshakes."""
        return int(self.hash[:8], 16)

    def word(self, name: str) -> Word:
        """An event, address or memory word."""
        return self._get("word", self.words, name)

    def kinds(self, name: str) -> Kinds:
        """Words that are told apart by their constant fields."""
        return self._get("kinds", self.groups, name)

    def record(self, name: str) -> Record:
        """A message's or header's bytes."""
        return self._get("record", self.records, name)

    def register(self, name: str) -> Register:
        """A register."""
        return self._get("register", self.registers, name)

    def memory(self, name: str) -> Memory:
        """A memory."""
        return self._get("memory", self.memories, name)

    def enum(self, name: str) -> Enumeration:
        """Named numbers."""
        return self._get("enum", self.enums, name)

    def limit(self, name: str) -> int:
        """A limit that counts something; `limits` has them all."""
        return self.limits.integer(name)

    def table(self, name: str) -> tuple[int, ...]:
        """A row of integers."""
        return self._get("table", self.tables, name).values

    def format(self, name: str) -> IntegerFormat:
        """How the device holds a number."""
        return self._get("arithmetic", self.arithmetic, name)

    def duration(self, name: str) -> Timing:
        """A duration."""
        return self._get("timing", self.timing, name)

    def procedure(self, name: str) -> tuple[Step, ...]:
        """The steps of a procedure."""
        return self._get("procedure", self.procedures, name)

    def wire(self, kind: str) -> Settings:
        """How bytes reach the device over `kind`: serial, usb, tcp, udp, spi, aer, vendor."""
        return self._get("transport", self.transport, kind)

    def _get(self, kind: str, table: Mapping[str, T], name: str) -> T:
        if name not in table:
            there = ", ".join(table) or "none"
            raise NotFound(
                name, f"the definition of {self.name} has no {kind} {name}; it has {there}", tuple(table)
            )
        return table[name]

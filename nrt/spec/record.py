"""Records: fixed rows of bytes, such as a message's header, as packed numpy dtypes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.spec.word import ByteOrder

TYPES: Final = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "bytes")

Scalar = int | float | bytes
"""What a member is when unpacked; when packed, one of numpy's integers will do too."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One entry of a record.

    type:  one of TYPES; size is its bytes; `bytes` is `size` bytes, shorter ones are filled up with zeros
    match: the value of a constant entry, else None
    word:  the name of the word that it holds, or nothing
    """

    name: str
    type: str
    size: int
    match: int | None = None
    word: str = ""
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    unit: str = ""
    description: str = ""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Without a byte order."""
        if self.type == "bytes":
            return np.dtype(f"V{self.size}")
        return np.dtype(self.type[0] + str(int(self.type[1:]) // 8))

    def holds(self, value: int) -> bool:
        """Whether an integer member can be `value`."""
        bits, signed = int(self.type[1:]), self.type[0] == "i"
        return -(signed << bits - 1) <= value < 1 << bits - signed


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A record's members in order; `dtype` is without padding and in the record's byte order."""

    name: str
    members: tuple[Member, ...]
    byte_order: ByteOrder = "little"
    description: str = ""
    source: str = ""
    dtype: np.dtype[np.void] = field(init=False)
    _layout: struct.Struct = field(init=False, repr=False)

    def __post_init__(self) -> None:
        order: Literal["<", ">"] = "<" if self.byte_order == "little" else ">"
        codes = "".join(_code(member) for member in self.members)
        object.__setattr__(
            self, "dtype", np.dtype([(m.name, m.dtype.newbyteorder(order)) for m in self.members])
        )
        object.__setattr__(self, "_layout", struct.Struct(order + codes))

    @property
    def size(self) -> int:
        """Bytes."""
        return self._layout.size

    def offset(self, name: str) -> int:
        """The first byte of a member."""
        before = 0
        for member in self.members:
            if member.name == name:
                return before
            before += member.size
        raise ConfigError(f"{self.name} has no {name}")

    def pack(self, **values: Scalar | np.integer[Any]) -> bytes:
        """One record. Raises ConfigError, naming the member, for a value that does not fit, is missing or unknown."""
        known = {member.name for member in self.members if member.match is None}
        if unknown := values.keys() - known:
            raise ConfigError(f"{self.name} has no {', '.join(sorted(unknown))} to set")
        if missing := known - values.keys():
            raise ConfigError(f"{self.name} needs a value for {', '.join(sorted(missing))}")
        fitting = [self._fitting(m, values.get(m.name, m.match)) for m in self.members]
        try:
            return self._layout.pack(*fitting)
        except OverflowError as error:
            raise ConfigError(f"{self.name}: {error}") from None

    def unpack(self, data: bytes | bytearray | memoryview) -> dict[str, Scalar]:
        """The members of the record that `data` begins with; constant ones are left out.

        Raises ConfigError where the data is too short or a constant member is not as it must be.
        """
        if len(data) < self.size:
            raise ConfigError(f"{self.name} has {self.size} bytes, there are only {len(data)}")
        values = dict(zip((m.name for m in self.members), self._layout.unpack_from(data), strict=True))
        for member in self.members:
            if member.match is not None and values.pop(member.name) != member.match:
                raise ConfigError(f"{self.name}.{member.name} is not {member.match:#x}")
        return values

    def integers(self, data: bytes | bytearray | memoryview) -> dict[str, int]:
        """`unpack`, of the members that are integers."""
        return {name: value for name, value in self.unpack(data).items() if isinstance(value, int)}

    def array(self, data: bytes | bytearray | memoryview) -> NDArray[np.void]:
        """Many records, one after the other, without a copy. Raises ConfigError for a part of one."""
        if len(data) % self.size:
            raise ConfigError(f"{len(data)} bytes are no whole number of {self.name} records of {self.size}")
        return np.frombuffer(data, self.dtype)

    def _fitting(self, member: Member, value: Scalar | np.integer[Any] | None) -> Scalar:
        wrong = f"{self.name}.{member.name}: {value!r}"
        if member.type == "bytes":
            if not isinstance(value, bytes | bytearray) or len(value) > member.size:
                raise ConfigError(f"{wrong} is not at most {member.size} bytes")
            return bytes(value)
        if member.type[0] == "f":
            if not isinstance(value, int | float):
                raise ConfigError(f"{wrong} is no number")
            return float(value)
        if isinstance(value, np.integer):
            value = int(value)
        if not isinstance(value, int) or not member.holds(value):
            limits = np.iinfo(member.dtype)
            raise ConfigError(f"{wrong} is outside {limits.min} to {limits.max}")
        return value


def _code(member: Member) -> str:
    """The `struct` code."""
    if member.type == "bytes":
        return f"{member.size}s"
    codes = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f32": "f", "f64": "d"}
    return codes[member.type] if member.type in codes else codes["u" + member.type[1:]].lower()

"""Words: integers whose bits mean something, packed and unpacked as whole numpy arrays.

A word of `width` bits (1 to 64) is held in the smallest of uint8, uint16, uint32 and uint64. A field is one or
more slices of it, joined most significant first; of the bits `12:5` the first is the most significant. A field
is unsigned or two's complement. A field with a `match` value is constant: `pack` writes it, `matches` tests it.
Bits that belong to no field are written as 0 and ignored when read; bits above `width` match no word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError

Words = NDArray[np.unsignedinteger[Any]]
"""Raw words, of the dtype of their `Word`."""

Values = int | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]
"""What a field takes: one value for all words, or one for each."""

ByteOrder = Literal["little", "big"]


def container(width: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned dtype that holds `width` bits."""
    size = next(bits for bits in (8, 16, 32, 64) if width <= bits)
    return np.dtype(f"u{size // 8}")


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` bits: those of the word from bit `at` up are those of the value from bit `of` up.

    mask: as many ones as the slice has bits
    """

    at: int
    of: int
    size: int
    mask: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", (1 << self.size) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Some bits of a word, and what they mean.

    match:     the value of a constant field, else None
    default:   what `pack` writes where the field is not given, else None
    labels:    names of values, from the enumeration that the field is of
    width:     bits of the value
    low, high: the least and the greatest value
    mask:      the field's bits in the word
    """

    name: str
    slices: tuple[Slice, ...]
    signed: bool = False
    match: int | None = None
    default: int | None = None
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    unit: str = ""
    description: str = ""
    width: int = field(init=False)
    low: int = field(init=False)
    high: int = field(init=False)
    mask: int = field(init=False)

    def __post_init__(self) -> None:
        width = sum(part.size for part in self.slices)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "low", -(1 << (width - 1)) if self.signed else 0)
        object.__setattr__(self, "high", (1 << (width - self.signed)) - 1)
        object.__setattr__(self, "mask", sum(part.mask << part.at for part in self.slices))

    @property
    def bits(self) -> str:
        """As the definition writes it: `12:5`, `7`, `4:0,14:13`."""
        ends = ((part.at + part.size - 1, part.at) for part in self.slices)
        return ",".join(f"{high}:{low}" if high > low else f"{low}" for high, low in ends)

    def place(self, value: int) -> int:
        """The word with this value and all other bits 0. The value must fit."""
        return sum((value >> part.of & part.mask) << part.at for part in self.slices)

    def value(self, word: int) -> int:
        """The value that a word holds."""
        raw = sum((word >> part.at & part.mask) << part.of for part in self.slices)
        return raw - (1 << self.width) if self.signed and raw > self.high else raw


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """A word's fields, by name, and how whole arrays of it are packed and unpacked.

    byte_order: how it lies on a wire
    dtype:      native unsigned dtype of `pack` and `unpack`
    wire:       the same with `byte_order`, for bytes
    """

    name: str
    width: int
    fields: Mapping[str, Field]
    byte_order: ByteOrder = "little"
    description: str = ""
    source: str = ""
    dtype: np.dtype[np.unsignedinteger[Any]] = field(init=False)
    wire: np.dtype[np.unsignedinteger[Any]] = field(init=False)
    variable: tuple[Field, ...] = field(init=False)
    match_mask: int = field(init=False)
    match_bits: int = field(init=False)

    def __post_init__(self) -> None:
        constant = [f for f in self.fields.values() if f.match is not None]
        dtype = container(self.width)
        above = (1 << 8 * dtype.itemsize) - (1 << self.width)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "wire", dtype.newbyteorder("<" if self.byte_order == "little" else ">"))
        object.__setattr__(self, "variable", tuple(f for f in self.fields.values() if f.match is None))
        object.__setattr__(self, "match_mask", above | sum(f.mask for f in constant))
        object.__setattr__(self, "match_bits", sum(f.place(f.match or 0) for f in constant))

    def field(self, name: str) -> Field:
        """The field of that name. Raises ConfigError where there is none."""
        if name not in self.fields:
            raise ConfigError(f"{self.name} has no field {name}; it has {self._names()}")
        return self.fields[name]

    def pack(self, **fields: Values) -> Words:
        """Words with these values, of the values' common shape.

        Raises ConfigError, naming the field, for a value that does not fit, an unknown or a missing field.
        """
        wanted = self._required(fields)
        given = {f: _integers(self.name, f, fields.get(f.name, f.default or 0)) for f in wanted}
        try:
            shape = np.broadcast_shapes(*(values.shape for values in given.values()))
        except ValueError:
            sizes = ", ".join(f"{f.name} {values.shape}" for f, values in given.items())
            raise ConfigError(f"{self.name}: fields of different lengths: {sizes}") from None
        words = np.full(shape, self.match_bits, self.dtype)
        for each, values in given.items():
            raw = values.astype(self.dtype)  # modulo 2^n: two's complement
            for part in each.slices:
                words |= (raw >> part.of & part.mask) << part.at
        return words

    def pack_one(self, **fields: int) -> int:
        """One word, as an int. Raises ConfigError like `pack`."""
        word = self.match_bits
        for each in self._required(fields):
            value = int(fields.get(each.name, each.default or 0))
            _require_fit(self.name, each, value, value)
            word |= each.place(value)
        return word

    def unpack(self, words: Words) -> dict[str, NDArray[np.integer[Any]]]:
        """The values of every field that is not constant, each of the shape of `words`; copies.

        Unsigned fields have the word's dtype, signed ones the signed dtype of that size.
        """
        raw = self._raw(words)
        return {each.name: _values(raw, each) for each in self.variable}

    def unpack_one(self, word: int) -> dict[str, int]:
        """The values of every field that is not constant."""
        return {each.name: each.value(word) for each in self.variable}

    def matches(self, words: Words) -> NDArray[np.bool_]:
        """Which words have this word's constant fields, and nothing above its width."""
        found: NDArray[np.bool_] = (self._raw(words) & self.match_mask) == self.match_bits
        return found

    def to_bytes(self, words: Words) -> bytes:
        """The words as they lie on a wire."""
        return self._raw(words).astype(self.wire, copy=False).tobytes()

    def from_bytes(self, data: bytes | bytearray | memoryview) -> Words:
        """The words of bytes from a wire. Raises ConfigError where they are no whole number of words."""
        if memoryview(data).nbytes % self.wire.itemsize:
            raise ConfigError(f"{memoryview(data).nbytes} bytes are no whole number of {self.name} words")
        return np.frombuffer(data, self.wire).astype(self.dtype, copy=False)

    def _raw(self, words: Words) -> Words:
        """The words in the word's dtype. Raises ConfigError where that cannot hold them."""
        if words.dtype == self.dtype:
            return words
        limit = np.iinfo(self.dtype).max
        if words.dtype.kind not in "iu" or (words.size and (words.min() < 0 or words.max() > limit)):
            raise ConfigError(f"{self.name} words are unsigned integers of at most {limit:#x}")
        return words.astype(self.dtype)

    def _required(self, given: Mapping[str, object]) -> list[Field]:
        """The fields to write: those given. Raises ConfigError for unknown and missing ones."""
        unknown = [name for name in given if name not in self.fields or self.fields[name].match is not None]
        missing = [f.name for f in self.variable if f.name not in given and f.default is None]
        if unknown:
            raise ConfigError(f"{self.name} has no field {', '.join(unknown)} to set; it has {self._names()}")
        if missing:
            raise ConfigError(f"{self.name} needs a value for {', '.join(missing)}")
        return [f for f in self.variable if f.name in given or f.default]

    def _names(self) -> str:
        return ", ".join(f.name for f in self.variable) or "none"


def _integers(word: str, each: Field, values: Values) -> NDArray[np.integer[Any]]:
    """The values as an array of integers that fit. Raises ConfigError."""
    try:
        array = np.asarray(values)
    except (OverflowError, ValueError):
        raise ConfigError(f"{word}.{each.name}: not an array of integers") from None
    if array.dtype.kind == "b" or not array.size:
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        raise ConfigError(f"{word}.{each.name}: integers are needed, not {array.dtype}")
    if array.size and not _always_fits(array, each):
        _require_fit(word, each, int(array.min()), int(array.max()))
    return array


def _always_fits(array: NDArray[np.integer[Any]], each: Field) -> bool:
    """Whether nothing that an array of this dtype can hold is too large for the field."""
    return array.dtype.kind == "u" and 1 << 8 * array.dtype.itemsize <= each.high + 1


def _require_fit(word: str, each: Field, least: int, greatest: int) -> None:
    if least < each.low or greatest > each.high:
        wrong = least if least < each.low else greatest
        raise ConfigError(f"{word}.{each.name}: {wrong} is outside {each.low} to {each.high}")


def _values(raw: Words, each: Field) -> NDArray[np.integer[Any]]:
    first, *others = each.slices
    out: NDArray[np.integer[Any]] = raw >> first.at & first.mask
    if first.of:
        out <<= first.of
    for part in others:
        out |= (raw >> part.at & part.mask) << part.of
    if not each.signed:
        return out
    spare = 8 * raw.dtype.itemsize - each.width
    signed: NDArray[np.integer[Any]] = (out << spare).view(f"i{raw.dtype.itemsize}") >> spare
    return signed

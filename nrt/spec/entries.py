"""What a device definition is made of, besides words and records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from nrt.errors import NotFound
from nrt.spec.word import Field, Word, Words

T = TypeVar("T")
V = TypeVar("V")
Access = Literal["r", "w", "rw"]
EnergyKind = Literal["measured", "modelled", "published"]
Overflow = Literal["saturate", "wrap", "refuse"]
Setting = int | float | str | bool | tuple[int, ...] | tuple[str, ...]


class Names(Mapping[str, V]):
    """A mapping that says, where a name is missing, which there are. `where` says of what."""

    __slots__ = ("_values", "where")

    def __init__(self, where: str, values: Mapping[str, V]) -> None:
        self.where = where
        self._values = values

    def __getitem__(self, name: str) -> V:
        if name not in self._values:
            raise NotFound(name, f"no {self.where} {name} in the definition", tuple(self._values))
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, default: V | T, /) -> V | T: ...
    def get(self, key: str, default: V | T | None = None, /) -> V | T | None:
        """As of any mapping: what is missing is `default`."""
        return self._values.get(key, default)


@dataclass(frozen=True, slots=True)
class Enumeration:
    """Named numbers."""

    name: str
    values: Mapping[str, int]
    description: str = ""
    source: str = ""

    def __getitem__(self, label: str) -> int:
        if label not in self.values:
            raise NotFound(label, f"{self.name} has no {label}", tuple(self.values))
        return self.values[label]

    def label(self, value: int) -> str:
        """The name of a value, or the value in hexadecimal where it has none."""
        return next((name for name, number in self.values.items() if number == value), f"{value:#x}")


@dataclass(frozen=True, slots=True)
class Kinds:
    """Words that arrive in one place, told apart by their constant fields; the first that matches counts."""

    name: str
    words: tuple[Word, ...]
    description: str = ""
    _table: NDArray[np.int8] | None = field(init=False, repr=False, compare=False)
    """The answer for every word there can be, where they are few."""

    def __post_init__(self) -> None:
        size = self.words[0].dtype.itemsize
        every = np.arange(1 << 8 * size if size <= 2 else 0, dtype=self.words[0].dtype)
        object.__setattr__(self, "_table", self._matched(every) if size <= 2 else None)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the words; `classify` gives indices into it."""
        return tuple(word.name for word in self.words)

    def index(self, name: str) -> int:
        """What `classify` says of that word. Raises NotFound."""
        if name not in self.names:
            raise NotFound(name, f"{self.name} has no word {name}", self.names)
        return self.names.index(name)

    def classify(self, words: Words) -> NDArray[np.int8]:
        """For each word the index of the first kind that it matches, -1 for none."""
        if self._table is not None and words.dtype == self.words[0].dtype:
            return self._table[words]
        return self._matched(words)

    def _matched(self, words: Words) -> NDArray[np.int8]:
        out = np.full(words.shape, -1, np.int8)
        for index in range(len(self.words) - 1, -1, -1):
            out[self.words[index].matches(words)] = index
        return out


@dataclass(frozen=True, slots=True)
class Register:
    """A register; `reset` is None where its value after reset is undefined. `word` packs and unpacks its fields."""

    name: str
    address: int
    width: int
    access: Access
    reset: int | None
    word: Word
    description: str = ""
    source: str = ""

    @property
    def fields(self) -> Mapping[str, Field]:
        """By name; a register without fields has one, `value`, of all its bits."""
        return self.word.fields


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory of `words` words of `width` bits; `address` composes an address, `layout` is the word stored there."""

    name: str
    words: int
    width: int
    access: Access
    address: Word
    layout: Word | None
    reset: int | None = None
    description: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """A duration: `value` plus so much for each of the things that `per` names, in `unit`."""

    name: str
    value: float
    unit: str
    per: Mapping[str, float]
    description: str = ""
    source: str = ""

    def total(self, **counts: float) -> float:
        """With so many of each; those not given count 0."""
        if unknown := counts.keys() - self.per.keys():
            raise NotFound(", ".join(sorted(unknown)), f"{self.name} does not depend on it", tuple(self.per))
        return self.value + sum(self.per[name] * count for name, count in counts.items())


@dataclass(frozen=True, slots=True)
class Figure:
    """A limit: how much of something there is, or the least or greatest value of something."""

    name: str
    value: float
    unit: str
    description: str
    source: str


class Figures(Names[float]):
    """Limits by name: `limits["neurons"]`; `rows` has their units and sources."""

    __slots__ = ("rows",)

    def __init__(self, rows: Mapping[str, Figure]) -> None:
        super().__init__("limit", {name: row.value for name, row in rows.items()})
        self.rows = tuple(rows.values())

    def integer(self, name: str) -> int:
        """A limit that counts something."""
        return int(self[name])


@dataclass(frozen=True, slots=True)
class Table:
    """A row of integers: one limit for each of something (`index`), or the values a setting may have."""

    name: str
    values: tuple[int, ...]
    index: str
    unit: str
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class IntegerFormat:
    """How the device holds a number: `width` bits, from `low` to `high` by `step`; m means m * 2^exponent."""

    name: str
    width: int
    signed: bool
    overflow: Overflow
    low: int
    high: int
    exponent: int = 0
    step: int = 1
    description: str = ""
    source: str = ""

    def fit(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The values as the device would hold them; where overflow is `refuse`, clipped."""
        if self.overflow == "wrap":
            span = self.high - self.low + 1
            wrapped: NDArray[np.int64] = (values - self.low) % span + self.low
            return wrapped
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a procedure.

    do:        write, read, program, verify, send, expect, wait, reset, call
    target:    the register, memory, word or vendor call that it is about
    value:     what is written, or None where the driver supplies it under the name `parameter`
    text:      what is sent or expected on a line of text
    """

    do: str
    target: str
    value: int | None
    parameter: str
    text: str
    milliseconds: float
    why: str


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """What one operation costs (joules) or a state draws (watts), and how that figure was had."""

    operation: str
    joules: float | None
    watts: float | None
    kind: EnergyKind
    source: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Quirk:
    """Where the device is not as one would think."""

    id: str
    text: str
    affects: str
    source: str


@dataclass(frozen=True, slots=True)
class Origin:
    """A document that sources refer to by `id`."""

    id: str
    title: str
    where: str
    licence: str
    note: str


@dataclass(frozen=True, slots=True)
class Vector:
    """Bits against meaning: `data`, as they lie on the wire, are `target` with these fields.

    about: word, register or record; kind: the group in which the word must be told apart, or nothing
    """

    about: Literal["word", "register", "record"]
    target: str
    kind: str
    data: bytes
    fields: Mapping[str, int | float | bytes]
    meaning: str
    source: str


class Settings(Names[Setting]):
    """Named constants of mixed types, such as a transport's, read by type."""

    __slots__ = ()

    def integer(self, name: str) -> int:
        """An integer. Raises NotFound where there is none of that name."""
        value = self[name]
        return value if isinstance(value, int) else self._mismatch(name, "an integer")

    def text(self, name: str) -> str:
        """A text."""
        value = self[name]
        return value if isinstance(value, str) else self._mismatch(name, "a text")

    def integers(self, name: str) -> tuple[int, ...]:
        """Some integers."""
        value = self[name]
        return _all(value, int) if isinstance(value, tuple) else self._mismatch(name, "an array")

    def texts(self, name: str) -> tuple[str, ...]:
        """Some texts."""
        value = self[name]
        return _all(value, str) if isinstance(value, tuple) else self._mismatch(name, "an array")

    def _mismatch(self, name: str, wanted: str) -> Any:
        raise NotFound(name, f"{self.where} {name} is not {wanted}", tuple(self))


def _all(values: tuple[Any, ...], kind: type[T]) -> tuple[T, ...]:
    return tuple(value for value in values if isinstance(value, kind))

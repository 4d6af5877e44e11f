"""Options of a filter: how each is written in a URI, and what it becomes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, Final

from nrt.clock import microseconds
from nrt.errors import ConfigError

_QUANTITY: Final = re.compile(r"([0-9]*\.?[0-9]+(?:e[0-9]+)?)([kMG]?)")
_SCALE: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """How the values of an option are read and written, and what people call them."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    noun: str


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError
    return int(text)


def _quantity(text: str) -> int:
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise ValueError
    value = float(match[1]) * _SCALE[match[2]]
    if value > 1e18 or value != round(value):
        raise ValueError
    return round(value)


def _duration(us: int) -> str:
    """In the largest unit that needs no fraction."""
    return next(
        f"{us // size}{unit}" for unit, size in (("s", 10**6), ("ms", 10**3), ("us", 1)) if us % size == 0
    )


DURATION: Final = Kind(microseconds, _duration, "a duration, such as 5ms")
WHOLE: Final = Kind(_whole, str, "a whole number")
QUANTITY: Final = Kind(_quantity, str, "a number, such as 500k or 10M")


def choice(*words: str) -> Kind:
    """One of `words`."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind(read, str, " or ".join(words))


def option(kind: Kind, about: str, default: Any = dataclasses.MISSING) -> Any:
    """A field of a filter that a URI can set; about: what it says, with its unit. Without a default it must be said."""
    return dataclasses.field(default=default, metadata={"kind": kind, "about": about})


def read(filter: str, field: dataclasses.Field[Any], text: str) -> Any:
    """The value that `text` gives to an option. Raises ConfigError."""
    kind: Kind = field.metadata["kind"]
    try:
        return kind.read(text)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"filter {filter}: {field.name} is '{text}', which is not {kind.noun}") from error


def write(field: dataclasses.Field[Any], value: Any) -> str:
    """As a URI says it."""
    kind: Kind = field.metadata["kind"]
    return f"{field.name}={kind.write(value)}"

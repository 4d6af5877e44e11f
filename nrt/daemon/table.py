"""Tables of a TOML file as frozen dataclasses: fields are keys, annotations say what a value must be.

Every mistake is kept with the file and the line, so that all of them can be told at once; a value with a mistake is
read as its default, and the reading goes on. Besides plain types an annotation can be a `Literal`, a tuple or mapping
of such, another dataclass (a table), a `Path` (relative to the file, with ~ and $NAME), `Duration` ("200ms"), `Size`
("100MB") and `Secret`: the content of the file whose path the key names, so that no secret stands in the table.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from nrt.clock import microseconds
from nrt.errors import ConfigError, NrtError
from nrt.registry import Duration
from nrt.spec.lines import locate, nearest

T = TypeVar("T")
Place = tuple[str | int, ...]

_LARGEST: Final = 1 << 20
"""Bytes of a configuration, and of a file with a secret."""
_SIZE: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*(B|kB|MB|GB|TB)")
_BYTES: Final = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Size(int):
    """Annotation of a number of bytes, written with a unit: "100MB"."""


class Secret:
    """What a secret file holds, without the white space around it. It prints itself as stars."""

    __slots__ = ("_text", "path")

    def __init__(self, text: str, path: Path | None = None) -> None:
        self._text, self.path = text, path

    def reveal(self) -> str:
        """The secret itself, for the one place where it is used."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One sentence about one line of a file."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(slots=True)
class Document:
    """A parsed file, and the mistakes found in it so far."""

    path: Path
    root: Mapping[str, Any]
    text: str
    mistakes: list[Mistake] = field(default_factory=list[Mistake])
    _lines: Mapping[Place, int] | None = None

    @classmethod
    def open(cls, path: Path) -> Document:
        """Raises ConfigError for a file that cannot be read or is no TOML."""
        try:
            if path.stat().st_size > _LARGEST:
                raise ConfigError(f"{path}: a configuration has at most {_LARGEST:,} bytes")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"{path}: {reason}") from error
        try:
            return cls(path, tomllib.loads(text), text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            found = re.search(r"^(.*) \(at line (\d+), column \d+\)$", str(error))
            line, reason = (int(found[2]), found[1]) if found else (text.count("\n") + 1, str(error))
            raise ConfigError(str(Mistake(path, line, reason))) from error

    @property
    def folder(self) -> Path:
        """That relative paths begin at."""
        return self.path.absolute().parent

    def wrong(self, place: Place, text: str) -> None:
        """Keeps a mistake; its line is that of the innermost thing around `place` that has one."""
        if self._lines is None:
            self._lines = locate(self.text)
        self.mistakes.append(Mistake(self.path, nearest(self._lines, place), text))

    def table(self, place: Place, kind: type[T], **given: object) -> T | None:
        """The table at `place` as a `kind`; None where that cannot be made of it. given: fields that are no keys."""
        node = _at(self.root, place)
        if not isinstance(node, dict):
            self.wrong(place, f"{_name(place)} must be a table")
            return None
        hints = get_type_hints(kind)
        fields = {each.name: each for each in dataclasses.fields(cast(Any, kind)) if each.name not in given}
        for key in node:
            if key not in fields:
                self.wrong((*place, key), f"{_name(place)} has no key '{key}'; there is {', '.join(fields)}")
        values: dict[str, Any] = dict(given)
        missing = False
        for name, each in fields.items():
            needed = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            if name in node:
                try:
                    values[name] = self._value((*place, name), node[name], hints[name])
                    continue
                except _Silent:
                    pass
                except _Wrong as wrong:
                    self.wrong(wrong.place, f"{_name(wrong.place)} {wrong.reason}")
            elif needed:
                self.wrong(place, f"{_name(place)} needs {name}")
            missing |= needed
        if missing:
            return None
        try:
            return kind(**values)
        except NrtError as error:  # what fields together must be is checked where the dataclass is made
            self.wrong(place, f"{_name(place)}: {error}")
            return None

    def tables(self, name: str, kind: type[T]) -> tuple[T, ...]:
        """The tables of an array, without those that have a mistake."""
        node = self.root.get(name, [])
        if not isinstance(node, list):
            self.wrong((name,), f"{name} is written [[{name}]], once for each")
            return ()
        found = [self.table((name, index), kind) for index in range(len(node))]
        return tuple(each for each in found if each is not None)

    def _value(self, place: Place, value: Any, hint: Any) -> Any:
        origin = get_origin(hint)
        if origin in (Union, types.UnionType):
            (hint,) = (each for each in get_args(hint) if each is not type(None))
            return self._value(place, value, hint)
        if origin is Literal:
            return _one_of(place, value, get_args(hint))
        if origin is tuple:
            return self._tuple(place, value, get_args(hint))
        if origin is not None and issubclass(origin, Mapping):
            of = get_args(hint)[1]
            entries = _typed(place, value, dict, "a table")
            if (
                of is str
            ):  # numbers may be written as such where a text is read later, as in encoding = {pool = 4}
                entries = {
                    key: str(each) if isinstance(each, int | float) else each for key, each in entries.items()
                }
            return {str(key): self._value((*place, key), each, of) for key, each in entries.items()}
        if dataclasses.is_dataclass(hint):
            made = self.table(place, cast(type[Any], hint))
            if made is None:
                raise _Silent
            return made
        if hint in (Path, Secret):
            path = self._path(place, value)
            return path if hint is Path else _secret(place, path)
        if hint not in _PLAIN:
            raise TypeError(f"no way to read {hint}")
        return _PLAIN[hint](place, value)

    def _tuple(self, place: Place, value: Any, of: tuple[Any, ...]) -> tuple[Any, ...]:
        values = _typed(place, value, list, "a list")
        if of[-1] is not Ellipsis and len(values) != len(of):
            raise _Wrong(place, f"must have {len(of)} elements")
        hints = [of[0]] * len(values) if of[-1] is Ellipsis else of
        found: list[Any] = []
        for k, (each, hint) in enumerate(zip(values, hints, strict=True)):
            with contextlib.suppress(_Silent):
                found.append(self._value((*place, k), each, hint))
        if len(found) < len(values):
            raise _Silent
        return tuple(found)

    def _path(self, place: Place, value: Any) -> Path:
        text = os.path.expandvars(_typed(place, value, str, "a path, a text"))
        if missing := re.search(r"\$\{?(\w+)", text):
            raise _Wrong(place, f"names ${missing[1]}, which is not set")
        return self.folder / Path(text).expanduser()


class _Wrong(Exception):
    """A value that is not what it must be; `reason` follows the name of its key."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place, self.reason = place, reason


class _Silent(_Wrong):
    """A table whose mistakes are kept already."""

    def __init__(self) -> None:
        super().__init__((), "")


def _at(root: Mapping[str, Any], place: Place) -> Any:
    node: Any = root
    for part in place:
        node = node[part]
    return node


def _name(place: Place) -> str:
    """As people write it: pipeline 1 is the first [[pipeline]]."""
    names = [f"{part + 1}" if isinstance(part, int) else str(part) for part in place]
    return " ".join(names) or "the file"


def _typed(place: Place, value: Any, kind: type[T], noun: str) -> T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _Wrong(place, f"must be {noun}")
    return value


def _one_of(place: Place, value: Any, words: tuple[Any, ...]) -> Any:
    if value not in words:
        raise _Wrong(place, f"is {value!r}; it can be {', '.join(map(str, words))}")
    return value


def _number(place: Place, value: Any) -> float:
    return float(_typed(place, value, int if isinstance(value, int) else float, "a number"))


def _duration(place: Place, value: Any) -> Duration:
    try:
        return Duration(microseconds(_typed(place, value, str, "a duration, such as 200ms")))
    except ConfigError as error:
        raise _Wrong(place, f"must be a duration, such as 200ms; {value!r} is none") from error


def _size(place: Place, value: Any) -> Size:
    match = _SIZE.fullmatch(_typed(place, value, str, "a size, such as 100MB"))
    if not match:
        raise _Wrong(place, f"must be a size, such as 100MB; {value!r} is none")
    return Size(round(float(match[1]) * _BYTES[match[2]]))


def _secret(place: Place, path: Path) -> Secret:
    try:
        if path.stat().st_size > _LARGEST:
            raise _Wrong(place, f"names {path}, which is too large to be a secret")
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _Wrong(place, f"names {path}: {reason}") from error
    if not text:
        raise _Wrong(place, f"names {path}, which is empty")
    return Secret(text, path)


_PLAIN: Final[Mapping[Any, Callable[[Place, Any], Any]]] = {
    bool: lambda place, value: _typed(place, value, bool, "true or false"),
    int: lambda place, value: _typed(place, value, int, "a whole number"),
    float: _number,
    str: lambda place, value: _typed(place, value, str, "a text"),
    Duration: _duration,
    Size: _size,
}

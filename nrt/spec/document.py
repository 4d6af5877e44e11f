"""A parsed definition that knows in which line each thing stands."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar

from nrt.errors import SpecError
from nrt.spec.lines import locate, nearest
from nrt.spec.schema import Place, check, device_schema

T = TypeVar("T")
Node = Mapping[str, Any]

_PROSE: Final = frozenset(
    {"description", "source", "note", "why", "unit", "meaning", "title", "summary", "on_silicon"}
)
_UNHASHED: Final = frozenset({"energy", "quirks", "vectors", "provenance"})
_LARGEST: Final = 1 << 22
"""Characters of a definition; the longest of ours has 20 thousand."""


@dataclass(frozen=True, slots=True)
class Document:
    """What tomllib made of a definition, and its text, to find the line of a mistake in."""

    path: Path
    root: Node
    text: str

    @classmethod
    def parse(cls, path: Path, text: str) -> Document:
        """Raises SpecError for what is no TOML or does not fit the schema."""
        document = cls(path, _toml(path, text), text)
        for place, reason in check(document.root, device_schema()):
            document.fail(place, reason)
        return document

    def error(self, place: Place, reason: str) -> SpecError:
        """The error for that place; its line is looked for only now, as that takes longer than parsing."""
        return SpecError(self.path, nearest(locate(self.text), place), reason)

    def fail(self, place: Place, reason: str) -> NoReturn:
        """Raises SpecError for that place."""
        raise self.error(place, reason)

    def rows(self, section: str, make: Callable[[str, Node], T]) -> Mapping[str, T]:
        """A section's tables by name, each made into something."""
        tables: Node = self.root.get(section, {})
        return MappingProxyType({name: make(name, node) for name, node in tables.items()})

    def named(self, table: Mapping[str, T], name: str, place: Place, kind: str) -> T:
        """What a name at `place` refers to. Raises SpecError where that is nothing."""
        if name not in table:
            self.fail(place, f"there is no {kind} '{name}'; there is {', '.join(table) or 'none'}")
        return table[name]

    def require_sources(self) -> None:
        """Raises SpecError for a `source` that begins with no name under provenance."""
        self._require_sources(self.root, ())

    def _require_sources(self, node: object, place: Place) -> None:
        if isinstance(node, dict) and isinstance(node.get("source"), str):
            name = node["source"].partition(":")[0]
            self.named(self.root["provenance"], name, (*place, "source"), "provenance")
        parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, part in parts:
            self._require_sources(part, (*place, name))

    def digest(self) -> str:
        """SHA-256 of what a driver and a firmware must agree on, whatever its order in the file."""
        agreed = {name: _bare(value) for name, value in self.root.items() if name not in _UNHASHED}
        text = json.dumps(agreed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _bare(value: object) -> object:
    """Without prose. A table may well be named like prose: a field `source`, say."""
    if isinstance(value, dict):
        return {
            name: _bare(each)
            for name, each in value.items()
            if name not in _PROSE or not isinstance(each, str)
        }
    return [_bare(each) for each in value] if isinstance(value, list) else value


def _toml(path: Path, text: str) -> dict[str, Any]:
    if len(text) > _LARGEST:
        raise SpecError(path, 1, f"{len(text)} characters are too many for a definition")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SpecError(path, 1, "nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        where = re.search(r"\(at line (\d+)", str(error))
        line = int(where[1]) if where else text.count("\n") + 1
        raise SpecError(path, line, re.sub(r" \(at [^)]*\)$", "", str(error))) from None

"""Checks a parsed definition against firmware_specs/schema/device.schema.json.

The schema is ordinary JSON Schema (2020-12), so any tool can use it; this module understands exactly the keywords
that it uses, and refuses a schema with others. It is here rather than a library because it must say where: `check`
yields the path of every mistake, and the caller turns paths into lines. It also takes `1.0` for no integer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

Schema = Mapping[str, Any]
Place = tuple[str | int, ...]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_ANNOTATIONS: Final = frozenset({"$schema", "$id", "$defs", "title", "description"})
_WORDS: Final = {
    "object": "a table",
    "array": "an array",
    "integer": "an integer",
    "boolean": "true or false",
}


@cache
def device_schema() -> Schema:
    """The schema of device definitions."""
    file = resources.files("firmware_specs") / "schema" / "device.schema.json"
    schema: Schema = json.loads(file.read_text(encoding="utf-8"))
    return schema


def check(
    value: object, schema: Schema, root: Schema | None = None, at: Place = ()
) -> Iterator[tuple[Place, str]]:
    """The place of every mistake in `value`, and what it is."""
    root = schema if root is None else root
    if "$ref" in schema:
        yield from check(value, _resolve(schema["$ref"], root), root, at)
        return
    types = schema.get("type", ())
    types = [types] if isinstance(types, str) else types
    if types and not any(_is(value, each) for each in types):
        yield at, f"{_label(at)} must be {' or '.join(_WORDS.get(t, f'a {t}') for t in types)}"
        return
    for keyword, argument in schema.items():
        if keyword in _RULES:
            yield from _RULES[keyword](value, argument, schema, root, at)
        elif keyword not in _ANNOTATIONS and keyword != "type":
            raise NotImplementedError(f"JSON Schema keyword {keyword}")


def _is(value: object, type_name: str) -> bool:
    if isinstance(value, float) and not math.isfinite(value):  # TOML has nan and inf, JSON has not
        return False
    return isinstance(value, _TYPES[type_name]) and (type_name == "boolean" or not isinstance(value, bool))


def _resolve(reference: str, root: Schema) -> Schema:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    resolved: Schema = found
    return resolved


def _label(at: Place) -> str:
    return ".".join(map(str, at)) or "a definition"


def _properties(
    value: Any, argument: Schema, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    for name, sub in argument.items():
        if isinstance(value, dict) and name in value:
            yield from check(value[name], sub, root, (*at, name))


def _required(
    value: Any, argument: Sequence[str], schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    for name in argument:
        if isinstance(value, dict) and name not in value:
            yield at, f"{_label(at)} needs {name}"


def _additional(
    value: Any, argument: Any, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    known = schema.get("properties", {})
    for name in value if isinstance(value, dict) else ():
        if name in known:
            continue
        if argument is False:
            yield (*at, name), f"{_label(at)} has no {name}; it may have {', '.join(known)}"
        else:
            yield from check(value[name], argument, root, (*at, name))


def _names(
    value: Any, argument: Schema, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    for name in value if isinstance(value, dict) else ():
        for _, reason in check(name, argument, root, (*at, name)):
            yield (*at, name), reason


def _items(
    value: Any, argument: Schema, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from check(item, argument, root, (*at, index))


def _enum(
    value: Any, argument: Sequence[Any], schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    if value not in argument:
        yield at, f"{_label(at)} must be one of {', '.join(map(str, argument))}"


def _pattern(
    value: Any, argument: str, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str) and not re.search(argument, value):
        yield at, f"{_label(at)}: {value!r} is not written like {argument}"


def _minimum(
    value: Any, argument: float, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    if isinstance(value, int | float) and not value >= argument:
        yield at, f"{_label(at)} must be at least {argument}"


def _maximum(
    value: Any, argument: float, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    if isinstance(value, int | float) and not value <= argument:
        yield at, f"{_label(at)} must be at most {argument}"


def _min_size(
    value: Any, argument: int, schema: Schema, root: Schema, at: Place
) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str | list | dict) and len(value) < argument:
        yield (
            at,
            f"{_label(at)} must not be empty" if argument == 1 else f"{_label(at)} needs at least {argument}",
        )


_RULES: Final[Mapping[str, Callable[[Any, Any, Schema, Schema, Place], Iterator[tuple[Place, str]]]]] = {
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "minLength": _min_size,
    "minItems": _min_size,
    "minProperties": _min_size,
}

"""Frozen dataclasses as plain dictionaries and back: how results are kept as JSON.

`encode` makes dictionaries, lists, numbers and strings; what is not a number becomes None. `decode` reads them by
the annotations of a dataclass, checks every type on the way, and says where a document differs.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from nrt.errors import ConfigError, NotFound

T = TypeVar("T")


_PLAIN: Final = frozenset({int, str, bool, type(None)})


def encode(value: Any) -> Any:
    """`value` as what JSON can hold."""
    if type(value) in _PLAIN:  # nearly all of a report's are
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read(path: str | Path) -> Any:
    """What a JSON file holds. Raises NotFound, ConfigError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(str(path), f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}") from error


def decode(kind: type[T], value: object, where: str = "") -> T:
    """The dataclass `kind` that `encode` made `value` of; unknown names are left out.

    Raises ConfigError naming the place where the document says something else.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where or 'the document'} must be an object with the fields of a {kind.__name__}")
    hints = get_type_hints(kind)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(cast(Any, kind)):
        place = f"{where}.{field.name}" if where else field.name
        if field.name in value:
            given[field.name] = _read(hints[field.name], value[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{place} is missing")
    return kind(**given)


def _read(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _read(next(each for each in inner if each is not type(None)), value, where)
    if origin is Literal:
        if value not in inner:
            raise ConfigError(f"{where} is {value!r}; it can be {', '.join(map(repr, inner))}")
        return value
    if origin is tuple:
        return _tuple(inner, value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be an object")
        return {str(k): _read(inner[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return decode(cast("type[Any]", hint), value, where)
    if hint is float:
        return _number(value, where)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} is {value!r}; it must be {hint.__name__}")
    return value


def _number(value: object, where: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where} is {value!r}; it must be a number")
    return float(value)


def _tuple(inner: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(f"{where} must be a list")
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_read(inner[0], each, f"{where}[{k}]") for k, each in enumerate(value))
    if len(value) != len(inner):
        raise ConfigError(f"{where} must be a list of {len(inner)}")
    return tuple(
        _read(hint, each, f"{where}[{k}]") for k, (hint, each) in enumerate(zip(inner, value, strict=True))
    )

"""A camera's typed configuration from text: `biases.diff_on:10,clock:EXTERNAL,rate_limiter.reference_period_us:200`.

The types are the library's own dataclasses, so that a setting which a version of it does not have, or a value of
another type, is refused here with what there is.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from nrt.errors import ConfigError
from nrt.registry import TRUTH

Tree = dict[str, Any]
"""Texts by name, and Trees of them for settings of settings."""


def tree(uri: str, text: str, prefix: str = "") -> Tree:
    """The settings in `text`, each `a.b:value` below `prefix`. Raises ConfigError for what is not so written."""
    root: Tree = {}
    for part in filter(None, text.split(",")):
        path, colon, value = part.partition(":")
        names = [*filter(None, prefix.split(".")), *path.split(".")]
        if not (colon and value and all(names)):
            raise ConfigError(f"{uri}: '{part}' is no setting; write NAME:VALUE, separated by commas")
        place = root
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = value
    return root


def merged(first: Tree, second: Tree) -> Tree:
    """Both, `second` where they disagree."""
    out = dict(first)
    for name, value in second.items():
        before = out.get(name)
        both = isinstance(before, dict) and isinstance(value, dict)
        out[name] = merged(before, value) if both else value  # type: ignore[arg-type]
    return out


def build(uri: str, made: Any, settings: Mapping[str, Any], where: str = "") -> Any:
    """An instance of the dataclass `made` with these settings and its defaults for all others. Raises ConfigError."""
    hints = get_type_hints(made)
    fields = {field.name: field for field in dataclasses.fields(made)}
    for name in settings:
        if name not in fields:
            raise ConfigError(f"{uri}: no setting {where}{name}; there is {', '.join(fields)}")
    needed = [
        name
        for name, field in fields.items()
        if name not in settings
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if needed:
        raise ConfigError(f"{uri}: {where.rstrip('.')} needs {' and '.join(needed)} as well")
    return made(**{name: _value(uri, hints[name], given, where + name) for name, given in settings.items()})


def _value(uri: str, hint: Any, given: Any, where: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [each for each in get_args(hint) if each is not type(None)]
        hint = int if int in kinds else kinds[0]
    if dataclasses.is_dataclass(hint):
        if isinstance(given, dict):
            return build(uri, hint, given, f"{where}.")
        names = ", ".join(f"{where}.{field.name}" for field in dataclasses.fields(hint))
        raise ConfigError(f"{uri}: {where} has settings of its own: {names}")
    if isinstance(given, dict):
        raise ConfigError(f"{uri}: {where} is one value, without settings of its own")
    return _scalar(uri, hint, str(given), where)


def _scalar(uri: str, hint: Any, text: str, where: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        if text.upper() in hint.__members__:
            return hint[text.upper()]
        raise ConfigError(f"{uri}: {where} is '{text}'; it is one of {', '.join(hint.__members__)}")
    if hint is bool:
        if text.lower() in TRUTH:
            return TRUTH[text.lower()]
        raise ConfigError(f"{uri}: {where} is '{text}'; write yes or no")
    if hint is int:
        try:
            return int(text, 0)
        except ValueError as error:
            raise ConfigError(f"{uri}: {where} is '{text}'; it is a whole number") from error
    raise ConfigError(f"{uri}: {where} cannot be written in a URI; nrt's filters crop and mask pixels")

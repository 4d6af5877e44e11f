"""The option `biases` of cameras whose pixels are set by currents: `keep`, a set by name, and single ones after it."""

from __future__ import annotations

from nrt.errors import ConfigError
from nrt.spec import Spec


def chosen(uri: str, text: str, spec: Spec, names: tuple[str, ...], table: str) -> dict[str, int]:
    """Register names and the values that they get; none at all for `keep`.

    names: the registers that are biases, in the order of the spec's table of values
    table: that table's name; the option calls `fast_biases` `fast`
    Raises ConfigError for names that the camera does not have and values that do not fit.
    """
    words = [word for word in text.split(",") if word]
    usual = table.removesuffix("_biases")
    values: dict[str, int] = {}
    for word in words:
        name, colon, value = word.partition(":")
        if word == "keep":
            continue
        if word == usual:
            values.update(zip(names, spec.table(table), strict=True))
        elif colon and name in names:
            values[name] = _fitting(uri, name, value, spec)
        else:
            raise ConfigError(
                f"{uri}: biases has '{word}'; write {usual} or keep, and after it NAME:VALUE for {', '.join(names)}"
            )
    return values


def _fitting(uri: str, name: str, value: str, spec: Spec) -> int:
    highest = (1 << spec.register(name).width) - 1
    if not value.isdecimal() or int(value) > highest:
        raise ConfigError(f"{uri}: bias {name} is '{value}'; it is a whole number from 0 to {highest}")
    return int(value)

"""Reading: how a network file is to be understood, as texts, so that it can stand in a command, a configuration, a
package or a report, and be repeated from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, get_type_hints

from nrt import registry
from nrt.errors import ConfigError
from nrt.network import Encoding, Network


@dataclass(frozen=True, slots=True)
class Reading:
    """What is chosen where NIR leaves it open; everything as text.

    like:      a preset (`nrt.network.presets`), None for NIR's own · dt: such as "1ms", None for the preset's
    semantics: fields of `nrt.Semantics` that differ · encoding: fields of `nrt.Encoding`; crop as "x,y,width,height"
    """

    like: str | None = None
    dt: str | None = None
    semantics: Mapping[str, str] = field(default_factory=dict[str, str])
    encoding: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave. Raises ConfigError for names that it has not, and for what is no text."""
        for name, value in values.items():
            if name not in ("like", "dt", "semantics", "encoding"):
                raise ConfigError(f"reading: '{name}' is not known; there is like, dt, semantics, encoding")
            if name in ("like", "dt") and not (value is None or isinstance(value, str)):
                raise ConfigError(f"reading: {name} must be a text")
        return cls(
            values.get("like"),
            values.get("dt"),
            _texts("semantics", values.get("semantics", {})),
            _texts("encoding", values.get("encoding", {})),
        )

    def to_dict(self) -> dict[str, Any]:
        """As texts, None and dictionaries of texts."""
        return {
            "like": self.like,
            "dt": self.dt,
            "semantics": dict(self.semantics),
            "encoding": dict(self.encoding),
        }

    def load(self, path: str | Path) -> Network:
        """The network in `path`. Raises what `Network.load` does."""
        return Network.load(path, like=self.like, dt=self.dt, encoding=self._encoding(), **self.semantics)

    def _encoding(self) -> Encoding | None:
        """The input encoding that is asked for; None where nothing is."""
        if not self.encoding:
            return None
        hints = get_type_hints(Encoding)
        known = [field.name for field in fields(Encoding)]
        values: dict[str, Any] = {}
        for name, text in self.encoding.items():
            if name not in known:
                raise ConfigError(f"encoding has no '{name}'; there is {', '.join(known)}")
            values[name] = (
                _crop(text) if name == "crop" else registry.convert(f"encoding {name}", text, hints[name])
            )
        return Encoding(**values)


def settings(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Texts "name=value" of a command line's `option` as a dictionary. Raises ConfigError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option} {text}: write name=value")
        found[name] = value
    return found


def _texts(what: str, values: object) -> dict[str, str]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"reading: {what} must be a table of texts")
    return {str(name): str(value) for name, value in values.items()}


def _crop(text: str) -> tuple[int, int, int, int]:
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"encoding crop={text}: write crop=x,y,width,height") from error
    return left, top, width, height

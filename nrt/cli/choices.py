"""What a command line says about a network and a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import get_type_hints

from nrt import registry
from nrt.errors import ConfigError
from nrt.network import Encoding, Network


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line says about network and device."""

    network: str
    device: str
    dt: str | None
    like: str | None
    semantics: tuple[str, ...]
    encoding: tuple[str, ...]
    taps: tuple[str, ...]

    def load(self) -> Network:
        """The network, read as chosen."""
        settings = dict(_setting("--set", text) for text in self.semantics)
        return Network.load(
            self.network, like=self.like, dt=self.dt, encoding=_encoding(self.encoding), **settings
        )


def _setting(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{option} {text}: write name=value")
    return name, value


def _encoding(settings: Sequence[str]) -> Encoding | None:
    """The input encoding that `name=value` settings ask for; None where they ask for nothing."""
    if not settings:
        return None
    hints = get_type_hints(Encoding)
    known = [field.name for field in fields(Encoding)]
    values: dict[str, object] = {}
    for text in settings:
        name, value = _setting("--encode", text)
        if name not in known:
            raise ConfigError(f"--encode {name}: there is {', '.join(known)}")
        if name == "crop":
            try:
                left, top, width, height = (int(part) for part in value.split(","))
            except ValueError as error:
                raise ConfigError(f"--encode crop={value}: write crop=x,y,width,height") from error
            values[name] = (left, top, width, height)
        else:
            values[name] = registry.convert(f"--encode {name}", value, hints[name])
    return Encoding(**values)  # type: ignore[arg-type]

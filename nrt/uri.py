"""Uri: a device, source, wire or meter by name, taken apart.

`scheme[+wire]:[//place][?option=value&…]`; `nrt.registry` says what schemes there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from nrt.errors import ConfigError

URI = re.compile(r"(?P<scheme>[a-z][a-z0-9]+)(?:\+(?P<wire>[a-z0-9]+))?:(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI taken apart; `place` is what stands between the colon (and slashes) and the question mark."""

    scheme: str
    wire: str = ""
    place: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Raises ConfigError for what is no URI."""
        match = URI.fullmatch(text)
        if not match:
            raise ConfigError(
                f"'{text}' is no URI; write scheme:, scheme:place or scheme+wire://place?option=value"
            )
        place, _, query = match["rest"].partition("?")
        try:
            plain = query.replace("+", "%2B")  # a plus is no space here: it stands in schemes
            options = dict(parse_qsl(plain, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError as error:
            raise ConfigError(f"'{text}': options are written ?name=value&name=value") from error
        return cls(match["scheme"], match["wire"] or "", unquote(place.removeprefix("//")), options)

    def __str__(self) -> str:
        query = "&".join(f"{k}={v}" for k, v in self.options.items())
        return (
            f"{self.scheme}{'+' + self.wire if self.wire else ''}:{self.place}{'?' + query if query else ''}"
        )

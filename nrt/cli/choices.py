"""What a command line says about a network and a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from nrt.network import Network
from nrt.reading import Reading, settings


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line says about network and device."""

    network: str
    device: str
    reading: Reading
    taps: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        network: str,
        device: str,
        dt: str | None,
        like: str | None,
        semantics: Sequence[str] | None,
        encoding: Sequence[str] | None,
        taps: Sequence[str] | None = None,
    ) -> Self:
        """From the options of a command. Raises ConfigError."""
        reading = Reading(like, dt, settings("--set", semantics or ()), settings("--encode", encoding or ()))
        return cls(network, device, reading, tuple(taps or ()))

    def load(self) -> Network:
        """The network, read as chosen."""
        return self.reading.load(self.network)

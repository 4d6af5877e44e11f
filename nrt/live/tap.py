"""Tap: who listens in where a camera's bytes arrive, before anything is done with them."""

from __future__ import annotations

from typing import Protocol

from nrt.formats.base import Decoder
from nrt.packet import Records


class Tap(Protocol):
    """Told of everything that an `Intake` is told, in the camera's thread; it must not take long."""

    def begin(self, decoder: Decoder | None, resume: tuple[int, int] | None, stamp: int) -> None:
        """A stream begins at host time `stamp`, ns; resume: where one before it ended, as of `Intake`."""
        ...

    def bytes(self, data: bytes, stamp: int) -> None:
        """Bytes arrived."""
        ...

    def events(self, events: Records, stamp: int, lost: int) -> None:
        """Events that somebody else decoded; they are only lent."""
        ...

    def quiet(self, stamp: int) -> None:
        """Nothing has come until now."""
        ...

    def finish(self, stamp: int) -> None:
        """Nothing more comes."""
        ...

"""Silence: whether a camera that sends nothing sees nothing, or does not work any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nrt.errors import DeviceTimeout

PATIENCE: Final = 2_000_000_000
"""ns without a byte that are noticed: many times what a camera that counts time takes between two of its words."""


class Silence:
    """Told of every read. Raises where the protocol promises words; adds up silences where it does not.

    Called from the camera's thread.
    """

    def __init__(self, uri: str, *, promised: bool) -> None:
        self._uri, self._promised = uri, promised
        self._last = 0
        self._total = self._now = 0

    def begin(self, stamp: int) -> None:
        """The camera is about to stream."""
        self._last, self._now = stamp, 0

    def heard(self, stamp: int) -> None:
        """Bytes arrived."""
        self._last = stamp
        self._total += self._now
        self._now = 0

    def quiet(self, stamp: int) -> None:
        """None have arrived until now. Raises DeviceTimeout."""
        silent = stamp - self._last
        if silent < PATIENCE:
            return
        if self._promised:
            raise DeviceTimeout(
                self._uri,
                f"it sent nothing for {silent / 1e9:.0f} s, though it counts time even when it sees nothing; "
                "unplug it and plug it in again",
            )
        self._now = silent

    def counters(self) -> Mapping[str, int]:
        """Milliseconds of silences that were longer than two seconds; only what is not zero."""
        silent = (self._total + self._now) // 1_000_000
        return {"silent ms": silent} if silent else {}

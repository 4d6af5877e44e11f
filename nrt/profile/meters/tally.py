"""From what an instrument shows to laps: counters that wrap, and powers that are integrated over time.

Pure arithmetic, without a clock of its own: whoever reads the instrument says when it did, in s of one clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from nrt.errors import DeviceError
from nrt.profile.meters.base import Lap


class Tally(ABC):
    """Turns readings into laps. name: of the meter, for messages"""

    def __init__(self, name: str) -> None:
        self._name = name
        self._value: float | None = None
        self._seconds = self._since = self._changed = 0.0
        self._joules = self._still = 0.0
        self._samples = self._wraps = 0

    def add(self, seconds: float, value: float) -> None:
        """What the instrument showed at `seconds`. Raises DeviceError for what cannot be."""
        if self._value is None:
            self._since = self._changed = seconds
        else:
            self._still = max(self._still, seconds - self._changed)
            self._joules += self._taken(seconds - self._seconds, self._value, value)
            if value != self._value:
                self._changed = seconds
            self._samples += self._new(value)
        self._seconds, self._value = seconds, value

    def lap(self) -> Lap:
        """Up to the last reading."""
        length = self._seconds - self._since
        lap = Lap(self._joules, length, self._samples, min(self._still, length), self._wraps)
        self._since = self._changed = self._seconds
        self._joules = self._still = 0.0
        self._samples = self._wraps = 0
        return lap

    @abstractmethod
    def _taken(self, seconds: float, before: float, after: float) -> float:
        """J between two readings that are `seconds` apart."""

    @abstractmethod
    def _new(self, value: float) -> int:
        """1 if the reading counts as a sample, else 0."""


class CounterTally(Tally):
    """Of an instrument that counts J. wraps_at: J at which it begins anew at 0; None: never"""

    def __init__(self, name: str, wraps_at: float | None = None) -> None:
        super().__init__(name)
        self._wraps_at = wraps_at

    def _taken(self, seconds: float, before: float, after: float) -> float:
        if after >= before:
            return after - before
        if self._wraps_at is None or before > self._wraps_at:
            raise DeviceError(
                self._name,
                f"the counter went back from {before:.6g} J to {after:.6g} J, and it is not one that wraps; "
                "this window has no figure",
            )
        self._wraps += 1
        return after + self._wraps_at - before

    def _new(self, value: float) -> int:
        return int(value != self._value)


class PowerTally(Tally):
    """Of an instrument that shows W; what lies between two readings is taken as a straight line."""

    def _taken(self, seconds: float, before: float, after: float) -> float:
        return seconds * (before + after) / 2

    def _new(self, value: float) -> int:
        return 1

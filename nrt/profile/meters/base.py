"""What a meter is: channels, and laps of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nrt.profile.energy import Kind


@dataclass(frozen=True, slots=True)
class Channel:
    """One thing that a meter measures, such as a rail. name: for people · boundary: what takes that energy"""

    name: str
    boundary: str


@dataclass(frozen=True, slots=True)
class Lap:
    """What one channel saw since the lap before.

    joules:  taken · seconds: of the host's clock
    samples: how often the meter had something new: values read of a sampling meter, changes of a counter
    still:   longest time in s without a change of the value; `seconds` where it never changed
    wraps:   times that a counter began anew at 0, which is made up for
    lost:    samples that the meter took and that never arrived; their energy is taken as the mean
    """

    joules: float
    seconds: float
    samples: int
    still: float = 0.0
    wraps: int = 0
    lost: int = 0


@runtime_checkable
class Meter(Protocol):
    """An instrument. Life: open → lap… → close; the first lap begins at `open`."""

    @property
    def name(self) -> str:
        """Its URI, for messages."""
        ...

    @property
    def instrument(self) -> str:
        """What it is, for people: the source of its figures."""
        ...

    @property
    def kind(self) -> Kind:
        """ "measured"; "modelled" of an emulated meter."""
        ...

    @property
    def channels(self) -> Sequence[Channel]:
        """What it measures; known once it is open."""
        ...

    @property
    def rate_hz(self) -> float:
        """How often it looks, or renews its counter."""
        ...

    @property
    def samples_counted(self) -> bool:
        """Whether `rate_hz` samples a second are due, so that their count can be checked."""
        ...

    @property
    def shortest_s(self) -> float:
        """The shortest window in which its figure means something."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of its figures must know."""
        ...

    async def open(self) -> None:
        """Acquires it. Raises NotFound, DeviceError, MissingDependency."""
        ...

    async def close(self) -> None:
        """Releases it, in whatever state; may be called twice."""
        ...

    async def lap(self) -> Sequence[Lap]:
        """What each channel saw since the last lap. Raises DeviceLost, DeviceError for figures that cannot be."""
        ...

"""Filters that compare an event with what its pixel, or the pixels around it, did before."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from nrt.filters.base import LONGEST, Filter, Longs, Shape, Stage
from nrt.filters.option import DURATION, WHOLE, choice, option


def _clock() -> Longs:
    return np.zeros(3, np.int64)


@dataclasses.dataclass(frozen=True, slots=True)
class Background(Filter):
    """Keeps an event if one of its pixel's 8 neighbours had an event, of either polarity, less than `time` before.

    The events that it takes out support their neighbours too; a pixel does not support itself. At the border there
    are fewer neighbours.
    """

    name: ClassVar[str] = "background"
    origin: ClassVar[str] = (
        "Delbruck, Frame-free dynamic digital vision, 2008 (BackgroundActivityFilter of jAER)"
    )

    time: int = option(DURATION, "how long an event supports its neighbours", 5_000)

    def __post_init__(self) -> None:
        """Raises ConfigError for a time that no event could meet."""
        self._check(0 < self.time <= LONGEST, "the time must lie between 1us and 35min")

    def start(self, shape: Shape | None) -> Stage:
        from nrt.filters import kernels

        width, height = self._size(shape)
        near = np.zeros((height + 2) * (width + 2), np.uint32)
        return self._stage(kernels.background, near, _clock(), width, height, self.time)


@dataclasses.dataclass(frozen=True, slots=True)
class Refractory(Filter):
    """Keeps an event if at least `time` has passed since the last event of its pixel.

    With `since=passed` that is the last one that it kept: a busy pixel still sends one each `time`, as it does with the
    sensor's own refractory period. With `since=any` it is the last one at all: a pixel that never pauses falls silent.
    """

    name: ClassVar[str] = "refractory"
    origin: ClassVar[str] = (
        "Lichtsteiner et al., IEEE JSSC 43, 2008 (passed); RefractoryFilter of jAER, libcaer (any)"
    )

    time: int = option(DURATION, "how long a pixel is silenced", 1_000)
    since: str = option(choice("passed", "any"), "passed or any", "passed")

    def __post_init__(self) -> None:
        """Raises ConfigError for a time that is none."""
        self._check(0 < self.time <= LONGEST, "the time must lie between 1us and 35min")

    def start(self, shape: Shape | None) -> Stage:
        from nrt.filters import kernels

        width, height = self._size(shape)
        last = np.zeros(height * width, np.uint32)
        return self._stage(kernels.refractory, last, _clock(), width, height, self.time, self.since == "any")


@dataclasses.dataclass(frozen=True, slots=True)
class Hot(Filter):
    """Takes out the events of pixels that had `count` events or more while it learnt.

    With `learn=once` it learns in the first `time` of the stream, during which nothing goes, and keeps to it. With
    `learn=always` windows of `time` follow one another from the first event on, and each holds for the next one.
    """

    name: ClassVar[str] = "hot"
    origin: ClassVar[str] = "hot pixel learning of libcaer's DVS noise filter (whose count is 10000)"

    time: int = option(DURATION, "how long it learns", 1_000_000)
    count: int = option(WHOLE, "events in that time that make a pixel hot", 1_000)
    learn: str = option(choice("once", "always"), "once or always", "once")

    def __post_init__(self) -> None:
        """Raises ConfigError for no time or no events."""
        self._check(0 < self.time < 2**60, "the time must be at least 1us")
        self._check(0 < self.count < 2**31, "the count must be at least 1")

    def start(self, shape: Shape | None) -> Stage:
        from nrt.filters import kernels

        width, height = self._size(shape)
        settings = (_clock(), width, height, self.time, self.count)
        if self.learn == "once":
            counts = np.zeros(height * width, np.int32)
            return self._stage(kernels.hot_once, counts, *settings, also=["hot pixels"])
        pixels = np.zeros(2 * height * width, np.int64)
        return self._stage(kernels.hot_always, pixels, *settings, also=["hot pixels"])


@dataclasses.dataclass(frozen=True, slots=True)
class Antiflicker(Filter):
    """Takes out the events of pixels that flicker at a frequency between `low` and `high`.

    A cycle of a pixel begins with its first ON event after an OFF event; its length is the time until the next one
    begins. A cycle in the band is regular if it follows none in the band, or one whose length differs by `jitter` at
    most; another one in the band is the first of a new row. The event that makes `periods` regular cycles in a row,
    and all of its pixel from there on, goes, until a cycle is not regular or lasts longer than the band allows.
    """

    name: ClassVar[str] = "antiflicker"
    origin: ClassVar[str] = (
        "after the parameters of AntiFlickerAlgorithm in Prophesee's Metavision SDK, per pixel"
    )

    low: int = option(WHOLE, "lowest frequency, Hz", 90)
    high: int = option(WHOLE, "highest frequency, Hz", 130)
    periods: int = option(WHOLE, "regular cycles before events go (filter length)", 7)
    jitter: int = option(DURATION, "most that cycles in a row may differ", 300)

    def __post_init__(self) -> None:
        """Raises ConfigError for a band that holds no frequency."""
        self._check(0 < self.low <= self.high <= 1_000_000, "it must hold 1 <= low <= high <= 1000000")
        self._check(0 < self.periods <= 1_000, "the number of periods must lie between 1 and 1000")
        self._check(0 <= self.jitter < 2**60, "the jitter must not be negative")

    def start(self, shape: Shape | None) -> Stage:
        from nrt.filters import kernels

        width, height = self._size(shape)
        band = (1_000_000 // self.high, -(-1_000_000 // self.low))
        pixels = np.zeros(2 * height * width, np.uint32)
        return self._stage(kernels.flicker, pixels, _clock(), width, height, *band, self.jitter, self.periods)

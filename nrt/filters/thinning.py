"""Filters that let fewer events through on purpose, without judging them."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from nrt.filters.base import Filter, Shape, Stage
from nrt.filters.option import DURATION, QUANTITY, WHOLE, choice, option


@dataclasses.dataclass(frozen=True, slots=True)
class Downsample(Filter):
    """factor x factor pixels become one, and `count` of their events become one.

    With `polarity=sum` a block adds 1 for ON and takes 1 away for OFF; when that reaches count or -count it sends an ON
    or an OFF event and starts again from 0. With `polarity=split` it counts ON and OFF each for itself. By default
    (factor x factor, sum) it sends what one pixel of its area would: an event for each step of the block's mean log
    intensity. An event has the time of the last that made it. For every event at its block's address, see bin.
    """

    name: ClassVar[str] = "downsample"
    origin: ClassVar[str] = (
        "the integrator of Ghosh et al., ICONS 2023 (doi 10.1145/3589737.3605994), event by event"
    )

    factor: int = option(WHOLE, "pixels across and down that become one")
    count: int = option(WHOLE, "events that become one; 0: factor x factor", 0)
    polarity: str = option(choice("sum", "split"), "sum or split", "sum")

    def __post_init__(self) -> None:
        """Raises ConfigError for factors and counts that cannot be."""
        self._check(1 <= self.factor < 1 << 15, "the factor must be at least 1")
        self._check(0 <= self.count < 1 << 30, "the count must not be negative")

    def shape(self, shape: Shape | None) -> Shape | None:
        width, height = self._size(shape)
        return (shape[0] if shape else 2, -(-height // self.factor), -(-width // self.factor))

    def start(self, shape: Shape | None) -> Stage:
        from nrt.filters import kernels

        width, height = self._size(shape)
        _, rows, columns = self.shape(shape) or (2, 0, 0)
        sums = np.zeros(2 * rows * columns, np.int32)
        count = self.count or self.factor**2
        return self._stage(kernels.combine, sums, width, height, self.factor, count, self.polarity == "sum")


@dataclasses.dataclass(frozen=True, slots=True)
class Rate(Filter):
    """Keeps the mean rate at `limit` or below: in no window do more events stay than the limit allows.

    Windows follow one another from the first event on. Of each, an event stays with the chance limit x window / events
    of the window before (at most 1), drawn from `seed`, the same for all pixels and both polarities. When as many
    have stayed as may, which is where the rate rises, the rest of that window goes.
    """

    name: ClassVar[str] = "rate"
    origin: ClassVar[str] = (
        "after the Event Rate Controller of Prophesee's sensors (Finateu et al., ISSCC 2020)"
    )

    limit: int = option(QUANTITY, "events per second")
    window: int = option(DURATION, "how long the windows are", 1_000)
    seed: int = option(WHOLE, "of the draw", 0)

    def __post_init__(self) -> None:
        """Raises ConfigError for a limit of less than one event in a window."""
        self._check(self.window > 0 and self.limit > 0, "limit and window must be more than 0")
        self._check(
            self.limit * self.window >= 1_000_000, "less than one event in a window; choose a longer window"
        )
        self._check(self.limit * self.window < 2**60, "the window is too long")

    def start(self, shape: Shape | None) -> Stage:
        from nrt.filters import kernels

        first = self.seed * 0xD1342543DE82EF95 % 2**62  # far apart for seeds that are close
        clock, chance = np.zeros(7, np.int64), np.ones(1)
        return self._stage(kernels.limit, clock, chance, self.limit, self.window, first)

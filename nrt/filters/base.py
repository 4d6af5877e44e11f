"""What a filter is: settings without state, and the stage of a running stream that it starts."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.filters import option

Shape = tuple[int, int, int]
"""(polarities, height, width)."""
Longs = NDArray[np.int64]

LONGEST: Final = 2**31 - 1
"""The longest time that filters remember, µs: 35 minutes, so that it fits their 32 bits."""
PIXELS: Final = 1 << 24
"""The largest sensor that filters keep state for; a damaged header can claim more."""
OUTSIDE: Final = "outside the sensor"
UNTOLD: Final = ""
"""Labels of what a stage counts; UNTOLD is its own affair."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """One pass over the events of every packet, and what it remembers between them.

    kernel, arguments: called as kernel(words, *arguments, gone); see `nrt.filters.kernels`
    gone, labels:      what it has counted, and under which names
    """

    kernel: Callable[..., np.int64]
    arguments: tuple[Any, ...]
    gone: Longs
    labels: Sequence[str]

    def __call__(self, words: NDArray[np.uint64]) -> int:
        """How many events stay; they are the first of `words` now."""
        return int(self.kernel(words, *self.arguments, self.gone))


class Filter(ABC):
    """Settings of one filter; a frozen dataclass whose fields are its options (`nrt.filters.option`).

    name: how a URI calls it · origin: where its definition was published
    """

    name: ClassVar[str]
    origin: ClassVar[str]

    @classmethod
    def options(cls) -> tuple[dataclasses.Field[Any], ...]:
        """What a URI can set, in the order in which it does."""
        return dataclasses.fields(cls)  # type: ignore[arg-type]  # every filter is a dataclass

    @classmethod
    def usage(cls) -> str:
        """How a URI names it, with the names of its options: `crop:x:y:width:height`."""
        return ":".join([cls.name, *(field.name for field in cls.options())])

    def shape(self, shape: Shape | None) -> Shape | None:
        """The sensor as it looks behind the filter. Raises ConfigError for one that the filter cannot be put on."""
        return shape

    @abstractmethod
    def start(self, shape: Shape | None) -> Stage:
        """A stage for a stream that begins. Raises ConfigError."""

    def __str__(self) -> str:
        """As a URI names it, with every option."""
        return ":".join([self.name, *(option.write(f, getattr(self, f.name)) for f in self.options())])

    def _check(self, holds: bool, demand: str) -> None:
        if not holds:
            raise ConfigError(f"filter {self}: {demand}")

    def _size(self, shape: Shape | None) -> tuple[int, int]:
        """(width, height) of a sensor whose pixels have state. Raises ConfigError without one, and for a huge one."""
        if shape is None:
            raise ConfigError(
                f"filter {self.name} must know the sensor's size, which this source does not tell; "
                "put crop:0:0:WIDTH:HEIGHT before it"
            )
        if shape[1] * shape[2] > PIXELS:
            raise ConfigError(
                f"filter {self.name}: a sensor of {shape[2]}x{shape[1]} pixels is more than any there is; "
                "put a crop before it"
            )
        return shape[2], shape[1]

    def _stage(self, kernel: Callable[..., np.int64], *arguments: Any, also: Sequence[str] = ()) -> Stage:
        labels = (f"removed by {self.name}", OUTSIDE, *also)
        return Stage(kernel, arguments, np.zeros(len(labels), np.int64), labels)

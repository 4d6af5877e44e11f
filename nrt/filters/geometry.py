"""Filters that look at one event alone: where it lies and which polarity it has.

Whatever a row of them does is one table per axis, so that neighbours in a chain are folded into a single pass.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nrt.filters.base import OUTSIDE, UNTOLD, Filter, Shape, Stage
from nrt.filters.option import WHOLE, choice, option

Table = NDArray[np.int32]
MOST = 1 << 16
"""Columns and rows that an event can name."""


class Map:
    """Where the events of a sensor go: a table for each axis of the input, applied in the order of a chain."""

    def __init__(self, shape: Shape | None) -> None:
        _, height, width = shape or (2, MOST, MOST)
        self.x: Table = np.arange(width, dtype=np.int32)
        self.y: Table = np.arange(height, dtype=np.int32)
        self.p: Table = np.arange(2, dtype=np.int32)
        self.swap = False

    def across(self, table: Table) -> None:
        """What is at x now comes to table[x]."""
        if self.swap:
            self.y = _then(self.y, table)
        else:
            self.x = _then(self.x, table)

    def down(self, table: Table) -> None:
        """What is at y now comes to table[y]."""
        if self.swap:
            self.x = _then(self.x, table)
        else:
            self.y = _then(self.y, table)

    def polarities(self, off: int, on: int) -> None:
        """OFF events get polarity `off`, ON events `on`."""
        self.p = _then(self.p, np.array([off, on], np.int32))


def _then(first: Table, second: Table) -> Table:
    """`first` and then `second`; what `first` takes out stays out."""
    return np.where(first < 0, first, second[np.maximum(first, 0)]).astype(np.int32)


class Geometry(Filter):
    """A filter that a `Map` can express."""

    @abstractmethod
    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        """Adds itself to `map`, which has the sensor look like `shape` so far. out: an entry that takes events out."""

    def start(self, shape: Shape | None) -> Stage:
        return fold([self], shape)


def fold(filters: Sequence[Geometry], shape: Shape | None) -> Stage:
    """One stage for all of `filters`. Raises ConfigError."""
    from nrt.filters import kernels

    map, labels = Map(shape), [f"removed by {each.name}" for each in filters]
    for k, each in enumerate(filters):
        behind = each.shape(shape)
        each.onto(map, shape, -1 - k)
        shape = behind
    gone = np.zeros(len(filters) + 2, np.int64)
    return Stage(kernels.remap, (map.x, map.y, map.p, map.swap), gone, (*labels, UNTOLD, OUTSIDE))


@dataclasses.dataclass(frozen=True, slots=True)
class Crop(Geometry):
    """Keeps the events of a rectangle, whose corner becomes x 0, y 0.

    Where a source does not tell its sensor's size, crop:0:0:WIDTH:HEIGHT does.
    """

    name: ClassVar[str] = "crop"
    origin: ClassVar[str] = "the region of interest of every camera; as nrt's input encoding counts it"

    x: int = option(WHOLE, "left column")
    y: int = option(WHOLE, "top row")
    width: int = option(WHOLE, "columns")
    height: int = option(WHOLE, "rows")

    def __post_init__(self) -> None:
        """Raises ConfigError for a rectangle without pixels, or beyond what an event can name."""
        self._check(min(self.x, self.y) >= 0 and min(self.width, self.height) > 0, "it must hold a pixel")
        self._check(max(self.x + self.width, self.y + self.height) <= MOST, "x and y end at 65535")

    def shape(self, shape: Shape | None) -> Shape | None:
        if shape is not None:
            fits = self.x + self.width <= shape[2] and self.y + self.height <= shape[1]
            self._check(fits, f"it reaches beyond the {shape[2]}x{shape[1]} pixels there are")
        return (shape[0] if shape else 2, self.height, self.width)

    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        _, height, width = shape or (2, MOST, MOST)
        map.across(_window(width, self.x, self.width, out))
        map.down(_window(height, self.y, self.height, out))


def _window(size: int, first: int, count: int, out: int) -> Table:
    table = np.full(size, out, np.int32)
    table[first : first + count] = np.arange(count)
    return table


@dataclasses.dataclass(frozen=True, slots=True)
class Flip(Geometry):
    """Mirrors the picture: x flips left and right, y top and bottom, xy both."""

    name: ClassVar[str] = "flip"
    origin: ClassVar[str] = "numpy.flip of the picture"

    axis: str = option(choice("x", "y", "xy"), "x, y or xy")

    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        width, height = self._size(shape)
        if "x" in self.axis:
            map.across(_backwards(width))
        if "y" in self.axis:
            map.down(_backwards(height))


def _backwards(size: int) -> Table:
    return np.arange(size - 1, -1, -1, dtype=np.int32)


@dataclasses.dataclass(frozen=True, slots=True)
class Rotate(Geometry):
    """Turns the picture clockwise, as it is seen with y growing downwards."""

    name: ClassVar[str] = "rotate"
    origin: ClassVar[str] = "numpy.rot90(picture, -degrees / 90)"

    degrees: str = option(choice("90", "180", "270"), "90, 180 or 270")

    def shape(self, shape: Shape | None) -> Shape | None:
        width, height = self._size(shape)
        polarities = shape[0] if shape else 2
        return (polarities, height, width) if self.degrees == "180" else (polarities, width, height)

    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        width, height = self._size(shape)
        if self.degrees != "90":
            map.across(_backwards(width))
        if self.degrees != "270":
            map.down(_backwards(height))
        map.swap ^= self.degrees != "180"


@dataclasses.dataclass(frozen=True, slots=True)
class Transpose(Geometry):
    """Columns become rows: x and y change places."""

    name: ClassVar[str] = "transpose"
    origin: ClassVar[str] = "numpy.transpose of the picture"

    def shape(self, shape: Shape | None) -> Shape | None:
        return shape and (shape[0], shape[2], shape[1])

    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        map.swap = not map.swap


@dataclasses.dataclass(frozen=True, slots=True)
class Bin(Geometry):
    """factor x factor pixels become one; every event stays. For fewer events as well, see downsample.

    The last column or row of blocks is narrower where the size is no multiple of the factor.
    """

    name: ClassVar[str] = "bin"
    origin: ClassVar[str] = "Downsample of tonic (spatial_factor)"

    factor: int = option(WHOLE, "pixels across and down that become one")

    def __post_init__(self) -> None:
        """Raises ConfigError for a factor that is none."""
        self._check(1 <= self.factor < MOST, "the factor must be at least 1")

    def shape(self, shape: Shape | None) -> Shape | None:
        return shape and (shape[0], -(-shape[1] // self.factor), -(-shape[2] // self.factor))

    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        _, height, width = shape or (2, MOST, MOST)
        map.across(np.arange(width, dtype=np.int32) // self.factor)
        map.down(np.arange(height, dtype=np.int32) // self.factor)


@dataclasses.dataclass(frozen=True, slots=True)
class Polarity(Geometry):
    """Keeps the ON events, or the OFF events; or makes all of them one polarity (p 0); or swaps the two."""

    name: ClassVar[str] = "polarity"
    origin: ClassVar[str] = "PolarityFilter of OpenEB (on, off), MergePolarities of tonic (merge)"

    keep: str = option(choice("on", "off", "merge", "swap"), "on, off, merge or swap")

    def shape(self, shape: Shape | None) -> Shape | None:
        return shape and (1 if self.keep == "merge" else shape[0], *shape[1:])

    def onto(self, map: Map, shape: Shape | None, out: int) -> None:
        map.polarities(*{"on": (out, 1), "off": (0, out), "merge": (0, 0), "swap": (1, 0)}[self.keep])

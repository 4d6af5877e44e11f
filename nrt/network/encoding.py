"""Input encoding: which input neuron an event drives, and by how much. A recorded choice, never a guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.packet import Records

Values = Literal["count", "binary"]
Polarity = Literal["split", "merge", "on", "off"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How events become input of one step.

    values:   "count": every event adds 1 to its input neuron; "binary": at most 1 a step
    polarity: "split": channel = p (OFF 0, ON 1); "merge": both into channel 0; "on", "off": only that one
    swap:     with "split", ON is channel 0 (as some data sets have it)
    crop:     (x, y, width, height) of the sensor that is seen; None for all of it
    pool:     n x n pixels become one (applied after the crop)
    """

    values: Values = "count"
    polarity: Polarity = "split"
    swap: bool = False
    crop: tuple[int, int, int, int] | None = None
    pool: int = 1

    def __post_init__(self) -> None:
        """Raises ConfigError for choices that cannot be."""
        if self.pool < 1:
            raise ConfigError(f"pool is {self.pool}; it is how many pixels become one, at least 1")
        if self.crop is not None and (len(self.crop) != 4 or min(self.crop[2:]) < 1):
            raise ConfigError(f"crop is {self.crop}; it is (x, y, width, height), at least one pixel")
        for name, hint in (("values", Values), ("polarity", Polarity)):
            if getattr(self, name) not in get_args(hint):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it can be {', '.join(get_args(hint))}")

    @property
    def channels(self) -> int:
        """Channels of the input population that this fills."""
        return 2 if self.polarity == "split" else 1

    def input_shape(self, sensor: tuple[int, int, int]) -> tuple[int, int, int]:
        """Shape (C, H, W) of the input that a sensor of `(P, H, W)` fills."""
        _, height, width = sensor
        if self.crop is not None:
            width, height = self.crop[2:]
        return (self.channels, -(-height // self.pool), -(-width // self.pool))

    def check(self, sensor: tuple[int, int, int], inputs: tuple[int, ...]) -> None:
        """Raises ConfigError unless a sensor of shape `sensor` fits an input population of shape `inputs`."""
        target = volume(inputs)
        if self.channels != target[0]:
            raise ConfigError(
                f"the network's input has {target[0]} channel(s), "
                f"the encoding '{self.polarity}' fills {self.channels}; "
                f"choose polarity {'split' if target[0] == 2 else 'merge, on or off'}"
            )
        _, height, width = self.input_shape(sensor)
        if height > target[1] or width > target[2]:
            pool = max(-(-sensor[1] // target[1]), -(-sensor[2] // target[2]))
            raise ConfigError(
                f"the events come from {sensor[2]}x{sensor[1]} pixels and the network sees "
                f"{target[2]}x{target[1]}; choose a crop or pool={pool}"
            )

    def index(self, events: Records, inputs: tuple[int, ...]) -> NDArray[np.int64]:
        """The input neuron of each event, int64[n]; -1 what crop or polarity leaves out, -2 outside the input."""
        channels, height, width = volume(inputs)
        x, y, p = (events[name].astype(np.int64) for name in ("x", "y", "p"))
        seen = np.ones(len(events), np.bool_)
        if self.crop is not None:
            left, top, crop_width, crop_height = self.crop
            x, y = x - left, y - top
            seen &= (x >= 0) & (x < crop_width) & (y >= 0) & (y < crop_height)
        if self.polarity in ("on", "off"):
            seen &= p == (self.polarity == "on")
        x, y = x // self.pool, y // self.pool
        channel = (p ^ 1 if self.swap else p) if self.polarity == "split" else np.zeros_like(p)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (channel < channels)
        flat = (channel * height + y) * width + x
        result: NDArray[np.int64] = np.where(seen, np.where(inside, flat, -2), -1)
        return result


def volume(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A population's shape as (C, H, W): (N,) is one row of N, (H, W) is one channel."""
    if len(shape) > 3:
        raise ConfigError(f"a population of shape {shape} has more than three dimensions")
    padded = (1,) * (3 - len(shape)) + tuple(shape)
    return (padded[0], padded[1], padded[2])

"""Moving objects: bar, discs, and what they are part of."""

from __future__ import annotations

import numpy as np

from nrt.errors import ConfigError
from nrt_sim.scenes.path import Path, cosine, sine
from nrt_sim.scenes.scene import Frame, Scene, Truth

DIRECTIONS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")
"""Eight labels, in steps of 45° clockwise from the right."""


def check_light(light: float, background: float) -> None:
    """Raises ConfigError unless both are positive and finite."""
    if not (0 < light < np.inf and 0 < background < np.inf):
        raise ConfigError(
            f"light {light} lux before {background} lux; both must be positive (dark is 0.1, not 0)"
        )


def direction(degrees: float) -> str:
    """The name of a direction, degrees clockwise from the right."""
    return DIRECTIONS[round(degrees / 45) % 8]


class MovingBar(Scene):
    """A bar that crosses the view and comes again.

    speed: pixels/s · degrees: direction of motion, clockwise from the right · width, length: pixels, along and across
    the motion; length 0: without end · light, background: lux
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        speed: float = 250.0,
        degrees: float = 0.0,
        width: float = 4.0,
        length: float = 0.0,
        light: float = 500.0,
        background: float = 50.0,
    ) -> None:
        super().__init__(shape)
        check_light(light, background)
        if not (0 < width < np.inf and 0 <= length < np.inf and abs(speed) < np.inf):
            raise ConfigError(f"a bar {width} pixels wide at {speed} pixels/s")
        self._speed, self._width, self._length = speed, width, length
        self._light, self._background = light, background
        turns = degrees / 360
        self._step = (cosine(turns), sine(turns))
        self._label = direction(degrees)
        y, x = np.mgrid[: self.shape[0], : self.shape[1]] + 0.5 - np.array(self.shape)[:, None, None] / 2
        self._along = np.asarray(x * self._step[0] + y * self._step[1], np.float32)
        across = np.abs(np.asarray(y * self._step[0] - x * self._step[1], np.float32))
        self._across = np.clip(length / 2 + 0.5 - across, 0, 1) if length else np.ones(self.shape, np.float32)
        self._reach = float(np.abs(self._along).max()) + width / 2 + 1
        self._cover = np.empty(self.shape, np.float32)

    @property
    def labels(self) -> tuple[str, ...]:
        return (self._label,)

    def frame(self, t: int, out: Frame) -> None:
        self.cover(t, out)
        out *= self._light - self._background
        out += self._background

    def cover(self, t: int, out: Frame) -> None:
        np.subtract(self._along, self._position(t), out=out)
        np.abs(out, out=out)
        np.subtract(self._width / 2 + 0.5, out, out=out)
        np.clip(out, 0, min(1.0, self._width), out=out)
        out *= self._across

    def truth(self, t: int) -> list[Truth]:
        at = self._position(t)
        (dx, dy), (height, width) = self._step, self.shape
        return [
            Truth(self._label, width / 2 + at * dx, height / 2 + at * dy, self._speed * dx, self._speed * dy)
        ]

    def _position(self, t: int) -> float:
        """Of the bar's middle along its way, from the middle of the view."""
        return (self._speed * t * 1e-6) % (2 * self._reach) - self._reach


class Disc(Scene):
    """A disc of `radius` pixels that follows `path`; with `growth` it looms: radius·exp(growth·t), at most the view.

    light, background: lux
    """

    def __init__(
        self,
        shape: tuple[int, int],
        path: Path,
        *,
        radius: float = 5.0,
        growth: float = 0.0,
        light: float = 500.0,
        background: float = 50.0,
        label: str = "disc",
    ) -> None:
        super().__init__(shape)
        check_light(light, background)
        if not 0 < radius < np.inf:
            raise ConfigError(f"a disc of radius {radius} pixels; it must be positive")
        self._path, self._radius, self._growth = path, radius, growth
        self._light, self._background, self._label = light, background, label

    @property
    def labels(self) -> tuple[str, ...]:
        return (self._label,)

    def frame(self, t: int, out: Frame) -> None:
        self.cover(t, out)
        out *= self._light - self._background
        out += self._background

    def cover(self, t: int, out: Frame) -> None:
        out.fill(0)
        paint(out, *self._path.at(t), self._radius)

    def truth(self, t: int) -> list[Truth]:
        return [Truth(self._label, *self._path.at(t), *self._path.velocity(t))]


def paint(out: Frame, x: float, y: float, radius: float) -> None:
    """Covers a disc, as far as it lies in view; only its square is touched."""
    height, width = out.shape
    top, bottom = max(int(y - radius - 1), 0), min(int(y + radius + 2), height)
    left, right = max(int(x - radius - 1), 0), min(int(x + radius + 2), width)
    if top >= bottom or left >= right:
        return
    dy = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y)
    dx = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x)
    distance = np.sqrt(dy[:, None] ** 2 + dx**2)
    part = np.clip(np.float32(radius + 0.5) - distance, 0, 1)
    np.maximum(out[top:bottom, left:right], part, out=out[top:bottom, left:right])

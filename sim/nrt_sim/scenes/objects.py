"""Moving objects: a bar, discs, one that looms, several with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrt.errors import ConfigError
from nrt.jit import jit
from nrt_sim.scenes.path import Path, Still, cosine, sine
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
    """A disc of `radius` pixels that follows `path`; light, background: lux."""

    def __init__(
        self,
        shape: tuple[int, int],
        path: Path,
        *,
        radius: float = 5.0,
        light: float = 500.0,
        background: float = 50.0,
        label: str = "disc",
    ) -> None:
        super().__init__(shape)
        check_light(light, background)
        if not 0 < radius < np.inf:
            raise ConfigError(f"a disc of radius {radius} pixels; it must be positive")
        self._path, self._radius = path, radius
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
        paint(out, *self._path.at(t), self.radius(t))

    def draw(self, t: int, out: Frame) -> None:
        """Paints the disc alone over what is there."""
        paint(out, *self._path.at(t), self.radius(t), self._light)

    def radius(self, t: int) -> float:
        """In pixels, at time t."""
        return self._radius

    def truth(self, t: int) -> list[Truth]:
        return [Truth(self._label, *self._path.at(t), *self._path.velocity(t))]


class Looming(Disc):
    """A dark disc on a collision course, seen from ahead; after the collision it starts over.

    size: half the object's size over its distance at the start, times the focal length, in pixels · contact: µs to
    the collision, at which the next one begins (radius = size·contact/(contact - t), up to the view's diagonal)
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        size: float = 4.0,
        contact: int = 1_000_000,
        light: float = 50.0,
        background: float = 500.0,
    ) -> None:
        centre = (shape[1] / 2, shape[0] / 2)
        super().__init__(
            shape, Still(*centre), radius=size, light=light, background=background, label="looming"
        )
        if contact < 1:
            raise ConfigError(f"a collision in {contact} µs; it must lie ahead")
        self._contact = contact
        self._largest = float(np.hypot(*shape)) / 2 + 1

    def radius(self, t: int) -> float:
        left = self._contact - t % self._contact
        return min(self._radius * self._contact / left, self._largest)


class Objects(Scene):
    """Several labelled discs in front of a background, each on its path; later ones lie in front."""

    def __init__(self, shape: tuple[int, int], discs: Sequence[Disc], *, background: float = 50.0) -> None:
        super().__init__(shape)
        check_light(background, background)
        if any(disc.shape != self.shape for disc in discs):
            raise ConfigError("all objects must be made for the shape of the scene")
        self._discs, self._background = list(discs), background

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(label for disc in self._discs for label in disc.labels))

    def frame(self, t: int, out: Frame) -> None:
        out.fill(self._background)
        for disc in self._discs:
            disc.draw(t, out)

    def truth(self, t: int) -> list[Truth]:
        return [truth for disc in self._discs for truth in disc.truth(t)]


@jit
def paint(out: Frame, x: float, y: float, radius: float, light: float = 1.0) -> None:
    """Paints a disc of `light` over what is there, as far as it lies in view; only its square is touched."""
    height, width = out.shape
    for j in range(max(int(y - radius - 1), 0), min(int(y + radius + 2), height)):
        for i in range(max(int(x - radius - 1), 0), min(int(x + radius + 2), width)):
            dx, dy = i + 0.5 - x, j + 0.5 - y
            part = min(max(radius + 0.5 - np.sqrt(dx * dx + dy * dy), 0.0), 1.0)
            out[j, i] = np.float32(out[j, i] + part * (light - out[j, i]))

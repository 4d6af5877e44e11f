"""Scene: a function of time to light.

A scene is asked for the illuminance of every pixel at any time, in µs: no frame rate is baked in. Pixel (x, y) covers
the square from (x, y) to (x + 1, y + 1), y downwards, and edges are drawn with the part of the pixel that they cover,
so that things move by fractions of pixels.

Scenes combine: `a + b` adds their light, `a * b` filters one through the other, `a.over(b)` puts what `a` covers in
front of `b`. What can be recognised in a scene it also tells: `truth(t)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt_sim.scenes.path import sine

Frame = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Truth:
    """One object in view. x, y: its centre in pixels · vx, vy: its velocity in pixels per second."""

    label: str
    x: float
    y: float
    vx: float = 0.0
    vy: float = 0.0


class Scene(ABC):
    """What a sensor of `shape` (height, width) looks at."""

    def __init__(self, shape: tuple[int, int]) -> None:
        height, width = shape
        if not (1 <= height <= 4096 and 1 <= width <= 4096):
            raise ConfigError(f"a scene of {width}x{height} pixels; each side must lie between 1 and 4096")
        self.shape = (int(height), int(width))

    @abstractmethod
    def frame(self, t: int, out: Frame) -> None:
        """Writes the illuminance at time t (µs) into `out`, float32 lux (height, width), all of it."""

    def cover(self, t: int, out: Frame) -> None:
        """Writes which part of each pixel the scene hides of what is behind it, 0 to 1."""
        out.fill(1.0)

    def truth(self, t: int) -> list[Truth]:
        """The objects at time t."""
        return []

    @property
    def labels(self) -> Sequence[str]:
        """The labels that its truth can name."""
        return ()

    def close(self) -> None:
        """Releases files and devices, where it has any."""

    def picture(self, t: int) -> Frame:
        """The frame at time t in a new array."""
        out = np.empty(self.shape, np.float32)
        self.frame(t, out)
        return out

    def over(self, back: Scene) -> Scene:
        """This scene in front of `back`."""
        return _Over(self, back)

    def __add__(self, other: Scene) -> Scene:
        return _Sum(self, other)

    def __mul__(self, other: Scene) -> Scene:
        return _Product(self, other)


class _Pair(Scene):
    """Two scenes of one shape, combined."""

    def __init__(self, front: Scene, back: Scene) -> None:
        super().__init__(front.shape)
        if front.shape != back.shape:
            raise ConfigError(f"scenes of shapes {front.shape} and {back.shape} cannot be combined")
        self._front, self._back = front, back
        self._light = np.empty(self.shape, np.float32)

    def truth(self, t: int) -> list[Truth]:
        return [*self._front.truth(t), *self._back.truth(t)]

    @property
    def labels(self) -> Sequence[str]:
        return tuple(dict.fromkeys([*self._front.labels, *self._back.labels]))

    def close(self) -> None:
        self._front.close()
        self._back.close()

    def _both(self, t: int, out: Frame) -> Frame:
        self._back.frame(t, out)
        self._front.frame(t, self._light)
        return self._light


class _Sum(_Pair):
    """Two lights on one view."""

    def frame(self, t: int, out: Frame) -> None:
        np.add(out, self._both(t, out), out=out)


class _Product(_Pair):
    """One scene as the filter of the other: reflectance times light."""

    def frame(self, t: int, out: Frame) -> None:
        np.multiply(out, self._both(t, out), out=out)


class _Over(_Pair):
    """One scene in front of the other."""

    def __init__(self, front: Scene, back: Scene) -> None:
        super().__init__(front, back)
        self._cover = np.empty(self.shape, np.float32)

    def frame(self, t: int, out: Frame) -> None:
        light = self._both(t, out)
        self._front.cover(t, self._cover)
        light -= out
        light *= self._cover
        out += light

    def cover(self, t: int, out: Frame) -> None:
        self._back.cover(t, out)
        self._front.cover(t, self._cover)
        out += self._cover * (1 - out)


class Uniform(Scene):
    """The same light everywhere, `light` lux; with `depth` > 0 it is modulated: light·(1 + depth·sin 2π·hertz·t)."""

    def __init__(
        self, shape: tuple[int, int], *, light: float = 100.0, depth: float = 0.0, hertz: float = 1.0
    ) -> None:
        super().__init__(shape)
        if not (light > 0 and 0 <= depth < 1 and hertz > 0):
            raise ConfigError(
                f"uniform light of {light} lux, depth {depth}, {hertz} Hz: light and frequency must be positive, "
                "the depth from 0 to below 1"
            )
        self._light, self._depth, self._hertz = light, depth, hertz

    def frame(self, t: int, out: Frame) -> None:

        out.fill(self._light * (1 + self._depth * sine(self._hertz * t * 1e-6)))

"""Stimuli of vision research: a drifting grating, random dots that move together."""

from __future__ import annotations

import math

import numpy as np

from nrt.errors import ConfigError
from nrt.jit import jit
from nrt_sim.scenes.objects import check_light, direction, paint
from nrt_sim.scenes.path import cosine, sine
from nrt_sim.scenes.scene import Frame, Scene, Truth
from nrt_sim.sensors.arithmetic import cosine as cosine_kernel
from nrt_sim.sensors.arithmetic import uniform
from nrt_sim.sensors.noise import Keys, keys


class Grating(Scene):
    """A sine grating that drifts.

    period: pixels per cycle · hertz: cycles per second that pass a pixel · degrees: direction of drift, clockwise
    from the right · light: mean lux · contrast: Michelson, (max - min)/(max + min), below 1
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        period: float = 32.0,
        hertz: float = 4.0,
        degrees: float = 0.0,
        light: float = 250.0,
        contrast: float = 0.8,
    ) -> None:
        super().__init__(shape)
        check_light(light, light)
        if not (0 <= contrast < 1 and 0 < period < math.inf and abs(hertz) < math.inf):
            raise ConfigError(
                f"a grating of contrast {contrast}, period {period}, {hertz} Hz: 0 <= contrast < 1"
            )
        self._light, self._contrast, self._hertz, self._period = light, contrast, hertz, period
        turns = degrees / 360
        self._way = (cosine(turns), sine(turns))
        self._label = direction(degrees)
        y, x = np.mgrid[: self.shape[0], : self.shape[1]]
        phase = (x * self._way[0] + y * self._way[1]) / period
        self._cosine, self._sine = _waves(np.ascontiguousarray(phase, np.float64))
        self._part = np.empty(self.shape, np.float32)

    @property
    def labels(self) -> tuple[str, ...]:
        return (self._label,)

    def frame(self, t: int, out: Frame) -> None:
        """cos(phase - time) by the sum of two fixed pictures, so that a frame costs no cosines."""
        turns, depth = self._hertz * t * 1e-6, self._light * self._contrast
        np.multiply(self._cosine, np.float32(depth * cosine(turns)), out=out)
        np.multiply(self._sine, np.float32(depth * sine(turns)), out=self._part)
        out += self._part
        out += np.float32(self._light)

    def truth(self, t: int) -> list[Truth]:
        speed = self._hertz * self._period
        height, width = self.shape
        return [Truth(self._label, width / 2, height / 2, speed * self._way[0], speed * self._way[1])]


@jit
def _waves(phase: np.ndarray) -> tuple[Frame, Frame]:
    rows, columns = phase.shape
    c, s = np.empty(phase.shape, np.float32), np.empty(phase.shape, np.float32)
    for j in range(rows):
        for i in range(columns):
            c[j, i] = cosine_kernel(phase[j, i])
            s[j, i] = cosine_kernel(phase[j, i] - 0.25)
    return c, s


class RandomDots(Scene):
    """Dots of which a part moves together and the others each their own way (Newsome and Pare, J. Neurosci. 8, 1988).

    count: dots · speed: pixels/s · degrees: of those that move together · coherence: their part, 0 to 1
    life: µs after which a dot starts anew elsewhere · radius: pixels · light, background: lux
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        count: int = 100,
        speed: float = 100.0,
        degrees: float = 0.0,
        coherence: float = 1.0,
        life: int = 500_000,
        radius: float = 1.5,
        light: float = 500.0,
        background: float = 50.0,
        seed: int = 0,
    ) -> None:
        super().__init__(shape)
        check_light(light, background)
        if not (0 <= count <= 100_000 and 0 <= coherence <= 1 and life >= 1 and 0 < radius < 1e3):
            raise ConfigError(
                f"{count} random dots, coherence {coherence}, life {life} µs, radius {radius} pixels"
            )
        self._count, self._speed, self._coherence, self._life = count, speed, coherence, life
        self._radius, self._light, self._background = radius, light, background
        self._degrees, self._keys = degrees, keys(seed)

    @property
    def labels(self) -> tuple[str, ...]:
        return (direction(self._degrees),)

    def frame(self, t: int, out: Frame) -> None:
        self.cover(t, out)
        out *= self._light - self._background
        out += self._background

    def cover(self, t: int, out: Frame) -> None:
        out.fill(0)
        _paint_dots(
            t, self._life, self._coherence, self._degrees / 360, self._speed * 1e-6, self._count, self._radius,
            self._keys, out,
        )  # fmt: skip

    def truth(self, t: int) -> list[Truth]:
        """The motion of those that move together, at the middle of the view."""
        turns = self._degrees / 360
        vx, vy = self._speed * cosine(turns), self._speed * sine(turns)
        return [Truth(direction(self._degrees), self.shape[1] / 2, self.shape[0] / 2, vx, vy)]


@jit
def _paint_dots(
    t: int,
    life: int,
    coherence: float,
    turns: float,
    per_us: float,
    count: int,
    radius: float,
    streams: Keys,
    out: Frame,
) -> None:
    """A dot's place follows from its number and which of its lives it is in; lives begin at different times."""
    height, width = out.shape
    for k in range(count):
        shifted = t + life * k // count
        turn, age = shifted // life, shifted % life
        draw = np.uint64(turn) * np.uint64(4 * count) + np.uint64(4 * k)
        way = turns
        if uniform(streams[0], draw) >= coherence:
            way = uniform(streams[0], draw + np.uint64(1))
        x = uniform(streams[0], draw + np.uint64(2)) * width + age * per_us * cosine_kernel(way)
        y = uniform(streams[0], draw + np.uint64(3)) * height + age * per_us * cosine_kernel(way - 0.25)
        paint(out, x % width, y % height, radius, 1.0)

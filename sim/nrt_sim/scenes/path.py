"""Paths: where something is at a time. Objects follow them, and so does the gaze."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from nrt.clock import now
from nrt.errors import ConfigError
from nrt.jit import jit
from nrt_sim.sensors.arithmetic import cosine as _cosine_kernel

_FINITE = 1e9


@jit
def _cosine(turns: float) -> float:
    return _cosine_kernel(turns)


def cosine(turns: float) -> float:
    """cos(2π·turns), the same on every machine."""
    return float(_cosine(turns))


def sine(turns: float) -> float:
    """sin(2π·turns), the same on every machine."""
    return float(_cosine(turns - 0.25))


class Path(ABC):
    """A place for every time."""

    @abstractmethod
    def at(self, t: int) -> tuple[float, float]:
        """(x, y) in pixels at t, µs."""

    def velocity(self, t: int) -> tuple[float, float]:
        """(vx, vy) in pixels per second at t: over the ms that ends there."""
        (x1, y1), (x0, y0) = self.at(t), self.at(t - 1_000)
        return (x1 - x0) * 1e3, (y1 - y0) * 1e3


class Still(Path):
    """Always in one place."""

    def __init__(self, x: float = 0.0, y: float = 0.0) -> None:
        self._place = (x, y)

    def at(self, t: int) -> tuple[float, float]:
        return self._place


class Straight(Path):
    """At a constant velocity (pixels per second) from (x, y) at t = 0; with `wrap` it comes back after (w, h) pixels.

    wrap: (left, top, width, height) of the rectangle in which the place is kept
    """

    def __init__(
        self,
        x: float,
        y: float,
        vx: float,
        vy: float,
        *,
        wrap: tuple[float, float, float, float] | None = None,
    ) -> None:
        self._start, self._velocity, self._wrap = (x, y), (vx, vy), wrap

    def at(self, t: int) -> tuple[float, float]:
        x = self._start[0] + self._velocity[0] * t * 1e-6
        y = self._start[1] + self._velocity[1] * t * 1e-6
        if self._wrap is None:
            return x, y
        left, top, width, height = self._wrap
        return left + (x - left) % width, top + (y - top) % height

    def velocity(self, t: int) -> tuple[float, float]:
        return self._velocity


class Circle(Path):
    """Around (x, y) with `radius` pixels, `hertz` turns per second, clockwise as seen."""

    def __init__(self, x: float, y: float, radius: float, hertz: float) -> None:
        self._centre, self._radius, self._hertz = (x, y), radius, hertz

    def at(self, t: int) -> tuple[float, float]:
        turns = self._hertz * t * 1e-6
        return self._centre[0] + self._radius * cosine(turns), self._centre[1] + self._radius * sine(turns)


class Saccades(Path):
    """From corner to corner, `duration` µs each, then around again; starts and stops smoothly.

    The default is the triangle of N-MNIST: three saccades of 100 ms (Orchard, Jayawant, Cohen, Thakor, "Converting
    static image datasets to spiking neuromorphic datasets using saccades", Front. Neurosci. 9:437, 2015). Its size
    in pixels depends on the lens; there the digit moves by about a fifth of its width.
    """

    def __init__(
        self,
        corners: Sequence[tuple[float, float]] | None = None,
        *,
        size: float = 4.0,
        duration: int = 100_000,
    ) -> None:
        if corners is None:
            corners = [(-size / 2, -size / 2), (0.0, size / 2), (size / 2, -size / 2)]
        if not corners or duration < 1:
            raise ConfigError("saccades need at least one corner and a duration of at least 1 µs")
        self._corners, self._duration = list(corners), duration

    def at(self, t: int) -> tuple[float, float]:
        k, rest = divmod(t, self._duration)
        x0, y0 = self._corners[k % len(self._corners)]
        x1, y1 = self._corners[(k + 1) % len(self._corners)]
        part = 0.5 - 0.5 * cosine(0.5 * rest / self._duration)
        return x0 + (x1 - x0) * part, y0 + (y1 - y0) * part


@dataclass(frozen=True, slots=True)
class Action:
    """One command to a Steerable: where to, when it was given (host ns), and at which µs the scene took it up."""

    x: float
    y: float
    stamp: int
    taken: int


class Steerable(Path):
    """A path that a caller changes while it is followed: steer a gaze, move an object. Safe from any thread.

    It moves to where it was last steered, at `speed` pixels per second (infinite: at once), from the next time
    that somebody looks. Times must not go backwards. `actions` tells when each command took effect.
    """

    def __init__(self, x: float = 0.0, y: float = 0.0, *, speed: float = float("inf")) -> None:
        if not speed > 0:
            raise ConfigError(f"the speed is {speed}; it must be positive (pixels per second)")
        self._lock = threading.Lock()
        self._place, self._target, self._speed = (x, y), (x, y), speed
        self._velocity = (0.0, 0.0)
        self._last: int | None = None
        self._waiting: list[tuple[float, float, int]] = []
        self._actions: list[Action] = []

    def steer(self, x: float, y: float) -> None:
        """Move to (x, y). Raises ConfigError for what is no place."""
        if not (abs(x) < _FINITE and abs(y) < _FINITE):
            raise ConfigError(f"cannot steer to ({x}, {y})")
        with self._lock:
            self._waiting.append((x, y, now()))

    def at(self, t: int) -> tuple[float, float]:
        with self._lock:
            if self._last is None:
                self._last = t
            for x, y, stamp in self._waiting:
                self._target = (x, y)
                self._actions.append(Action(x, y, stamp, self._last))
            self._waiting.clear()
            if t > self._last:
                self._move((t - self._last) * 1e-6)
                self._last = t
            return self._place

    def velocity(self, t: int) -> tuple[float, float]:
        with self._lock:
            return self._velocity

    @property
    def actions(self) -> list[Action]:
        """The commands that took effect, oldest first."""
        with self._lock:
            return list(self._actions)

    def _move(self, seconds: float) -> None:
        (x, y), (tx, ty) = self._place, self._target
        dx, dy = tx - x, ty - y
        far = (dx * dx + dy * dy) ** 0.5
        part = 1.0 if far <= self._speed * seconds else self._speed * seconds / far
        self._place = (tx, ty) if part == 1.0 else (x + dx * part, y + dy * part)
        self._velocity = (dx * part / seconds, dy * part / seconds)

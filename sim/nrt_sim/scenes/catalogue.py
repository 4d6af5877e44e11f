"""The scenes that a `synth:` URI can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nrt.errors import NotFound
from nrt_sim.scenes.image import Image
from nrt_sim.scenes.objects import MovingBar
from nrt_sim.scenes.path import Saccades
from nrt_sim.scenes.scene import Scene, Uniform
from nrt_sim.scenes.texture import texture


@dataclass(frozen=True, slots=True)
class View:
    """What a URI can say about any scene.

    shape: (height, width) · seed · light: lux of what is bright · contrast: bright to dark · velocity: pixels/s, or
    Hz where something turns or flickers · degrees: direction, clockwise from the right · file: of pictures and videos
    """

    shape: tuple[int, int]
    seed: int = 0
    light: float = 500.0
    contrast: float = 10.0
    velocity: float | None = None
    degrees: float = 0.0
    file: str = ""

    @property
    def dim(self) -> float:
        """Lux of what is dark."""
        return self.light / self.contrast

    def speed(self, usual: float) -> float:
        """The velocity, or what is usual for the scene."""
        return usual if self.velocity is None else self.velocity


@dataclass(frozen=True, slots=True)
class Entry:
    """One scene of the catalogue."""

    make: Callable[[View], Scene]
    summary: str


def _bar(view: View) -> Scene:
    return MovingBar(
        view.shape, speed=view.speed(250), degrees=view.degrees, light=view.light, background=view.dim
    )


def _saccades(view: View) -> Scene:
    size = min(view.shape) / 8
    picture = texture((view.shape[0] + 32, view.shape[1] + 32), view.seed)
    duration = round(100_000 * 80 / view.speed(80))
    return Image(
        picture,
        view.shape,
        path=Saccades(size=size, duration=duration),
        light=view.light,
        contrast=view.contrast,
    )


def _uniform(view: View) -> Scene:
    if view.velocity is None:
        return Uniform(view.shape, light=view.light)
    return Uniform(
        view.shape, light=view.light, depth=(view.contrast - 1) / (view.contrast + 1), hertz=view.velocity
    )


SCENES: Final[Mapping[str, Entry]] = {
    "bar": Entry(_bar, "a bright bar crosses the view; velocity in pixels/s (250), degrees"),
    "saccades": Entry(
        _saccades, "a natural texture seen by a gaze that jumps around a triangle, as N-MNIST's"
    ),
    "uniform": Entry(_uniform, "even light: noise alone; with velocity it flickers at so many Hz"),
}


def make(name: str, view: View) -> Scene:
    """The scene of that name. Raises NotFound, ConfigError."""
    if name not in SCENES:
        raise NotFound(name, f"no scene '{name}'; there is {', '.join(SCENES)}", list(SCENES))
    return SCENES[name].make(view)

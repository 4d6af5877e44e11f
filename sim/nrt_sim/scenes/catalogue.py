"""The scenes that a `synth:` URI can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nrt.errors import ConfigError, NotFound
from nrt_sim.scenes.image import Image
from nrt_sim.scenes.objects import Disc, Looming, MovingBar, Objects
from nrt_sim.scenes.path import Circle, Saccades, Straight
from nrt_sim.scenes.patterns import Grating, RandomDots
from nrt_sim.scenes.pictures import Video, Webcam, image_file
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


def _grating(view: View) -> Scene:
    contrast = (view.contrast - 1) / (view.contrast + 1)
    mean = (view.light + view.dim) / 2
    period = min(view.shape) / 6
    return Grating(
        view.shape, period=period, hertz=view.speed(4), degrees=view.degrees, light=mean, contrast=contrast
    )


def _dot(view: View) -> Scene:
    height, width = view.shape
    path = Circle(width / 2, height / 2, min(view.shape) * 0.35, view.speed(2))
    return Disc(
        view.shape, path, radius=min(view.shape) / 20, light=view.light, background=view.dim, label="dot"
    )


def _looming(view: View) -> Scene:
    contact = round(1e6 / view.speed(1))
    return Looming(
        view.shape, size=min(view.shape) / 40, contact=contact, light=view.dim, background=view.light
    )


def _dots(view: View) -> Scene:
    return RandomDots(
        view.shape, speed=view.speed(100), degrees=view.degrees, light=view.light, background=view.dim,
        seed=view.seed,
    )  # fmt: skip


def _objects(view: View) -> Scene:
    """Three discs of different size and speed that cross the view."""
    height, width = view.shape
    discs = []
    for k, label in enumerate(("small", "middle", "large")):
        radius, speed = min(view.shape) / (24 >> k), view.speed(100) * (1 - 0.25 * k)
        wrap = (-radius, -radius, width + 2 * radius, height + 2 * radius)
        path = Straight(width * k / 3, height * (k + 1) / 4, speed, speed * 0.5 * (k - 1), wrap=wrap)
        discs.append(Disc(view.shape, path, radius=radius, light=view.light, label=label))
    return Objects(view.shape, discs, background=view.dim)


def _image(view: View) -> Scene:
    if not view.file:
        raise ConfigError("synth:image needs a picture, as in synth:image?file=photo.png")
    return image_file(view.file, view.shape, light=view.light, contrast=view.contrast)


def _video(view: View) -> Scene:
    if not view.file:
        raise ConfigError("synth:video needs a video, as in synth:video?file=street.mp4")
    return Video(view.file, view.shape, light=view.light, contrast=view.contrast)


def _webcam(view: View) -> Scene:
    return Webcam(view.file or "/dev/video0", view.shape, light=view.light)


def _uniform(view: View) -> Scene:
    if view.velocity is None:
        return Uniform(view.shape, light=view.light)
    return Uniform(
        view.shape, light=view.light, depth=(view.contrast - 1) / (view.contrast + 1), hertz=view.velocity
    )


def _digits(view: View) -> Scene:
    from nrt_sim.scenes.digits import held_out_row  # its pictures are loaded only when they are shown

    return held_out_row(view.shape, view.seed, light=view.light, contrast=view.contrast)


SCENES: Final[Mapping[str, Entry]] = {
    "bar": Entry(_bar, "a bright bar crosses the view; velocity in pixels/s (250), degrees"),
    "saccades": Entry(
        _saccades, "a natural texture seen by a gaze that jumps around a triangle, as N-MNIST's"
    ),
    "grating": Entry(_grating, "a sine grating drifts; velocity in Hz (4), degrees"),
    "dot": Entry(_dot, "a dot on a circle; velocity in turns per second (2)"),
    "looming": Entry(_looming, "a dark disc on a collision course; velocity in collisions per second (1)"),
    "dots": Entry(_dots, "random dots that move together; velocity in pixels/s (100), degrees"),
    "objects": Entry(_objects, "three labelled discs on their ways; velocity in pixels/s (100)"),
    "digits": Entry(_digits, "held-out handwritten digits in a row, read by a gaze under saccades"),
    "image": Entry(_image, "a picture file under saccades; file"),
    "video": Entry(_video, "a video file, interpolated between its pictures; file"),
    "webcam": Entry(_webcam, "a webcam; file (/dev/video0)"),
    "uniform": Entry(_uniform, "even light: noise alone; with velocity it flickers at so many Hz"),
}


def make(name: str, view: View) -> Scene:
    """The scene of that name. Raises NotFound, ConfigError."""
    if not (0 < view.light < math.inf and 1 < view.contrast < math.inf):
        raise ConfigError(
            f"light is {view.light} lux and contrast {view.contrast}; light must be positive, contrast above 1"
        )
    if view.velocity is not None and not (abs(view.velocity) < math.inf and view.velocity):
        raise ConfigError(f"the velocity is {view.velocity}; it must be a number other than 0")
    if name not in SCENES:
        raise NotFound(name, f"no scene '{name}'; there is {', '.join(SCENES)}", list(SCENES))
    return SCENES[name].make(view)

"""Pictures, videos and webcams as light. PyAV reads them; it comes with the extra `video`.

Between two pictures of a video the light is interpolated, so that a sensor at 1000 steps/s sees no steps of 40 ms. A
grey value is undone of its display gamma (2.2) before it becomes lux.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, DeviceLost, MissingDependency, NotFound
from nrt_sim.scenes.image import Image
from nrt_sim.scenes.path import Path as Gaze
from nrt_sim.scenes.scene import Frame, Scene

_LINEAR: Final = np.asarray((np.arange(256) / 255.0) ** 2.2, np.float32)


def _av(feature: str) -> Any:
    try:
        return importlib.import_module("av")
    except ModuleNotFoundError as error:
        raise MissingDependency(feature, "av", "video") from error


def read_image(path: str | Path) -> Frame:
    """A picture file as values 0 to 1, (height, width), proportional to light.

    Raises NotFound, MissingDependency, ConfigError for what is no picture.
    """
    with _opened(Path(path), "a picture") as container:
        for _, grey in _decoded(container, str(path)):
            return np.ascontiguousarray(_LINEAR[grey])
    raise ConfigError(f"{path}: there is no picture in it")


def image_file(
    path: str | Path,
    shape: tuple[int, int],
    *,
    gaze: Gaze | None = None,
    light: float = 500.0,
    contrast: float = 100.0,
) -> Image:
    """A picture file under saccades, scaled to fill the view."""
    picture = read_image(path)
    scale = max(shape[0] / picture.shape[0], shape[1] / picture.shape[1])
    return Image(picture, shape, path=gaze, light=light, contrast=contrast, scale=scale)


def _opened(path: Path, what: str, **options: Any) -> Any:
    av = _av(f"{what} {path}")
    if not options and not path.is_file():
        raise NotFound(str(path), f"no file {path}")
    try:
        return av.open(str(path), **options)
    except (av.error.FFmpegError, OSError) as error:
        raise ConfigError(f"{path} is not {what} that PyAV can read: {error}") from error


def _decoded(container: Any, name: str) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Time in seconds and grey values of each picture. Raises ConfigError for what cannot be decoded."""
    if not container.streams.video:
        raise ConfigError(f"{name}: there is no picture in it")
    try:
        for picture in container.decode(video=0):
            yield float(picture.time or 0.0), picture.to_ndarray(format="gray")
    except _av(name).error.FFmpegError as error:
        raise ConfigError(f"{name}: cannot be decoded: {error}") from error


class Film(Scene):
    """Pictures with times, scaled to the view, interpolated in between. Times must not go far backwards.

    light: lux of white · contrast: white to black
    """

    def __init__(self, shape: tuple[int, int], light: float, contrast: float) -> None:
        super().__init__(shape)
        if not (0 < light < np.inf and 1 < contrast < np.inf):
            raise ConfigError(
                f"light {light} lux, contrast {contrast}: light must be positive, contrast above 1"
            )
        self._table = np.asarray(light * (1 / contrast + (1 - 1 / contrast) * _LINEAR), np.float32)
        self._size: tuple[int, int] | None = None
        self._before: Frame = np.full(self.shape, self._table[0], np.float32)
        self._after = self._before
        self._times = (-1, -1)

    def _lit(self, grey: NDArray[np.uint8]) -> Frame:
        """A picture as light, of the view's shape (nearest pixels). Raises ConfigError if its size changes."""
        size = (grey.shape[0], grey.shape[1])
        if self._size is not None and size != self._size:
            raise ConfigError(f"the pictures change their size from {self._size} to {size}")
        self._size = size
        rows = np.arange(self.shape[0]) * size[0] // self.shape[0]
        columns = np.arange(self.shape[1]) * size[1] // self.shape[1]
        return np.asarray(self._table[grey[rows[:, None], columns]], np.float32)

    def _mix(self, t: int, out: Frame) -> None:
        start, end = self._times
        part = 1.0 if end <= start else min(max((t - start) / (end - start), 0.0), 1.0)
        np.subtract(self._after, self._before, out=out)
        out *= np.float32(part)
        out += self._before


class Video(Film):
    """A video file; after its end it starts again. Raises NotFound, MissingDependency, ConfigError."""

    def __init__(
        self, path: str | Path, shape: tuple[int, int], *, light: float = 500.0, contrast: float = 100.0
    ) -> None:
        super().__init__(shape, light, contrast)
        self._path = Path(path)
        self._base = 0
        self._rewind()

    def _rewind(self) -> None:
        self._container = _opened(self._path, "a video")
        self._pictures = self._timed()
        first = next(self._pictures, None)
        if first is None:
            raise ConfigError(f"{self._path}: there is no picture in it")
        self._before = self._after = first[1]
        self._times = (self._base, self._base)

    def _timed(self) -> Iterator[tuple[int, Frame]]:
        first: float | None = None
        for at, grey in _decoded(self._container, str(self._path)):
            first = at if first is None else first
            yield self._base + round((at - first) * 1e6), self._lit(grey)

    def frame(self, t: int, out: Frame) -> None:
        while self._times[1] <= t:
            following = next(self._pictures, None)
            if following is not None:
                self._before, self._times = self._after, (self._times[1], following[0])
                self._after = following[1]
            elif self._before is not self._after:  # the last picture stays as long as the one before it
                self._before = self._after
                self._times = (self._times[1], 2 * self._times[1] - self._times[0])
            else:
                self._base = max(t, self._times[1])
                self._container.close()
                self._rewind()
                break
        self._mix(t, out)

    def close(self) -> None:
        self._container.close()


class Webcam(Film):
    """A webcam by its device file. Shows its newest picture; raises DeviceLost when it disappears."""

    def __init__(
        self, device: str = "/dev/video0", shape: tuple[int, int] = (260, 346), *, light: float = 500.0
    ) -> None:
        super().__init__(shape, light, 100.0)
        self._device = device
        if not Path(device).exists():
            raise NotFound(device, f"no webcam {device}")
        self._container = _opened(Path(device), "a webcam", format="v4l2")
        self._pictures = _decoded(self._container, device)
        self._period = 33_333

    def frame(self, t: int, out: Frame) -> None:
        """Fades from one picture to the next over the time between two, so each is a period late."""
        if t >= self._times[1]:
            try:
                _, grey = next(self._pictures)
            except (StopIteration, ConfigError, OSError) as error:
                raise DeviceLost(f"webcam {self._device}", f"it gives no more pictures: {error}") from error
            self._before, self._after = self._after, self._lit(grey)
            self._times = (t, t + self._period)
        self._mix(t, out)

    def close(self) -> None:
        self._container.close()

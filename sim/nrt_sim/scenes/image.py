"""A picture seen by a moving gaze."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.jit import jit
from nrt_sim.scenes.path import Path, Saccades
from nrt_sim.scenes.scene import Frame, Scene, Truth


class Image(Scene):
    """`image`, seen by a gaze that follows `path` (default: the saccades of N-MNIST).

    image: values 0 (black) to 1 (white), (height, width), of any size; it lies centred in the view, one of its pixels
    per pixel of the sensor times `scale`, and its edge goes on beyond it
    light: lux of white · contrast: ratio of white to black (ink on paper: 10 to 20)
    label: what the truth calls it; none where it is empty
    Raises ConfigError for what is no picture.
    """

    def __init__(
        self,
        image: NDArray[np.generic],
        shape: tuple[int, int],
        *,
        path: Path | None = None,
        light: float = 500.0,
        contrast: float = 10.0,
        scale: float = 1.0,
        label: str = "",
    ) -> None:
        super().__init__(shape)
        self._path = path or Saccades()
        self._label = label
        self._picture = _on_paper(image, light, contrast)
        if not scale > 0:
            raise ConfigError(f"the scale is {scale}; it must be positive")
        self._scale = scale

    @property
    def labels(self) -> tuple[str, ...]:
        return (self._label,) if self._label else ()

    def frame(self, t: int, out: Frame) -> None:
        """Where the gaze goes right, the picture goes left."""
        x, y = self._path.at(t)
        _sample(self._picture, x, y, 1.0 / self._scale, out)

    def truth(self, t: int) -> list[Truth]:
        if not self._label:
            return []
        (x, y), (vx, vy) = self._path.at(t), self._path.velocity(t)
        return [Truth(self._label, self.shape[1] / 2 - x, self.shape[0] / 2 - y, -vx, -vy)]


def _on_paper(image: NDArray[np.generic], light: float, contrast: float) -> Frame:
    """The image in lux."""
    values = np.asarray(image, np.float32)
    if values.ndim != 2 or not values.size:
        raise ConfigError(f"a picture of shape {values.shape}; it must be (height, width), grey")
    if not (bool(np.isfinite(values).all()) and values.min() >= 0 and values.max() <= 1):
        raise ConfigError("a picture's values must lie between 0 (black) and 1 (white)")
    if not (0 < light < np.inf and 1 <= contrast < np.inf):
        raise ConfigError(
            f"light {light} lux, contrast {contrast}: light must be positive, contrast at least 1"
        )
    return np.ascontiguousarray(light * (1 + values * np.float32(contrast - 1)) / contrast, np.float32)


@jit
def _sample(picture: Frame, x: float, y: float, zoom: float, out: Frame) -> None:
    """Bilinear: out[j, i] is the picture at the centre of pixel (i, j), its own edge repeated outside.

    x, y: gaze in sensor pixels. zoom: picture pixels per sensor pixel.
    """
    height, width = picture.shape
    rows, columns = out.shape
    left = np.empty(columns, np.int64)
    part = np.empty(columns, np.float32)
    for i in range(columns):
        at = min(max((i + 0.5 + x - columns / 2) * zoom + width / 2 - 0.5, 0.0), width - 1.0)
        left[i] = min(np.int64(at), max(width - 2, 0))
        part[i] = at - left[i]
    right = min(width - 1, 1)
    blended = np.empty(width, np.float32)
    for j in range(rows):
        at = min(max((j + 0.5 + y - rows / 2) * zoom + height / 2 - 0.5, 0.0), height - 1.0)
        top = min(np.int64(at), max(height - 2, 0))
        below = min(top + 1, height - 1)
        down = np.float32(at - top)
        for i in range(width):
            blended[i] = picture[top, i] + (picture[below, i] - picture[top, i]) * down
        for i in range(columns):
            k = left[i]
            out[j, i] = blended[k] + (blended[k + right] - blended[k]) * part[i]

"""`synth:digits`: a gaze that reads a row of handwritten digits.

The digits stand in a row on paper. The gaze sweeps to one, makes three small saccades around it (the triangle of
N-MNIST, see `Saccades`), and sweeps to the next: nothing flashes, every event comes from the gaze or from noise.
One such episode lasts `EPISODE`. After the last digit the first one follows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt_sim.models import held_out
from nrt_sim.scenes.image import Image
from nrt_sim.scenes.path import Path, Saccades, cosine
from nrt_sim.scenes.scene import Truth

SWEEP: Final = 40_000
"""µs from one digit to the next."""
SACCADE: Final = 40_000
"""µs of each of the three saccades on a digit."""
EPISODE: Final = SWEEP + 3 * SACCADE
"""µs from the moment at which the gaze leaves for a digit to that at which it leaves it."""
_CELLS: Final = 8
"""Height and width of a digit in cells; a cell is 3 pixels of a view of 32."""


class Digits(Image):
    """`images` in a row, read from left to right; the truth is the digit that the gaze is on or sweeps to.

    images: 0 (paper) to 16 (ink), (n, 8, 8) · labels: (n,), 0 to 9
    light, contrast: lux of the paper, and paper to ink
    """

    def __init__(
        self,
        shape: tuple[int, int],
        images: NDArray[np.generic],
        labels: NDArray[np.generic],
        *,
        light: float = 500.0,
        contrast: float = 10.0,
    ) -> None:
        if images.shape != (len(labels), _CELLS, _CELLS) or not len(labels):
            raise ConfigError(
                f"{len(labels)} labels for digits of shape {images.shape}; it must be (n, 8, 8)"
            )
        scale, size = min(shape) * 3 / 32, min(shape) * 5 / 32
        spacing = int(_CELLS / 2 + (shape[1] + size) / (2 * scale)) + 2  # neighbours stay out of view
        self._row = _Row(spacing * scale, size, len(labels))
        self._answers = np.asarray(labels, np.int64)
        super().__init__(
            _strip(np.concatenate([images, images[:1]]), spacing),
            shape,
            path=self._row,
            light=light,
            contrast=contrast,
            scale=scale,
        )

    def answer(self, episode: int) -> int:
        """The digit of an episode; they are counted from 0."""
        return int(self._answers[episode % len(self._answers)])

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(map(str, range(10)))

    def truth(self, t: int) -> list[Truth]:
        (x, y), (vx, vy) = self._row.at(t), self._row.velocity(t)
        place = self._row.digit(t) - x + self.shape[1] / 2
        return [Truth(str(self.answer(t // EPISODE)), place, self.shape[0] / 2 - y, -vx, -vy)]


def held_out_row(
    shape: tuple[int, int], seed: int = 0, *, light: float = 500.0, contrast: float = 10.0
) -> Digits:
    """The held-out digits (see `nrt_sim.models`) in an order drawn from `seed`."""
    images, labels = held_out()
    order = np.random.default_rng(seed).permutation(len(labels))
    return Digits(shape, images[order], labels[order], light=light, contrast=contrast)


class _Row(Path):
    """Gaze, in pixels from the middle of the row. count: digits in the row; a copy of the first one ends it."""

    def __init__(self, spacing: float, size: float, count: int) -> None:
        self._spacing, self._count = spacing, count
        self._saccades = Saccades(size=size, duration=SACCADE)

    def digit(self, t: int) -> float:
        """Where the digit stands that the gaze is on or sweeps to: after the last one, that is the copy."""
        episode, rest = divmod(t, EPISODE)
        index = episode % self._count
        if rest < SWEEP and index == 0 < episode:
            index = self._count
        return (index - self._count / 2) * self._spacing

    def at(self, t: int) -> tuple[float, float]:
        rest = t % EPISODE
        dx, dy = self._saccades.at(max(rest - SWEEP, 0))
        to_go = 0.5 + 0.5 * cosine(0.5 * rest / SWEEP) if rest < SWEEP else 0.0
        return self.digit(t) + dx - self._spacing * to_go, dy

    def velocity(self, t: int) -> tuple[float, float]:
        vx, vy = super().velocity(t)
        jump = -1e3 * self._count * self._spacing  # from the copy back to the first digit: it looks the same
        return (vx - jump if vx < jump / 2 else vx), vy


def _strip(images: NDArray[np.generic], spacing: int) -> NDArray[np.float32]:
    """The digits on white (1) paper, `spacing` cells apart; the middle one of an odd number in the middle."""
    before = (spacing - _CELLS) // 2
    margins = ((0, 0), (1, 1), (before, spacing - _CELLS - before))
    cells = np.pad(images.astype(np.float32), margins)
    strip = cells.transpose(1, 0, 2).reshape(_CELLS + 2, -1)
    if (spacing - _CELLS) % 2:
        strip = np.pad(strip, ((0, 0), (1, 0)))
    return np.asarray(1 - strip / 16, np.float32)

"""An event image in a terminal: two rows of pixels in one line of text, in runs of equal cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style

_INK: Final = ("#ff9f43", "#a65a14", "#12161c", "#1f6f9f", "#4cc9f0")
"""OFF strong and weak, nothing, ON weak and strong."""
_CELLS: Final = tuple(tuple(Style(color=upper, bgcolor=lower) for lower in _INK) for upper in _INK)


def halves(picture: NDArray[np.int8]) -> Iterator[list[Segment]]:
    """The lines of a picture of levels -2 to 2, OFF to ON: upper half blocks on a background."""
    levels = np.pad(picture, ((0, len(picture) % 2), (0, 0))) + 2
    for upper, lower in zip(levels[::2], levels[1::2], strict=True):
        edges = [0, *(np.flatnonzero(np.diff(upper * 5 + lower)) + 1).tolist(), len(upper)]
        yield [
            Segment("▀" * (end - start), _CELLS[int(upper[start])][int(lower[start])])
            for start, end in pairwise(edges)
        ]


def levels(sums: NDArray[np.int32], columns: int, rows: int) -> NDArray[np.int8]:
    """ON minus OFF events of pixels as levels -2 to 2 of a picture that fits `columns` x `rows` cells of one pixel.

    Strong is what is above the mean of the cells that have anything.
    """
    height, width = sums.shape
    factor = max(-(-width // max(columns, 1)), -(-height // max(rows, 1)), 1)
    padded = np.pad(sums, ((0, -height % factor), (0, -width % factor)))
    cells = padded.reshape(padded.shape[0] // factor, factor, -1, factor).sum((1, 3))
    size = np.abs(cells)
    lit = size[size > 0]
    strong = size > (lit.mean() if len(lit) else 0)
    found: NDArray[np.int8] = (np.sign(cells) * (1 + strong)).astype(np.int8)
    return found

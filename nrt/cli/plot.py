"""What the demo's page shows, drawn: what the camera saw, what the network said, and how often that was right."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nrt.packet import Records
from nrt.page.markup import Markup, el
from nrt.page.svg import bar, line, linear, svg, text

_LEVELS = {-3: "off3", -2: "off2", -1: "off1", 1: "on1", 2: "on2", 3: "on3"}
_STEPS = (1, 3, 6)
"""Events from which a level is reached."""


def picture(image: NDArray[np.int64], title: str) -> Markup:
    """ON minus OFF events of each pixel: one path for each of six levels, a piece for each run of pixels."""
    height, width = image.shape
    levels = np.sign(image) * np.searchsorted(_STEPS, np.abs(image), side="right")
    paths: list[Markup] = []
    for level, name in _LEVELS.items():
        edges = np.diff(np.pad(levels == level, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        rows, starts = np.nonzero(edges == 1)
        _, ends = np.nonzero(edges == -1)
        pieces = (
            f"M{x} {y}h{end - x}v1h{x - end}z"
            for y, x, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
        )
        paths.append(line("".join(pieces), name))
    return svg(width, height, title, bar(0, 0, width, height, "sensor"), paths)


def raster(
    spikes: Records, truth: NDArray[np.int64], answers: NDArray[np.int64], episode: int, classes: int
) -> Markup:
    """A tick for each spike; above it what was shown, and under what was read. Time to the right, in ms."""
    row, left, top = 9, 14, 16
    scale = 26 / episode  # units per µs
    width, bottom = left + 26 * len(truth), top + row * classes
    parts: list[Markup] = []
    for k, (shown, read) in enumerate(zip(truth.tolist(), answers.tolist(), strict=True)):
        x, good = left + 26 * k, "right" if shown == read else "wrong"
        parts += [
            bar(x, top + row * shown, 26, row, f"band {good}"),
            line(f"M{x} {top}V{bottom}", "grid"),
            text(x + 13, top - 5, str(shown), "mid"),
            text(x + 13, bottom + 12, str(read) if read >= 0 else "?", f"mid {good}"),
        ]
    parts += [text(2, top + row * n + 8, str(n)) for n in range(classes)]
    at = (left + spikes["t"] * scale).round(1).tolist()
    ticks = (f"M{x:g} {top + row * n + 1}v{row - 2}" for x, n in zip(at, spikes["n"].tolist(), strict=True))
    return svg(width, bottom + 16, "output spikes over time", parts, line("".join(ticks), "tick"))


def curve(right: NDArray[np.bool_]) -> Markup:
    """Running accuracy over the episodes, in percent."""
    left, end, bottom = 44, 410, 160
    running = 100 * np.cumsum(right) / np.arange(1, len(right) + 1)
    low = min(math.floor(running.min() / 10) * 10, 90) if len(right) else 0
    across, up = linear(0, max(len(right) - 1, 1), left, end), linear(low, 100, bottom, 20)
    points = " ".join(f"{across(k):.1f},{up(p):.1f}" for k, p in enumerate(running.tolist()))
    grid = [
        (line(f"M{left} {up(p):.1f}H{end}", "grid"), text(left - 4, up(p) + 4, f"{p} %", "end"))
        for p in sorted({low, (low + 100) // 2, 100})
    ]
    axis = [
        line(f"M{left} {bottom}H{end}", "axis"),
        *(text(x, bottom + 15, said, "mid") for x, said in ((left, "1"), (end, str(len(right))))),
        text((left + end) / 2, 188, "digits read", "mid"),
    ]
    drawn = el("polyline", points=points, cls="line s0")
    return svg(420, 190, "running accuracy", grid, axis, drawn)

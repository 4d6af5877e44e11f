"""Spikes drawn: a raster of one train, the difference of two, rates per population, windows and their winners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrt.clock import readable
from nrt.page.markup import Content, Markup, el
from nrt.page.svg import bar, cut, line, linear, short, svg, text, ticks
from nrt.profile import Decisions

Times = NDArray[np.int64]

_LEFT, _RIGHT = 46, 990
_MOST = 20_000
"""Spikes in one drawing; more are thinned evenly, and the caption must say so."""


def thinned(count: int) -> int:
    """Of how many spikes one is drawn."""
    return max(-(-count // _MOST), 1)


def raster(
    layers: Sequence[tuple[str, Times, Times]], neurons: int, start: int, end: int, title: str
) -> Markup:
    """Ticks of `(class, t in µs, neuron)` layers over [start, end) µs; the last layer lies on top."""
    height = min(max(neurons * 9, 60), 180)
    top, bottom = 8, 8 + height
    across, row = linear(start, end, _LEFT, _RIGHT), height / max(neurons, 1)
    length = max(row - 1.5, 1.2)
    paths: list[Markup] = []
    for cls, t, n in layers:
        every = thinned(len(t))
        pieces = [
            f"M{across(time):.1f} {top + row * neuron + (row - length) / 2:.1f}v{length:.1f}"
            for time, neuron in zip(t[::every].tolist(), n[::every].tolist(), strict=True)
        ]
        paths.append(line("".join(pieces), cls))
    shown = ticks(0, neurons - 1, min(neurons - 1, 8)) if neurons > 1 else [0.0]
    rows = [text(_LEFT - 6, top + row * (n + 0.5) + 3.5, f"{n:.0f}", "end") for n in shown if n == int(n)]
    return svg(1000, bottom + 32, title, _frame(top, bottom), paths, rows, time_axis(start, end, bottom))


def time_axis(start: int, end: int, bottom: float) -> list[Markup]:
    """An axis of stream time under a drawing of the usual width, µs."""
    across = linear(start, end, _LEFT, _RIGHT)
    unit, name = (1e6, "s") if end - start > 5_000_000 else (1e3, "ms")
    found: list[Markup] = []
    for at in ticks(start / unit, end / unit, 8):
        x = across(at * unit)
        found += [line(f"M{x:.1f} {bottom}v4", "axis"), text(x, bottom + 15, f"{at:g}", "mid")]
    return [*found, text((_LEFT + _RIGHT) / 2, bottom + 29, f"stream time in {name}", "mid")]


def _frame(top: float, bottom: float) -> Markup:
    return line(f"M{_LEFT} {top}V{bottom}H{_RIGHT}", "axis")


def rates(
    rows: Sequence[tuple[str, Sequence[float | None]]], unit: str = "Hz", colours: Sequence[int] = range(8)
) -> Markup:
    """Bars of a value per population (and, side by side, per device in its colour), on one linear axis."""
    each = max((len(values) for _, values in rows), default=1)
    height = 12 * each + 12
    most = max((v for _, values in rows for v in values if v is not None), default=0.0) or 1.0
    across = linear(0, most, 110, 560)
    parts: list[Markup] = []
    for k, (name, values) in enumerate(rows):
        y = 6 + k * height
        parts.append(text(104, y + height / 2 - 2, cut(name, 17), "end strong", name))
        for j, value in enumerate(values):
            at = y + 12 * j
            if value is None:
                parts.append(text(114, at + 9, "not seen"))
                continue
            cls, tip = f"bar c{colours[j % len(colours)] % 8}", f"{name}: {value:.4g} {unit}"
            parts.append(bar(110, at, max(across(value) - 110, 0.5), 10, cls, tip))
            parts.append(text(across(value) + 5, at + 9, f"{short(value)} {unit}"))
    bottom = 6 + len(rows) * height
    return svg(640, bottom + 4, "rate per population", line(f"M110 2V{bottom}", "axis"), parts)


def windows(decisions: Decisions) -> Markup:
    """The winner of each window in a line: right, wrong or nothing where a label is known."""
    answers = decisions.answers[:200]
    width = 944 / max(len(answers), 1)
    parts: list[Markup] = []
    for k, answer in enumerate(answers):
        cls = (
            "none"
            if answer < 0 or decisions.label is None
            else "right"
            if answer == decisions.label
            else "wrong"
        )
        said = "nothing" if answer < 0 else str(answer)
        when = f"window {k + 1}, up to {readable((k + 1) * decisions.window_us)}: {said}"
        parts.append(bar(_LEFT + k * width, 4, max(width - 1, 0.6), 24, f"band {cls}", when))
        if width >= 14:
            parts.append(text(_LEFT + (k + 0.5) * width, 20, "–" if answer < 0 else said, "mid strong"))
    end = len(answers) * decisions.window_us
    return svg(1000, 64, "winner of each window", parts, time_axis(0, end, 32) if end else None)


def keys(names: Sequence[str], colours: Sequence[int]) -> Content:
    """What the colours stand for."""
    return el("div", (key(name, k) for k, name in zip(colours, names, strict=True)), cls="keys")


def key(name: str, colour: int) -> Markup:
    """A name behind its colour."""
    return el("span", el("i", "", cls=f"key k{colour % 8}"), name)

"""Plots as inline SVG text. Colours are classes, so that a page's style decides on light, dark and paper."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from nrt.packet import Records
from nrt.report import Latency

_LEVELS = {-3: "off3", -2: "off2", -1: "off1", 1: "on1", 2: "on2", 3: "on3"}
_STEPS = (1, 3, 6)
"""Events from which a level is reached."""


def picture(image: NDArray[np.int64], title: str) -> str:
    """ON minus OFF events of each pixel: one path for each of six levels, a piece for each run of pixels."""
    height, width = image.shape
    levels = np.sign(image) * np.searchsorted(_STEPS, np.abs(image), side="right")
    paths: list[str] = []
    for level, name in _LEVELS.items():
        edges = np.diff(np.pad(levels == level, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        rows, starts = np.nonzero(edges == 1)
        _, ends = np.nonzero(edges == -1)
        pieces = (
            f"M{x} {y}h{end - x}v1h{x - end}z"
            for y, x, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)
        )
        paths.append(f'<path class="{name}" d="{"".join(pieces)}"/>')
    return _svg(width, height, [f'<rect class="sensor" width="{width}" height="{height}"/>', *paths], title)


def raster(
    spikes: Records, truth: NDArray[np.int64], answers: NDArray[np.int64], episode: int, classes: int
) -> str:
    """A tick for each spike; above it what was shown, and under what was read. Time to the right, in ms."""
    row, left, top = 9, 14, 16
    scale = 26 / episode  # units per µs
    width, bottom = left + 26 * len(truth), top + row * classes
    parts: list[str] = []
    for k, (shown, read) in enumerate(zip(truth.tolist(), answers.tolist(), strict=True)):
        x, good = left + 26 * k, "right" if shown == read else "wrong"
        parts.append(
            f'<rect class="band {good}" x="{x}" y="{top + row * shown}" width="26" height="{row}"/>'
            f'<path class="grid" d="M{x} {top}V{bottom}"/>'
            f'<text class="mid" x="{x + 13}" y="{top - 5}">{shown}</text>'
            f'<text class="mid {good}" x="{x + 13}" y="{bottom + 12}">{read if read >= 0 else "?"}</text>'
        )
    parts += [f'<text x="2" y="{top + row * n + 8}">{n}</text>' for n in range(classes)]
    at = (left + spikes["t"] * scale).round(1).tolist()
    ticks = (f"M{x:g} {top + row * n + 1}v{row - 2}" for x, n in zip(at, spikes["n"].tolist(), strict=True))
    parts.append(f'<path class="tick" d="{"".join(ticks)}"/>')
    return _svg(width, bottom + 16, parts, "output spikes over time")


def histogram(latency: Latency) -> str:
    """Packets by latency on a logarithmic axis, with p50 and p99."""
    width, height, left, bottom = 420, 190, 44, 160
    if not latency.packets:
        return _svg(width, height, [_text(left, 80, "no packets")], "latency: no packets")
    low = math.floor(2 * math.log10(max(latency.minimum, 1e-3))) / 2
    high = max(math.ceil(2 * math.log10(max(latency.maximum, 1e-3))) / 2, low + 0.5)
    bins = np.zeros(48)
    for least, most, count in latency.buckets:
        place = (math.log10(max((least + most) / 2e6, 1e-3)) - low) / (high - low)
        bins[min(max(int(place * len(bins)), 0), len(bins) - 1)] += count
    step = (width - left - 10) / len(bins)
    bars = [
        f'<rect class="bar" x="{left + k * step:.1f}" y="{bottom - h:.1f}" width="{step - 0.8:.1f}" height="{h:.1f}"/>'
        for k, h in enumerate((130 * bins / bins.max()).tolist())
        if h
    ]

    def across(ms: float) -> float:
        return left + (math.log10(max(ms, 1e-3)) - low) / (high - low) * (width - left - 10)

    marks = [
        f'<path class="mark" d="M{across(ms):.1f} 18V{bottom}"/>'
        + _text(across(ms), 13, f"{name} {ms:.2f} ms", side)
        for name, ms, side in (("p50", latency.p50, "end"), ("p99", latency.p99, ""))
    ]
    ticks = [10 ** (k / 2) for k in range(round(2 * low), round(2 * high) + 1)]
    axis = [_axis(left, bottom, width - 10), *(_tick(across(ms), bottom, f"{ms:.3g}") for ms in ticks)]
    top = [_text(left - 4, 34, f"{bins.max():,.0f}", "end"), _text(left - 4, bottom, "0", "end")]
    label = [_text((left + width) / 2, height - 2, "latency in ms (packets, logarithmic axis)", "mid")]
    return _svg(width, height, [*bars, *axis, *top, *marks, *label], "latency histogram")


def curve(right: NDArray[np.bool_]) -> str:
    """Running accuracy over the episodes, in percent."""
    width, height, left, bottom = 420, 190, 44, 160
    running = 100 * np.cumsum(right) / np.arange(1, len(right) + 1)
    low = min(math.floor(running.min() / 10) * 10, 90) if len(right) else 0
    across = (width - left - 10) / max(len(right) - 1, 1)

    def up(percent: float) -> float:
        return bottom - (percent - low) / (100 - low) * 140

    points = " ".join(f"{left + k * across:.1f},{up(p):.1f}" for k, p in enumerate(running.tolist()))
    levels = sorted({low, (low + 100) // 2, 100})
    grid = [
        f'<path class="grid" d="M{left} {up(p):.1f}H{width - 10}"/>'
        + _text(left - 4, up(p) + 4, f"{p} %", "end")
        for p in levels
    ]
    axis = [
        _axis(left, bottom, width - 10),
        _tick(left, bottom, "1"),
        _tick(width - 10, bottom, str(len(right))),
    ]
    label = [_text((left + width) / 2, height - 2, "digits read", "mid")]
    return _svg(
        width,
        height,
        [*grid, *axis, f'<polyline class="line" points="{points}"/>', *label],
        "running accuracy",
    )


def _svg(width: float, height: float, parts: Iterable[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _axis(left: float, y: float, right: float) -> str:
    return f'<path class="axis" d="M{left} {y}H{right}"/>'


def _tick(x: float, y: float, label: str) -> str:
    return f'<path class="axis" d="M{x:.1f} {y}v4"/>' + _text(x, y + 15, label, "mid")


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and texts in two columns."""
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"

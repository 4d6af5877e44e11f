"""Latency drawn: histograms on a common logarithmic axis, and the mean way of a packet as one bar."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nrt.page.markup import Content, Markup, el, figure, grid
from nrt.page.svg import bar, decades, line, logarithmic, short, svg, text
from nrt.profile import Latency, Phase
from nrt.profile.spread import milliseconds

_LEAST = 1e-4
"""ms: what is faster is drawn here."""


def span(latencies: Sequence[Latency]) -> tuple[float, float]:
    """The common axis of several histograms, ms: half decades around all of them."""
    counted = [each for each in latencies if each.packets]
    if not counted:
        return 0.1, 10.0
    low = math.floor(2 * math.log10(max(min(each.minimum for each in counted), _LEAST))) / 2
    high = math.ceil(2 * math.log10(max(max(each.maximum for each in counted), _LEAST))) / 2
    return 10**low, 10 ** max(high, low + 0.5)


def histogram(latency: Latency, axis: tuple[float, float] | None = None, colour: int = 0) -> Markup:
    """Packets by latency on a logarithmic axis, with p50, p99 and the deadline."""
    width, left, bottom, right = 420, 44, 160, 410
    if not latency.packets:
        return svg(width, 190, "latency: no packets", text(left, 80, "no packets"))
    low, high = axis or span([latency])
    across = logarithmic(low, high, left, right)
    bins = np.zeros(48)
    step = (right - left) / len(bins)
    for least, most, count in latency.buckets:
        place = (across(max((least + most) / 2e6, low)) - left) / step
        bins[min(max(int(place), 0), len(bins) - 1)] += count
    bars = [
        bar(
            left + k * step,
            bottom,
            step - 0.8,
            -130 * count / bins.max(),
            f"bar c{colour}",
            f"{count:,.0f} packets",
        )
        for k, count in enumerate(bins.tolist())
        if count
    ]
    marks = [
        _mark(across(ms), y, bottom, f"{name} {milliseconds(ms)} ms")
        for name, ms, y in (("p50", latency.p50, 11), ("p99", latency.p99, 22))
    ]
    deadline: Content = None
    if latency.deadline is not None and low <= latency.deadline.limit_ms <= high:
        at = across(latency.deadline.limit_ms)
        deadline = (line(f"M{at:.1f} 30V{bottom}", "whisker"), text(at + 3, 28, "deadline"))
    return svg(
        width, 190, "latency histogram", bars, _axis(low, high, left, right, bottom),
        text(left - 4, 34, short(float(bins.max())), "end"), text(left - 4, bottom, "0", "end"),
        marks, deadline, text((left + right) / 2, 188, "latency in ms (packets, logarithmic axis)", "mid"),
    )  # fmt: skip


def _mark(x: float, y: int, bottom: int, said: str) -> Content:
    """A dashed line, and what it marks at its top, on the side where there is room."""
    beside = text(x - 3, y, said, "end") if x > 200 else text(x + 3, y, said)
    return (line(f"M{x:.1f} {y - 8}V{bottom}", "mark"), beside)


def _axis(low: float, high: float, left: int, right: int, bottom: int) -> list[Markup]:
    across = logarithmic(low, high, left, right)
    found = [line(f"M{left} {bottom}H{right}", "axis")]
    for ms in decades(low, high):
        found += [
            line(f"M{across(ms):.1f} {bottom}v4", "axis"),
            text(across(ms), bottom + 15, f"{ms:g}", "mid"),
        ]
    return found


def way(phases: Sequence[Phase]) -> Markup:
    """The phases of latency as one bar of means, which add up; those before and after it are left out."""
    inside = [(k, each) for k, each in enumerate(phases) if each.name not in ("sensor", "user")]
    total = sum(each.mean for _, each in inside) or 1.0
    parts: list[Markup] = []
    x = 0.0
    for k, each in inside:
        width = 640 * each.mean / total
        parts.append(
            bar(x, 4, width, 26, f"c{k % 8}", f"{each.name}: {milliseconds(each.mean)} ms, {each.what}")
        )
        if width > 9 * len(each.name):
            parts.append(text(x + width / 2, 44, each.name, "mid"))
        x += width
    return svg(640, 50, "mean way of a packet", parts)


def phase_table(phases: Sequence[Phase]) -> Markup:
    """Every phase with its figures and its clock."""
    rows = [
        (
            (el("i", "", cls=f"key k{k % 8}"), each.name),
            *(milliseconds(ms) for ms in (each.mean, each.p50, each.p99, each.maximum, each.iqr)),
            each.what,
            each.clock,
        )
        for k, each in enumerate(phases)
    ]
    return grid(("phase", "mean", "p50", "p99", "max", "middle half", "from → to", "clock"), rows)


def drawn(latency: Latency) -> Content:
    """All of a run's latency: histogram beside the way of a packet, then the phases."""
    if not latency.packets:
        return el("p", "No output packet came.")
    since = "they were due" if latency.since == "schedule" else "they had been read"
    beside = [figure(histogram(latency), f"{latency.packets:,} packets, from when {since}.")]
    if latency.phases:
        beside.append(figure(way(latency.phases), "Where a packet's time goes, on average."))
    notes = [text_ for name, text_ in latency.rows() if name in ("latency floor", "unanswered", "deadline")]
    return (
        el("div", beside, cls="pair"),
        phase_table(latency.phases) if latency.phases else None,
        el("ul", (el("li", each) for each in notes)) if notes else None,
    )

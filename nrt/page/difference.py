"""Differences drawn: which spikes two devices share, and what happened around the first one they do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrt.compare import Agreement, Divergence, Membrane, Raster, Train
from nrt.page.markup import Content, Markup, el, figure, grid
from nrt.page.spikes import Times, raster
from nrt.page.svg import Scale, line, linear, short, svg, text, ticks


def arrays(train: Train) -> tuple[Times, Times]:
    """Times and neurons of a train."""
    return np.array(train.t, np.int64), np.array(train.n, np.int64)


def matched(
    first: tuple[Times, Times], second: tuple[Times, Times], dt: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each spike (t in µs, neuron) of either has its counterpart: the same neuron in the same step."""
    (t1, n1), (t2, n2) = first, second
    wide = int(max(n1.max(initial=0), n2.max(initial=0))) + 1
    key1, key2 = t1 // dt * wide + n1, t2 // dt * wide + n2
    return np.isin(key1, key2), np.isin(key2, key1)


def drawn(found: Raster, first: int, second: int, agreement: Agreement | None, dt: int) -> Markup | None:
    """Spikes that both have, pale; that only the first has, and only the second, in their colours.

    The second's are shifted by the delay; what lies where only one of the two was recorded is left out.
    """
    a, b = found.trains[first], found.trains[second]
    if a is None or b is None:
        return None
    delay = 0 if agreement is None else round(agreement.delay.us)
    start, end = max(found.start, found.start - delay), min(found.end, found.end - delay)
    one, two = _within(*arrays(a), start, end), _within(*_shifted(b, delay), start, end)
    in_first, in_second = matched(one, two, dt)
    layers = [
        ("tick both", one, in_first),
        (f"tick s{first % 8}", one, ~in_first),
        (f"tick s{second % 8}", two, ~in_second),
    ]
    return raster(
        [(cls, t[chosen], n[chosen]) for cls, (t, n), chosen in layers],
        found.neurons,
        found.start,
        found.end,
        f"difference of {found.population}",
    )


def _shifted(train: Train, delay: int) -> tuple[Times, Times]:
    t, n = arrays(train)
    return t - delay, n


def _within(t: Times, n: Times, start: int, end: int) -> tuple[Times, Times]:
    chosen = (t >= start) & (t < end)
    return t[chosen], n[chosen]


def divergence(found: Divergence, names: Sequence[str], recording: str) -> Content:
    """The first spike that only one of two devices has: where, when, what came before, and the membranes."""
    place = f"neuron {found.neuron} {tuple(found.where)}" if found.where else f"neuron {found.neuron}"
    said = (
        f"{found.population}, {place}, step {found.step} ({found.t / 1e3:g} ms) of {recording}: "
        f"{found.first} spike(s) against {found.second}."
    )
    rows = [
        (
            f"{each.t / 1e3:g} ms",
            f"{each.source} {each.neuron}",
            f"{each.weight:+.4g}",
            _count(each.first),
            _count(each.second),
        )
        for each in found.inputs[:40]
    ]
    cut = found.inputs_cut + max(len(found.inputs) - 40, 0)
    return (
        el("p", said),
        figure(_membranes(found), "Its membrane at the end of each step; dashed: the threshold.", wide=True)
        if any(each.t for each in found.membranes)
        else None,
        grid(("input at", "from", "weight", *names), rows) if rows else None,
        el("p", f"{cut} more input spikes are not shown.") if cut else None,
        el("ul", (el("li", note) for note in found.notes)) if found.notes else None,
    )


def _count(spikes: int | None) -> str:
    return "not seen" if spikes is None else str(spikes)


def _membranes(found: Divergence) -> Markup:
    shown = [each for each in found.membranes if each.t]
    times = [t for each in shown for t in each.t]
    start, end = min(times), max(max(times), min(times) + 1)
    values = [v for each in shown for v in each.v] + [e.threshold for e in shown if e.threshold is not None]
    low, high = min(values), max(values)
    room = (high - low or 1.0) * 0.08
    across, up = linear(start, end, 60, 980), linear(low - room, high + room, 170, 8)
    grid_ = [
        (line(f"M60 {up(v):.1f}H980", "grid"), text(54, up(v) + 3.5, short(v), "end"))
        for v in ticks(low - room, high + room, 5)
    ]
    at = [
        (line(f"M{across(t):.1f} 170v4", "axis"), text(across(t), 185, f"{t / 1e3:g}", "mid"))
        for t in ticks(start, end, 10)
    ]
    lines = [_membrane(each, across, up) for each in shown]
    mark = line(f"M{across(min(max(found.t, start), end)):.1f} 8V170", "mark")
    name = text(520, 200, "stream time in ms", "mid")
    return svg(
        1000,
        206,
        "membranes around the first difference",
        grid_,
        at,
        line("M60 170H980", "axis"),
        mark,
        lines,
        name,
    )


def _membrane(each: Membrane, across: Scale, up: Scale) -> Content:
    colour = f"s{each.device % 8}"
    points = "L".join(f"{across(t):.1f} {up(v):.1f}" for t, v in zip(each.t, each.v, strict=True))
    threshold = None
    if each.threshold is not None:
        threshold = line(f"M60 {up(each.threshold):.1f}H980", f"line dashed {colour}")
    return (threshold, line(f"M{points}", f"line {colour}"))

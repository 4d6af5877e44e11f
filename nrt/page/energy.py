"""Energy drawn: every figure with its label, never added to another.

A disc is measured, a ring is modelled, a diamond is published: figures of different kinds, or of different boundaries,
stand on one axis to be seen, not to be subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nrt.page.markup import Content, Markup, details, el, figure, grid
from nrt.page.svg import cut, decades, dot, line, logarithmic, svg, text
from nrt.profile.energy import Energy, readable_joules

Figure = tuple[str, int, Energy]
"""Whose it is, the device's colour, the figure."""


def label(kind: str) -> Markup:
    """How a figure was had, as a chip of text."""
    return el("span", kind, cls=f"label {kind}")


def drawn(figures: Sequence[Figure]) -> Content:
    """Drawing and table of energies. None where there are none."""
    if not figures:
        return el("p", "Nothing is known of the energy.")
    rows = [
        (
            (el("i", "", cls=f"key k{colour % 8}"), name),
            (readable_joules(energy.joules), _interval(energy.interval)),
            label(energy.kind),
            energy.boundary,
            "" if energy.net is None else (readable_joules(energy.net), _interval(energy.net_interval)),
            "" if energy.idle_watts is None else f"{energy.idle_watts:.3g} W",
            _method(energy),
            energy.source,
        )
        for name, colour, energy in figures
    ]
    head = ("of", "gross", "label", "boundary", "net of idle", "idle", "method", "source")
    notes = list(dict.fromkeys(note for _, _, energy in figures for note in energy.notes))
    return (
        figure(
            _dots(figures), "Disc: measured. Ring: modelled. Diamond: published. Whiskers: 95 % interval."
        ),
        grid(head, rows, numbers=False),
        details("Counters, constants and doubts behind these figures", el("ul", (el("li", n) for n in notes)))
        if notes
        else None,
    )


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ± {readable_joules((interval[1] - interval[0]) / 2)}"


def _method(energy: Energy) -> str:
    parts = [f"{energy.windows} windows"] if energy.windows > 1 else []
    parts += [f"{energy.seconds:.3g} s"] if energy.seconds is not None else []
    parts += [f"{energy.samples:,} samples"] if energy.samples is not None else []
    parts += [f"{energy.rate_hz:g} Hz"] if energy.rate_hz is not None else []
    return ", ".join(parts)


def _dots(figures: Sequence[Figure]) -> Markup:
    shown = [each for each in figures if each[2].joules > 0 and math.isfinite(each[2].joules)]
    if not shown:
        return svg(640, 30, "energy", text(4, 20, "no figure above 0 J"))
    low = 10 ** math.floor(math.log10(min(e.joules for _, _, e in shown)) - 0.2)
    high = 10 ** math.ceil(math.log10(max(e.joules for _, _, e in shown)) + 0.2)
    across = logarithmic(low, high, 240, 600)
    bottom = 8 + 20 * len(shown)
    parts: list[Content] = []
    for k, (name, colour, energy) in enumerate(shown):
        y = 18 + 20 * k
        tip = f"{name}: {energy}"
        parts.append(text(232, y + 3.5, cut(f"{name}, {energy.boundary}", 40), "end strong", tip))
        parts.append(line(f"M240 {y}H600", "grid"))
        if energy.interval is not None:
            parts.append(
                line(f"M{across(energy.interval[0]):.1f} {y}H{across(energy.interval[1]):.1f}", "whisker")
            )
        parts.append(_point(across(energy.joules), y, energy.kind, colour % 8, tip))
    axis = [
        (
            line(f"M{across(j):.1f} {bottom}v4", "axis"),
            text(across(j), bottom + 15, readable_joules(j), "mid"),
        )
        for j in decades(low, high)[:: 1 + int(math.log10(high / low) > 7)]
    ]
    return svg(640, bottom + 20, "energy, logarithmic axis", line(f"M240 {bottom}H600", "axis"), axis, parts)


def _point(x: float, y: float, kind: str, colour: int, tip: str) -> Markup:
    if kind == "measured":
        return dot(x, y, f"c{colour}", tip, 5)
    if kind == "modelled":
        return dot(x, y, f"hollow s{colour}", tip, 5)
    return el("path", el("title", tip), d=f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z", cls=f"hollow s{colour}")

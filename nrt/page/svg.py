"""Parts of drawings as inline SVG. Colours are classes, so that a page's style decides on light, dark and paper."""

from __future__ import annotations

import math
from collections.abc import Callable

from nrt.page.markup import Content, Markup, el

Scale = Callable[[float], float]
"""From a value to a place on the drawing."""


def svg(width: float, height: float, title: str, *parts: Content) -> Markup:
    """A drawing with a name for those who do not see it; hardly ever drawn larger than it was meant to be."""
    box, most = f"0 0 {width:g} {height:g}", f"max-width:{1.15 * width:.0f}px"
    return el("svg", el("title", title), parts, viewBox=box, style=most, role="img", aria_label=title)


def text(x: float, y: float, content: str, cls: str = "", tip: str = "") -> Markup:
    """Text that begins at (x, y), its baseline; cls: mid or end for another side. tip: shown where one points at it."""
    return el("text", el("title", tip) if tip else None, content, x=_r(x), y=_r(y), cls=cls or None)


def line(path: str, cls: str) -> Markup:
    """A path that is drawn, not filled."""
    return el("path", d=path, cls=cls)


def bar(x: float, y: float, width: float, height: float, cls: str, tip: str = "") -> Markup:
    """A rectangle; one of negative size is drawn the other way."""
    x, width = (x + width, -width) if width < 0 else (x, width)
    y, height = (y + height, -height) if height < 0 else (y, height)
    return el(
        "rect",
        el("title", tip) if tip else None,
        x=_r(x),
        y=_r(y),
        width=_r(width),
        height=_r(height),
        cls=cls,
    )


def dot(x: float, y: float, cls: str, tip: str = "", radius: float = 4) -> Markup:
    """A disc."""
    return el("circle", el("title", tip) if tip else None, cx=_r(x), cy=_r(y), r=radius, cls=cls)


def linear(low: float, high: float, begin: float, end: float) -> Scale:
    """Values from `low` to `high` onto places from `begin` to `end`."""
    span = (high - low) or 1.0
    return lambda value: begin + (value - low) / span * (end - begin)


def logarithmic(low: float, high: float, begin: float, end: float) -> Scale:
    """Like `linear` for logarithms; values below `low` lie at `begin`."""
    inner = linear(math.log10(low), math.log10(high), begin, end)
    return lambda value: inner(math.log10(max(value, low)))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round values from `low` to `high`."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * f for f in (1, 2, 2.5, 5, 10) if base * f >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten, with their halves (1, 3) where there are few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    factors = (1, 3) if last - first <= 3 else (1,)
    found = [f * 10.0**k for k in range(first, last + 1) for f in factors]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


def short(value: float) -> str:
    """A number in as few characters as its size allows: 0.25, 12, 3.4k, 5.6M."""
    size = abs(value)
    for limit, factor, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= limit:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}" if size < 1_000 else f"{value:,.0f}"


def cut(words: str, most: int) -> str:
    """`words` in at most so many characters."""
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _r(value: float) -> float:
    return round(value, 1)

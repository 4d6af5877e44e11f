"""HTML and SVG as text, safely: whatever is not Markup is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

_VOID: Final = frozenset({"br", "meta"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | float | None | Iterable["Content"]
"""Markup as it is, text and numbers escaped, the parts of a sequence one after the other, nothing for None."""


def el(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """An element. `cls` is its class; underscores in names stand for hyphens; None leaves an attribute out."""
    written = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{render(content)}</{name}>")


def render(content: Content) -> Markup:
    """`content` as HTML."""
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int | float):
        return Markup(escape(_text(content)))
    return Markup("".join(map(render, content)))


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"


def table(rows: Sequence[tuple[str, Content]], *, cls: str = "facts") -> Markup:
    """Names and values in two columns; a name that is empty belongs to the row above."""
    return el(
        "table", (el("tr", el("th", name, scope="row"), el("td", value)) for name, value in rows), cls=cls
    )


def grid(head: Sequence[Content], rows: Iterable[Sequence[Content]], *, numbers: bool = True) -> Markup:
    """A table with a head, that scrolls where it is too wide; all but the first column are numbers, to the right."""
    kind = "numbers" if numbers else "words"
    body = (el("tr", el("th", row[0], scope="row"), (el("td", cell) for cell in row[1:])) for row in rows)
    heading = el("thead", el("tr", (el("th", each, scope="col") for each in head)))
    return el("div", el("table", heading, el("tbody", body), cls=kind), cls="scroll", tabindex="0")


def section(title: str, *content: Content, note: Content = None) -> Markup:
    """A part of the page under a heading; note: a sentence that says how to read it."""
    return el("section", el("h2", title), el("p", note) if note is not None else None, content)


def figure(drawing: Markup, caption: Content = None, *, title: Content = None, wide: bool = False) -> Markup:
    """A drawing, what stands above it, and what explains it below; a wide one scrolls on a narrow screen."""
    inner = el("div", drawing, cls="scroll", tabindex="0")
    above = el("div", title, cls="above") if title is not None else None
    below = el("figcaption", caption) if caption is not None else None
    return el("figure", above, inner, below, cls="wide" if wide else None)


def tiles(figures: Sequence[tuple[str, str]]) -> Markup:
    """The few figures that matter most: large text, and what it is."""
    return el("div", (el("div", el("b", big), el("span", small)) for big, small in figures), cls="tiles")


def details(summary: str, content: Content) -> Markup:
    """What few want to see: folded on the screen, open on paper."""
    return el("details", el("summary", summary), content)


def mapping(values: Mapping[str, object]) -> list[tuple[str, Content]]:
    """The rows of a table for a dictionary."""
    return [(name, str(value)) for name, value in values.items()]

"""The frame of a page: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from importlib import resources

from nrt.page.markup import Content, Markup, el
from nrt.version import __version__


def document(title: str, lead: Content, *body: Content) -> str:
    """The text of an HTML file. lead: what stands under the title."""
    style = resources.files("nrt.page").joinpath("style.css").read_text(encoding="utf-8")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Markup(style)),
    )
    foot = el("footer", f"Made by nrt {__version__}. This file needs no other and loads nothing.")
    main = el("main", el("h1", title), el("p", lead, cls="lead"), body)
    return f"<!doctype html>\n{el('html', head, el('body', main, foot), lang='en')}\n"

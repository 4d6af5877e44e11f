"""The part of docs/filters.md that is written from the code: `python -m nrt.filters.page`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator

from nrt.filters.base import Filter
from nrt.filters.chain import FILTERS


def page() -> str:
    """A table of all filters, and a section each with its definition and options, in Markdown."""
    rows = ["| filter | what it does |", "|---|---|"]
    rows += [f"| [`{made.usage()}`](#{name}) | {_summary(made)} |" for name, made in FILTERS.items()]
    return "\n\n".join(["\n".join(rows), *("\n\n".join(_section(made)) for made in FILTERS.values())])


def _text(made: type[Filter]) -> str:
    return inspect.cleandoc(made.__doc__ or "")


def _summary(made: type[Filter]) -> str:
    return _text(made).split("\n\n")[0].replace("\n", " ")


def _section(made: type[Filter]) -> Iterator[str]:
    yield f"### {made.name}"
    yield _text(made)
    yield f"Source: {made.origin}."
    fields = made.options()
    if fields:
        yield "\n".join(["| option | | default |", "|---|---|---|", *map(_row, fields)])


def _row(field: dataclasses.Field[object]) -> str:
    about, kind = field.metadata["about"], field.metadata["kind"]
    usual = "must be given" if field.default is dataclasses.MISSING else f"`{kind.write(field.default)}`"
    return f"| `{field.name}` | {about} | {usual} |"


if __name__ == "__main__":
    print(page())

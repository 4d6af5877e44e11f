"""docs/specs.md, written from the definitions: `nrt spec docs > docs/specs.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nrt.spec.describe import Section, heading, sections
from nrt.spec.spec import Spec

_INTRODUCTION = """\
<!-- Written by `nrt spec docs > docs/specs.md` from firmware_specs/*.toml. Edit those. -->

# Device definitions

What nrt knows about each device, from [firmware_specs](../firmware_specs/README.md): the same files that drivers and
emulators take every address, bit, limit and figure from. Words in square brackets are sources, explained in the last
table of each device. Bits of a field are written most significant first; a field of more than one slice joins them in
that order."""


def page(specs: Sequence[Spec]) -> str:
    """The page, in Markdown."""
    contents = [f"* [{spec.title}](#{_anchor(spec.title)}): {spec.summary}" for spec in specs]
    parts = [_INTRODUCTION, "\n".join(contents)]
    for spec in specs:
        parts += [f"## {spec.title}", f"`nrt.spec.load({spec.name!r})`. {heading(spec)}"]
        for section in sections(spec):
            parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"### {section.title}"
    if section.text:
        yield _escape(section.text)
    if section.rows:
        yield "\n".join(_table(section))


def _table(section: Section) -> Iterator[str]:
    yield "| " + " | ".join(section.columns) + " |"
    yield "|" + "---|" * len(section.columns)
    for row in section.rows:
        yield "| " + " | ".join(map(_escape, row)) + " |"


def _escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = "".join(f"\\{letter}" if letter in "|*_<>`[]" else letter for letter in text)
    return escaped.replace("\n", " ")


def _anchor(title: str) -> str:
    """GitHub's anchor of a heading."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")

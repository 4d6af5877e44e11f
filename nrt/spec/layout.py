"""Reads the parts of a definition that lay out bits and bytes: enums, words, kinds, records, registers, memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nrt.spec.document import Document, Node
from nrt.spec.entries import Enumeration, Kinds, Memory, Register
from nrt.spec.record import Member, Record
from nrt.spec.schema import Place
from nrt.spec.word import Field, Slice, Word

Enums = Mapping[str, Enumeration]


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that has a place in bits or bytes."""

    enums: Enums
    words: Mapping[str, Word]
    groups: Mapping[str, Kinds]
    records: Mapping[str, Record]
    registers: Mapping[str, Register]
    memories: Mapping[str, Memory]


def read_layout(document: Document) -> Layout:
    """Raises SpecError for slices that overlap, values that do not fit and names that refer to nothing."""
    enums = document.rows("enums", lambda name, node: _enumeration(document, name, node))
    words = document.rows("words", lambda name, node: _word(document, ("words", name), node, enums))
    return Layout(
        enums=enums,
        words=words,
        groups=document.rows("kinds", lambda name, node: _kinds(document, name, node, words)),
        records=document.rows("records", lambda name, node: _record(document, name, node, enums, words)),
        registers=document.rows("registers", lambda name, node: _register(document, name, node, enums)),
        memories=document.rows("memories", lambda name, node: _memory(document, name, node, words)),
    )


def _enumeration(document: Document, name: str, node: Node) -> Enumeration:
    values: Mapping[str, int] = MappingProxyType(dict(node["values"]))
    if len(set(values.values())) < len(values):
        document.fail(("enums", name, "values"), f"two names of {name} have the same value")
    return Enumeration(name, values, node.get("description", ""), node.get("source", ""))


def _word(document: Document, place: Place, node: Node, enums: Enums) -> Word:
    name, width, taken = str(place[-1]), node["width"], 0
    fields: dict[str, Field] = {}
    for label, each in node["fields"].items():
        here = (*place, "fields", label)
        fields[label] = _field(document, here, each, width, enums)
        if fields[label].mask & taken:
            document.fail(here, f"{label} overlaps another field of {name}")
        taken |= fields[label].mask
    return Word(
        name=name,
        width=width,
        fields=MappingProxyType(fields),
        byte_order=node.get("byte_order", "little"),
        description=node.get("description", ""),
        source=node.get("source", ""),
    )


def _field(document: Document, place: Place, node: Node, width: int, enums: Enums) -> Field:
    enum = document.named(enums, node["enum"], (*place, "enum"), "enum") if "enum" in node else None
    made = Field(
        name=str(place[-1]),
        slices=_slices(document, (*place, "bits"), node["bits"], width),
        signed=node.get("signed", False),
        match=node.get("match"),
        default=node.get("default"),
        labels=enum.values if enum else {},
        unit=node.get("unit", ""),
        description=node.get("description", ""),
    )
    for value in (made.match, made.default):
        if value is not None and not made.low <= value <= made.high:
            document.fail(place, f"{value} does not fit {made.name}, which holds {made.low} to {made.high}")
    for label, value in made.labels.items():
        if not made.low <= value <= made.high:
            document.fail(place, f"{label} = {value} of {node['enum']} does not fit {made.name}")
    if made.match is not None and made.default is not None:
        document.fail(place, f"{made.name} is constant (match) and needs no default")
    return made


def _slices(document: Document, place: Place, bits: str, width: int) -> tuple[Slice, ...]:
    """The slices of `12:5` or `4:0,14:13`."""
    ends = [tuple(map(int, part.split(":"))) for part in bits.split(",")]
    left = sum(end[0] - end[-1] + 1 for end in ends)
    slices: list[Slice] = []
    taken = 0
    for end in ends:
        high, low = end[0], end[-1]
        if high < low or high >= width:
            document.fail(place, f"bits {bits} are not high:low within a word of {width} bits")
        left -= high - low + 1
        part = Slice(low, left, high - low + 1)
        if taken & part.mask << low:
            document.fail(place, f"the slices {bits} overlap")
        taken |= part.mask << low
        slices.append(part)
    return tuple(slices)


def _kinds(document: Document, name: str, node: Node, words: Mapping[str, Word]) -> Kinds:
    place = ("kinds", name, "words")
    found = tuple(document.named(words, each, (*place, i), "word") for i, each in enumerate(node["words"]))
    for index, word in enumerate(found):
        if word.dtype != found[0].dtype:
            document.fail((*place, index), f"{word.name} and {found[0].name} are not of one size")
        for other in found[:index]:
            if _implies(word, other):
                reason = f"whatever is {word.name} is {other.name} too, which stands before it"
                document.fail((*place, index), reason)
    return Kinds(name, found, node.get("description", ""))


def _implies(word: Word, other: Word) -> bool:
    """Whether all that matches `word` matches `other`."""
    return (
        word.match_mask & other.match_mask == other.match_mask
        and word.match_bits & other.match_mask == other.match_bits
    )


def _record(document: Document, name: str, node: Node, enums: Enums, words: Mapping[str, Word]) -> Record:
    members: dict[str, Member] = {}
    for index, each in enumerate(node["fields"]):
        place = ("records", name, "fields", index)
        if each["name"] in members:
            document.fail(place, f"{name} has two fields {each['name']}")
        members[each["name"]] = _member(document, place, each, enums, words)
    return Record(
        name=name,
        members=tuple(members.values()),
        byte_order=node.get("byte_order", "little"),
        description=node.get("description", ""),
        source=node.get("source", ""),
    )


def _member(document: Document, place: Place, node: Node, enums: Enums, words: Mapping[str, Word]) -> Member:
    name, kind, word = node["name"], node.get("type", ""), node.get("word", "")
    if bool(kind) == bool(word):
        document.fail(place, f"{name} needs a type or a word, and not both")
    if word:
        kind = f"u{8 * document.named(words, word, (*place, 'word'), 'word').dtype.itemsize}"
    if (kind == "bytes") != ("size" in node):
        document.fail(place, f"{name}: bytes need a size, and nothing else has one")
    enum = document.named(enums, node["enum"], (*place, "enum"), "enum") if "enum" in node else None
    made = Member(
        name=name,
        type=kind,
        size=node["size"] if kind == "bytes" else int(kind[1:]) // 8,
        match=node.get("match"),
        word=word,
        labels=enum.values if enum else {},
        unit=node.get("unit", ""),
        description=node.get("description", ""),
    )
    for value in (*made.labels.values(), *(() if made.match is None else (made.match,))):
        if kind[0] not in "ui" or not made.holds(value):
            document.fail(place, f"{value} does not fit {name}, which is {kind}")
    return made


def _register(document: Document, name: str, node: Node, enums: Enums) -> Register:
    place = ("registers", name)
    width, reset = node["width"], node.get("reset")
    whole = {"value": {"bits": f"{width - 1}:0"}}
    if reset is not None and not 0 <= reset < 1 << width:
        document.fail((*place, "reset"), f"{reset} does not fit {width} bits")
    return Register(
        name=name,
        address=node["address"],
        width=width,
        access=node["access"],
        reset=reset,
        word=_word(document, place, {"fields": whole, **node}, enums),
        description=node.get("description", ""),
        source=node.get("source", ""),
    )


def _memory(document: Document, name: str, node: Node, words: Mapping[str, Word]) -> Memory:
    place = ("memories", name)
    layout = document.named(words, node["layout"], (*place, "layout"), "word") if "layout" in node else None
    if layout is not None and layout.width > node["width"]:
        reason = f"{layout.name} has {layout.width} bits, a word of {name} {node['width']}"
        document.fail((*place, "layout"), reason)
    return Memory(
        name=name,
        words=node["words"],
        width=node["width"],
        access=node.get("access", "rw"),
        address=document.named(words, node["address"], (*place, "address"), "word"),
        layout=layout,
        reset=node.get("reset"),
        description=node.get("description", ""),
        source=node.get("source", ""),
    )

"""Vectors: bits against meaning from somewhere else than this project, and whether a definition agrees with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from nrt.errors import ConfigError
from nrt.spec.document import Document, Node
from nrt.spec.entries import Kinds, Settings, Vector
from nrt.spec.layout import Layout
from nrt.spec.record import Record
from nrt.spec.schema import Place
from nrt.spec.spec import Spec
from nrt.spec.word import Word


def read_vectors(document: Document, layout: Layout) -> tuple[Vector, ...]:
    """Raises SpecError for a vector that is about nothing, or whose bits cannot be read."""
    nodes = document.root.get("vectors", ())
    return tuple(_vector(document, ("vectors", index), node, layout) for index, node in enumerate(nodes))


def check_vector(spec: Spec, vector: Vector) -> str:
    """How unpacking and packing a vector disagrees with it; empty where they agree."""
    try:
        if vector.about == "record":
            return _record_contradiction(spec.records[vector.target], vector)
        word = spec.registers[vector.target].word if vector.about == "register" else spec.words[vector.target]
        return _word_contradiction(word, spec.groups.get(vector.kind), vector)
    except ConfigError as error:
        return str(error)


def crc(parameters: Settings, data: bytes) -> int:
    """A checksum in the Rocksoft parameters (R. Williams, 1993), bit by bit: slow and obvious, to check faster ones."""
    width, polynomial = parameters.integer("width"), parameters.integer("polynomial")
    register = parameters.integer("initial")
    for byte in data:
        value = _reflect(byte, 8) if parameters["reflect_in"] else byte
        register ^= value << (width - 8)
        for _ in range(8):
            overflow = register >> (width - 1) & 1
            register = (register << 1 & (1 << width) - 1) ^ (polynomial if overflow else 0)
    if parameters["reflect_out"]:
        register = _reflect(register, width)
    return register ^ parameters.integer("final_xor")


def _reflect(value: int, width: int) -> int:
    return int(f"{value:0{width}b}"[::-1], 2)


def _vector(document: Document, place: Place, node: Node, layout: Layout) -> Vector:
    about, target = _target(document, place, node, layout)
    if ("hex" in node) == ("bytes" in node) or (about == "record" and "hex" in node):
        document.fail(place, "a vector has either hex or bytes, that of a record has bytes")
    if "kind" in node:
        kind = document.named(layout.groups, node["kind"], (*place, "kind"), "kinds")
        if target.name not in kind.names:
            document.fail((*place, "kind"), f"{kind.name} has no word {target.name}")
    return Vector(
        about=about,
        target=target.name,
        kind=node.get("kind", ""),
        data=_bytes(document, place, node) if "bytes" in node else _value(document, place, node, target),
        fields=_fields(document, place, node["fields"]),
        meaning=node.get("meaning", ""),
        source=node["source"],
    )


def _target(
    document: Document, place: Place, node: Node, layout: Layout
) -> tuple[Literal["word", "register", "record"], Word | Record]:
    named = [about for about in ("word", "register", "record") if about in node]
    if len(named) != 1:
        document.fail(place, "a vector is about one of word, register and record")
    if "word" in node:
        return "word", document.named(layout.words, node["word"], (*place, "word"), "word")
    if "record" in node:
        return "record", document.named(layout.records, node["record"], (*place, "record"), "record")
    register = document.named(layout.registers, node["register"], (*place, "register"), "register")
    return "register", register.word


def _bytes(document: Document, place: Place, node: Node) -> bytes:
    try:
        return bytes.fromhex(node["bytes"])
    except ValueError:
        document.fail((*place, "bytes"), f"bytes are pairs of digits, not {node['bytes']}")


def _value(document: Document, place: Place, node: Node, word: Word | Record) -> bytes:
    """A word's value as its bytes on the wire."""
    value = int(node["hex"].replace(" ", ""), 16)
    if isinstance(word, Record) or value >= 1 << word.width:
        document.fail((*place, "hex"), f"{node['hex']} has more bits than {word.name}")
    return value.to_bytes(word.dtype.itemsize, word.byte_order)


def _fields(document: Document, place: Place, node: Node) -> Mapping[str, int | float | bytes]:
    fields: dict[str, int | float | bytes] = {}
    for name, value in node.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            document.fail((*place, "fields", name), f"{name} must be a number, or a text for bytes")
        fields[name] = value.encode() if isinstance(value, str) else value
    return MappingProxyType(fields)


def _record_contradiction(record: Record, vector: Vector) -> str:
    if len(vector.data) != record.size:
        return f"{record.name} has {record.size} bytes, the vector {len(vector.data)}"
    packed = record.pack(**vector.fields)
    if packed != vector.data:
        return f"{record.name} packs to {packed.hex(' ')}, not {vector.data.hex(' ')}"
    return ""


def _word_contradiction(word: Word, kind: Kinds | None, vector: Vector) -> str:
    raw = word.from_bytes(vector.data)
    if len(raw) != 1:
        return f"{word.name} has {word.wire.itemsize} bytes, the vector {len(vector.data)}"
    fields = {name: int(values[0]) for name, values in word.unpack(raw).items()}
    if fields != vector.fields:
        return f"{word.name} unpacks to {_listed(fields)}, not {_listed(vector.fields)}"
    whole = {name: int(value) for name, value in vector.fields.items()}
    packed = word.pack(**whole).reshape(1)
    if packed[0] != raw[0] or word.pack_one(**whole) != raw[0]:
        return f"{word.name} packs to {int(packed[0]):#x}, not {int(raw[0]):#x}"
    if not word.matches(raw)[0]:
        return f"{int(raw[0]):#x} does not match {word.name}"
    if kind is not None and kind.names[kind.classify(raw)[0]] != word.name:
        return f"{int(raw[0]):#x} is told apart as {kind.names[kind.classify(raw)[0]]}, not {word.name}"
    return ""


def _listed(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in fields.items()) or "no fields"

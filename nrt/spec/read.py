"""From a TOML document to a Spec, or a SpecError that says in which line and why.

Three passes: tomllib (is it TOML), the JSON Schema (has it the right shape), and here what a schema cannot say:
fields that overlap, names that refer to nothing, words that nothing can tell apart.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn, TypeVar

from nrt.errors import SpecError
from nrt.spec import entries as e
from nrt.spec.lines import locate, nearest
from nrt.spec.record import Member, Record
from nrt.spec.schema import check, device_schema
from nrt.spec.spec import Spec
from nrt.spec.word import Field, Slice, Word

T = TypeVar("T")
Node = Mapping[str, Any]

_PROSE: Final = frozenset(
    {"description", "source", "note", "why", "unit", "meaning", "title", "summary", "on_silicon"}
)
_UNHASHED: Final = frozenset({"energy", "quirks", "vectors", "provenance"})
_LARGEST: Final = 1 << 22
"""Bytes of a definition; the largest of ours has 50 thousand."""


def read_spec(path: Path, text: str) -> Spec:
    """The definition in `text`; `path` is for messages. Raises SpecError."""
    document = _parse(path, text)
    lines = locate(text)
    for place, reason in check(document, device_schema()):
        raise SpecError(path, nearest(lines, place), reason)
    return _Reader(path, document, lines).spec()


def _parse(path: Path, text: str) -> dict[str, Any]:
    if len(text) > _LARGEST:
        raise SpecError(path, 1, f"{len(text)} characters are too many for a definition")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SpecError(path, 1, "nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        where = re.search(r"\(at line (\d+)", str(error))
        line = int(where[1]) if where else text.count("\n") + 1
        raise SpecError(path, line, re.sub(r" \(at .*\)$", "", str(error))) from None


def digest(document: Node) -> str:
    """SHA-256 of what a driver and a firmware must agree on, whatever its order in the file."""
    agreed = {name: _bare(value) for name, value in document.items() if name not in _UNHASHED}
    text = json.dumps(agreed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _bare(value: object) -> object:
    """Without prose."""
    if isinstance(value, dict):
        return {
            name: _bare(each) for name, each in value.items() if name not in _PROSE or isinstance(each, dict)
        }
    return [_bare(each) for each in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Reader:
    """A document that fits the schema."""

    path: Path
    document: Node
    lines: Mapping[tuple[str | int, ...], int]

    def spec(self) -> Spec:
        identity = self.document["identity"]
        self._check_sources(self.document, ())
        enums = self._table("enums", self._enumeration)
        words = self._table("words", lambda name, node: self._word(("words", name), name, node, enums))
        framing = self.document.get("framing", {})
        records = self._table("records", lambda name, node: self._record(name, node, enums, words))
        registers = self._table("registers", lambda name, node: self._register(name, node, enums))
        self._check_framing(framing, records)
        return Spec(
            path=self.path,
            hash=digest(self.document),
            name=identity["name"],
            title=identity["title"],
            kind=identity["kind"],
            summary=identity["summary"],
            vendor=identity.get("vendor", ""),
            on_silicon=identity["on_silicon"],
            identity=_settings("identity", identity),
            transport=self._table("transport", lambda name, node: _settings(f"transport.{name}", node)),
            framing=_settings("framing", {k: v for k, v in framing.items() if k != "checksum"}),
            checksum=_settings("framing.checksum", framing.get("checksum", {})),
            enums=enums,
            words=words,
            groups=self._table("kinds", lambda name, node: self._kinds(name, node, words)),
            records=records,
            registers=registers,
            memories=self._table("memories", lambda name, node: self._memory(name, node, words)),
            timing=self._table("timing", _timing),
            limits=e.Figures(self._table("limits", _figure)),
            tables=self._table("tables", _row),
            arithmetic=self._table("arithmetic", self._format),
            procedures=self._table("procedures", lambda name, node: tuple(map(_step, node["steps"]))),
            energy=tuple(self._energy(i, node) for i, node in enumerate(self.document.get("energy", ()))),
            quirks=tuple(
                e.Quirk(node["id"], node["text"], node.get("affects", ""), node["source"])
                for node in self.document.get("quirks", ())
            ),
            provenance=self._table("provenance", _origin),
            vectors=tuple(
                self._vector(i, node, words, records, registers)
                for i, node in enumerate(self.document.get("vectors", ()))
            ),
        )

    def _fail(self, place: tuple[str | int, ...], reason: str) -> NoReturn:
        raise SpecError(self.path, nearest(self.lines, place), reason)

    def _table(self, section: str, make: Callable[[str, Node], T]) -> Mapping[str, T]:
        rows = self.document.get(section, {})
        return MappingProxyType({name: make(name, node) for name, node in rows.items()})

    def _named(self, table: Mapping[str, T], name: str, place: tuple[str | int, ...], kind: str) -> T:
        if name not in table:
            self._fail(place, f"there is no {kind} {name}; there is {', '.join(table) or 'none'}")
        return table[name]

    def _check_sources(self, node: object, place: tuple[str | int, ...]) -> None:
        """Every `source` begins with a name under provenance."""
        if isinstance(node, dict):
            source = node.get("source")
            if isinstance(source, str):
                self._named(
                    self.document["provenance"], source.partition(":")[0], (*place, "source"), "provenance"
                )
        parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, part in parts:
            self._check_sources(part, (*place, name))

    def _check_framing(self, framing: Node, records: Mapping[str, Record]) -> None:
        for part in ("header", "trailer"):
            if part in framing:
                self._named(records, framing[part], ("framing", part), "record")
        checksum = framing.get("checksum", {})
        for name in ("polynomial", "initial", "final_xor", "check"):
            if checksum and not 0 <= checksum[name] < 1 << checksum["width"]:
                self._fail(("framing", "checksum", name), f"{name} has more than {checksum['width']} bits")

    def _enumeration(self, name: str, node: Node) -> e.Enumeration:
        values = node["values"]
        if len(set(values.values())) < len(values):
            self._fail(("enums", name, "values"), f"two names of {name} have the same value")
        return e.Enumeration(
            name, MappingProxyType(dict(values)), node.get("description", ""), node.get("source", "")
        )

    def _word(
        self, place: tuple[str, ...], name: str, node: Node, enums: Mapping[str, e.Enumeration]
    ) -> Word:
        width, taken = node["width"], 0
        fields: dict[str, Field] = {}
        for label, each in node["fields"].items():
            fields[label] = self._field((*place, "fields", label), label, each, width, enums)
            if fields[label].mask & taken:
                self._fail((*place, "fields", label), f"{label} overlaps another field of {name}")
            taken |= fields[label].mask
        return Word(
            name,
            width,
            MappingProxyType(fields),
            node.get("byte_order", "little"),
            node.get("description", ""),
            node.get("source", ""),
        )

    def _field(
        self, place: tuple[str, ...], name: str, node: Node, width: int, enums: Mapping[str, e.Enumeration]
    ) -> Field:
        enum = self._named(enums, node["enum"], (*place, "enum"), "enum") if "enum" in node else None
        made = Field(
            name,
            self._slices(place, node["bits"], width),
            node.get("signed", False),
            node.get("match"),
            node.get("default"),
            enum.values if enum else {},
            node.get("unit", ""),
            node.get("description", ""),
        )
        for value in (made.match, made.default, *made.labels.values()):
            if value is not None and not made.low <= value <= made.high:
                self._fail(place, f"{value} does not fit {name}, which holds {made.low} to {made.high}")
        if made.match is not None and made.default is not None:
            self._fail(place, f"{name} is constant (match) and needs no default")
        return made

    def _slices(self, place: tuple[str, ...], bits: str, width: int) -> tuple[Slice, ...]:
        ends = [tuple(map(int, part.split(":"))) for part in bits.split(",")]
        spans = [(span[0], span[-1]) for span in ends]
        left = sum(high - low + 1 for high, low in spans)
        slices: list[Slice] = []
        taken = 0
        for high, low in spans:
            if high < low or high >= width:
                self._fail(
                    (*place, "bits"), f"bits {high}:{low} are not within a word of {width} bits, high:low"
                )
            left -= high - low + 1
            part = Slice(low, left, high - low + 1)
            if taken & part.mask << low:
                self._fail((*place, "bits"), f"the slices {bits} overlap")
            taken |= part.mask << low
            slices.append(part)
        return tuple(slices)

    def _kinds(self, name: str, node: Node, words: Mapping[str, Word]) -> e.Kinds:
        place = ("kinds", name, "words")
        found = tuple(self._named(words, each, (*place, i), "word") for i, each in enumerate(node["words"]))
        for index, word in enumerate(found):
            if word.dtype != found[0].dtype:
                self._fail((*place, index), f"{word.name} and {found[0].name} are not of one size")
            for other in found[:index]:
                if word.match_mask & other.match_mask == other.match_mask and (
                    word.match_bits & other.match_mask == other.match_bits
                ):
                    self._fail(
                        (*place, index),
                        f"whatever is {word.name} is {other.name} too, which stands before it",
                    )
        return e.Kinds(name, found, node.get("description", ""))

    def _record(
        self, name: str, node: Node, enums: Mapping[str, e.Enumeration], words: Mapping[str, Word]
    ) -> Record:
        members = tuple(
            self._member(("records", name, "fields", i), each, enums, words)
            for i, each in enumerate(node["fields"])
        )
        if len({member.name for member in members}) < len(members):
            self._fail(("records", name), f"{name} has two fields of one name")
        return Record(
            name,
            members,
            node.get("byte_order", "little"),
            node.get("description", ""),
            node.get("source", ""),
        )

    def _member(
        self,
        place: tuple[str | int, ...],
        node: Node,
        enums: Mapping[str, e.Enumeration],
        words: Mapping[str, Word],
    ) -> Member:
        name, kind, word = node["name"], node.get("type", ""), node.get("word", "")
        if bool(kind) == bool(word):
            self._fail(place, f"{name} needs a type or a word, and not both")
        if (kind == "bytes") != ("size" in node):
            self._fail(place, f"{name}: bytes need a size, and nothing else has one")
        if word:
            kind = f"u{8 * self._named(words, word, (*place, 'word'), 'word').dtype.itemsize}"
        if "match" in node and kind[0] not in "ui":
            self._fail((*place, "match"), f"{name} is {kind}; only integers are matched")
        enum = self._named(enums, node["enum"], (*place, "enum"), "enum") if "enum" in node else None
        made = Member(
            name,
            kind,
            node.get("size", int(kind[1:]) // 8 if kind != "bytes" else 0),
            node.get("match"),
            word,
            enum.values if enum else {},
            node.get("unit", ""),
            node.get("description", ""),
        )
        if made.match is not None and not made.holds(made.match):
            self._fail((*place, "match"), f"{made.match} does not fit {kind}")
        return made

    def _register(self, name: str, node: Node, enums: Mapping[str, e.Enumeration]) -> e.Register:
        place = ("registers", name)
        width, reset = node["width"], node.get("reset")
        whole = {"value": {"bits": f"{width - 1}:0"}}
        word = self._word(place, name, {"fields": whole, **node}, enums)
        if reset is not None and not 0 <= reset < 1 << width:
            self._fail((*place, "reset"), f"{reset} does not fit {width} bits")
        return e.Register(
            name,
            node["address"],
            width,
            node["access"],
            reset,
            word,
            node.get("description", ""),
            node.get("source", ""),
        )

    def _memory(self, name: str, node: Node, words: Mapping[str, Word]) -> e.Memory:
        place = ("memories", name)
        layout = self._named(words, node["layout"], (*place, "layout"), "word") if "layout" in node else None
        if layout is not None and layout.width > node["width"]:
            self._fail(
                (*place, "layout"), f"{layout.name} has {layout.width} bits, a word of {name} {node['width']}"
            )
        return e.Memory(
            name,
            node["words"],
            node["width"],
            node.get("access", "rw"),
            self._named(words, node["address"], (*place, "address"), "word"),
            layout,
            node.get("reset"),
            node.get("description", ""),
            node.get("source", ""),
        )

    def _format(self, name: str, node: Node) -> e.IntegerFormat:
        width, signed = node["width"], node["signed"]
        least, greatest = (-(1 << (width - 1)) if signed else 0), (1 << (width - signed)) - 1
        low, high = node.get("low", least), node.get("high", greatest)
        if not least <= low <= high <= greatest:
            self._fail(("arithmetic", name), f"{low} to {high} is not within {least} to {greatest}")
        return e.IntegerFormat(
            name,
            width,
            signed,
            node["overflow"],
            low,
            high,
            node.get("exponent", 0),
            node.get("step", 1),
            node.get("description", ""),
            node["source"],
        )

    def _energy(self, index: int, node: Node) -> e.EnergyRow:
        joules, watts = node.get("joules"), node.get("watts")
        if (joules is None) == (watts is None):
            self._fail(("energy", index), "an energy row has either joules or watts")
        return e.EnergyRow(
            node["operation"], joules, watts, node["kind"], node["source"], node.get("description", "")
        )

    def _vector(
        self,
        index: int,
        node: Node,
        words: Mapping[str, Word],
        records: Mapping[str, Record],
        registers: Mapping[str, e.Register],
    ) -> e.Vector:
        place = ("vectors", index)
        abouts = [about for about in ("word", "register", "record") if about in node]
        if len(abouts) != 1 or ("hex" in node) == ("bytes" in node):
            self._fail(place, "a vector has one of word, register and record, and one of hex and bytes")
        about = abouts[0]
        tables: Mapping[str, Mapping[str, object]] = {"word": words, "register": registers, "record": records}
        self._named(tables[about], node[about], (*place, about), about)
        if "kind" in node:
            kind = self._named(self.document.get("kinds", {}), node["kind"], (*place, "kind"), "kinds")
            if node.get("word") not in kind["words"]:
                self._fail((*place, "kind"), f"{node['kind']} has no word {node[about]}")
        digits = node.get("bytes", node.get("hex")).replace(" ", "")
        if ("bytes" in node and len(digits) % 2) or ("hex" in node and about == "record"):
            self._fail(place, "bytes are pairs of digits, and a record's vector has bytes")
        data = (
            bytes.fromhex(digits) if "bytes" in node else self._ordered(place, node, words, registers, digits)
        )
        return e.Vector(
            about,  # type: ignore[arg-type]  # one of the three above
            node[about],
            node.get("kind", ""),
            data,
            self._vector_fields(place, node["fields"]),
            node.get("meaning", ""),
            node["source"],
            nearest(self.lines, place),
        )

    def _ordered(
        self,
        place: tuple[str | int, ...],
        node: Node,
        words: Mapping[str, Word],
        registers: Mapping[str, e.Register],
        digits: str,
    ) -> bytes:
        """A word's value as its bytes on the wire."""
        word = words[node["word"]] if "word" in node else registers[node["register"]].word
        if int(digits, 16) >= 1 << word.width:
            self._fail((*place, "hex"), f"{digits} has more than the {word.width} bits of {word.name}")
        return int(digits, 16).to_bytes(word.dtype.itemsize, word.byte_order)

    def _vector_fields(self, place: tuple[str | int, ...], node: Node) -> Mapping[str, int | float | bytes]:
        fields: dict[str, int | float | bytes] = {}
        for name, value in node.items():
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                self._fail((*place, "fields", name), f"{name} must be a number, or a text for bytes")
            fields[name] = value.encode() if isinstance(value, str) else value
        return MappingProxyType(fields)


def _settings(where: str, node: Node) -> e.Settings:
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in node.items()}
    return e.Settings(where, MappingProxyType(plain))


def _timing(name: str, node: Node) -> e.Timing:
    per = MappingProxyType(dict(node.get("per", {})))
    return e.Timing(name, node["value"], node["unit"], per, node.get("description", ""), node["source"])


def _figure(name: str, node: Node) -> e.Figure:
    return e.Figure(name, node["value"], node.get("unit", ""), node.get("description", ""), node["source"])


def _row(name: str, node: Node) -> e.Table:
    return e.Table(
        name,
        tuple(node["values"]),
        node.get("index", ""),
        node.get("unit", ""),
        node.get("description", ""),
        node["source"],
    )


def _origin(name: str, node: Node) -> e.Origin:
    return e.Origin(name, node["title"], node["where"], node.get("licence", ""), node.get("note", ""))


def _step(node: Node) -> e.Step:
    return e.Step(
        node["do"],
        node.get("target", ""),
        node.get("value"),
        node.get("parameter", ""),
        node.get("text", ""),
        node.get("milliseconds", 0.0),
        node.get("why", ""),
    )

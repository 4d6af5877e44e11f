"""From the text of a definition to a Spec, or a SpecError that says in which line and why.

Three passes: tomllib (is it TOML), the JSON Schema (has it the right shape), and what a schema cannot say: slices that
overlap, names that refer to nothing, words that nothing can tell apart. `contradictions` is a fourth, for the author
of a definition: whether it agrees with its own vectors.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from nrt.errors import SpecError
from nrt.spec.document import Document, Node
from nrt.spec.entries import (
    EnergyRow,
    Figure,
    Figures,
    IntegerFormat,
    Origin,
    Quirk,
    Settings,
    Step,
    Table,
    Timing,
)
from nrt.spec.layout import Layout, read_layout
from nrt.spec.schema import Place
from nrt.spec.spec import Spec
from nrt.spec.vectors import check_vector, crc, read_vectors

_DIGITS: Final = b"123456789"
"""What the check value of a checksum is of."""


def read_spec(path: Path, text: str) -> Spec:
    """The definition in `text`; `path` is for messages. Raises SpecError."""
    return assemble(Document.parse(path, text))


def contradictions(path: Path, text: str) -> tuple[SpecError, ...]:
    """Every vector, and the checksum's check value, that the definition disagrees with. Raises SpecError like
    `read_spec`."""
    document = Document.parse(path, text)
    spec = assemble(document)
    found = [
        document.error(("vectors", index), reason)
        for index, vector in enumerate(spec.vectors)
        if (reason := check_vector(spec, vector))
    ]
    if len(spec.checksum) and crc(spec.checksum, _DIGITS) != spec.checksum.integer("check"):
        reason = f"the checksum of {_DIGITS.decode()} is {crc(spec.checksum, _DIGITS):#x}"
        found.append(document.error(("framing", "checksum", "check"), reason))
    return tuple(found)


def assemble(document: Document) -> Spec:
    """The Spec of a document that fits the schema. Raises SpecError."""
    document.require_sources()
    identity = document.root["identity"]
    layout = read_layout(document)
    framing = _framing(document, layout)
    return Spec(
        path=document.path,
        hash=document.digest(),
        name=identity["name"],
        title=identity["title"],
        kind=identity["kind"],
        summary=identity["summary"],
        vendor=identity.get("vendor", ""),
        on_silicon=identity["on_silicon"],
        identity=_settings("identity", identity),
        transport=document.rows("transport", lambda name, node: _settings(f"transport.{name}", node)),
        framing=_settings("framing", {name: value for name, value in framing.items() if name != "checksum"}),
        checksum=_settings("framing.checksum", framing.get("checksum", {})),
        enums=layout.enums,
        words=layout.words,
        groups=layout.groups,
        records=layout.records,
        registers=layout.registers,
        memories=layout.memories,
        timing=document.rows("timing", _timing),
        limits=Figures(document.rows("limits", _figure)),
        tables=document.rows("tables", _table),
        arithmetic=document.rows("arithmetic", lambda name, node: _format(document, name, node)),
        procedures=document.rows("procedures", lambda name, node: _procedure(document, name, node, layout)),
        energy=tuple(_energy(document, ("energy", i), node) for i, node in _rows(document, "energy")),
        quirks=tuple(_quirk(node) for _, node in _rows(document, "quirks")),
        provenance=document.rows("provenance", _origin),
        vectors=read_vectors(document, layout),
    )


def _rows(document: Document, section: str) -> list[tuple[int, Node]]:
    return list(enumerate(document.root.get(section, ())))


def _framing(document: Document, layout: Layout) -> Node:
    framing: Node = document.root.get("framing", {})
    for part in ("header", "trailer"):
        if part in framing:
            document.named(layout.records, framing[part], ("framing", part), "record")
    checksum: Node = framing.get("checksum", {})
    for name in ("polynomial", "initial", "final_xor", "check"):
        if checksum and not 0 <= checksum[name] < 1 << checksum["width"]:
            document.fail(("framing", "checksum", name), f"{name} has more than {checksum['width']} bits")
    return framing


def _settings(where: str, node: Node) -> Settings:
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in node.items()}
    return Settings(where, MappingProxyType(plain))


def _timing(name: str, node: Node) -> Timing:
    per = MappingProxyType(dict(node.get("per", {})))
    return Timing(name, node["value"], node["unit"], per, node.get("description", ""), node["source"])


def _figure(name: str, node: Node) -> Figure:
    return Figure(name, node["value"], node.get("unit", ""), node.get("description", ""), node["source"])


def _table(name: str, node: Node) -> Table:
    return Table(
        name=name,
        values=tuple(node["values"]),
        index=node.get("index", ""),
        unit=node.get("unit", ""),
        description=node.get("description", ""),
        source=node["source"],
    )


def _format(document: Document, name: str, node: Node) -> IntegerFormat:
    width, signed = node["width"], node["signed"]
    least, greatest = (-(1 << (width - 1)) if signed else 0), (1 << (width - signed)) - 1
    low, high = node.get("low", least), node.get("high", greatest)
    if not least <= low <= high <= greatest:
        document.fail(("arithmetic", name), f"{low} to {high} is not within {least} to {greatest}")
    return IntegerFormat(
        name=name,
        width=width,
        signed=signed,
        overflow=node["overflow"],
        low=low,
        high=high,
        exponent=node.get("exponent", 0),
        step=node.get("step", 1),
        description=node.get("description", ""),
        source=node["source"],
    )


def _procedure(document: Document, name: str, node: Node, layout: Layout) -> tuple[Step, ...]:
    """What is written must be a register, what is programmed and verified a memory."""
    for index, each in enumerate(node["steps"]):
        place = ("procedures", name, "steps", index)
        if each["do"] == "write":
            document.named(layout.registers, each.get("target", ""), place, "register")
        if each["do"] in ("program", "verify"):
            document.named(layout.memories, each.get("target", ""), place, "memory")
    return tuple(map(_step, node["steps"]))


def _step(node: Node) -> Step:
    return Step(
        do=node["do"],
        target=node.get("target", ""),
        value=node.get("value"),
        parameter=node.get("parameter", ""),
        text=node.get("text", ""),
        milliseconds=node.get("milliseconds", 0.0),
        why=node.get("why", ""),
    )


def _energy(document: Document, place: Place, node: Node) -> EnergyRow:
    joules, watts = node.get("joules"), node.get("watts")
    if (joules is None) == (watts is None):
        document.fail(place, "an energy row has either joules or watts")
    return EnergyRow(
        node["operation"], joules, watts, node["kind"], node["source"], node.get("description", "")
    )


def _quirk(node: Node) -> Quirk:
    return Quirk(node["id"], node["text"], node.get("affects", ""), node["source"])


def _origin(name: str, node: Node) -> Origin:
    return Origin(name, node["title"], node["where"], node.get("licence", ""), node.get("note", ""))

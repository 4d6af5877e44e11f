"""What a definition says, as sections of tables, for people: `nrt spec show` and docs/specs.md print the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nrt.spec.entries import Settings, Step
from nrt.spec.record import Member
from nrt.spec.spec import Spec
from nrt.spec.word import ByteOrder, Field, Word

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a heading, and sentences before it; `rows` may be empty."""

    title: str
    text: str = ""
    columns: Row = ()
    rows: Sequence[Row] = ()

    def compact(self) -> Section:
        """Without columns that are empty in every row."""
        kept = [i for i in range(len(self.columns)) if any(row[i] for row in self.rows)]
        rows = [tuple(row[i] for i in kept) for row in self.rows]
        return Section(self.title, self.text, tuple(self.columns[i] for i in kept), rows)


def sections(spec: Spec) -> Iterator[Section]:
    """All of a definition, in the order of the schema, without what it leaves out."""
    for each in (*_transport(spec), *_bits(spec), *_registers(spec), *_figures(spec), *_behaviour(spec)):
        if each.rows or each.text:
            yield each.compact()


def heading(spec: Spec) -> str:
    """Who it is, in a few sentences."""
    maker = f" by {spec.vendor}" if spec.vendor else ""
    status = spec.on_silicon[:1].upper() + spec.on_silicon[1:].rstrip(".")
    return f"A {spec.kind}{maker}: {spec.summary.rstrip('.')}. {status}. Hash {spec.hash[:8]}."


def _transport(spec: Spec) -> Iterator[Section]:
    for kind, settings in spec.transport.items():
        yield _settings(f"Transport: {kind}", settings)
    yield _settings("Framing", spec.framing)
    yield _settings("Checksum", spec.checksum, hexadecimal=True)


def _settings(title: str, settings: Settings, *, hexadecimal: bool = False) -> Section:
    prose = ("description", "source")
    rows: list[Row] = [(n, _plain(v, hexadecimal)) for n, v in settings.items() if n not in prose]
    text = _cited(str(settings.get("description", "")), str(settings.get("source", "")))
    return Section(title, text, ("setting", "value"), rows)


def _plain(value: object, hexadecimal: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(_plain(each, hexadecimal) for each in value)
    if isinstance(value, str):
        return value if value.isprintable() else repr(value)[1:-1]
    return f"{value:#x}" if hexadecimal and isinstance(value, int) else _number(value)


def _number(value: object) -> str:
    """Whole numbers in full, with commas where they are long."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e15)
    if not whole:
        return f"{value}"
    return f"{value:,.0f}" if abs(float(f"{value}")) > 9999 else f"{value:.0f}"


def _bits(spec: Spec) -> Iterator[Section]:
    for enum in spec.enums.values():
        values: list[Row] = [(name, f"{value}", f"{value:#x}") for name, value in enum.values.items()]
        text = _cited(enum.description, enum.source)
        yield Section(f"Enum {enum.name}", text, ("name", "value", "hex"), values)
    for word in spec.words.values():
        whole = word.width in (16, 32, 64)
        title = f"Word {word.name} ({word.width} bits{_order(word.byte_order) if whole else ''})"
        yield Section(title, _cited(word.description, word.source), _FIELD_COLUMNS, _fields(word))
    for group in spec.groups.values():
        text = f"{group.description} The first that matches counts.".strip()
        yield Section(
            f"Kinds {group.name}",
            text,
            ("word", "constant bits"),
            [(w.name, _constant(w)) for w in group.words],
        )
    for record in spec.records.values():
        title = f"Record {record.name} ({record.size} bytes{_order(record.byte_order)})"
        members = [_member(member, record.offset(member.name)) for member in record.members]
        columns = ("byte", "name", "type", "meaning")
        yield Section(title, _cited(record.description, record.source), columns, members)


def _order(byte_order: ByteOrder) -> str:
    return f", {'least' if byte_order == 'little' else 'most'} significant byte first"


_FIELD_COLUMNS = ("bits", "field", "values", "meaning")


def _fields(word: Word) -> list[Row]:
    fields = sorted(word.fields.values(), key=lambda each: -each.mask)
    return [(each.bits, each.name, _range(each), _meaning(each)) for each in fields]


def _range(each: Field) -> str:
    if each.match is not None:
        return f"{each.match:#x}" if each.match > 9 else f"{each.match}"
    return f"{each.low} to {each.high}" if each.width > 1 else "0 or 1"


def _meaning(each: Field) -> str:
    parts = [each.description.rstrip("."), _labels(each.labels) if each.match is None else ""]
    parts.append(f"in {each.unit}" if each.unit else "")
    parts.append(f"default {each.default}" if each.default is not None else "")
    return "; ".join(part for part in parts if part)


def _labels(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{value} {name}" for name, value in labels.items())


def _constant(word: Word) -> str:
    constant = [each for each in word.fields.values() if each.match is not None]
    return ", ".join(f"{each.bits} = {_range(each)}" for each in constant) or "none: whatever is left"


def _member(member: Member, offset: int) -> Row:
    kind = f"{member.size} bytes" if member.type == "bytes" else member.type
    parts = [
        member.description.rstrip("."),
        f"word {member.word}" if member.word else "",
        _labels(member.labels),
    ]
    parts.append(f"in {member.unit}" if member.unit else "")
    parts.append(f"always {member.match:#x}" if member.match is not None else "")
    return f"{offset}", member.name, kind, "; ".join(part for part in parts if part)


def _registers(spec: Spec) -> Iterator[Section]:
    rows = [
        (
            f"{register.address:#x}",
            register.name,
            f"{register.width}",
            register.access,
            "undefined" if register.reset is None else f"{register.reset:#x}",
            _cited(register.description, register.source),
        )
        for register in spec.registers.values()
    ]
    yield Section("Registers", "", ("address", "name", "bits", "access", "reset", "meaning"), rows)
    for register in spec.registers.values():
        if list(register.fields) != ["value"]:
            yield Section(f"Register {register.name}", "", _FIELD_COLUMNS, _fields(register.word))
    memories = [
        (
            memory.name,
            f"{memory.words:,} x {memory.width} bits",
            memory.access,
            memory.address.name,
            memory.layout.name if memory.layout else "",
            _cited(memory.description, memory.source),
        )
        for memory in spec.memories.values()
    ]
    yield Section("Memories", "", ("name", "size", "access", "address", "layout", "meaning"), memories)


def _figures(spec: Spec) -> Iterator[Section]:
    rows = [(r.name, _number(r.value), r.unit, r.description, r.source) for r in spec.limits.rows]
    yield Section("Limits", "", ("limit", "value", "unit", "meaning", "source"), rows)
    tables = [
        (t.name, t.index, ", ".join(map(_number, t.values)), t.unit, _cited(t.description, t.source))
        for t in spec.tables.values()
    ]
    yield Section("Tables", "", ("name", "for each", "values", "unit", "meaning"), tables)
    formats = [
        (
            f.name,
            f"{f.width}, {'signed' if f.signed else 'unsigned'}",
            f"{f.low} to {f.high}" + (f" in steps of {f.step}" if f.step > 1 else ""),
            f"2^{f.exponent}" if f.exponent else "1",
            f.overflow,
            _cited(f.description, f.source),
        )
        for f in spec.arithmetic.values()
    ]
    columns = ("number", "bits", "values", "times", "beyond", "meaning")
    yield Section("Arithmetic", "", columns, formats)
    timing = [
        (
            t.name,
            " + ".join([f"{t.value:g}", *(f"{each:g} per {name}" for name, each in t.per.items())]),
            t.unit,
            _cited(t.description, t.source),
        )
        for t in spec.timing.values()
    ]
    yield Section("Timing", "", ("what", "duration", "unit", "meaning"), timing)


def _behaviour(spec: Spec) -> Iterator[Section]:
    for name, steps in spec.procedures.items():
        rows = [(f"{i}", step.do, _object(step), step.why) for i, step in enumerate(steps, 1)]
        yield Section(f"Procedure {name}", "", ("step", "do", "what", "why"), rows)
    energy = [
        (
            e.operation,
            _energy(e.joules, "J") or _energy(e.watts, "W"),
            e.kind,
            _cited(e.description, e.source),
        )
        for e in spec.energy
    ]
    yield Section("Energy", "", ("operation", "figure", "kind", "meaning"), energy)
    quirks = [(q.id, q.affects, q.text, q.source) for q in spec.quirks]
    yield Section("Quirks", "", ("quirk", "affects", "what happens", "source"), quirks)
    vectors = [
        (v.target, v.data.hex(" "), _given(v.fields), _cited(v.meaning, v.source)) for v in spec.vectors
    ]
    yield Section(
        "Vectors", "Bytes are in the order of the wire.", ("of", "bytes", "fields", "meaning"), vectors
    )
    origins = [(o.id, o.title, o.where, o.licence, o.note) for o in spec.provenance.values()]
    yield Section("Provenance", "", ("source", "what", "where", "licence", "note"), origins)


def _object(step: Step) -> str:
    parts = [step.target, f"= {step.value:#x}" if step.value is not None else ""]
    parts.append(f"= <{step.parameter}>" if step.parameter else "")
    parts.append(repr(step.text)[1:-1] if step.text else "")
    parts.append(f"{step.milliseconds:g} ms" if step.milliseconds else "")
    return " ".join(part for part in parts if part)


def _energy(value: float | None, unit: str) -> str:
    """With an SI prefix."""
    if value is None:
        return ""
    for power, prefix in ((0, ""), (-3, "m"), (-6, "µ"), (-9, "n"), (-12, "p")):
        if value >= 10.0**power:
            return f"{value / 10.0**power:.4g} {prefix}{unit}"
    return f"{value:g} {unit}"


def _given(fields: Mapping[str, int | float | bytes]) -> str:
    return (
        ", ".join(f"{n} = {v.hex(' ') if isinstance(v, bytes) else v}" for n, v in fields.items()) or "none"
    )


def _cited(text: str, source: str) -> str:
    return f"{text} [{source}]".strip() if source else text

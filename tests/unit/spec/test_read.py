from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt import spec
from nrt.errors import SpecError
from nrt.spec.load import decode
from nrt.spec.read import contradictions, read_spec

FILE = Path("chip.toml")
HEAD = """\
[identity]
name = "chip"
title = "Chip"
kind = "chip"
summary = "a chip"
on_silicon = "never"
[provenance.doc]
title = "Manual"
where = "nowhere"
"""
START = HEAD.count("\n")
TINYODIN = (resources.files("firmware_specs") / "tinyodin.toml").read_text(encoding="utf-8")
README = (Path(__file__).parents[3] / "firmware_specs" / "README.md").read_text(encoding="utf-8")

MISTAKES = {
    "not TOML": ("[words.a\n", 1, "Expected ']'"),
    "unknown section": ("[wrods.a]\nwidth = 1\n", 1, "a definition has no wrods"),
    "missing key": ("[words.a]\nfields = {}\n", 1, "words.a needs width"),
    "wrong type": ('[words.a]\nwidth = "8"\nfields = {}\n', 2, "words.a.width must be an integer"),
    "too wide": ("[words.a]\nwidth = 65\nfields = {}\n", 2, "words.a.width must be at most 64"),
    "bits not written as bits": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "7-0" }\n',
        4,
        "words.a.fields.x.bits: '7-0' is not written like",
    ),
    "bits outside": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "8:1" }\n',
        4,
        "bits 8:1 are not high:low",
    ),
    "bits turned": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "0:7" }\n',
        4,
        "bits 0:7 are not high:low",
    ),
    "slices of one field overlap": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "7:4,4:0" }\n',
        4,
        "the slices 7:4,4:0 overlap",
    ),
    "fields overlap": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "7:4" }\ny = { bits = "4:0" }\n',
        5,
        "y overlaps another field of a",
    ),
    "constant too large": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "1:0", match = 4 }\n',
        4,
        "4 does not fit x, which holds 0 to 3",
    ),
    "constant with default": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "1:0", match = 1, default = 1 }\n',
        4,
        "x is constant",
    ),
    "enum missing": (
        '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "1:0", enum = "colour" }\n',
        4,
        "there is no enum 'colour'; there is none",
    ),
    "enum too large": (
        '[enums.e]\nvalues = { four = 4 }\n[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "1:0", enum = "e" }\n',
        6,
        "four = 4 of e does not fit x",
    ),
    "enum with one value twice": (
        "[enums.e]\nvalues = { a = 1, b = 1 }\n",
        2,
        "two names of e have the same value",
    ),
    "kinds of nothing": ('[kinds.k]\nwords = ["a"]\n', 2, "there is no word 'a'"),
    "kinds that nothing tells apart": (
        "[words.a]\nwidth = 8\nfields = {}\n[words.b]\nwidth = 8\nfields = {}\n"
        '[kinds.k]\nwords = [\n  "a",\n  "b",\n]\n',
        10,
        "whatever is b is a too, which stands before it",
    ),
    "kinds of different sizes": (
        '[words.a]\nwidth = 8\nfields = {}\n[words.b]\nwidth = 16\nfields = {}\n[kinds.k]\nwords = ["a", "b"]\n',
        8,
        "b and a are not of one size",
    ),
    "record of bytes without a size": (
        '[records.r]\nfields = [\n  { name = "a", type = "u8" },\n  { name = "b", type = "bytes" },\n]\n',
        4,
        "b: bytes need a size",
    ),
    "record with a word and a type": (
        '[records.r]\nfields = [{ name = "a" }]\n',
        2,
        "a needs a type or a word",
    ),
    "record with one name twice": (
        '[records.r]\nfields = [\n{ name = "a", type = "u8" },\n{ name = "a", type = "u8" }]\n',
        4,
        "r has two fields a",
    ),
    "record with too large a constant": (
        '[records.r]\nfields = [{ name = "a", type = "i8", match = 128 }]\n',
        2,
        "128 does not fit a, which is i8",
    ),
    "reset too large": (
        '[registers.R]\naddress = 0\nwidth = 4\naccess = "r"\nreset = 16\n',
        5,
        "16 does not fit 4 bits",
    ),
    "memory without its word": (
        '[memories.m]\nwords = 1\nwidth = 8\naddress = "a"\n',
        4,
        "there is no word 'a'",
    ),
    "memory with too wide a layout": (
        '[words.a]\nwidth = 9\nfields = {}\n[memories.m]\nwords = 1\nwidth = 8\naddress = "a"\nlayout = "a"\n',
        8,
        "a has 9 bits, a word of m 8",
    ),
    "source of nothing": (
        '[limits.n]\nvalue = 1\nsource = "book: 3"\n',
        3,
        "there is no provenance 'book'; there is doc",
    ),
    "limit without a source": ("[limits.n]\nvalue = 1\n", 1, "limits.n needs source"),
    "number beyond its width": (
        '[arithmetic.v]\nwidth = 4\nsigned = true\noverflow = "wrap"\nhigh = 8\nsource = "doc: 1"\n',
        1,
        "-8 to 8 is not within -8 to 7",
    ),
    "energy of nothing": (
        '[[energy]]\noperation = "op"\nkind = "modelled"\nsource = "doc: 1"\n',
        1,
        "either joules or watts",
    ),
    "energy of no kind": (
        '[[energy]]\noperation = "op"\njoules = 1e-12\nkind = "guessed"\nsource = "doc: 1"\n',
        4,
        "must be one of measured, modelled, published",
    ),
    "checksum with too long a polynomial": (
        '[framing]\nkind = "cobs"\n[framing.checksum]\nwidth = 8\npolynomial = 0x107\ninitial = 0\nfinal_xor = 0\n'
        "reflect_in = false\nreflect_out = false\ncheck = 0xF4\n",
        5,
        "polynomial has more than 8 bits",
    ),
    "header that is no record": ('[framing]\nkind = "cobs"\nheader = "h"\n', 3, "there is no record 'h'"),
    "step that writes no register": (
        '[procedures.go]\nsteps = [\n  { do = "wait" },\n  { do = "write", target = "R", value = 1 },\n]\n',
        4,
        "there is no register 'R'; there is none",
    ),
    "step that programs no memory": (
        '[procedures.go]\nsteps = [{ do = "program" }]\n',
        2,
        "there is no memory ''; there is none",
    ),
    "vector about nothing": (
        '[[vectors]]\nhex = "0"\nfields = {}\nsource = "doc: 1"\n',
        1,
        "a vector is about one of",
    ),
    "vector too wide": (
        '[words.a]\nwidth = 9\nfields = {}\n[[vectors]]\nword = "a"\nhex = "200"\nfields = {}\nsource = "doc: 1"\n',
        6,
        "200 has more bits than a",
    ),
    "vector of half a byte": (
        '[words.a]\nwidth = 8\nfields = {}\n[[vectors]]\nword = "a"\nbytes = "0"\nfields = {}\nsource = "doc: 1"\n',
        6,
        "bytes are pairs of digits",
    ),
    "vector of a kind that it is not of": (
        '[words.a]\nwidth = 8\nfields = {}\n[words.b]\nwidth = 8\nfields = {}\n[kinds.k]\nwords = ["a"]\n'
        '[[vectors]]\nword = "b"\nkind = "k"\nhex = "0"\nfields = {}\nsource = "doc: 1"\n',
        11,
        "k has no word b",
    ),
    "value that is no number": (
        '[words.a]\nwidth = 8\nfields = {}\n[[vectors]]\nword = "a"\nhex = "0"\nfields = { x = true }\n'
        'source = "doc: 1"\n',
        7,
        "x must be a number",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_with_its_line(name: str) -> None:
    text, line, reason = MISTAKES[name]
    with pytest.raises(SpecError) as caught:
        read_spec(FILE, HEAD + text)
    assert str(caught.value).startswith(f"chip.toml:{START + line}: "), str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (caught.value.path, caught.value.line) == (FILE, START + line)


def test_the_smallest_definition_is_one() -> None:
    chip = read_spec(FILE, HEAD)
    assert (chip.name, chip.words, len(chip.limits), chip.vectors) == ("chip", {}, 0, ())


def test_the_example_of_the_readme_is_a_definition_that_agrees_with_itself() -> None:
    found = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert found
    assert contradictions(FILE, found[1]) == ()
    chip = read_spec(FILE, found[1])
    assert chip.duration("spike").total(neuron=16) == 33
    assert chip.record("header").size == 2 + 1 + 8 + 2
    assert chip.word("weight_address").pack_one(pre=0, post=0b11000) == 0b11
    assert chip.register("CTRL").word.pack_one(run=1) == 1
    assert chip.enum("message").label(1) == "spikes"


WORD = '[words.a]\nwidth = 8\n[words.a.fields]\nx = { bits = "7:4", signed = true }\nk = { bits = "1:0", match = 2 }\n'
VECTOR = '[[vectors]]\nword = "a"\nhex = "%s"\nfields = { x = %d }\nsource = "doc: 1"\n'


@pytest.mark.parametrize(
    ("digits", "value", "reason"),
    [
        ("F2", -1, ""),
        ("F2", 15, "a unpacks to x = -1, not x = 15"),
        ("F3", -1, "a packs to 0xf2, not 0xf3"),
        ("F6", -1, "a packs to 0xf2, not 0xf6"),
    ],
)
def test_a_vector_that_the_definition_contradicts_is_told_with_its_line(
    digits: str, value: int, reason: str
) -> None:
    found = contradictions(FILE, HEAD + WORD + VECTOR % (digits, value))
    line = START + WORD.count("\n") + 1
    assert [str(each) for each in found] == ([f"chip.toml:{line}: {reason}"] if reason else [])


def test_every_contradiction_is_told() -> None:
    found = contradictions(FILE, HEAD + WORD + 3 * VECTOR % ("F2", 1, "F2", -1, "02", 2))
    assert [error.line - START for error in found] == [6, 16]


def test_a_wrong_check_value_is_told() -> None:
    framing = (
        '[framing]\nkind = "cobs"\n[framing.checksum]\nwidth = 16\npolynomial = 0x1021\ninitial = 0xFFFF\n'
        "final_xor = 0\nreflect_in = false\nreflect_out = false\ncheck = %s\n"
    )
    assert contradictions(FILE, HEAD + framing % "0x29B1") == ()
    (wrong,) = contradictions(FILE, HEAD + framing % "0x29B2")
    assert str(wrong) == f"chip.toml:{START + 10}: the checksum of 123456789 is 0x29b1"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (HEAD.replace("never", "Text", 1) + "[limits.x]\nvalue = 1\nsource = 'doc: 1'\n", None),
        ("x = " + "[" * 5000 + "]" * 5000, 1),
        ("x = " + "9" * 5000, 1),
        ("x = " + "{a=" * 400 + "1" + "}" * 400, 1),
        ("", 1),
    ],
)
def test_what_breaks_parsers_is_a_sentence(text: str, line: int | None) -> None:
    if line is None:
        read_spec(FILE, text)
        return
    with pytest.raises(SpecError) as caught:
        read_spec(FILE, text)
    assert caught.value.line == line


PIECES = st.one_of(
    st.sampled_from(
        [
            "[",
            "]",
            "{",
            "}",
            '"',
            "'",
            '"""',
            "=",
            ".",
            ",",
            "\n",
            "#",
            "-1",
            "1e400",
            "nan",
            "true",
            "\\u0000",
        ]
    ),
    st.sampled_from(
        ["[words.x]\n", "[[vectors]]\n", 'bits = "3:0"', "width = 64\n", "1979-05-27", "0x7fffffffffffffff"]
    ),
    st.text(max_size=8),
)


def outcome(text: str) -> list[SpecError]:
    """Every mistake of a definition."""
    try:
        found = contradictions(FILE, text)
        assert read_spec(FILE, text).name
    except SpecError as error:
        return [error]
    return list(found)


@given(st.integers(0, len(TINYODIN)), st.integers(0, 200), PIECES)
def test_a_definition_with_a_piece_replaced_is_a_spec_or_a_spec_error(
    at: int, length: int, piece: str
) -> None:
    text = TINYODIN[:at] + piece + TINYODIN[at + length :]
    assert all(1 <= error.line <= text.count("\n") + 1 for error in outcome(text))


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_spec_or_a_spec_error(text: str) -> None:
    for whole in (text, HEAD + text, f"[words.w]\nwidth = 8\n[words.w.fields]\n{text}"):
        assert all(1 <= error.line <= whole.count("\n") + 1 for error in outcome(whole))


@given(st.binary(max_size=60))
def test_any_bytes_are_text_or_a_spec_error(data: bytes) -> None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        with pytest.raises(SpecError, match="this line is not UTF-8") as caught:
            decode(FILE, data)
        assert 1 <= caught.value.line <= data.count(b"\n") + 1
    else:
        assert decode(FILE, data) == text


def test_the_hash_is_of_what_driver_and_firmware_agree_on() -> None:
    def hash_of(text: str) -> str:
        return read_spec(FILE, text).hash

    base = hash_of(TINYODIN)
    assert hash_of(TINYODIN.replace("Adds a weight", "Adds some weight")) == base
    assert hash_of(TINYODIN + '[[quirks]]\nid = "q"\ntext = "t"\nsource = "doc: 1"\n') == base
    assert hash_of("# a comment\n" + TINYODIN) == base
    first, rest = TINYODIN.split("[words.aer_virtual]", 1)
    word, rest = rest.split("[kinds.aer_in]", 1)
    assert hash_of(f"{first}[kinds.aer_in]{rest}\n[words.aer_virtual]{word}") == base
    for old, new in [("7:4", "7:3"), ("address = 3", "address = 4"), ("value = 256", "value = 255")]:
        assert old in TINYODIN
        try:
            assert hash_of(TINYODIN.replace(old, new)) != base
        except SpecError:
            assert (old, new) == ("7:4", "7:3")
    assert spec.load("tinyodin").hash == base
    assert spec.load("tinyodin").short_hash == int(base[:8], 16)

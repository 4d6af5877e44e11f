from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.spec import Field, Word
from nrt.spec.word import Slice


@dataclass(frozen=True)
class Drawn:
    """A word and, for each field, which bits of the word it has, most significant first."""

    word: Word
    bits: dict[str, list[int]]


@st.composite
def words(draw: st.DrawFn) -> Drawn:
    """Any word: its bits dealt out at random to fields, in any order, so that most fields have many slices."""
    width = draw(st.integers(1, 64))
    order = draw(st.permutations(range(width)))
    cuts = sorted(draw(st.sets(st.integers(1, width), min_size=1, max_size=4)))
    bits = {f"f{i}": order[a:b] for i, (a, b) in enumerate(zip([0, *cuts], cuts, strict=False))}
    return Drawn(Word("drawn", width, {name: draw(fields(name, own)) for name, own in bits.items()}), bits)


@st.composite
def fields(draw: st.DrawFn, name: str, bits: list[int]) -> Field:
    """A field of those bits: plain, constant or with a default."""
    plain = Field(name, slices(bits), draw(st.booleans()))
    value = draw(st.integers(plain.low, plain.high))
    return draw(st.sampled_from([plain, plain, replace(plain, match=value), replace(plain, default=value)]))


def slices(bits: list[int]) -> tuple[Slice, ...]:
    """One slice for each bit: the hardest case for a plan of shifts and masks."""
    return tuple(Slice(at, len(bits) - 1 - i, 1) for i, at in enumerate(bits))


def obvious(bits: list[int], value: int) -> int:
    """A value placed bit by bit, from the text of its binary digits."""
    digits = format(value % (1 << len(bits)), f"0{len(bits)}b")
    return sum(1 << at for at, digit in zip(bits, digits, strict=True) if digit == "1")


@given(words(), st.data())
def test_every_word_packs_as_the_obvious_code_does_and_unpacks_again(
    drawn: Drawn, data: st.DataObject
) -> None:
    word = drawn.word
    rows = data.draw(st.integers(1, 5))
    left_out = {each.name for each in word.variable if each.default is not None and data.draw(st.booleans())}
    values: dict[str, list[int]] = {
        each.name: [each.default or 0] * rows
        if each.name in left_out
        else [data.draw(st.integers(each.low, each.high)) for _ in range(rows)]
        for each in word.variable
    }
    given_ = {n: as_array(v, word.fields[n].signed) for n, v in values.items() if n not in left_out}
    constant = sum(obvious(drawn.bits[f.name], f.match) for f in word.fields.values() if f.match is not None)
    expected = [constant + sum(obvious(drawn.bits[n], v[i]) for n, v in values.items()) for i in range(rows)]
    packed = np.broadcast_to(word.pack(**given_), rows)
    assert packed.tolist() == expected
    assert {name: found.tolist() for name, found in word.unpack(packed).items()} == values
    assert word.matches(packed).all()
    for i, raw in enumerate(expected):
        row = {name: column[i] for name, column in values.items()}
        assert word.pack_one(**{name: value for name, value in row.items() if name not in left_out}) == raw
        assert word.unpack_one(raw) == row
    assert word.from_bytes(word.to_bytes(packed)).tolist() == expected


def as_array(values: list[int], signed: bool) -> NDArray[np.integer[Any]]:
    return np.array(values, np.int64 if signed else np.uint64)


@given(words(), st.data())
def test_a_value_outside_its_field_is_refused_by_name(drawn: Drawn, data: st.DataObject) -> None:
    word = drawn.word
    assume(word.variable)
    name = data.draw(st.sampled_from([each.name for each in word.variable]))
    each = word.fields[name]
    wrong = data.draw(st.sampled_from([each.low - 1, each.high + 1]))
    values = {each.name: each.low for each in word.variable} | {name: wrong}
    said = rf"drawn\.{name}: {wrong} is outside {each.low} to {each.high}"
    with pytest.raises(ConfigError, match=said):
        word.pack_one(**values)
    if -(1 << 63) <= wrong < 1 << 63:
        with pytest.raises(ConfigError, match=said):
            word.pack(**values)


def aer() -> Word:
    """Four bits of kind and weight around a constant."""
    return Word(
        "aer",
        10,
        {
            "kind": Field("kind", (Slice(8, 0, 2),), match=2),
            "weight": Field("weight", (Slice(4, 0, 4),), signed=True),
            "neuron": Field("neuron", (Slice(0, 0, 4),), default=0),
        },
        "big",
    )


def test_constant_fields_are_written_tested_and_left_out_when_unpacked() -> None:
    packed = aer().pack(weight=[5, -1], neuron=3)
    assert packed.tolist() == [0x253, 0x2F3]
    assert packed.dtype == np.uint16
    assert sorted(aer().unpack(packed)) == ["neuron", "weight"]
    assert aer().matches(np.array([0x253, 0x053, 0x353, 0x653], np.uint16)).tolist() == [
        True,
        False,
        False,
        False,
    ]


def test_a_default_stands_in_for_a_field_that_is_not_given() -> None:
    assert aer().pack_one(weight=1) == 0x210
    assert aer().pack(weight=np.array([1])).tolist() == [0x210]


def test_a_default_that_is_not_0_is_written_too() -> None:
    word = Word("w", 8, {"a": Field("a", (Slice(0, 0, 4),), default=5), "b": Field("b", (Slice(4, 0, 4),))})
    assert word.pack(b=[1, 2]).tolist() == [0x15, 0x25]
    assert word.pack_one(b=1) == 0x15
    assert word.pack_one(b=1, a=0) == 0x10


def test_values_are_broadcast_against_each_other() -> None:
    packed = aer().pack(weight=np.array([[1], [2]]), neuron=np.array([0, 1, 2]))
    assert packed.tolist() == [[0x210, 0x211, 0x212], [0x220, 0x221, 0x222]]


def test_bytes_lie_in_the_order_of_the_word() -> None:
    assert aer().to_bytes(np.array([0x253], np.uint16)) == b"\x02\x53"
    assert aer().from_bytes(b"\x02\x53\x02\xf3").tolist() == [0x253, 0x2F3]
    with pytest.raises(ConfigError, match="3 bytes are no whole number of aer words"):
        aer().from_bytes(b"\x02\x53\x02")


def test_booleans_and_lists_are_taken_and_fractions_are_not() -> None:
    assert aer().pack(weight=np.array([True, False])).tolist() == [0x210, 0x200]
    with pytest.raises(ConfigError, match=r"aer\.weight: integers are needed, not float64"):
        aer().pack(weight=np.array([1.0]))


def test_unknown_missing_and_constant_fields_are_named() -> None:
    with pytest.raises(ConfigError, match="aer has no field colour to set; it has weight, neuron"):
        aer().pack_one(weight=1, colour=1)
    with pytest.raises(ConfigError, match="aer has no field kind to set"):
        aer().pack(weight=1, kind=2)
    with pytest.raises(ConfigError, match="aer needs a value for weight"):
        aer().pack(neuron=1)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="different lengths: weight \\(2,\\), neuron \\(3,\\)"):
        aer().pack(weight=[1, 2], neuron=[1, 2, 3])


def test_words_in_a_wider_array_are_read_if_they_fit() -> None:
    assert aer().unpack(np.array([0x253], np.uint32))["weight"].tolist() == [5]
    with pytest.raises(ConfigError, match="at most 0xffff"):
        aer().matches(np.array([0x10253], np.uint32))


def test_a_large_array_is_packed_without_a_loop_over_it() -> None:
    neuron = np.arange(1 << 20, dtype=np.uint32) & 15
    packed = aer().pack(weight=1, neuron=neuron)
    assert np.array_equal(packed, 0x210 | neuron)
    assert np.array_equal(aer().unpack(packed)["neuron"], neuron)

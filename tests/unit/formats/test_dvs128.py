"""DVS128 words: each rule of the format, encoding and decoding as inverses, and finding words again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.errors import ConfigError
from nrt.formats.dvs128 import VERIFY, Dvs128Decoder, Dvs128Encoder
from nrt.packet import Records
from nrt.spec import load
from tests.unit.drivers.cameras import lone_events
from tests.unit.formats.streams import decoded, events, pieces, random_events, rows

SHAPE = (2, 128, 128)
WRAP, RESET = b"\x00\x00\x00\x80", b"\x00\x00\x00\x40"


def decode(raw: bytes) -> list[tuple[int, ...]]:
    return [tuple(row) for row in decoded(Dvs128Decoder(), [raw])]


def event(time: int, column: int, row: int, bit: int) -> bytes:
    """As the spec has it, which was written by hand from libcaer's masks."""
    word = load("dvs128").word("event").pack(time=time, x=column, y=row, polarity=bit)
    return int(word).to_bytes(4, "little")


def stream(seed: int, count: int = 400, step: int = 5_000) -> Records:
    found = random_events(seed, count, SHAPE, step)
    found["t"] -= found["t"][0]
    return found


def test_both_axes_and_the_polarity_run_against_the_chip() -> None:
    """libcaer: x = 127 - address[7:1], y = 127 - address[14:8], ON where bit 0 is 0."""
    assert decode(bytes.fromhex("03 05 10 00")) == [(16, 126, 122, 0)]
    assert decode(event(3, 0, 127, 0)) == [(3, 127, 0, 1)]


def test_a_wrap_adds_a_turn_and_a_reset_starts_at_zero() -> None:
    raw = WRAP + event(5, 0, 0, 1) + WRAP + WRAP + event(0, 0, 0, 1) + RESET + event(9, 0, 0, 1)
    assert [row[0] for row in decode(raw)] == [16_389, 49_152, 9]


def test_an_edge_on_the_input_is_a_trigger_and_no_event() -> None:
    decoder = Dvs128Decoder()
    assert decoded(decoder, [WRAP + b"\x00\x80\x07\x00" * 3]) == []
    found = decoder.triggers()
    assert found["t"].tolist() == [16_391] * 3
    assert set(found["value"].tolist()) == {1}


def test_no_trigger_is_lost_when_thousands_come_at_once() -> None:
    decoder = Dvs128Decoder()
    decoded(decoder, [b"\x00\x80\x07\x00" * 3_000])
    assert len(decoder.triggers()) == 3_000


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 999), step=st.sampled_from([3, 500, 40_000]))
def test_what_is_encoded_decodes_to_the_same_events_in_any_pieces(seed: int, size: int, step: int) -> None:
    found = stream(seed, step=step)
    encoder, end = Dvs128Encoder(), int(found["t"][-1]) + 1
    half = len(found) // 2
    raw = encoder.encode(found[:half], int(found["t"][half])).tobytes()
    raw += encoder.encode(found[half:], end).tobytes()
    decoder = Dvs128Decoder()
    assert decoded(decoder, pieces(raw, size)) == rows(found)
    assert decoder.counters() == {}


def test_turns_are_told_even_when_nothing_happens() -> None:
    assert Dvs128Encoder().encode(events(), 3 * 16_384).tobytes() == WRAP * 3


@settings(max_examples=60)
@given(raw=st.binary(max_size=400), size=st.integers(1, 50))
def test_any_bytes_in_any_pieces_decode_as_all_at_once(raw: bytes, size: int) -> None:
    assert decoded(Dvs128Decoder(), pieces(raw, size)) == decoded(Dvs128Decoder(), [raw])


@given(seed=st.integers(0, 500), at=st.integers(400, 1_200), count=st.integers(1, 3))
@settings(max_examples=40)
def test_after_lost_bytes_words_are_found_again(seed: int, at: int, count: int) -> None:
    """Of events that are not all at one time: in a row of those, any four bytes look like a word."""
    found = lone_events(seed, 400, SHAPE, 300)
    raw = Dvs128Encoder().encode(found, int(found["t"][-1]) + 1).tobytes()
    decoder = Dvs128Decoder()
    got = decoded(decoder, [raw[:at] + raw[at + count :]])
    addresses = [row[1:] for row in got]
    assert addresses[:90] == [row[1:] for row in rows(found)][:90]
    assert addresses[-30:] == [row[1:] for row in rows(found)][-30:]
    assert len(got) >= len(found) - 60


def test_a_wrap_that_was_lost_is_noticed() -> None:
    raw = event(16_000, 1, 1, 1) + b"".join(event(k, 1, 1, 1) for k in range(VERIFY))
    decoder = Dvs128Decoder()
    assert [row[0] for row in decoded(decoder, [raw])] == [16_000, *range(16_384, 16_384 + VERIFY)]
    assert decoder.counters() == {"turns missed": 1}


def test_events_that_the_words_cannot_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="outside the 128 x 128 sensor"):
        Dvs128Encoder().encode(events((0, 128, 0, 1)), 1)
    with pytest.raises(ConfigError, match="times must not fall"):
        Dvs128Encoder().encode(events((5, 0, 0, 1), (4, 0, 0, 1)), 6)


def test_the_spec_and_the_decoder_agree_on_every_kind_of_word() -> None:
    spec, rng = load("dvs128"), np.random.default_rng(3)
    times = np.sort(rng.integers(0, 1 << 14, 500))
    x, y, p = rng.integers(0, 128, 500), rng.integers(0, 128, 500), rng.integers(0, 2, 500)
    raw = spec.word("event").pack(time=times, x=x, y=y, polarity=p).astype("<u4").tobytes()
    got = decode(raw)
    wanted = [
        (int(t), 127 - int(a), 127 - int(b), 1 - int(c)) for t, a, b, c in zip(times, x, y, p, strict=True)
    ]
    assert got == wanted

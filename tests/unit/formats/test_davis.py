"""DAVIS words: each rule of the format, against a plain reading of it; encoding and decoding as inverses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.errors import ConfigError
from nrt.formats.davis import DavisDecoder, DavisEncoder
from nrt.formats.evt3 import Evt3Decoder, Evt3Encoder
from tests.unit.formats.streams import Rows, decoded, events, pieces, random_events, rows

TIME, Y, OFF, ON, WRAP = 0x8000, 0x1000, 0x2000, 0x3000, 0x7000


def reference(words: list[int]) -> tuple[Rows, Rows]:
    """The format read word by word, in the plainest way: events, and triggers as (t, id, value, 0)."""
    found: Rows = []
    triggers: Rows = []
    wrap = time = row = 0
    for word in words:
        code, data = word >> 12 & 7, word & 0xFFF
        if word & 0x8000:
            time = wrap + (word & 0x7FFF)
        elif code == 0 and data == 1:
            wrap = time = 0
        elif code == 0 and data in (2, 3, 4):
            triggers.append((time, 0, int(data != 2), 0))
        elif code == 1:
            row = data
        elif code in (2, 3):
            found.append((time, data, row, code - 2))
        elif code == 7:
            wrap = time = wrap + 0x8000 * data
    return found, triggers


def decode(*words: int) -> Rows:
    return decoded(DavisDecoder(), [np.array(words, "<u2").tobytes()])


def test_a_row_and_a_time_hold_for_all_events_until_the_next() -> None:
    found = decode(TIME | 9, Y | 5, ON | 1, OFF | 2, TIME | 11, ON | 3, Y | 6, ON | 3)
    assert found == [(9, 1, 5, 1), (9, 2, 5, 0), (11, 3, 5, 1), (11, 3, 6, 1)]


def test_a_wrap_adds_as_many_turns_as_it_says_and_time_stands_there() -> None:
    assert decode(TIME | 7, WRAP | 1, ON, TIME | 2, ON, WRAP | 3, TIME | 1, ON) == [
        (32768, 0, 0, 1),
        (32770, 0, 0, 1),
        (131073, 0, 0, 1),
    ]


def test_a_reset_starts_the_clock_at_zero() -> None:
    assert decode(WRAP | 2, TIME | 5, ON, 0x0001, ON, TIME | 3, ON) == [
        (65541, 0, 0, 1),
        (0, 0, 0, 1),
        (3, 0, 0, 1),
    ]


def test_images_and_inertial_samples_between_events_change_nothing() -> None:
    image = [0x0008, 0x4123, 0x5080, 0x6010, 0x000A, 0x0005, 0x5001, 0x0007]
    assert decode(TIME | 1, Y | 2, *image, ON | 3) == [(1, 3, 2, 1)]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 0xFFFF), max_size=500), st.sampled_from([1, 3, 64, 1 << 16]))
def test_any_words_in_any_pieces_decode_as_the_format_says(words: list[int], size: int) -> None:
    found, triggers = reference(words)
    decoder = DavisDecoder()
    assert decoded(decoder, pieces(np.array(words, "<u2").tobytes(), size)) == found
    assert [(*map(int, trigger), 0) for trigger in decoder.triggers().tolist()] == triggers


def test_no_trigger_is_lost_when_thousands_come_at_once() -> None:
    decoder = DavisDecoder()
    assert decoded(decoder, [np.full(5000, 3, "<u2").tobytes()]) == []
    assert len(decoder.triggers()) == 5000
    assert len(decoder.triggers()) == 0


def test_a_full_slab_stops_the_decoder_and_nothing_is_lost() -> None:
    words = np.array([TIME | 1, *[ON | k for k in range(4000)]], "<u2")
    assert len(decoded(DavisDecoder(), [words.tobytes()], slab=64)) == 4000


def test_the_words_of_an_event_are_those_of_the_format() -> None:
    words = DavisEncoder().encode(events((5, 3, 2, 1), (5, 4, 2, 0), (70_000, 4, 2, 0)), 70_001)
    assert words.view("<u2").tolist() == [
        TIME | 5,
        Y | 2,
        ON | 3,
        OFF | 4,
        WRAP | 2,
        TIME | 4464,
        OFF | 4,
        TIME | 4465,
    ]


def test_a_day_of_silence_takes_several_wraps() -> None:
    day = 86_400_000_000
    words = DavisEncoder().encode(events((day, 1, 2, 1)), day + 1).tobytes()
    assert decoded(DavisDecoder(), [words]) == [(day, 1, 2, 1)]


@settings(max_examples=40)
@given(st.integers(0, 1 << 32), st.sampled_from([50, 40_000, 10_000_000]), st.sampled_from([1, 7, 300]))
@pytest.mark.parametrize("wire", ["davis", "evt3"])
def test_what_is_encoded_packet_by_packet_decodes_to_the_same_events(
    wire: str, seed: int, step: int, count: int
) -> None:
    encoder, decoder = (DavisEncoder(), DavisDecoder()) if wire == "davis" else (Evt3Encoder(), Evt3Decoder())
    stream = random_events(seed, 600, (2, 260, 346), step)
    stream["t"] -= stream["t"][0]
    raw = b""
    for at in range(0, len(stream), count):
        part = stream[at : at + count]
        until = int(stream["t"][at + count]) if at + count < len(stream) else int(part["t"][-1]) + 1
        raw += encoder.encode(part, until).tobytes()
    assert decoded(decoder, [raw]) == rows(stream)
    again = DavisDecoder() if wire == "davis" else Evt3Decoder()
    assert decoded(again, pieces(raw, 1)) == rows(stream)


@pytest.mark.parametrize("wire", ["davis", "evt3"])
def test_every_split_of_the_bytes_in_two_gives_the_same_events(wire: str) -> None:
    encoder = DavisEncoder() if wire == "davis" else Evt3Encoder()
    stream = random_events(3, 60, (2, 260, 346), 40_000)
    raw = encoder.encode(stream, int(stream["t"][-1]) + 1).tobytes()
    for cut in range(len(raw) + 1):
        decoder = DavisDecoder() if wire == "davis" else Evt3Decoder()
        assert decoded(decoder, [raw[:cut], raw[cut:]]) == rows(stream)


@pytest.mark.parametrize("encoder", [DavisEncoder(), Evt3Encoder()])
def test_silence_is_told_to_the_reader_by_time_words(encoder: DavisEncoder | Evt3Encoder) -> None:
    raw = encoder.encode(events(), 50_000_000).tobytes()
    decoder = DavisDecoder() if isinstance(encoder, DavisEncoder) else Evt3Decoder()
    on = np.array([ON | 1 if isinstance(encoder, DavisEncoder) else 0x2801], "<u2").tobytes()
    assert decoded(decoder, [raw, on]) == [(50_000_000, 1, 0, 1)]


@pytest.mark.parametrize("encoder", [DavisEncoder(), Evt3Encoder()])
def test_events_that_the_words_cannot_hold_are_refused(encoder: DavisEncoder | Evt3Encoder) -> None:
    with pytest.raises(ConfigError, match="outside the"):
        encoder.encode(events((1, encoder.side, 0, 1)), 2)
    assert len(encoder.encode(events((5, 1, 1, 1)), 6))
    with pytest.raises(ConfigError, match="must not fall"):
        encoder.encode(events((4, 1, 1, 1)), 7)


def test_what_is_no_event_is_counted_by_what_it_is() -> None:
    decoder = DavisDecoder()
    image, inertial, unknown = (
        [0x0008, 0x4123, 0x5180, 0x6010, 0x000A],
        [0x0005, 0x5001, 0x5301, 0x0007],
        [0x5F00, 99],
    )
    words = [TIME | 1, 0x0010, *image, *inertial, *unknown, ON | 3]
    assert decoded(decoder, [np.array(words, "<u2").tobytes()]) == [(1, 3, 0, 1)]
    assert decoder.counters() == {"image words": 5, "inertial words": 4, "unknown words": 2}


def test_rows_and_columns_beyond_the_chip_are_passed_over_and_counted() -> None:
    """As libcaer: a row beyond the chip is not the row of the events that follow."""
    decoder = DavisDecoder(240, 180)
    words = [TIME | 1, Y | 179, ON | 239, ON | 240, Y | 180, OFF | 0]
    assert decoded(decoder, [np.array(words, "<u2").tobytes()]) == [(1, 239, 179, 1), (1, 0, 179, 0)]
    assert decoder.counters() == {"addresses outside": 2}


def test_rows_of_the_chip_may_be_columns_of_the_image() -> None:
    found = random_events(5, 500, (2, 180, 240), 300)
    found["t"] -= found["t"][0]
    raw = DavisEncoder(exchange=True).encode(found, int(found["t"][-1]) + 1).tobytes()
    assert decoded(DavisDecoder(180, 240, exchange=True), [raw]) == rows(found)
    assert decoded(DavisDecoder(), [raw]) == [(t, y, x, p) for t, x, y, p in rows(found)]

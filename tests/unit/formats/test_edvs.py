"""eDVS bytes: the forms of the time, turns of the clock, and finding the events again after garbage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.errors import ConfigError
from nrt.formats.edvs import VERIFY, EdvsDecoder, EdvsEncoder, Form
from nrt.packet import Records
from tests.unit.formats.streams import Rows, decoded, events, pieces, random_events, rows

FORMS: tuple[Form, ...] = (0, 1, 2, 3, 4)
SHAPE = (2, 128, 128)
LONGEST_STEP = {0: 100, 1: 1 << 26, 2: 1 << 14, 3: 1 << 22, 4: 1 << 30}


def stream(seed: int, count: int, form: Form) -> Records:
    """Events with pauses that the form can still tell, from t = 0 on."""
    found = random_events(seed, count, SHAPE, LONGEST_STEP[form])
    found["t"] -= found["t"][0]
    if form == 0:
        found["t"] = 0
    return found


def encoded(found: Records, form: Form) -> bytes:
    return EdvsEncoder(form).encode(found, int(found["t"][-1]) + 1).tobytes()


@pytest.mark.parametrize(
    ("form", "raw", "found"),
    [
        (0, "85 03 86 84", [(0, 3, 5, 1), (0, 4, 6, 0)]),
        (1, "85 03 81 86 84 01 80", [(1, 3, 5, 1), (129, 4, 6, 0)]),
        (2, "85 03 01 02 86 84 00 00", [(258, 3, 5, 1), (65536, 4, 6, 0)]),
        (3, "85 03 01 02 03", [(66051, 3, 5, 1)]),
        (4, "85 03 ff 00 00 00 ff ff 00 00 00 01", [(4278190080, 3, 5, 1), (4294967297, 127, 127, 0)]),
    ],
)
def test_each_form_holds_its_time_as_the_firmware_says(form: Form, raw: str, found: Rows) -> None:
    assert decoded(EdvsDecoder(form), [bytes.fromhex(raw)]) == found


def test_the_host_gives_the_time_of_events_that_carry_none() -> None:
    decoder = EdvsDecoder(0)
    assert decoded(decoder, [b"\x85\x03"]) == [(0, 3, 5, 1)]
    decoder.arrived(1_500)
    assert decoded(decoder, [b"\x85\x03"]) == [(1_500, 3, 5, 1)]


@pytest.mark.parametrize(
    ("delta", "size"), [(0, 1), (0x7E, 1), (0x7F, 2), (0x3FFE, 2), (0x3FFF, 3), (0x1FFFFF, 4)]
)
def test_a_pause_takes_as_many_bytes_as_the_firmware_takes(delta: int, size: int) -> None:
    raw = EdvsEncoder(1).encode(events((delta, 1, 2, 1)), delta + 1).tobytes()
    assert len(raw) == 2 + size
    assert decoded(EdvsDecoder(1), [raw]) == [(delta, 1, 2, 1)]


@settings(max_examples=40)
@given(st.sampled_from(FORMS), st.integers(0, 1 << 32), st.integers(1, 400))
def test_what_is_encoded_decodes_to_the_same_events(form: Form, seed: int, count: int) -> None:
    found = stream(seed, count, form)
    assert decoded(EdvsDecoder(form), [encoded(found, form)]) == rows(found)


@pytest.mark.parametrize("form", FORMS)
def test_every_split_of_the_bytes_in_two_gives_the_same_events(form: Form) -> None:
    found = stream(7, 40, form)
    raw = encoded(found, form)
    raw = raw[:30] + b"\x05\x06\x07" + raw[30:]
    whole, skipped = _read(raw, form, [raw])
    for cut in range(len(raw) + 1):
        assert _read(raw, form, [raw[:cut], raw[cut:]]) == (whole, skipped)


def _read(raw: bytes, form: Form, parts: list[bytes]) -> tuple[Rows, int]:
    decoder = EdvsDecoder(form)
    return decoded(decoder, parts), decoder.skipped


@settings(max_examples=60)
@given(st.sampled_from(FORMS), st.binary(max_size=600), st.integers(1, 40))
def test_any_bytes_in_any_pieces_decode_as_all_at_once(form: Form, raw: bytes, size: int) -> None:
    one, other = EdvsDecoder(form), EdvsDecoder(form)
    assert decoded(one, [raw]) == decoded(other, pieces(raw, size))
    assert one.skipped == other.skipped <= len(raw)


@pytest.mark.parametrize("form", FORMS)
def test_bytes_that_start_no_event_are_skipped_and_counted(form: Form) -> None:
    found = stream(1, 400, form)
    first, second = encoded(found, form), bytes(range(1, 60))
    size = len(EdvsEncoder(form).encode(found[:200], int(found["t"][200])).tobytes())
    decoder = EdvsDecoder(form)
    assert decoded(decoder, [first[:size] + second + first[size:]]) == rows(found)
    assert decoder.skipped == len(second)


@settings(max_examples=60)
@given(st.sampled_from((2, 3, 4)), st.binary(min_size=1, max_size=50), st.integers(0, 1 << 32))
def test_after_any_garbage_the_events_are_found_again(form: Form, garbage: bytes, seed: int) -> None:
    found = random_events(seed, 1_500, SHAPE, 200)
    found["t"] -= found["t"][0]
    raw = encoded(found, form)
    cut = len(raw) // (2 + form) // 4 * (2 + form) + 3  # inside an event of the first quarter
    again = decoded(EdvsDecoder(form), [raw[:cut] + garbage + raw[cut:]])
    # an address repeats itself exactly; time may be ahead by the turns that garbage made up
    assert [row[1:] for row in again[-100:]] == [row[1:] for row in rows(found)[-100:]]


def test_a_line_that_was_sending_already_is_joined_at_the_next_event() -> None:
    found = random_events(5, 200, SHAPE, 300)
    found["t"] -= found["t"][0]
    decoder = EdvsDecoder(4, joined=True)
    assert [row[1:] for row in decoded(decoder, [encoded(found, 4)[2:]])] == [r[1:] for r in rows(found)[1:]]
    assert decoder.skipped == 4


def test_bytes_without_an_event_are_complained_about() -> None:
    decoder = EdvsDecoder(2)
    assert decoded(decoder, [bytes(1 << 17)]) == []
    complaint = decoder.complaint()
    assert complaint is not None
    assert "bytes without an event" in complaint[1]


def test_a_decoder_waits_for_no_more_than_its_word() -> None:
    decoder = EdvsDecoder(4, joined=True)
    raw = np.full(VERIFY * 6 - 1, 0x80, np.uint8)
    assert decoder.decode(raw, np.zeros(64, events().dtype))[0] == 0
    assert len(raw) < decoder.word


@pytest.mark.parametrize("form", FORMS[1:])
def test_a_pause_that_the_clock_cannot_tell_is_refused(form: Form) -> None:
    pause = 1 << (28 if form == 1 else 8 * form)
    encoder = EdvsEncoder(form)
    with pytest.raises(ConfigError, match=f"E{form} bridges less than {pause} µs"):
        encoder.encode(events((pause, 1, 2, 1)), pause + 1)
    assert decoded(EdvsDecoder(form), [encoder.encode(events((pause - 1, 1, 2, 1)), pause).tobytes()]) == [
        (pause - 1, 1, 2, 1)
    ]


def test_an_address_beyond_the_sensor_is_refused() -> None:
    with pytest.raises(ConfigError, match="outside the 128 x 128 sensor"):
        EdvsEncoder().encode(events((0, 128, 0, 1)), 1)

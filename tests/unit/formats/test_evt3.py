"""EVT3: every word and state rule, against a plain reading of the format and against other projects' readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.formats.evt3 import Evt3Decoder, Evt3Recording, Evt3Writer
from tests.unit.formats.streams import Rows, decoded, events, pieces, recorded, rows

HIGH, LOW, ROW, ONE, BASE, V12, V8, TRIGGER = 0x8000, 0x6000, 0x0000, 0x2000, 0x3000, 0x4000, 0x5000, 0xA000
ON = 0x800


def reference(words: NDArray[np.uint16]) -> tuple[Rows, list[tuple[int, int, int]]]:
    """The format read word by word, in the plainest way: events and triggers (t, id, value)."""
    found: Rows = []
    triggers: list[tuple[int, int, int]] = []
    loops = high = low = y = base = p = 0
    timed = False
    for word in words.tolist():
        kind, value = word >> 12, word & 0xFFF
        if kind == 8:
            if timed and value != high:
                loops += high - value >= 2048
                low = 0
            high, timed = value, True
        if not timed:
            continue
        t = (loops << 24) + (high << 12) + low
        if kind == 0:
            y = value & 0x7FF
        elif kind == 2:
            found.append((t, value & 0x7FF, y, value >> 11))
        elif kind == 3:
            base, p = value & 0x7FF, value >> 11
        elif kind in (4, 5):
            length = 12 if kind == 4 else 8
            found += [(t, base + i, y, p) for i in range(length) if value >> i & 1]
            base = (base + length) % 2048
        elif kind == 6:
            low = value
        elif kind == 10:
            triggers.append((t, value >> 8, value & 1))
    return found, triggers


def decode(*words: int) -> Rows:
    return decoded(Evt3Decoder(), [np.array(words, "<u2").tobytes()])


def random_words(seed: int, count: int) -> NDArray[np.uint16]:
    """Words as a camera mixes them, with some of every type; times seldom jump."""
    random = np.random.default_rng(seed)
    usual = np.array([0, 0, 2, 2, 2, 2, 2, 2, 3, 4, 4, 5, 6, 6, 8])
    kinds = random.choice(usual, count)
    strange = random.random(count) < random.choice([0, 0.001, 0.1])
    kinds[strange] = random.integers(0, 16, int(strange.sum()))
    words = (kinds << 12 | random.integers(0, 4096, count)).astype(np.uint16)
    calm = (kinds == 8) & (random.random(count) < random.choice([0.5, 0.99, 1]))
    words[calm] = 0x8000 | int(random.integers(0, 4096))
    return words


def test_nothing_has_a_time_before_the_first_time_high() -> None:
    assert decode(ROW | 5, LOW | 9, ONE | 3, HIGH | 1, ONE | 4) == [(4096, 4, 0, 0)]


def test_a_new_time_high_clears_the_low_part_and_a_repeated_one_keeps_it() -> None:
    words = [HIGH | 1, LOW | 7, ONE | 1, HIGH | 1, ONE | 2, HIGH | 2, ONE | 3, LOW | 5, ONE | 4]
    assert [t for t, *_ in decode(*words)] == [4096 + 7, 4096 + 7, 8192, 8192 + 5]


def test_the_clock_turns_over_after_2_to_the_24_microseconds_and_small_steps_back_do_not_turn_it() -> None:
    words = [HIGH | 4095, ONE, HIGH | 0, ONE, HIGH | 3, ONE, HIGH | 2, ONE]
    assert [t for t, *_ in decode(*words)] == [
        4095 << 12,
        1 << 24,
        (1 << 24) + (3 << 12),
        (1 << 24) + (2 << 12),
    ]


def test_a_time_low_that_steps_back_is_kept_as_it_stands() -> None:
    assert [t for t, *_ in decode(HIGH, LOW | 20, ONE, LOW | 9, ONE)] == [20, 9]


def test_each_vector_word_stands_alone_and_moves_the_base() -> None:
    words = [HIGH, ROW | 7, BASE | ON | 100, V12 | 0x801, V8 | 0xF82, ONE | 3, V12 | 1]
    assert decode(*words) == [
        (0, x, 7, p) for x, p in ((100, 1), (111, 1), (113, 1), (119, 1), (3, 0), (120, 1))
    ]


def test_padding_and_undefined_words_are_skipped() -> None:
    assert decode(HIGH, 0x9999, ONE | 1, 0x1234, 0xB000, 0xE014, 0xF123, 0x7001, ONE | 2) == [
        (0, 1, 0, 0),
        (0, 2, 0, 0),
    ]


def test_triggers_come_with_their_time_input_and_edge() -> None:
    decoder = Evt3Decoder()
    words = np.array([HIGH | 1, LOW | 2, TRIGGER | 0x301, LOW | 3, TRIGGER | 0x300], "<u2")
    assert decoded(decoder, [words.tobytes()]) == []
    assert decoder.triggers().tolist() == [(4098, 3, 1), (4099, 3, 0)]
    assert len(decoder.triggers()) == 0


def test_any_number_of_triggers_is_kept() -> None:
    decoder = Evt3Decoder()
    words = np.full(10_001, TRIGGER | 0x100, "<u2")
    words[0] = HIGH
    decoded(decoder, [words.tobytes()])
    assert len(decoder.triggers()) == 10_000


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 3000), st.sampled_from([2, 3, 130, 999, 1 << 20]))
def test_any_words_in_any_pieces_decode_as_the_format_says(seed: int, count: int, size: int) -> None:
    words = random_words(seed, count)
    expected, triggers = reference(words)
    decoder = Evt3Decoder()
    assert decoded(decoder, pieces(words.tobytes(), size)) == expected
    assert decoder.triggers().tolist() == triggers


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_that_come_one_at_a_time_decode_as_all_at_once(data: bytes) -> None:
    whole = data[: len(data) & ~1]
    assert decoded(Evt3Decoder(), pieces(whole, 1)) == decoded(Evt3Decoder(), [whole])


def test_vectors_fill_a_slab_to_its_end_and_go_on_in_the_next() -> None:
    words = np.full(5000, V12 | 0xFFF, "<u2")
    words[:2] = HIGH, BASE
    found = decoded(Evt3Decoder(), [words.tobytes()])
    assert found == reference(words)[0]
    assert len(found) == 4998 * 12


def test_neighbours_of_a_row_are_written_as_one_vector_when_that_is_shorter(tmp_path: Path) -> None:
    path = tmp_path / "run.raw"
    run = events(*[(5, x, 9, 1) for x in range(100, 132)])
    with Evt3Writer(path, (2, 480, 640)) as writer:
        writer.write(run)
    with Evt3Recording(path) as recording:
        assert recorded(recording) == rows(run)
    words = np.frombuffer(path.read_bytes()[-14:], "<u2").tolist()
    assert words == [HIGH, LOW | 5, ROW | 9, BASE | ON | 100, V12 | 0xFFF, V12 | 0xFFF, V8 | 0xFF]


def test_a_first_time_beyond_the_clock_is_reached_by_turns_of_it(tmp_path: Path) -> None:
    path = tmp_path / "late.raw"
    late = events((913_716_224, 1, 2, 1), (913_716_225, 3, 4, 0), (2_000_000_000, 5, 6, 1))
    with Evt3Writer(path, (2, 480, 640)) as writer:
        writer.write(late)
    with Evt3Recording(path) as recording:
        assert recorded(recording) == rows(late)


def test_another_projects_reader_finds_the_events_that_were_written(tmp_path: Path) -> None:
    faery = pytest.importorskip("faery")
    path = tmp_path / "written.raw"
    written = events((10, 1, 2, 1), (20, 630, 470, 0), *[(30, x, 5, 1) for x in range(64, 96)])
    with Evt3Writer(path, (2, 480, 640)) as writer:
        writer.write(written)
    found = [row for packet in faery.events_stream_from_file(path) for row in packet.tolist()]
    assert [(t, x, y, int(p)) for t, x, y, p in found] == rows(written)

"""EVT2: every word and state rule, against a plain reading of the format and against other projects' readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.formats.evt2 import Evt2Decoder, Evt2Recording, Evt2Writer
from tests.unit.formats.streams import Rows, decoded, events, pieces, recorded, rows


def high(units: int) -> int:
    return 8 << 28 | units


def event(low: int, x: int, y: int, p: int) -> int:
    return p << 28 | low << 22 | x << 11 | y


def reference(words: NDArray[np.uint32]) -> tuple[Rows, list[tuple[int, int, int]]]:
    """The format read word by word, in the plainest way: events and triggers (t, id, value)."""
    found: Rows = []
    triggers: list[tuple[int, int, int]] = []
    loops = now = 0
    timed = False
    for word in words.tolist():
        kind = word >> 28
        if kind == 8:
            value = word & 0xFFFFFFF
            loops += timed and now - value > 1 << 27
            now, timed = value, True
        if not timed:
            continue
        t = (loops << 34) + (now << 6) + (word >> 22 & 63)
        if kind < 2:
            found.append((t, word >> 11 & 0x7FF, word & 0x7FF, kind))
        elif kind == 10:
            triggers.append((t, word >> 8 & 31, word & 1))
    return found, triggers


def decode(*words: int) -> Rows:
    return decoded(Evt2Decoder(), [np.array(words, "<u4").tobytes()])


def random_words(seed: int, count: int) -> NDArray[np.uint32]:
    random = np.random.default_rng(seed)
    words = random.integers(0, 1 << 29, count).astype(np.uint32)
    other = random.random(count) < random.choice([0.01, 0.1, 0.9])
    words[other] = random.integers(0, 1 << 32, int(other.sum()))
    return words


def test_an_event_has_the_time_of_the_last_time_high_and_six_bits_of_its_own() -> None:
    assert decode(event(1, 2, 3, 0), high(5), event(63, 2047, 1, 1), event(0, 0, 2047, 0)) == [
        (5 * 64 + 63, 2047, 1, 1),
        (5 * 64, 0, 2047, 0),
    ]


def test_the_clock_turns_over_after_2_to_the_34_microseconds_and_small_steps_back_do_not_turn_it() -> None:
    words = [high((1 << 28) - 1), event(0, 1, 1, 1), high(2), event(0, 1, 1, 1), high(1), event(0, 1, 1, 1)]
    assert [t for t, *_ in decode(*words)] == [((1 << 28) - 1) << 6, (1 << 34) + 128, (1 << 34) + 64]


def test_words_of_other_types_are_skipped() -> None:
    words = [high(0), *[kind << 28 for kind in (2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 15)], event(1, 2, 3, 1)]
    assert decode(*words) == [(1, 2, 3, 1)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 6000), st.sampled_from([4, 7, 130, 1 << 20]))
def test_any_words_in_any_pieces_decode_as_the_format_says(seed: int, count: int, size: int) -> None:
    words = random_words(seed, count if size > 100 else count // 10)
    expected, triggers = reference(words)
    decoder = Evt2Decoder()
    assert decoded(decoder, pieces(words.tobytes(), size)) == expected
    assert decoder.triggers().tolist() == triggers


def test_pauses_longer_than_half_the_clock_survive_writing(tmp_path: Path) -> None:
    path = tmp_path / "pause.raw"
    far = events((0, 1, 2, 1), ((1 << 34) - 1, 3, 4, 0), ((1 << 35) - 3, 5, 6, 1), ((1 << 35) + 40, 7, 8, 0))
    with Evt2Writer(path, (2, 480, 640)) as writer:
        writer.write(far)
    with Evt2Recording(path) as recording:
        assert recorded(recording) == rows(far)


def test_another_projects_reader_finds_the_events_that_were_written(tmp_path: Path) -> None:
    faery = pytest.importorskip("faery")
    path = tmp_path / "written.raw"
    written = events((10, 1, 2, 1), (20, 639, 479, 0), (100_000, 320, 240, 1))
    with Evt2Writer(path, (2, 480, 640)) as writer:
        writer.write(written)
    found = [row for packet in faery.events_stream_from_file(path) for row in packet.tolist()]
    assert [(t, x, y, int(p)) for t, x, y, p in found] == rows(written)

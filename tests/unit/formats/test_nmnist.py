from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import ConfigError
from nrt.formats.nmnist import NmnistDecoder, NmnistRecording, NmnistWriter
from tests.unit.formats.damage import check_flips, check_truncations, outcome
from tests.unit.formats.streams import Rows, decoded, events, pieces, random_events, recorded, rows

SAMPLE = Path(__file__).parents[3].parent / "shared" / "data" / "events" / "tonic_sample_nmnist.bin"
SHAPE = (2, 34, 34)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def record(x: int, y: int, p: int, t: int) -> bytes:
    return bytes([x, y]) + (p << 23 | t).to_bytes(3, "big")


RAW = record(7, 15, 1, 654) + record(0, 240, 0, 0) + record(33, 0, 0, 700) + record(1, 2, 1, (1 << 23) - 1)
RAW_ROWS = [(654, 7, 15, 1), (8192 + 700, 33, 0, 0), (8192 + (1 << 23) - 1, 1, 2, 1)]


def columns_at_once(raw: bytes) -> Rows:
    """The format as its publishers' reader takes it: whole columns, overflows added from where they lie."""
    table = np.frombuffer(raw, np.uint8).reshape(-1, 5).astype(np.int64)
    is_overflow = table[:, 1] == 240
    t = ((table[:, 2] & 127) << 16) + (table[:, 3] << 8) + table[:, 4] + 2**13 * np.cumsum(is_overflow)
    columns = np.stack([t, table[:, 0], table[:, 1], table[:, 2] >> 7], axis=1)[~is_overflow]
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in columns]


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"no recording at {SAMPLE}")
def test_the_sample_of_tonic_holds_its_4325_events() -> None:
    with NmnistRecording(SAMPLE) as recording:
        found = recorded(recording)
    assert recording.shape == SHAPE
    assert len(found) == 4325
    assert found == columns_at_once(SAMPLE.read_bytes())
    assert (found[0], found[-1]) == ((654, 7, 15, 1), (311175, 21, 14, 1))


@pytest.mark.parametrize("size", [1, 3, 5, 11, 100])
def test_overflow_records_move_all_that_follow(size: int) -> None:
    assert decoded(NmnistDecoder(), pieces(RAW, size)) == RAW_ROWS == columns_at_once(RAW)


def test_a_file_that_does_not_fit_34_pixels_declares_no_sensor(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(RAW + record(200, 100, 0, 700))
    with NmnistRecording(path) as recording:
        assert recording.shape is None


def test_what_is_written_reads_back_the_same_also_past_the_range_of_its_time(tmp_path: Path) -> None:
    stream = random_events(3, 5000, SHAPE, 3000)
    stream["t"] += (1 << 23) - 5000
    path = tmp_path / "a.bin"
    with NmnistWriter(path, SHAPE) as writer:
        writer.write(stream)
    assert columns_at_once(path.read_bytes()) == rows(stream)
    with NmnistRecording(path) as recording:
        assert recorded(recording) == rows(stream)


def test_the_writer_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="256 x 240"):
        NmnistWriter(tmp_path / "a.bin", (2, 241, 34))
    with NmnistWriter(tmp_path / "b.bin", SHAPE) as writer:
        writer.write(events((5, 1, 1, 1)))
        with pytest.raises(ConfigError, match="times must not fall"):
            writer.write(events((4, 1, 1, 1)))
        with pytest.raises(ConfigError, match="outside"):
            writer.write(events((6, 34, 1, 1)))


def test_every_truncation_gives_the_first_events(tmp_path: Path) -> None:
    check_truncations(NmnistRecording, RAW * 3, columns_at_once(RAW * 3), tmp_path / "a.bin")


def test_a_file_that_ends_inside_a_record_is_damaged_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(RAW + b"\0\0")
    found, damage = outcome(NmnistRecording, path)
    assert found == RAW_ROWS
    assert damage is not None
    assert damage.offset == len(RAW)


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 12), min_size=1, max_size=6))
def test_turned_bits_give_events(tmp_path: Path, bits: list[int]) -> None:
    check_flips(NmnistRecording, RAW * 4, tmp_path / "a.bin", bits)

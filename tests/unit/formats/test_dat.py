"""DAT version 2: records, types, the 32-bit clock, against a plain reading and against another project's reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.errors import BadRecording, ConfigError
from nrt.formats.dat import DatDecoder, DatRecording, DatWriter
from tests.unit.formats.streams import Rows, decoded, events, pieces, recorded, rows, write_bytes

HEADER = "% Version 2\n% Width 640\n% Height 480\n% end\n"


def reference(records: NDArray[np.uint32]) -> Rows:
    """The records read one by one, in the plainest way."""
    found: Rows = []
    last = loops = 0
    for t, bits in records.tolist():
        loops += last - t > 1 << 31
        last = t
        found.append(((loops << 32) + t, bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1))
    return found


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(0, 6000), st.sampled_from([3, 8, 777, 1 << 20]), st.booleans())
def test_any_records_in_any_pieces_decode_as_the_format_says(
    seed: int, count: int, size: int, calm: bool
) -> None:
    random = np.random.default_rng(seed)
    records = random.integers(0, 1 << 32, (count if size > 100 else count // 10, 2)).astype(np.uint32)
    if calm:  # a clock that advances and turns over now and then
        records[:, 0] = np.cumsum(random.integers(0, 1 << 22, len(records))).astype(np.uint32)
    assert decoded(DatDecoder(), pieces(records.tobytes(), size)) == reference(records)


@pytest.mark.parametrize("kind", [0x00, 0x0C])
def test_both_types_of_events_are_read_with_and_without_an_end_line(tmp_path: Path, kind: int) -> None:
    body = bytes((kind, 8)) + np.array([[7, 3 | 5 << 14 | 1 << 28]], "<u4").tobytes()
    for header in (HEADER, "% Data file containing events.\n% Version 2\n"):
        with DatRecording(write_bytes(tmp_path / "a.dat", header, body)) as recording:
            assert recorded(recording) == [(7, 3, 5, 1)]
            assert recording.shape == ((2, 480, 640) if header == HEADER else None)


def test_a_file_of_triggers_has_no_events_and_gives_its_triggers(tmp_path: Path) -> None:
    records = np.array([[2**32 - 1, 1 | 3 << 26], [4, 3 << 26]], "<u4")
    path = write_bytes(tmp_path / "a.dat", HEADER, b"\x0e\x08" + records.tobytes())
    with DatRecording(path) as recording:
        assert recorded(recording) == []
        assert recording.triggers().tolist() == [(2**32 - 1, 3, 1), (2**32 + 4, 3, 0)]


@pytest.mark.parametrize(
    ("header", "body", "offset", "reason"),
    [
        (HEADER, b"\x0c\x10", len(HEADER) + 1, "records of 16 bytes; those of DAT version 2 have 8"),
        (HEADER, b"\x20\x08", len(HEADER), "records of type 0x20; only 00, 0C and 0E are read"),
        (HEADER, b"\x0c", len(HEADER), "the file ends where the type and size of a record should stand"),
        ("% Version 1\n", b"\x00\x08", 0, "DAT version 1; only version 2 is read"),
    ],
)
def test_what_cannot_be_read_is_refused_at_the_byte_where_it_shows(
    tmp_path: Path, header: str, body: bytes, offset: int, reason: str
) -> None:
    with pytest.raises(BadRecording, match=reason) as caught:
        DatRecording(write_bytes(tmp_path / "a.dat", header, body))
    assert caught.value.offset == offset


def test_times_past_the_turn_of_the_clock_survive_writing(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    far = events((2**32 - 1, 1, 2, 1), (2**32 + 5, 16383, 1000, 0), (2**32 + 2**31, 0, 0, 1))
    with DatWriter(path, (2, 16384, 16384)) as writer:
        writer.write(far)
    with DatRecording(path) as recording:
        assert recorded(recording) == rows(far)


def test_a_pause_that_the_clock_cannot_tell_is_refused(tmp_path: Path) -> None:
    with DatWriter(tmp_path / "a.dat", (2, 480, 640)) as writer:
        writer.write(events((0, 1, 2, 1)))
        with pytest.raises(ConfigError, match=f"event 1: t={2**31} µs, {2**31} µs after its predecessor"):
            writer.write(events((2**31, 1, 2, 1)))
        assert writer.events == 1


def test_another_projects_reader_finds_the_events_that_were_written(tmp_path: Path) -> None:
    faery = pytest.importorskip("faery")
    path = tmp_path / "written.dat"
    written = events((10, 1, 2, 1), (20, 639, 479, 0))
    with DatWriter(path, (2, 480, 640)) as writer:
        writer.write(written)
    found = [row for packet in faery.events_stream_from_file(path) for row in packet.tolist()]
    assert [(t, x, y, int(p)) for t, x, y, p in found] == rows(written)

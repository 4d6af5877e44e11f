from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import BadRecording, ConfigError
from nrt.formats.aedat3 import Aedat3Decoder, Aedat3Recording, Aedat3Writer
from nrt.packet import EVENT
from tests.unit.formats.damage import check_flips, check_truncations, outcome
from tests.unit.formats.streams import events, random_events, recorded, rows

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPE = (2, 260, 346)
HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS346\r\n#Start-Time: 2020-11-16\r\n#!END-HEADER\r\n"


def packet(kind: int, size: int, body: bytes, overflow: int = 0, number: int | None = None) -> bytes:
    capacity = len(body) // size
    number = capacity if number is None else number
    return struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, capacity, number, number) + body


def polarity(*values: tuple[int, int, int, int], valid: int = 1) -> bytes:
    return b"".join(struct.pack("<Ii", valid | p << 1 | y << 2 | x << 17, t) for t, x, y, p in values)


def special(*values: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<Ii", 1 | kind << 1, t) for t, kind in values)


BODY = (
    packet(1, 8, polarity((10, 3, 4, 1), (11, 345, 259, 0)))
    + packet(3, 36, bytes(72))  # inertial measurements
    + packet(0, 8, special((12, 2), (13, 3), (14, 0), (15, 6), (16, 11)))
    + packet(1, 8, polarity((12, 9, 9, 1), valid=0) + polarity((13, 1, 2, 0)))
    + packet(1, 8, polarity((5, 32767, 32767, 1)) + bytes(16), overflow=3, number=1)
)
ROWS = [(10, 3, 4, 1), (11, 345, 259, 0), (13, 1, 2, 0), (3 << 31 | 5, 32767, 32767, 1)]


def test_a_file_made_from_the_published_layout_gives_its_events_and_triggers(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(HEADER + BODY)
    with Aedat3Recording(path) as recording:
        assert (recording.format, recording.shape) == ("AEDAT3.1", SHAPE)
        assert recorded(recording) == ROWS
        assert recording.triggers().tolist() == [(12, 0, 1), (13, 0, 0), (15, 1, 1), (16, 2, 1)]
        assert (recording.invalid, recording.skipped) == (1, 1)


def test_version_3_0_has_no_mark_at_the_end_of_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(b"#!AER-DAT3.0\r\n#Format: RAW\r\n" + BODY)
    with Aedat3Recording(path) as recording:
        assert recording.format == "AEDAT3.0"
        assert recorded(recording) == ROWS


@pytest.mark.parametrize("size", [1, 5, 28, 64])
def test_where_the_bytes_are_cut_makes_no_difference(size: int) -> None:
    decoder, slab, rest, found = Aedat3Decoder(), np.zeros(4096, EVENT), b"", []
    for at in range(0, len(BODY), size):
        rest += BODY[at : at + size]
        used, count = decoder.decode(np.frombuffer(rest, np.uint8), slab)
        rest = rest[used:]
        found += rows(slab[:count])
    assert (found, rest, decoder.inside_packet) == (ROWS, b"", False)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(HEADER.replace(b"RAW", b"PNGFrames,SerializedTS") + BODY)
    with pytest.raises(BadRecording, match="only RAW"):
        Aedat3Recording(path)


def test_what_is_written_reads_back_the_same_also_where_time_overflows(tmp_path: Path) -> None:
    stream = random_events(7, 20_000, SHAPE, 500_000)
    stream["t"] *= 40
    assert stream["t"][-1] > 1 << 32
    path = tmp_path / "a.aedat"
    with Aedat3Writer(path, SHAPE, source="DAVIS346") as writer:
        writer.write(stream[:11])
        writer.write(stream[11:])
    with Aedat3Recording(path) as recording:
        assert recording.shape == SHAPE
        assert recorded(recording) == rows(stream)


def test_the_writer_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="32768"):
        Aedat3Writer(tmp_path / "a.aedat", (2, 1, 40_000))
    with pytest.raises(ConfigError, match="no name"):
        Aedat3Writer(tmp_path / "a.aedat", SHAPE, source="a\r\n#!END-HEADER")
    with Aedat3Writer(tmp_path / "a.aedat", SHAPE) as writer, pytest.raises(ConfigError, match="before 0"):
        writer.write(events((-1, 0, 0, 1)))


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<hhiiiiii", -1, 1, 8, 4, 0, 1, 1, 1),
        struct.pack("<hhiiiiii", 1, 1, 16, 4, 0, 1, 1, 1),
        struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 1, 2, 2),
        struct.pack("<hhiiiiii", 1, 1, 8, 4, -1, 1, 1, 1),
        struct.pack("<hhiiiiii", 2, 1, 0, 0, 0, 1, 1, 1),
    ],
)
def test_a_head_that_cannot_be_is_damage_after_the_events_before_it(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(HEADER + BODY + head + bytes(64))
    found, damage = outcome(Aedat3Recording, path)
    assert found == ROWS
    assert damage is not None
    assert damage.offset == len(HEADER + BODY)


def test_every_truncation_gives_the_first_events_and_says_where_a_packet_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    check_truncations(Aedat3Recording, HEADER + BODY, ROWS, path)
    path.write_bytes((HEADER + BODY)[:-8])
    found, damage = outcome(Aedat3Recording, path)
    assert found == ROWS
    assert damage is not None


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 12), min_size=1, max_size=6))
def test_turned_bits_give_events_or_damage(tmp_path: Path, bits: list[int]) -> None:
    check_flips(Aedat3Recording, HEADER + BODY, tmp_path / "a.aedat", bits)


@FUZZ
@given(body=st.binary(max_size=300))
def test_any_bytes_after_the_header_give_events_or_damage(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(HEADER + body)
    outcome(Aedat3Recording, path)

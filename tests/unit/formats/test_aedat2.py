from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import BadRecording, ConfigError
from nrt.formats.aedat2 import Aedat2Decoder, Aedat2Recording, Aedat2Writer
from tests.unit.formats.damage import check_flips, check_truncations, outcome
from tests.unit.formats.streams import decoded, events, pieces, random_events, recorded, rows

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEADER = "#!AER-DAT2.0\r\n# This is a raw AE data file\r\n"


def words(*pairs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack(">Ii", *pair) for pair in pairs)


def davis(x: int, y: int, p: int) -> int:
    return y << 22 | x << 12 | p << 11


DAVIS = words(
    (davis(3, 4, 1), 10),
    (1 << 31 | 0x123, 11),  # an image sample
    (0x80000C00 | 5 << 12, 11),  # an inertial measurement
    (1 << 10, 12),  # an edge on the input
    (davis(1023, 511, 0), 13),
)
DAVIS_ROWS = [(10, 3, 4, 1), (13, 1023, 511, 0)]
DVS128 = words((5 << 8 | 6 << 1 | 0, 100), (1 << 15, 101), (127 << 8 | 127 << 1 | 1, 102))
DVS128_ROWS = [(100, 6, 5, 1), (102, 127, 127, 0)]


def recording(path: Path, chip: str, body: bytes) -> Path:
    line = f"# AEChip: {chip}\r\n" if chip else ""
    path.write_bytes((HEADER + line).encode() + body)
    return path


@pytest.mark.parametrize(
    ("chip", "shape"),
    [
        ("eu.seebetter.ini.chips.davis.DAVIS240C", (2, 180, 240)),
        ("eu.seebetter.ini.chips.davis.Davis346blue", (2, 260, 346)),
        ("org.example.Unheard", None),
    ],
)
def test_a_davis_recording_gives_its_events_and_triggers(
    tmp_path: Path, chip: str, shape: tuple[int, int, int] | None
) -> None:
    with Aedat2Recording(recording(tmp_path / "a.aedat", chip, DAVIS)) as found:
        assert (found.format, found.shape) == ("AEDAT2 DAVIS", shape)
        assert recorded(found) == DAVIS_ROWS
        assert found.triggers().tolist() == [(12, 0, 1)]


@pytest.mark.parametrize("chip", ["ch.unizh.ini.jaer.chip.retina.DVS128", ""])
def test_a_dvs128_recording_takes_bit_0_clear_for_on(tmp_path: Path, chip: str) -> None:
    with Aedat2Recording(recording(tmp_path / "a.aedat", chip, DVS128)) as found:
        assert (found.format, found.shape) == ("AEDAT2 DVS128", (2, 128, 128))
        assert recorded(found) == DVS128_ROWS
        assert found.triggers().tolist() == [(101, 0, 1)]


def test_without_a_chip_in_the_header_wide_addresses_are_a_davis(tmp_path: Path) -> None:
    with Aedat2Recording(recording(tmp_path / "a.aedat", "", DAVIS)) as found:
        assert recorded(found) == DAVIS_ROWS


def test_samples_and_measurements_are_counted() -> None:
    decoder = Aedat2Decoder(davis=True)
    assert decoded(decoder, [DAVIS]) == DAVIS_ROWS
    assert decoder.skipped == 2


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_where_the_bytes_are_cut_makes_no_difference(size: int) -> None:
    assert decoded(Aedat2Decoder(davis=True), pieces(DAVIS, size)) == DAVIS_ROWS


def test_times_go_on_where_32_bits_turn_over() -> None:
    body = words((0, (1 << 31) - 1), (0, -(1 << 31)), (0, -1), (0, 0), (0, -2))
    times = [t for t, *_ in decoded(Aedat2Decoder(davis=False), [body])]
    assert times == [(1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) - 2]


def test_version_1_has_addresses_of_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"#!AER-DAT1.0\r\n" + struct.pack(">HiHi", 5 << 8 | 6 << 1, 100, 1, 102))
    with Aedat2Recording(path) as found:
        assert found.format == "AEDAT1 DVS128"
        assert recorded(found) == [(100, 6, 5, 1), (102, 0, 0, 0)]


def test_a_header_of_300_kilobytes_and_data_that_begin_like_a_comment_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    preferences = "".join(f'#   <entry key="{i}" value="{i}"/>\r\n' for i in range(9000))
    body = words((davis(3, 0x8C, 1), 0x0A0A0A0A), (davis(3, 4, 1), 0x0A0A0A0B))
    assert body[:1] == b"#"
    path.write_bytes((HEADER + "# AEChip: DAVIS240C\r\n" + preferences).encode() + body)
    with Aedat2Recording(path) as found:
        assert found.header["AEChip"] == "DAVIS240C"
        assert recorded(found) == [(0x0A0A0A0A, 3, 0x8C, 1), (0x0A0A0A0B, 3, 4, 1)]


def test_thousands_of_triggers_in_a_row_are_all_kept() -> None:
    decoder = Aedat2Decoder(davis=True)
    assert decoded(decoder, [words(*((1 << 10, t) for t in range(10_000)))]) == []
    assert decoder.triggers()["t"].tolist() == list(range(10_000))


@pytest.mark.parametrize("shape", [(2, 128, 128), (2, 260, 346), (2, 100, 90)])
def test_what_is_written_reads_back_the_same(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    stream = random_events(6, 20_000, shape, 500_000)
    stream["t"] *= 40
    assert stream["t"][-1] > 1 << 32
    path = tmp_path / "a.aedat"
    with Aedat2Writer(path, shape) as writer:
        writer.write(stream[:11])
        writer.write(stream[11:])
    with Aedat2Recording(path) as found:
        assert found.shape == shape
        assert recorded(found) == rows(stream)


def test_the_writer_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1024 x 512"):
        Aedat2Writer(tmp_path / "a.aedat", (2, 720, 1280))
    with Aedat2Writer(tmp_path / "a.aedat", (2, 128, 128)) as writer:
        with pytest.raises(ConfigError, match="2\\^31"):
            writer.write(events((1 << 31, 0, 0, 1)))
        with pytest.raises(ConfigError, match="outside"):
            writer.write(events((0, 128, 0, 1)))


def test_a_file_that_ends_inside_a_record_is_damaged_there(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.aedat", "DAVIS240C", DAVIS + b"\0\0\0")
    found, damage = outcome(Aedat2Recording, path)
    assert found == DAVIS_ROWS
    assert damage is not None
    assert damage.offset == path.stat().st_size - 3


def test_every_truncation_of_the_events_gives_the_first_of_them(tmp_path: Path) -> None:
    check_truncations(
        Aedat2Recording,
        recording(tmp_path / "a.aedat", "DAVIS240C", DAVIS).read_bytes(),
        DAVIS_ROWS,
        tmp_path / "b",
    )


def test_a_header_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(b"#!AER-DAT2.0" + b"x" * 200_000)
    with pytest.raises(BadRecording):
        Aedat2Recording(path)


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 12), min_size=1, max_size=6))
def test_turned_bits_give_events_or_damage(tmp_path: Path, bits: list[int]) -> None:
    data = recording(tmp_path / "a.aedat", "DAVIS240C", DAVIS * 4).read_bytes()
    check_flips(Aedat2Recording, data, tmp_path / "b", bits)


@FUZZ
@given(body=st.binary(max_size=300))
def test_any_bytes_after_the_version_give_events_or_damage(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.aedat"
    path.write_bytes(HEADER.encode() + body)
    outcome(Aedat2Recording, path)

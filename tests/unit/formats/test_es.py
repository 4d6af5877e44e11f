from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import BadRecording, ConfigError
from nrt.formats.es import EsDecoder, EsRecording, EsWriter
from tests.unit.formats.damage import check_flips, check_truncations, outcome
from tests.unit.formats.streams import decoded, events, pieces, random_events, recorded, rows

SHAPE = (2, 240, 320)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def es(kind: int, body: bytes, width: int = 320, height: int = 240, version: int = 2) -> bytes:
    return b"Event Stream" + bytes([version, 0, 0, kind]) + struct.pack("<HH", width, height) + body


def address(x: int, y: int) -> bytes:
    return struct.pack("<HH", x, y)


DVS = (
    bytes([5 << 1 | 1]) + address(3, 4)
    + b"\xff\xff" + bytes([126 << 1]) + address(319, 239)
    + b"\xfe" + bytes([0 << 1 | 1]) + address(0, 0)
)  # fmt: skip
DVS_ROWS = [(5, 3, 4, 1), (5 + 2 * 127 + 126, 319, 239, 0), (5 + 2 * 127 + 126, 0, 0, 1)]


def test_a_dvs_stream_reads_as_the_published_layout_says(tmp_path: Path) -> None:
    path = tmp_path / "a.es"
    path.write_bytes(es(1, DVS))
    with EsRecording(path) as recording:
        assert (recording.format, recording.shape) == ("ES dvs", SHAPE)
        assert recorded(recording) == DVS_ROWS


def test_an_atis_stream_gives_its_changes_and_counts_its_exposures() -> None:
    body = (
        bytes([7 << 2 | 1 << 1]) + address(1, 2)  # ON after 7 µs
        + bytes([0xFC | 3])  # 3 * 63 µs of nothing
        + bytes([2 << 2 | 1]) + address(9, 9)  # an exposure measurement
        + bytes([0xFC]) + bytes([62 << 2]) + address(5, 6)
    )  # fmt: skip
    decoder = EsDecoder(atis=True, width=320, height=240)
    assert decoded(decoder, [body]) == [(7, 1, 2, 1), (7 + 189 + 2 + 62, 5, 6, 0)]
    assert decoder.exposures == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_where_the_bytes_are_cut_makes_no_difference(size: int) -> None:
    assert decoded(EsDecoder(False, 320, 240), pieces(DVS, size)) == DVS_ROWS


@pytest.mark.parametrize(("kind", "name"), [(0, "generic"), (3, "amd"), (4, "color"), (77, "77")])
def test_a_stream_without_polarities_is_refused_by_its_name(tmp_path: Path, kind: int, name: str) -> None:
    path = tmp_path / "a.es"
    path.write_bytes(es(kind, b""))
    with pytest.raises(BadRecording, match=name) as caught:
        EsRecording(path)
    assert caught.value.offset == 15


def test_an_unknown_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.es"
    path.write_bytes(es(1, DVS, version=3))
    with pytest.raises(BadRecording, match="version 3"):
        EsRecording(path)


def test_an_address_off_the_sensor_is_damage_after_the_events_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.es"
    path.write_bytes(es(1, DVS + b"\x02" + address(320, 0) + DVS))
    found, damage = outcome(EsRecording, path)
    assert found == DVS_ROWS
    assert damage is not None
    assert damage.offset == 20 + len(DVS)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    stream = random_events(1, 20_000, SHAPE, 300)
    path = tmp_path / "a.es"
    with EsWriter(path, SHAPE) as writer:
        writer.write(stream[:7])
        writer.write(stream[7:])
    with EsRecording(path) as recording:
        assert recorded(recording) == rows(stream)


def test_a_flushed_recording_is_readable_though_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.es"
    writer = EsWriter(path, SHAPE)
    writer.write(events((1, 2, 3, 1)))
    writer.flush()
    with EsRecording(path) as recording:
        assert recorded(recording) == [(1, 2, 3, 1)]
    writer.close()


@pytest.mark.parametrize("event", [(0, 320, 0, 1), (0, 0, 240, 1), (-1, 0, 0, 1)])
def test_the_writer_refuses_what_the_format_cannot_hold(
    tmp_path: Path, event: tuple[int, int, int, int]
) -> None:
    with EsWriter(tmp_path / "a.es", SHAPE) as writer, pytest.raises(ConfigError):
        writer.write(events(event))


def test_every_truncation_gives_the_first_events(tmp_path: Path) -> None:
    check_truncations(EsRecording, es(1, DVS * 5), _times(5), tmp_path / "a.es")


def _times(count: int) -> list[tuple[int, int, int, int]]:
    last = DVS_ROWS[-1][0]
    return [(t + last * i, x, y, p) for i in range(count) for t, x, y, p in DVS_ROWS]


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 12), min_size=1, max_size=6))
def test_turned_bits_give_events_or_damage(tmp_path: Path, bits: list[int]) -> None:
    check_flips(EsRecording, es(1, DVS * 5), tmp_path / "a.es", bits)


@FUZZ
@given(body=st.binary(max_size=400), kind=st.sampled_from([1, 2]))
def test_any_bytes_after_the_header_give_events_or_damage(tmp_path: Path, body: bytes, kind: int) -> None:
    path = tmp_path / "a.es"
    path.write_bytes(es(kind, body))
    outcome(EsRecording, path)


def test_event_stream_reads_what_is_written(tmp_path: Path) -> None:
    event_stream = pytest.importorskip("event_stream")
    stream = random_events(2, 5000, SHAPE, 300)
    path = tmp_path / "a.es"
    with EsWriter(path, SHAPE) as writer:
        writer.write(stream)
    with event_stream.Decoder(str(path)) as decoder:
        found = [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["on"])) for chunk in decoder for e in chunk]
    assert found == rows(stream)


def test_a_time_that_would_be_written_as_gigabytes_of_silence_is_refused(tmp_path: Path) -> None:
    """Times that count from 1970, as AEDAT 4 has them."""
    path = tmp_path / "epoch.es"
    with (
        EsWriter(path, (2, 480, 640)) as writer,
        pytest.raises(ConfigError, match=r"ES writes a byte .* 1\.26e\+04 GB .*--rebase"),
    ):
        writer.write(events((1_600_000_000_000_000, 0, 0, 1)))
    assert path.stat().st_size < 100

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import BadRecording, ConfigError
from nrt.formats.aedat4 import Aedat4Recording, Aedat4Writer
from nrt.formats.aedat4_codec import MOST, NAMES
from tests.unit.formats.damage import check_flips, check_truncations, outcome
from tests.unit.formats.streams import Rows, events, random_events, recorded, rows

SAMPLE = Path(__file__).parents[3].parent / "shared" / "data" / "events" / "tonic_sample.aedat4"
SHAPE = (2, 240, 320)
FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PACK: dict[int, Callable[[bytes], bytes]] = {
    0: lambda data: data,
    1: lz4.frame.compress,
    3: zstandard.ZstdCompressor().compress,
}


def info(*streams: tuple[int, str, str]) -> bytes:
    nodes = "".join(
        f'<node name="{number}"><attr key="typeIdentifier" type="string">{kind}</attr><node name="info">'
        f'<attr key="sizeX" type="int">320</attr><attr key="sizeY" type="int">240</attr>'
        f'<attr key="source" type="string">{source}</attr></node></node>'
        for number, kind, source in streams
    )
    return f'<dv version="2.0"><node name="outInfo">{nodes}</node></dv>'.encode()


def flatbuffer(identifier: bytes, vtable: list[int], table: bytes, rest: bytes) -> bytes:
    """A size-prefixed flatbuffer: vtable, table, then what the table's offsets point to."""
    fields = struct.pack(f"<{2 + len(vtable)}H", 4 + 2 * len(vtable), 4 + len(table), *vtable)
    start = 8 + len(fields)
    body = struct.pack("<I", start) + identifier + fields + struct.pack("<i", len(fields)) + table + rest
    return struct.pack("<I", len(body)) + body


def header(compression: int, xml: bytes, table: int = -1) -> bytes:
    # fields of the table after its own 4 bytes: compression, offset of the text, position of the data table
    content = struct.pack("<iIq", compression, 12, table)
    return b"#!AER-DAT4.0\r\n" + flatbuffer(
        b"IOHE", [4, 12, 8], content, struct.pack("<I", len(xml)) + xml + b"\0"
    )


def evts(*values: tuple[int, int, int, int]) -> bytes:
    structs = b"".join(struct.pack("<qhhB3x", *value) for value in values)
    return flatbuffer(b"EVTS", [4], struct.pack("<I", 4), struct.pack("<I", len(values)) + structs)


def trig(*values: tuple[int, int]) -> bytes:
    """Tables of t (field 0) and type (field 1), each with a vtable of its own before it."""
    count = len(values)
    tables, offsets = b"", b""
    for i, (t, kind) in enumerate(values):
        at = 4 * count + len(tables) + 8 - 4 * i
        offsets += struct.pack("<I", at)
        tables += struct.pack("<HHHH", 8, 13, 4, 12) + struct.pack("<iqb", 8, t, kind)
    return flatbuffer(b"TRIG", [4], struct.pack("<I", 4), struct.pack("<I", count) + offsets + tables)


def packet(stream: int, content: bytes, compression: int = 0) -> bytes:
    packed = PACK[compression](content)
    return struct.pack("<ii", stream, len(packed)) + packed


ROWS: Rows = [(1605537493718345 + 7 * i, i % 320, i % 240, i % 2) for i in range(50)]
TWO = info((0, "EVTS", "left"), (1, "FRME", "left"), (2, "TRIG", "left"), (3, "EVTS", "right"))


def body(compression: int) -> bytes:
    return (
        packet(0, evts(*ROWS[:20]), compression)
        + packet(1, b"no flatbuffer at all", compression)
        + packet(3, evts((1, 2, 3, 1)), compression)
        + packet(2, trig((40, 1), (41, 9), (42, 2), (43, 4)), compression)
        + packet(0, evts(), compression)
        + packet(0, evts(*ROWS[20:]), compression)
    )


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_a_file_made_from_the_published_layout_gives_the_first_stream_of_events(
    tmp_path: Path, compression: int
) -> None:
    path = tmp_path / "a.aedat4"
    path.write_bytes(header(compression, TWO) + body(compression))
    with Aedat4Recording(path) as recording:
        assert recording.shape == SHAPE
        assert recording.header["compression"] == NAMES[compression]
        assert recorded(recording) == ROWS
        assert recording.triggers().tolist() == [(40, 0, 1), (42, 0, 0), (43, 1, 1)]
        assert not len(recording.triggers())


def test_another_stream_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    path.write_bytes(header(1, TWO) + body(1))
    with Aedat4Recording(path, stream=3) as recording:
        assert recorded(recording) == [(1, 2, 3, 1)]
        assert not len(recording.triggers())
    with pytest.raises(ConfigError, match=r"0 \(left\), 3 \(right\)"):
        Aedat4Recording(path, stream=2)


def test_reading_stops_at_the_data_table(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    start = header(0, TWO)
    path.write_bytes(header(0, TWO, len(start) + len(body(0))) + body(0) + b"a table of any kind")
    with Aedat4Recording(path) as recording:
        assert recorded(recording) == ROWS


def test_a_file_that_ends_before_its_data_table_is_damaged_after_its_last_packet(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    path.write_bytes(header(1, TWO, 1 << 40) + body(1))
    found, damage = outcome(Aedat4Recording, path)
    assert found == ROWS
    assert damage is not None
    assert "data table" in damage.reason


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"no recording at {SAMPLE}")
def test_a_recording_cut_short_gives_the_events_of_its_whole_packets(tmp_path: Path) -> None:
    data = bytearray(SAMPLE.read_bytes())
    data[54:62] = struct.pack("<q", -1)
    path = tmp_path / "a.aedat4"
    path.write_bytes(data[:500_000])
    found, damage = outcome(Aedat4Recording, path)
    with Aedat4Recording(SAMPLE) as recording:
        assert found == recorded(recording)[: len(found)]
    assert len(found) > 50_000
    assert damage is not None
    assert damage.offset <= 500_000


@pytest.mark.parametrize("compression", NAMES)
def test_what_is_written_reads_back_the_same(tmp_path: Path, compression: str) -> None:
    stream = random_events(4, 20_000, SHAPE, 40)
    stream["t"] += 1605537493718345
    path = tmp_path / "a.aedat4"
    with Aedat4Writer(path, SHAPE, compression=compression) as writer:
        writer.write(stream[:10])
        writer.flush()
        writer.write(stream[10:])
    for slab in (4096, 1 << 16):
        with Aedat4Recording(path) as recording:
            assert recorded(recording, slab) == rows(stream)


def test_a_flushed_recording_is_readable_though_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    writer = Aedat4Writer(path, SHAPE)
    writer.write(events((1, 2, 3, 1)))
    writer.flush()
    writer.write(events((2, 2, 3, 1)))
    with Aedat4Recording(path) as recording:
        assert recorded(recording) == [(1, 2, 3, 1)]
    writer.close()


def test_the_writer_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="zip"):
        Aedat4Writer(tmp_path / "a.aedat4", SHAPE, compression="zip")
    with pytest.raises(ConfigError, match="32768"):
        Aedat4Writer(tmp_path / "a.aedat4", (2, 240, 40_000))
    with Aedat4Writer(tmp_path / "a.aedat4", SHAPE) as writer, pytest.raises(ConfigError, match="outside"):
        writer.write(events((1, 320, 3, 1)))


@pytest.mark.parametrize(
    "bomb", [lz4.frame.compress(bytes(MOST + 1)), lz4.frame.compress(bytes(MOST * 2), store_size=False)]
)
def test_an_lz4_packet_that_unpacks_without_end_is_damage(tmp_path: Path, bomb: bytes) -> None:
    _check_bomb(tmp_path / "a.aedat4", 1, bomb)


@pytest.mark.parametrize("declared", [True, False])
def test_a_zstandard_packet_that_unpacks_without_end_is_damage(tmp_path: Path, declared: bool) -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=declared).compress(bytes(MOST + (1 << 21)))
    _check_bomb(tmp_path / "a.aedat4", 3, bomb)


def _check_bomb(path: Path, compression: int, bomb: bytes) -> None:
    start = header(compression, TWO) + packet(0, evts(*ROWS), compression)
    path.write_bytes(start + struct.pack("<ii", 0, len(bomb)) + bomb)
    found, damage = outcome(Aedat4Recording, path)
    assert found == ROWS
    assert damage is not None
    assert (damage.offset, str(MOST) in damage.reason) == (len(start), True)


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><dv version="2.0">&a;</dv>',
        b"<dv>",
        b"",
        info((0, "FRME", "left")),
        info((0, "EVTS", "left")).replace(b'name="0"', b'name="zero"'),
    ],
)
def test_a_header_without_a_readable_stream_of_events_is_refused(tmp_path: Path, xml: bytes) -> None:
    path = tmp_path / "a.aedat4"
    path.write_bytes(header(0, xml) + body(0))
    with pytest.raises(BadRecording):
        Aedat4Recording(path)


@pytest.mark.parametrize(
    "content",
    [
        evts(*ROWS)[:-1],
        evts(*ROWS).replace(b"EVTS", b"FRME"),
        evts(*ROWS)[:4] + struct.pack("<I", 0xFFFFFFF0) + evts(*ROWS)[8:],
        evts(*ROWS)[:18] + struct.pack("<i", -(1 << 31)) + evts(*ROWS)[22:],
        evts(*ROWS)[:26] + struct.pack("<I", 1 << 28) + evts(*ROWS)[30:],
        b"",
    ],
)
def test_a_hostile_flatbuffer_is_damage_at_its_packet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.aedat4"
    start = header(0, TWO) + packet(0, evts(*ROWS))
    path.write_bytes(start + packet(0, content))
    found, damage = outcome(Aedat4Recording, path)
    assert found == ROWS
    assert damage is not None
    assert damage.offset == len(start)


def test_a_packet_that_claims_more_than_the_file_holds_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    start = header(0, TWO)
    path.write_bytes(start + struct.pack("<ii", 0, 0x7FFFFFFF) + bytes(100))
    _, damage = outcome(Aedat4Recording, path)
    assert damage is not None
    assert damage.offset == len(start)


@pytest.mark.parametrize("compression", [0, 1, 3])
def test_every_truncation_gives_the_first_events(tmp_path: Path, compression: int) -> None:
    check_truncations(
        Aedat4Recording, header(compression, TWO) + body(compression), ROWS, tmp_path / "a.aedat4"
    )


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 14), min_size=1, max_size=6), compression=st.sampled_from([0, 1, 3]))
def test_turned_bits_give_events_or_damage(tmp_path: Path, bits: list[int], compression: int) -> None:
    data = header(compression, TWO) + body(compression)
    check_flips(Aedat4Recording, data, tmp_path / "a.aedat4", bits)


@FUZZ
@given(data=st.binary(max_size=600))
def test_any_bytes_give_events_or_damage(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.aedat4"
    path.write_bytes(b"#!AER-DAT4.0\r\n" + data)
    outcome(Aedat4Recording, path)
    path.write_bytes(header(0, TWO) + data)
    outcome(Aedat4Recording, path)


@pytest.mark.parametrize("compression", NAMES)
def test_dv_processing_reads_what_is_written(tmp_path: Path, compression: str) -> None:
    dv = pytest.importorskip("dv_processing")
    stream = random_events(5, 20_000, SHAPE, 40)
    path = tmp_path / "a.aedat4"
    with Aedat4Writer(path, SHAPE, compression=compression, source="camera") as writer:
        writer.write(stream)
    recording = dv.io.MonoCameraRecording(str(path))
    assert recording.getEventResolution() == (320, 240)
    batches = iter(recording.getNextEventBatch, None)
    found = np.concatenate([batch.numpy() for batch in batches])
    assert [tuple(map(int, row)) for row in found] == rows(stream)


@pytest.mark.parametrize("compression", NAMES)
def test_aedat_reads_what_is_written(tmp_path: Path, compression: str) -> None:
    aedat = pytest.importorskip("aedat")
    stream = random_events(5, 20_000, SHAPE, 40)
    path = tmp_path / "a.aedat4"
    with Aedat4Writer(path, SHAPE, compression=compression) as writer:
        writer.write(stream)
    found = np.concatenate([part["events"] for part in aedat.Decoder(str(path)) if "events" in part])
    assert [tuple(map(int, row)) for row in found] == rows(stream)

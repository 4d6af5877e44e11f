from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import BadRecording, ConfigError
from nrt.formats.ecf import FILTER, decode_ecf
from nrt.formats.hdf5 import Hdf5Writer, PropheseeHdf5Writer, open_hdf5
from nrt.formats.hdf5_unclosed import lookup3
from nrt.formats.words import event_words
from nrt.packet import EVENT, SPIKE
from tests.unit.formats.damage import check_flips, check_truncations, outcome
from tests.unit.formats.streams import Rows, events, random_events, recorded, rows

ROOT = Path(__file__).parents[3]
SHAPE = (2, 240, 320)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CD = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
ROWS: Rows = [(1000, 3, 4, 1), (1001, 319, 239, 0), (250_000, 0, 0, 1)]


@pytest.mark.parametrize("compression", ["none", "gzip", "lzf"])
def test_our_own_events_read_back_the_same(tmp_path: Path, compression: str) -> None:
    stream = random_events(1, 50_000, SHAPE, 300)
    path = tmp_path / "a.h5"
    with Hdf5Writer(path, SHAPE, compression=compression) as writer:
        for start in range(0, len(stream), 7001):
            writer.write(stream[start : start + 7001])
    assert writer.events == len(stream)
    with open_hdf5(path) as recording:
        assert (recording.format, recording.shape, recording.spikes()) == ("HDF5 events", SHAPE, False)
        assert recorded(recording) == rows(stream)
    file: Any
    with h5py.File(path) as file:
        assert file["events/x"][:].tolist() == stream["x"].tolist()
        assert file.attrs["format"] == "nrt-recording"


def test_our_own_spikes_read_back_the_same(tmp_path: Path) -> None:
    spikes = np.zeros(1000, SPIKE)
    spikes["t"], spikes["n"], spikes["v"] = np.arange(1000), np.arange(1000) % 10, -1
    path = tmp_path / "a.h5"
    with Hdf5Writer(path, (10, 1, 1), spikes=True) as writer:
        writer.write(spikes)
        with pytest.raises(ConfigError, match="holds spikes"):
            writer.write(events((2000, 0, 0, 1)))
    buffer = np.zeros(4096, SPIKE)
    with open_hdf5(path) as recording:
        assert (recording.spikes(), recording.shape) == (True, (10, 1, 1))
        assert recording.read(buffer) == 1000
        assert recording.read(buffer[1000:]) == 0
    assert buffer[:1000].tolist() == spikes.tolist()


def test_records_come_back_with_zeroed_padding(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Hdf5Writer(path, SHAPE) as writer:
        writer.write(events(*ROWS))
    slab = np.frombuffer(bytearray(b"\xff" * 16 * 4096), EVENT)
    with open_hdf5(path) as recording:
        assert recording.read(slab) == 3
    assert slab[:3].tobytes() == events(*ROWS).tobytes()


WRITE_AND_WAIT = """
import sys, time
import numpy as np
from pathlib import Path
from nrt.formats.hdf5 import Hdf5Writer
from nrt.packet import EVENT
stream = np.zeros(100_000, EVENT)
stream["t"] = np.arange(100_000)
writer = Hdf5Writer(Path(sys.argv[1]), (2, 240, 320))
writer.write(stream[:90_000])
writer.flush()
writer.write(stream[90_000:])
print("written", flush=True)
time.sleep(60)
"""


def test_what_was_flushed_outlives_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
    with open_hdf5(path) as recording:
        times = [t for t, *_ in recorded(recording)]
    assert 90_000 <= len(times) <= 100_000
    assert times == list(range(len(times)))


@pytest.mark.parametrize("compression", ["none", "gzip", "lzf"])
def test_prophesee_records_read_back_the_same(tmp_path: Path, compression: str) -> None:
    stream = random_events(2, 70_000, SHAPE, 300)
    path = tmp_path / "a.hdf5"
    with PropheseeHdf5Writer(path, SHAPE, compression=compression) as writer:
        for start in range(0, len(stream), 7001):
            writer.write(stream[start : start + 7001])
    with open_hdf5(path) as recording:
        assert (recording.format, recording.shape) == ("Prophesee HDF5", SHAPE)
        assert recorded(recording) == rows(stream)
    file: Any
    with h5py.File(path) as file:
        assert file["CD/events"]["y"].tolist() == stream["y"].tolist()
        assert file["CD/events"].dtype.itemsize == 16


def test_prophesee_triggers_come_with_the_events_before_which_they_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        table = np.zeros(5000, CD)
        table["t"] = np.arange(5000)
        file["CD/events"] = table
        file["EXT_TRIGGER/events"] = np.array(
            [(1, 10, 0), (0, 4500, 0), (1, 6000, 3)], [("p", "<i2"), ("t", "<i8"), ("id", "<i2")]
        )
    slab = np.zeros(4096, EVENT)
    with open_hdf5(path) as recording:
        assert not len(recording.triggers())
        recording.read(slab)
        assert recording.triggers().tolist() == [(10, 0, 1)]
        recording.read(slab)
        assert recording.triggers().tolist() == [(4500, 0, 0), (6000, 3, 1)]


def test_a_dsec_file_has_its_offset_added(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        for i, name in enumerate("txyp"):
            file[f"events/{name}"] = np.array([row[i] for row in ROWS], "<u4" if name == "t" else "<u2")
        file["t_offset"] = np.int64(49_599_300_523)
        file["ms_to_idx"] = np.arange(3)
    with open_hdf5(path) as recording:
        assert recorded(recording) == [(t + 49_599_300_523, x, y, p) for t, x, y, p in ROWS]


def test_an_rvt_file_declares_its_size_and_signed_polarities_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    file: Any
    with h5py.File(path, "w") as file:
        for i, name in enumerate("txyp"):
            file[f"events/{name}"] = np.array([row[i] for row in ROWS], np.int64)
        file["events/p"][:] = 2 * file["events/p"][:] - 1
        file["events/height"], file["events/width"] = 240, 320
    with open_hdf5(path) as recording:
        assert recording.shape == SHAPE
        assert recorded(recording) == ROWS


def test_a_matrix_of_rows_is_read_as_v2e_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        file["events"] = np.array(ROWS, np.uint32)
    with open_hdf5(path) as recording:
        assert recorded(recording) == ROWS


@pytest.mark.parametrize(
    "content", [{}, {"a": [1, 2]}, {"events": [1.5, 2.5]}, {"events/t": [1], "events/x": [1]}]
)
def test_a_file_without_events_is_refused(tmp_path: Path, content: dict[str, list[float]]) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
    with pytest.raises(BadRecording, match="no events in a layout that is known"):
        open_hdf5(path)


def test_huge_chunks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "txyp":
            file.create_dataset(
                f"events/{name}", (10,), "<i8", chunks=(1 << 24,), maxshape=(None,), compression="gzip"
            )
    with pytest.raises(BadRecording, match="at most 67108864"):
        open_hdf5(path)


def test_a_coordinate_out_of_range_is_damage_after_the_rows_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in "typ":
            file[f"events/{name}"] = np.zeros(5000, np.int64)
        file["events/x"] = np.append(np.zeros(4999, np.int64), 70_000)
    found, damage = outcome(open_hdf5, path)
    assert len(found) == 4096
    assert damage is not None


# ECF: the expected bytes are those of the published tests of the codec (ecf_codec_test.cpp), spelled out


def ecf_head(count: int, all_packed: bool, columns_packed: bool, t: int) -> bytes:
    return struct.pack("<IQ", count << 2 | all_packed << 1 | columns_packed, t)


def yxp(*values: tuple[int, int, int]) -> bytes:
    """Groups of four 24-bit fields, filled up with zeros."""
    fields = [y << 12 | x << 1 | p for x, y, p in values]
    fields += [0] * (-len(fields) % 4)
    out = b""
    for a, b, c, d in zip(*[iter(fields)] * 4, strict=True):
        out += struct.pack("<III", a << 8 | b & 0xFF, b >> 8 << 16 | c & 0xFFFF, c >> 16 << 24 | d)
    return out


def xp(*values: tuple[int, int]) -> bytes:
    """Groups of four 12-bit fields, filled up with zeros."""
    fields = [x << 1 | p for x, p in values]
    fields += [0] * (-len(fields) % 4)
    out = b""
    for a, b, c, d in zip(*[iter(fields)] * 4, strict=True):
        out += struct.pack("<HHH", a << 4 | b & 0xF, b >> 4 << 8 | c & 0xFF, c >> 8 << 12 | d)
    return out


ECF_CASES: list[tuple[bytes, Rows]] = [
    (ecf_head(1, True, False, 0) + b"\x01" + yxp((0, 0, 0)), [(0, 0, 0, 0)]),
    (ecf_head(1, True, False, 4) + b"\x01" + yxp((1, 2, 0)), [(4, 1, 2, 0)]),
    (
        ecf_head(3, False, True, 10_000) + b"\x03" + struct.pack("<H", 23 << 5 | 3) + xp((0, 1), (10, 1), (20, 1)),
        [(10_000, 0, 23, 1), (10_000, 10, 23, 1), (10_000, 20, 23, 1)],
    ),
    (  # masked columns, runs of polarity, a step of 14 µs and one of 0x123 µs
        ecf_head(8, False, False, 7)
        + b"\x02\xe3\xf3\xf2\xf1\x03"
        + struct.pack("<HH", 5 << 5 | 7, 6 << 5 | 1)
        + struct.pack("<HHH", 100 << 5 | 0b10001, 200 << 5 | 0b11100, 2047 << 5)
        + b"\x83\x05",
        [
            (7, 100, 5, 1), (7, 101, 5, 1), (21, 105, 5, 1), (21, 200, 5, 0), (21, 201, 5, 0),
            (21 + 0x123, 202, 5, 0), (21 + 0x123, 203, 5, 0), (21 + 0x123, 2047, 6, 0),
        ],
    ),
    (  # runs too long for their field
        ecf_head(300, False, False, 0)
        + b"\x0f" + struct.pack("<H", 300) + struct.pack("<HH", 9 << 5 | 31, 300)
        + struct.pack("<H", 1 << 5) * 300 + b"\xff" + struct.pack("<H", 300),
        [(0, 1, 9, 1)] * 300,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), ECF_CASES)
def test_ecf_chunks_decode_as_the_published_codec_lays_them_out(raw: bytes, expected: Rows) -> None:
    out = np.zeros(1000, EVENT)
    assert decode_ecf(np.frombuffer(raw, np.uint8), event_words(out)) == len(expected)
    assert rows(out[: len(expected)]) == expected


@pytest.mark.parametrize(("raw", "expected"), ECF_CASES)
def test_an_ecf_chunk_that_is_cut_is_malformed(raw: bytes, expected: Rows) -> None:
    out = np.zeros(1000, EVENT)
    for length in range(len(raw)):
        assert decode_ecf(np.frombuffer(raw[:length], np.uint8), event_words(out)) == -1


@FUZZ
@given(raw=st.binary(max_size=200), mode=st.integers(0, 3), count=st.integers(0, 64))
def test_any_ecf_bytes_stay_inside_the_slab(raw: bytes, mode: int, count: int) -> None:
    memory = np.zeros(128, EVENT)
    memory["t"][64:] = -7
    data = struct.pack("<I", count << 2 | mode) + raw
    assert decode_ecf(np.frombuffer(data, np.uint8), event_words(memory[:64])) in (-1, count)
    assert set(memory["t"][64:].tolist()) == {-7}


def ecf_file(path: Path, *chunks: bytes, length: int, size: int) -> None:
    """A file as Metavision's, its chunks packed elsewhere."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((size,))
    creation.set_filter(FILTER, h5py.h5z.FLAG_OPTIONAL)
    with h5py.File(path, "w") as file:
        file.attrs["geometry"] = "320x240"
        group = file.create_group("CD")
        space = h5py.h5s.create_simple((length,), (h5py.h5s.UNLIMITED,))
        dataset = h5py.h5d.create(group.id, b"events", h5py.h5t.py_create(CD), space, creation)
        for i, chunk in enumerate(chunks):
            dataset.write_direct_chunk((i * size,), chunk)


def test_a_file_packed_with_ecf_is_read_without_the_plugin(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    ecf_file(path, ECF_CASES[3][0], ECF_CASES[3][0], length=13, size=8)
    with open_hdf5(path) as recording:
        assert recording.shape == SHAPE
        assert recorded(recording) == [*ECF_CASES[3][1], *ECF_CASES[3][1][:5]]


def test_a_damaged_ecf_chunk_is_damage_after_the_events_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    ecf_file(path, ECF_CASES[3][0], ECF_CASES[3][0][:-1], length=16, size=8)
    found, damage = outcome(open_hdf5, path)
    assert found == ECF_CASES[3][1]
    assert damage is not None
    assert "ECF chunk at row 8" in damage.reason


def test_truncated_files_give_events_or_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Hdf5Writer(path, SHAPE) as writer:
        writer.write(events(*ROWS))
    check_truncations(open_hdf5, path.read_bytes(), ROWS, tmp_path / "b.h5", step=41)


def test_a_file_that_was_neither_closed_nor_whole_gives_events_or_damage_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    writer = Hdf5Writer(path, SHAPE)
    writer.write(events(*ROWS))
    writer.flush()
    data = path.read_bytes()
    writer.close()
    assert data[11]
    path = tmp_path / "b.h5"
    path.write_bytes(data)
    assert outcome(open_hdf5, path) == (ROWS, None)
    check_truncations(open_hdf5, data, ROWS, path, step=173)


def test_lookup3_gives_the_sum_that_its_author_published() -> None:
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_the_writers_refuse_what_they_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no HDF5 compression"):
        Hdf5Writer(tmp_path / "a.h5", SHAPE, compression="ecf")
    with PropheseeHdf5Writer(tmp_path / "a.h5", SHAPE) as writer, pytest.raises(ConfigError, match="outside"):
        writer.write(events((0, 320, 0, 1)))


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 17), min_size=1, max_size=4))
def test_turned_bits_give_events_or_damage(tmp_path: Path, bits: list[int]) -> None:
    path = tmp_path / "a.h5"
    if not path.exists():
        with PropheseeHdf5Writer(path, SHAPE) as writer:
            writer.write(events(*ROWS))
    check_flips(open_hdf5, path.read_bytes(), tmp_path / "b.h5", bits)


def test_rows_that_were_never_stored_are_refused_and_not_made_up(tmp_path: Path) -> None:
    path = tmp_path / "claims.h5"
    with h5py.File(path, "w") as file:
        for name in "txyp":
            file.create_dataset(f"events/{name}", (2**40,), "i8", chunks=(4096,))
    with pytest.raises(BadRecording, match="claims shape"):
        open_hdf5(path)

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

import nrt.formats.table as table
from nrt.errors import BadRecording
from nrt.formats import sniff
from nrt.packet import EVENT

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "events"
RECOGNISERS = [
    sniff.is_aedat2, sniff.is_aedat3, sniff.is_aedat4, sniff.is_csv, sniff.is_es, sniff.is_hdf5, sniff.is_nmnist,
]  # fmt: skip


def recognised(data: bytes) -> list[str]:
    return [test.__name__ for test in RECOGNISERS if test(data[:65536], len(data))]


@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_are_of_no_format(seed: int) -> None:
    size = random.Random(seed).choice([20, 25, 60, 100, 1000, 70_000])
    assert recognised(random.Random(seed).randbytes(size)) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(5),
        bytes(1000),
        b"\xff" * 1000,
        b"\x01" * 1000,
        b"Dear reader,\nthis is a letter, not a recording,\nyours, x, y, t, p\n" * 5,
        b"1\n2\n3\n",
        b"name,size\na,1\n",
        b"1,2,3\n4,5,6\n",
        b'{"a": [1, 2, 3, 4]}\n',
        np.arange(1000, dtype="<u4").tobytes(),
        np.arange(1000, dtype=">u4").tobytes(),
        struct.pack("<1000d", *range(1000)),
    ],
)
def test_other_files_are_of_no_format(data: bytes) -> None:
    assert recognised(data) == []


def test_a_user_block_before_hdf5_is_looked_past() -> None:
    assert recognised(bytes(2048) + b"\x89HDF\r\n\x1a\n" + bytes(100)) == ["is_hdf5"]


@pytest.mark.parametrize("row", [row.name for row in table.FORMATS])
def test_what_a_writer_wrote_is_recognised_whatever_its_name(tmp_path: Path, row: str) -> None:
    path = tmp_path / "without_an_ending"
    stream = np.zeros(64, EVENT)
    stream["t"] = 1000 + np.arange(64) * 10
    stream["x"] = np.arange(64) % 34
    with table.create(path, row, (2, 34, 34)) as writer:
        writer.write(stream)
    assert table.identify(path).name in (row, "hdf5" if row == "prophesee-hdf5" else row)
    buffer = np.zeros(4096, EVENT)
    with table.open(path) as recording:
        count = recording.read(buffer)
    assert buffer[:count]["x"].tolist() == stream["x"].tolist()


def test_an_empty_csv_of_named_columns_is_recognised() -> None:
    assert recognised(b"t,x,y,p\n") == ["is_csv"]


@pytest.mark.skipif(not DATA.exists(), reason=f"no recordings at {DATA}")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("faery_dvs.es", ["is_es"]),
        ("tonic_sample.aedat4", ["is_aedat4"]),
        ("tonic_sample_nmnist.bin", ["is_nmnist"]),
        ("faery_gen4.dat", []),
        ("expelliarmus_evt3_sample.raw", []),
        ("golden.json", []),
    ],
)
def test_real_files_are_recognised_by_one_format_alone(name: str, expected: list[str]) -> None:
    assert recognised((DATA / name).read_bytes()) == expected


def test_bytes_of_no_format_are_refused_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\x00\x01\x02 nothing that is known")
    with pytest.raises(BadRecording, match="none of the known formats"):
        table.open(path)

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

import nrt
from nrt import formats
from nrt.heap import damaged_heap


def strings(path: Path) -> Path:
    """An HDF5 file with strings of variable length."""
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "nrt"
        file.create_group("events").attrs["note"] = "a longer text " * 40
    return path


def free_space(path: Path) -> int:
    """Offset of the free-space object that ends the first heap, as the file format specification has it."""
    data = path.read_bytes()
    at = data.index(b"GCOL") + 16
    while index := int.from_bytes(data[at : at + 2], "little"):
        assert index
        at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
    return at


def test_a_sound_file_has_no_damaged_heap(tmp_path: Path, data: Path) -> None:
    assert damaged_heap(strings(tmp_path / "a.h5")) is None
    for path in (data / "nir").glob("*.nir"):
        assert damaged_heap(path) is None


@pytest.mark.parametrize("size", [0, 8, 2**63, 2**64 - 1])
def test_a_size_that_leads_nowhere_is_found_before_the_hdf5_library_loops(tmp_path: Path, size: int) -> None:
    path = strings(tmp_path / "a.h5")
    at = free_space(path)
    content = bytearray(path.read_bytes())
    content[at + 8 : at + 16] = size.to_bytes(8, "little")
    path.write_bytes(content)
    assert damaged_heap(path) == at
    with pytest.raises(nrt.BadRecording, match="heap") as caught:
        formats.open(path)
    assert caught.value.offset == at


def test_a_heap_that_is_cut_off_is_left_to_the_library(tmp_path: Path) -> None:
    path = strings(tmp_path / "a.h5")
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"GCOL") + 10])
    assert damaged_heap(path) is None

"""The definitions that come with nrt."""

from __future__ import annotations

import binascii
import tomllib
import zlib
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt import spec
from nrt.spec import Settings
from nrt.spec.page import page
from nrt.spec.read import contradictions
from nrt.spec.vectors import crc

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "firmware_specs").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_definition_agrees_with_its_vectors_and_bears_the_name_of_its_file(file: Path) -> None:
    assert contradictions(file, file.read_text(encoding="utf-8")) == ()
    assert spec.load(file).name == file.stem


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_table_with_a_number_in_it_says_where_it_is_from(file: Path) -> None:
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    tables = [
        (section, name, node)
        for section in ("transport", "enums", "words", "records", "registers", "memories", "procedures")
        for name, node in document.get(section, {}).items()
    ]
    assert [(section, name) for section, name, node in tables if "source" not in node] == []


def test_the_page_is_the_one_that_the_definitions_make() -> None:
    written = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8")
    made = page([spec.load(name) for name in spec.names()])
    assert written == made, "run: nrt spec docs > docs/specs.md"


def test_tinyodin_addresses_its_synapses_as_the_recordings_lay_them_out(data: Path) -> None:
    """`synapse_bytes[8192, 4]` of the RTL recordings: word {pre[7:0], post[7:3]}, byte post[2:1], nibble post[0]."""
    chip = spec.load("tinyodin")
    pre, post = np.divmod(np.arange(1 << 16), 256)
    address = chip.memory("synapses").address.pack(read=1, write=0, pre=pre, pair=post // 2)
    spi = address & 0xFFFF
    assert np.array_equal(spi & 0x1FFF, pre << 5 | post >> 3)
    assert np.array_equal(spi >> 13, post >> 1 & 3)
    with np.load(next(iter(sorted((data / "tinyodin").glob("*.npz"))))) as recording:
        raw = recording["synapse_bytes"].reshape(-1)
        neurons = recording["neuron_words"]
    layout = chip.memory("synapses").layout
    assert layout is not None
    weights = layout.unpack(raw)
    nibbles = np.stack([raw & 15, raw >> 4], axis=1).astype(np.int8)
    assert np.array_equal(np.stack([weights["even"], weights["odd"]], axis=1), (nibbles ^ 8) - 8)
    assert np.array_equal(chip.word("neuron").pack(**chip.word("neuron").unpack(neurons)), neurons)


def test_every_input_of_the_tinyodin_recordings_is_of_a_known_kind(data: Path) -> None:
    kinds = spec.load("tinyodin").kinds("aer_in")
    seen = np.zeros(len(kinds.names), np.int64)
    for file in sorted((data / "tinyodin").glob("*.npz")):
        with np.load(file) as recording:
            found = kinds.classify(recording["aer_in"])
        assert found.min(initial=0) >= 0
        seen += np.bincount(found, minlength=len(seen))
    assert seen[kinds.index("aer_spike")] > 0
    assert seen[kinds.index("aer_reference_all")] > 0


def test_tinyodin_takes_the_cycles_that_its_documentation_tells() -> None:
    chip = spec.load("tinyodin")
    assert chip.duration("spike").total(neuron=256) == 1 + 2 * 256
    assert chip.duration("reference_all").total(neuron=201) == 2 * 201
    assert chip.duration("virtual").total() == 3


def test_edvs_events_of_32_bits_of_time_are_rows_of_six_bytes() -> None:
    camera = spec.load("edvs")
    data = bytes.fromhex("81 82 00 00 00 05  9e c5 00 01 00 00")
    rows = camera.record("event_e4").array(data)
    fields = camera.word("event").unpack(rows["event"].astype(np.uint16))
    assert (fields["y"].tolist(), fields["x"].tolist(), fields["polarity"].tolist()) == (
        [1, 30],
        [2, 69],
        [1, 1],
    )
    assert rows["time"].tolist() == [5, 65536]


def parameters(width: int, polynomial: int, initial: int, final: int, *, reflect: bool) -> Settings:
    values = {"width": width, "polynomial": polynomial, "initial": initial, "final_xor": final}
    return Settings("crc", MappingProxyType({**values, "reflect_in": reflect, "reflect_out": reflect}))


@given(st.binary(max_size=40))
def test_checksums_are_those_of_the_standard_library(data: bytes) -> None:
    assert crc(parameters(32, 0x04C11DB7, 0xFFFFFFFF, 0xFFFFFFFF, reflect=True), data) == zlib.crc32(data)
    assert crc(parameters(16, 0x1021, 0, 0, reflect=False), data) == binascii.crc_hqx(data, 0)

"""What Prophesee's formats share: headers, recognition by content, damage, and what writers promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nrt.formats.table
from nrt.errors import BadRecording, ConfigError
from nrt.formats.base import Decoder, Writer
from nrt.formats.dat import DatDecoder, DatWriter
from nrt.formats.evt2 import Evt2Decoder, Evt2Writer
from nrt.formats.evt3 import Evt3Decoder, Evt3Writer
from nrt.formats.evt21 import Evt21Decoder, Evt21Writer
from nrt.formats.prophesee import Header, is_dat, is_evt2, is_evt3, is_evt21
from tests.unit.formats.streams import decoded, events, pieces, random_events, recorded, rows, write_bytes

SHAPE = (2, 480, 640)
DATA = Path(__file__).parents[3].parent / "shared" / "data" / "events"
WRITERS: list[Any] = [Evt2Writer, Evt21Writer, Evt3Writer, DatWriter]
RECOGNISERS = {"evt2": is_evt2, "evt21": is_evt21, "evt3": is_evt3, "dat": is_dat}

both = pytest.mark.parametrize(
    ("name", "options"),
    [("evt2", {}), ("evt21", {}), ("evt21", {"endianness": "legacy"}), ("evt3", {}), ("dat", {})],
)


def recognised(head: bytes) -> list[str]:
    return [name for name, recognise in RECOGNISERS.items() if recognise(head, len(head))]


def test_a_header_ends_with_its_end_line_or_before_the_first_line_that_is_none() -> None:
    text = b"% Date 2020-09-25 07:48:31\n% evt 2.0\n"
    assert Header.parse(text + b"% end\n% evt 3.0\n").length == len(text) + 6
    assert Header.parse(text + b"\x80%\n").length == len(text)
    assert Header.parse(text + b"% \x80\x00binary\n").length == len(text)
    assert Header.parse(text).fields == {"date": "2020-09-25 07:48:31", "evt": "2.0"}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("% geometry 640x480\n", (2, 480, 640)),
        ("% format EVT3;height=720;width=1280\n", (2, 720, 1280)),
        ("% Height 240\n% Width 304\n", (2, 240, 304)),
        ("% plugin_name hal_plugin_gen41_evk3\n", (2, 720, 1280)),
        ("% plugin_name hal_plugin_gen3_fx3\n", (2, 480, 640)),
        ("% geometry 0x480\n", None),
        ("% Width wide\n", None),
        ("", None),
    ],
)
def test_the_size_of_the_sensor_comes_from_the_header(text: str, shape: tuple[int, int, int] | None) -> None:
    assert Header.parse(text.encode()).shape == shape


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("% evt 2.0\n", "evt2"),
        ("% evt 2.1\n", "evt21"),
        ("% evt 3.0\n", "evt3"),
        ("% format EVT2;height=480;width=640\n", "evt2"),
        ("% format EVT21;endianness=legacy\n", "evt21"),
        ("% evt 2.0\n% format EVT3;height=720;width=1280\n", "evt3"),
        ("% Data file containing N9Chronocam7Event2dE events.\n% Version 2\n", "dat"),
    ],
)
def test_a_header_that_names_the_format_decides_whatever_the_words(text: str, name: str) -> None:
    assert recognised(text.encode() + b"% end\n" + bytes(range(256))) == [name]


@both
@pytest.mark.parametrize("seed", range(5))
def test_words_without_a_header_are_recognised_by_what_they_say(
    tmp_path: Path, name: str, options: dict[str, str], seed: int
) -> None:
    path = tmp_path / "a.raw"
    with nrt.formats.table.create(path, name, SHAPE, **options) as writer:
        writer.write(random_events(seed, 2000, SHAPE, 500))
    data = path.read_bytes()
    body = data[Header.parse(data).length :]
    assert recognised(body) == ([name] if name != "dat" else [])


@pytest.mark.parametrize("file", sorted(DATA.glob("*.raw")), ids=lambda path: path.name)
def test_real_words_without_their_header_are_recognised(file: Path) -> None:
    data = file.read_bytes()
    expected = "evt21" if "evt21" in file.name else "evt3" if "evt3" in file.name else "evt2"
    assert recognised(data[Header.parse(data).length :][: 1 << 16]) == [expected]


@pytest.mark.parametrize(
    "head",
    [
        b"t,x,y,p\n" + b"1000,12,34,1\n" * 500,
        b"1000 12 34 1\n" * 500,
        b"Event Stream\x02\x00\x00\x01" + bytes(range(200)),
        b"\x89HDF\r\n\x1a\n" + bytes(500),
        np.random.default_rng(1).bytes(5000),
        b"",
        b"% ",
    ],
)
def test_other_files_are_not_taken_for_event_words(head: bytes) -> None:
    assert recognised(head) == []


@pytest.mark.parametrize(
    "decoder",
    [
        Evt2Decoder,
        Evt21Decoder,
        lambda: Evt21Decoder("legacy"),
        Evt3Decoder,
        DatDecoder,
        lambda: DatDecoder(14),
    ],
)
@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=600), st.integers(1, 64))
def test_any_bytes_in_any_pieces_decode_without_a_fault_and_alike(
    decoder: Any, data: bytes, size: int
) -> None:
    first, second = decoder(), decoder()
    assert isinstance(first, Decoder)
    whole = data[: len(data) - len(data) % first.word]
    assert decoded(first, pieces(whole, size)) == decoded(second, [whole])
    assert first.triggers().tolist() == second.triggers().tolist()


@both
@pytest.mark.parametrize("seed", range(3))
def test_what_is_written_is_read_back(tmp_path: Path, name: str, options: dict[str, str], seed: int) -> None:
    path = tmp_path / "a.raw"
    stream = random_events(seed, 20_000, SHAPE, [3, 3000, 3_000_000][seed])
    with nrt.formats.table.create(path, name, SHAPE, **options) as writer:
        for at in range(0, len(stream), 777):
            writer.write(stream[at : at + 777])
        assert writer.events == len(stream)
    with nrt.formats.table.open(path) as recording:
        assert recording.shape == SHAPE
        assert recorded(recording, slab=5000) == rows(stream)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ((10, 640, 0, 1), "x=640, y=0 lies outside the 640 x 480 sensor"),
        ((10, 0, 480, 1), "x=0, y=480 lies outside the 640 x 480 sensor"),
        ((4, 0, 0, 1), "t=4 µs comes after t=6 µs; sort the events by time"),
        ((1 << 40, 0, 0, 1), "its clock bridges less than"),
    ],
)
def test_events_that_a_format_cannot_hold_are_refused_and_nothing_of_them_is_written(
    tmp_path: Path, writer: Any, bad: tuple[int, int, int, int], reason: str
) -> None:
    path = tmp_path / "a.raw"
    with writer(path, SHAPE) as target:
        assert isinstance(target, Writer)
        target.write(events((5, 1, 2, 1)))
        with pytest.raises(ConfigError, match=f"cannot hold event 2: .*{reason}"):
            target.write(events((6, 1, 2, 1), bad))
        target.write(events((7, 3, 4, 0)))
    with nrt.formats.table.open(path) as recording:
        assert recorded(recording) == [(5, 1, 2, 1), (7, 3, 4, 0)]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("t", [-1, 1 << 34, 1_605_537_493_718_345])
def test_a_first_time_that_the_clock_does_not_reach_is_refused(tmp_path: Path, writer: Any, t: int) -> None:
    with writer(tmp_path / "a.raw", SHAPE) as target, pytest.raises(ConfigError, match="cannot hold event 0"):
        target.write(events((t, 0, 0, 1)))


@pytest.mark.parametrize("writer", WRITERS)
def test_a_sensor_that_the_addresses_cannot_span_is_refused(tmp_path: Path, writer: Any) -> None:
    with pytest.raises(ConfigError, match="holds sensors up to"):
        writer(tmp_path / "a.raw", (2, 1, 1 << 15))


@both
def test_a_file_cut_inside_a_word_gives_all_events_before_and_then_says_where(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = tmp_path / "a.raw"
    stream = random_events(4, 3000, SHAPE, 500)
    with nrt.formats.table.create(path, name, SHAPE, **options) as writer:
        writer.write(stream)
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    found, slab = [], np.zeros(4096, stream.dtype)
    with nrt.formats.table.open(path) as recording:
        with pytest.raises(BadRecording, match="ends inside") as caught:
            while count := recording.read(slab):
                found += rows(slab[:count])
        with pytest.raises(BadRecording, match="ends inside"):
            recording.read(slab)
    assert found == rows(stream)[: len(found)]
    assert len(stream) - len(found) <= 32
    word = {"evt3": 2, "evt2": 4}.get(name, 8)
    assert caught.value.offset == len(data) - word


@pytest.mark.parametrize(
    ("text", "word"), [("% evt 2.0\n", 4), ("% evt 2.1\n% endianness little\n", 8), ("% evt 3.0\n", 2)]
)
def test_words_without_any_time_are_reported_instead_of_read_as_no_events(
    tmp_path: Path, text: str, word: int
) -> None:
    slab = np.zeros(4096, events().dtype)
    short = write_bytes(tmp_path / "short.raw", text, bytes(800))
    with (
        nrt.formats.table.open(short) as recording,
        pytest.raises(BadRecording, match="800 bytes and not one TIME_HIGH"),
    ):
        recording.read(slab)
    long = write_bytes(tmp_path / "long.raw", text, bytes(1 << 21))
    with nrt.formats.table.open(long) as recording:
        with pytest.raises(BadRecording, match="no TIME_HIGH in the first") as caught:
            recording.read(slab)
        assert recording.triggers().tolist() == []
    assert caught.value.offset == len(text)


@pytest.mark.parametrize("text", ["% evt 2.0\n", "% evt 2.1\n", "% evt 3.0\n% end\n"])
def test_a_header_without_words_is_an_empty_recording(tmp_path: Path, text: str) -> None:
    with nrt.formats.table.open(write_bytes(tmp_path / "a.raw", text, b"")) as recording:
        assert recorded(recording) == []
        recording.close()
        recording.close()


@both
def test_what_was_flushed_survives_the_death_of_the_process(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    path = tmp_path / "a.raw"
    program = textwrap.dedent(f"""
        import os, signal
        from nrt.formats.table import create
        from tests.unit.formats.streams import random_events
        writer = create({str(path)!r}, {name!r}, {SHAPE!r}, **{options!r})
        writer.write(random_events(5, 5000, {SHAPE!r}, 500))
        writer.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert ended.returncode == -signal.SIGKILL
    with nrt.formats.table.open(path) as recording:
        assert recorded(recording) == rows(random_events(5, 5000, SHAPE, 500))

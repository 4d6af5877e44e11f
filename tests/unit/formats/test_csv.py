from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import BadRecording, ConfigError
from nrt.formats.text import CsvRecording, CsvWriter
from tests.unit.formats.damage import check_flips, outcome
from tests.unit.formats.streams import Rows, events, random_events, recorded, rows

SHAPE = (2, 240, 320)
FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROWS: Rows = [(1000, 3, 4, 1), (1001, 319, 239, 0), (250_000, 0, 0, 1)]


def read(path: Path, text: str) -> Rows:
    path.write_bytes(text.encode())
    with CsvRecording(path) as recording:
        return recorded(recording)


@pytest.mark.parametrize(
    "text",
    [
        "t,x,y,p\n1000,3,4,1\n1001,319,239,0\n250000,0,0,1\n",
        "1000,3,4,1\n1001,319,239,0\n250000,0,0,1",
        "3,4,1,1000\r\n319,239,0,1001\r\n0,0,1,250000\r\n",
        "# a comment\n\nx;y;polarity;timestamp\n3;4;1;1000\n# another\n319;239;-1;1001\n0;0;1;250000\n",
        "1000 3 4 1\n1001  319 239 0 \n 250000 0 0 1\n",
        "1000\t3\t4\ttrue\n1001\t319\t239\tfalse\n250000\t0\t0\tTrue\n",
        "p, y, x, time_s, label\n1, 4, 3, 0.001, a b\n0, 239, 319, 0.0010014, \n1, 0, 0, 0.25, c\n",
        "0.001 3 4 1\n0.001001 319 239 0\n0.25 0 0 1\n",
        "1.000000000000000000e-03 3 4 1\n1.001e-3 319 239 0\n2.5e-1 0 0 1\n",
        '"t_ms","x","y","p"\n1,3.0,4,1.0\n1.001,319,239,-1.0\n250,0,0,1\n',
        "%geometry:320,240\nt,x,y,p\n1000,3,4,1\n1001,319,239,0\n250000,0,0,1\n",
        "320 240\n0.001 3 4 1\n0.001001 319 239 0\n0.25 0 0 1\n",
    ],
)
def test_the_same_events_read_from_every_dialect(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "a.csv", text) == ROWS


@pytest.mark.parametrize("first", ["%geometry:320,240", "# geometry = 320x240", "320 240"])
def test_the_sensor_size_is_taken_from_the_head(tmp_path: Path, first: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{first}\n1 2 3 1\n")
    with CsvRecording(path) as recording:
        assert recording.shape == SHAPE


def test_a_long_file_is_read_through_a_small_buffer(tmp_path: Path) -> None:
    stream = random_events(8, 60_000, SHAPE, 1000)
    path = tmp_path / "a.csv"
    with CsvWriter(path, SHAPE) as writer:
        writer.write(stream)
    assert path.stat().st_size > CsvRecording.BUFFER
    with CsvRecording(path) as recording:
        assert recording.shape == SHAPE
        assert recorded(recording) == rows(stream)


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    stream = random_events(9, 2000, SHAPE, 1000)
    stream["t"] -= 500
    path = tmp_path / "a.csv"
    with CsvWriter(path, SHAPE) as writer:
        writer.write(stream)
    table = np.loadtxt(path, np.int64, delimiter=",", skiprows=2)
    assert [tuple(row) for row in table.tolist()] == rows(stream)
    with CsvRecording(path) as recording:
        assert recorded(recording) == rows(stream)


@pytest.mark.parametrize(
    "line",
    [
        "1,2,3",
        "1,2,3,4",
        "1,2,3,1,5",
        "1,2,x,1",
        "1,2.5,3,1",
        "1,70000,3,1",
        "1,-1,3,1",
        "",
        "1e30,2,3,1",
        "1,2,,1",
    ],
)
def test_a_bad_line_is_damage_at_its_first_byte(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.csv"
    good = "t,x,y,p\n" + "5,2,3,1\n" * 300
    path.write_text(good + line + "\n7,2,3,1\n")
    found, damage = outcome(CsvRecording, path)
    if not line:
        assert (len(found), damage) == (301, None)
        return
    assert len(found) == 300
    assert damage is not None
    assert damage.offset == len(good)


def test_a_line_longer_than_the_buffer_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = "t,x,y,p\n" + "5,2,3,1\n" * 9000
    path.write_text(good + "1" * (2 * CsvRecording.BUFFER))
    found, damage = outcome(CsvRecording, path)
    assert len(found) == 9000
    assert damage is not None


def test_text_without_events_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,address\nx,y\n")
    with pytest.raises(BadRecording, match="name the columns"):
        CsvRecording(path)


def test_the_writer_refuses_events_off_the_sensor(tmp_path: Path) -> None:
    with CsvWriter(tmp_path / "a.csv", SHAPE) as writer, pytest.raises(ConfigError, match="outside"):
        writer.write(events((0, 320, 0, 1)))


@FUZZ
@given(
    lines=st.lists(
        st.tuples(st.integers(-(10**17), 10**17), st.integers(0, 65535), st.integers(0, 1)), max_size=50
    )
)
def test_numbers_survive_the_way_through_text(tmp_path: Path, lines: list[tuple[int, int, int]]) -> None:
    path = tmp_path / "a.csv"
    text = "".join(f"{p};{x};{x};{t}\n" for t, x, p in lines)
    if lines:
        assert read(path, "p;x;y;t\n" + text) == [(t, x, x, p) for t, x, p in lines]


@FUZZ
@given(bits=st.lists(st.integers(0, 1 << 12), min_size=1, max_size=6))
def test_turned_bits_give_events_or_damage(tmp_path: Path, bits: list[int]) -> None:
    check_flips(CsvRecording, b"t,x,y,p\n" + b"1000,3,4,1\n" * 20, tmp_path / "a.csv", bits)


@FUZZ
@given(text=st.text("0123456789.,-+eE truefalse#%\n\r\t;", max_size=300))
def test_any_text_gives_events_or_damage(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("t,x,y,p\n" + text, newline="")
    outcome(CsvRecording, path)
    path.write_text(text, newline="")
    outcome(CsvRecording, path)

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from nrt.cli import plot
from nrt.cli.demo_view import Look, View
from nrt.cli.demo_watch import Watch
from nrt.packet import EVENT, SPIKE, Packet, Records
from nrt.source import Source

EPISODE = 100


class Recorded(Source):
    """Packets of a 4x3 sensor."""

    shape = (2, 3, 4)

    def __init__(self, packets: Sequence[Packet]) -> None:
        self._packets = packets

    async def packets(self) -> AsyncIterator[Packet]:
        for packet in self._packets:
            yield packet


class Task:
    """All spikes of an episode vote."""

    def votes(self, spikes: Records, count: int) -> NDArray[np.int64]:
        out = np.zeros((count, 3), np.int64)
        np.add.at(out, (spikes["t"] // EPISODE, spikes["n"]), 1)
        return out

    def decide(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)


def events(*rows: tuple[int, int, int, int]) -> Records:
    out = np.zeros(len(rows), EVENT)
    for k, (t, x, y, p) in enumerate(rows):
        out[k] = (t, x, y, p)
    return out


def spikes(*rows: tuple[int, int]) -> Records:
    return np.array([(t, n, 1) for t, n in rows], SPIKE)


def watched(source: Source, truth: Sequence[int]) -> Watch:
    async def drain(watch: Watch) -> None:
        async for _ in watch.source.packets():
            pass

    watch = Watch(source, np.array(truth), EPISODE, Task())
    asyncio.run(drain(watch))
    return watch


def test_a_picture_is_on_minus_off_events_of_its_span_alone() -> None:
    first = Packet(events((0, 0, 0, 1), (6, 3, 2, 1), (7, 3, 2, 1)), 0, 10, 0)
    second = Packet(events((12, 3, 2, 0), (13, 1, 0, 0), (19, 2, 2, 1)), 10, 20, 0)
    watch = watched(Recorded([first, second, Packet(events(), 20, 30, 0)]), [0])
    assert watch.picture(5, 19).tolist() == [[0, -1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert not watch.picture(20, 30).any()
    assert watch.picture(-24, 1).sum() == 1


def test_votes_and_answers_add_up_packet_by_packet() -> None:
    watch = Watch(Recorded([]), np.array([2, 1, 0]), EPISODE, Task())
    watch.take(Packet(spikes((10, 2), (20, 2), (30, 0)), 0, 50, 0))
    watch.add_up()
    assert (watch.done, len(watch.right)) == (0, 0)
    watch.take(Packet(spikes((120, 0), (199, 0)), 50, 250, 0))
    watch.take(Packet(spikes(), 250, 251, 0))
    watch.add_up()
    watch.add_up()
    assert watch.votes.tolist() == [[1, 0, 2], [2, 0, 0], [0, 0, 0]]
    assert watch.answers.tolist() == [2, 0, -1]
    assert watch.right.tolist() == [True, False]
    assert watch.raster.sum() == 5
    assert watch.raster[0].tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0]


def _drawn(width: int) -> list[str]:
    seen = Look(
        picture=np.array([[2, -2, 0, 0]] * 3, np.int8),
        raster=np.tile(np.array([[0], [4], [99]], np.int16), (1, 12)),
        first=0,
        truth=np.array([2, 0, 1]),
        answers=np.array([2, 1, -1]),
        done=2,
        span=25.0,
        status=("cpu:", "digit 3 of 3"),
    )
    console = Console(file=io.StringIO(), width=width, record=True, color_system=None, force_terminal=True)
    console.print(View(seen))
    return console.export_text().splitlines()


def test_a_look_shows_half_blocks_bars_and_what_was_shown_and_read() -> None:
    lines = _drawn(60)
    assert lines[0].startswith("▀▀▀▀  ")
    assert lines[1] == "▀▀▀▀  0             "
    assert lines[2] == "      1 ▄▄▄▄▄▄▄▄▄▄▄▄"
    assert lines[3] == "      2 ████████████"
    assert lines[4] == "          2   0   1  shown"
    assert lines[5] == "          2   1   ·  read"
    assert lines[6] == "cpu:  digit 3 of 3"


@pytest.mark.parametrize("width", [12, 20, 30, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, _drawn(width))) <= width


def test_equal_pixels_of_a_picture_are_one_piece_each() -> None:
    svg = plot.picture(np.array([[1, 1, 0, -4], [0, 0, 0, 9]]), "a <title>")
    assert '<path d="M0 0h2v1h-2z" class="on1">' in svg
    assert '<path d="M3 0h1v1h-1z" class="off2">' in svg
    assert '<path d="M3 1h1v1h-1z" class="on3">' in svg
    assert "a &lt;title&gt;" in svg


def test_the_curve_ends_at_the_accuracy_of_all() -> None:
    points = (
        plot.curve(np.array([True, True, False, True])).partition('points="')[2].partition('"')[0].split()
    )
    heights = [float(point.partition(",")[2]) for point in points]
    # 60 to 100 % are 140 units, upwards from 160
    assert heights == pytest.approx([20, 20, 160 - 140 * (200 / 3 - 60) / 40, 160 - 140 * 15 / 40], abs=0.1)
    assert plot.curve(np.zeros(0, np.bool_)).startswith("<svg")

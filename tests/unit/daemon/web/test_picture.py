"""Pictures: what is counted and packed, against numpy and a reader that knows only the description of the format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.daemon.web.picture import LARGEST, Picture
from nrt.packet import EVENT, SPIKE, Packet, Records


def events(height: int, width: int, count: int, seed: int) -> Records:
    chance = np.random.default_rng(seed)
    made = np.zeros(count, EVENT)
    made["x"], made["y"] = chance.integers(0, width, count), chance.integers(0, height, count)
    made["p"] = chance.integers(0, 2, count)
    return made


def unpacked(packed: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """As the module's description says: a bit for each pixel, then the bytes of those that are set."""
    size = -(-rows * columns // 8)
    lit = np.unpackbits(packed[:size], bitorder="little")[: rows * columns].astype(bool)
    image = np.zeros(rows * columns, np.uint8)
    image[lit] = packed[size:]
    return image.reshape(rows, columns)


def counted(data: Records, height: int, width: int, factor: int = 1) -> NDArray[np.uint8]:
    rows, columns = -(-height // factor), -(-width // factor)
    counts = np.zeros((2, rows, columns), np.int64)
    np.add.at(counts, (data["p"].astype(int), data["y"] // factor, data["x"] // factor), 1)
    off, on = np.minimum(counts, 15)
    made: NDArray[np.uint8] = (on + 16 * off).astype(np.uint8)
    return made


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3000), st.integers(0, 99))
def test_a_picture_holds_the_events_of_every_pixel_up_to_fifteen_of_each_kind(
    height: int, width: int, count: int, seed: int
) -> None:
    data = events(height, width, count, seed)
    picture = Picture(height, width)
    picture.take(Packet(data[: count // 2], 0, 1, 0))
    picture.take(Packet(data[count // 2 :], 1, 2, 0))
    assert picture.events == count
    np.testing.assert_array_equal(unpacked(picture.pack(), height, width), counted(data, height, width))


def test_the_next_picture_begins_empty() -> None:
    picture = Picture(7, 9)
    picture.take(Packet(events(7, 9, 500, 1), 0, 1, 0))
    picture.pack()
    assert not unpacked(picture.pack(), 7, 9).any()
    assert picture.events == 0


def test_a_large_sensor_is_binned_until_it_fits() -> None:
    picture = Picture(720, 1280)
    assert (picture.rows, picture.columns, picture.factor) == (360, 640, 2)
    assert picture.rows <= LARGEST[0]
    assert picture.columns <= LARGEST[1]
    data = events(720, 1280, 20_000, 2)
    picture.take(Packet(data, 0, 1, 0))
    np.testing.assert_array_equal(unpacked(picture.pack(), 360, 640), counted(data, 720, 1280, 2))


def test_events_outside_the_sensor_are_counted_and_harm_nothing() -> None:
    data = events(600, 800, 5_000, 3)
    inside = (data["x"] < 64) & (data["y"] < 48)
    picture = Picture(48, 64)
    picture.take(Packet(data, 0, 1, 0))
    assert picture.outside == np.count_nonzero(~inside)
    np.testing.assert_array_equal(unpacked(picture.pack(), 48, 64), counted(data[inside], 48, 64))


def test_spikes_of_a_recording_are_drawn_where_their_number_says() -> None:
    spikes = np.zeros(2, SPIKE)
    spikes["n"] = [3 * 5 + 4, 15 + 1 * 5 + 2]  # channel 0: row 3, column 4; channel 1: row 1, column 2
    picture = Picture(5, 5)
    picture.take(Packet(spikes[:1], 0, 1, 0))
    assert picture.events == 1
    with_three_rows = Picture(3, 5)
    with_three_rows.take(Packet(spikes[1:], 0, 1, 0))
    image = unpacked(with_three_rows.pack(), 3, 5)
    assert image[1, 2] == 1, "the second channel is ON"
    assert np.count_nonzero(image) == 1
    assert unpacked(picture.pack(), 5, 5)[3, 4] == 16


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_a_packed_picture_is_never_more_than_an_eighth_larger_than_its_pixels(count: int) -> None:
    picture = Picture(480, 640)
    picture.take(Packet(events(480, 640, count, 4), 0, 1, 0))
    assert 480 * 640 / 8 <= len(picture.pack()) <= 480 * 640 * 9 / 8

"""The raster's lines and dots."""

from __future__ import annotations

import numpy as np

from nrt.daemon.web.raster import MOST, ROWS, Raster, bands
from nrt.packet import MEMBRANE, SPIKE, Packet, Records


def spikes(times: list[int], neurons: list[int], values: list[int] | None = None) -> Records:
    made = np.zeros(len(times), SPIKE)
    made["t"], made["n"], made["v"] = times, neurons, values or 1
    return made


def test_small_populations_get_a_line_for_each_neuron_and_large_ones_share_the_rest() -> None:
    found = bands({"conv": 20_000, "out": 10, "mid": 100})
    assert [(band.name, band.lines) for band in found] == [("conv", ROWS - 110), ("out", 10), ("mid", 100)]
    assert [band.first for band in found] == [0, ROWS - 110, ROWS - 100]


def test_every_population_has_a_line_however_many_there_are() -> None:
    found = bands({str(k): 1_000 for k in range(300)})
    assert min(band.lines for band in found) == 1


def test_a_dot_tells_when_where_and_how_often_a_neuron_fired() -> None:
    raster = Raster({"a": 4, "b": 10})
    raster.take(Packet(spikes([100, 900], [3, 0], [1, -7]), 0, 1_000, 0, origin="a"))
    raster.take(Packet(spikes([500], [9]), 0, 1_000, 0, origin="b"))
    dots = raster.pack(1_000)
    assert dots["before"].tolist() == [900, 100, 500]
    assert dots["line"].tolist() == [3, 0, 13]
    assert dots["count"].tolist() == [1, 7, 1]
    assert raster.end == 1_000
    assert len(raster.pack(1_000)) == 0


def test_neurons_of_a_large_population_share_lines_with_their_neighbours() -> None:
    raster = Raster({"big": ROWS * 100})
    raster.take(Packet(spikes([0, 1, 2], [0, 99, ROWS * 100 - 1]), 0, 10, 0, origin="big"))
    assert raster.pack(10)["line"].tolist() == [0, 0, ROWS - 1]


def test_more_dots_than_can_be_told_apart_are_thinned_out_and_counted() -> None:
    raster = Raster({"a": 10})
    count = 10 * MOST
    raster.take(Packet(spikes(list(range(count)), [0] * count), 0, count, 0, origin="a"))
    dots = raster.pack(count)
    assert len(dots) == MOST
    assert raster.left_out == count - MOST


def test_a_stream_that_begins_anew_is_shown_from_its_beginning() -> None:
    raster = Raster({"a": 10, "b": 10})
    raster.take(Packet(spikes([5_000_000], [1]), 4_999_000, 5_001_000, 0, origin="a"))
    raster.take(Packet(spikes([], []), 4_998_000, 5_000_000, 0, origin="b"))
    assert raster.end == 5_001_000, "populations need not be equally far"
    raster.pack(raster.end)
    raster.take(Packet(spikes([300], [1]), 0, 1_000, 0, origin="a"))
    assert raster.end == 1_000
    assert raster.pack(raster.end)["before"].tolist() == [700]


def test_membranes_and_populations_that_are_not_shown_leave_no_dot() -> None:
    raster = Raster({"a": 10})
    raster.take(Packet(np.zeros(3, MEMBRANE), 0, 10, 0, origin="a"))
    raster.take(Packet(spikes([1], [1]), 0, 20, 0, origin="elsewhere"))
    assert len(raster.pack(20)) == 0
    assert raster.end == 20, "they carry time nevertheless"

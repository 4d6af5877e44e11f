from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from nrt.compare import Agreement, Comparison, Concern, Delay, Options, Participant, Raster, Train
from nrt.compare.ladder_result import Change, Ladder, Step
from nrt.page import difference, energy, ladder, latency, of_comparison, spikes
from nrt.page.svg import decades, linear, logarithmic, short, ticks
from nrt.profile import Energy, Histogram, Latency


def test_a_histogram_holds_every_packet_and_an_empty_one_says_so() -> None:
    drawn = latency.histogram(Latency.of(Histogram.of([300_000] * 30 + [40_000_000]), "schedule"))
    assert re.findall(r"<title>(\d+) packets</title>", drawn) == ["30", "1"]
    assert "p50 0.301 ms" in drawn
    assert "p99 40 ms" in drawn
    assert "no packets" in latency.histogram(Latency.of(Histogram(), "schedule"))


def test_histograms_side_by_side_have_one_axis_around_all_of_them() -> None:
    found = [Latency.of(Histogram.of([value]), "schedule") for value in (200_000, 90_000_000)]
    low, high = latency.span(found)
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(100)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.1, 0.29, [0.1, 0.15, 0.2, 0.25]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (5, 5, [5]),
    ],
)
def test_axes_are_labelled_at_round_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_logarithmic_axes_are_labelled_at_decades() -> None:
    assert decades(0.1, 10) == pytest.approx([0.1, 0.3, 1, 3, 10])
    assert decades(1e-6, 1e2) == pytest.approx([10.0**k for k in range(-6, 3)])


def test_scales_map_ends_onto_ends() -> None:
    assert linear(2, 4, 10, 30)(3) == 20
    assert logarithmic(1, 100, 0, 200)(10) == pytest.approx(100)
    assert logarithmic(1, 100, 0, 200)(0.001) == 0


def test_numbers_are_written_short() -> None:
    assert [short(v) for v in (0, 0.12345, 12, 999, 1234, 12_345, 2_500_000)] == [
        "0", "0.123", "12", "999", "1,234", "12.3k", "2.5M",
    ]  # fmt: skip


def pieces(drawn: str, cls: str) -> int:
    """Ticks of a class in a raster."""
    return sum(path.count("M") for path in re.findall(rf'<path d="([^"]*)" class="{cls}">', drawn))


def train(*spikes: tuple[int, int]) -> Train:
    return Train(tuple(t for t, _ in spikes), tuple(n for _, n in spikes))


def agreement(us: float) -> Agreement:
    return Agreement("out", 3, Delay(round(us / 1_000), us, None, True), 0, 0, 0, 0, None, None, None)


def test_a_difference_shows_what_both_have_and_what_only_one_has_with_the_delay_taken_out() -> None:
    first = train((999, 0), (1_999, 1), (3_999, 2))
    second = train(
        (2_999, 0), (3_999, 2)
    )  # two steps later: neuron 0 matches, neuron 2 fires in another step
    found = Raster(0, "out", 3, 0, 10_000, True, (first, second))
    drawn = difference.drawn(found, 0, 1, agreement(2_000.0), 1_000)
    assert drawn is not None
    assert (pieces(drawn, "tick both"), pieces(drawn, "tick s0"), pieces(drawn, "tick s1")) == (1, 2, 1)


def test_spikes_whose_counterpart_lies_beyond_the_end_are_left_out() -> None:
    found = Raster(0, "out", 3, 0, 4_000, False, (train((999, 0), (3_999, 0)), train((2_999, 0))))
    drawn = difference.drawn(found, 0, 1, agreement(2_000.0), 1_000)
    assert drawn is not None
    assert (pieces(drawn, "tick both"), pieces(drawn, "tick s0"), pieces(drawn, "tick s1")) == (1, 0, 0)


def test_a_population_that_one_device_does_not_show_has_no_difference() -> None:
    assert difference.drawn(Raster(0, "out", 3, 0, 10, True, (train(), None)), 0, 1, None, 1_000) is None


def test_a_raster_of_very_many_spikes_is_thinned() -> None:
    t = np.arange(50_000)
    drawn = spikes.raster([("tick", t, t % 7)], 7, 0, 50_000, "many")
    assert pieces(drawn, "tick") == 50_000 // spikes.thinned(50_000) + 1


def test_rates_that_were_not_seen_are_said_to_be_so() -> None:
    drawn = spikes.rates([("conv", [12.5, None])])
    assert "12.5 Hz" in drawn
    assert "not seen" in drawn


def change(value: float) -> Change:
    return Change(value, value - 0.02, value + 0.02, 0.01, True)


def walked(*losses: float, measure: Any = "accuracy", interaction: float | None = None) -> Ladder:
    steps = [Step("float", "", "cpu:", losses[0])]
    for k, (before, loss) in enumerate(itertools.pairwise(losses)):
        steps.append(Step(f"rung {k}", "", "cpu:", loss, change(loss - before)))
    return Ladder("net", "chip:", measure, 50, tuple(steps), change(losses[-1] - losses[0]), interaction)


def bars(drawn: str, cls: str) -> list[tuple[float, float]]:
    """(x, width) of the bars of a class."""
    found = re.findall(rf'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="16" class="{cls}">', drawn)
    return [(float(x), float(width)) for x, width in found]


def test_the_steps_of_a_waterfall_join_and_span_the_whole() -> None:
    drawn = ladder.waterfall(walked(0.04, 0.10, 0.08, 0.24))
    (first, second), (back,) = bars(drawn, "worse"), bars(drawn, "better")
    ((x, width),) = bars(drawn, "whole")
    assert first[0] + first[1] == pytest.approx(x + width, abs=0.2)  # accuracy falls to the left
    assert second[0] == pytest.approx(x, abs=0.2)
    assert first[1] + second[1] - back[1] == pytest.approx(width, abs=0.3)
    assert back[0] == pytest.approx(first[0], abs=0.2)
    assert second[0] + second[1] == pytest.approx(back[0] + back[1], abs=0.2)


def test_a_waterfall_of_distances_grows_to_the_right_and_shows_its_interaction() -> None:
    drawn = ladder.waterfall(walked(0.0, 0.1, 0.3, measure="rates", interaction=0.05))
    ((x, width),) = bars(drawn, "whole")
    ((begin, length),) = bars(drawn, "between")
    assert begin == pytest.approx(x + width, abs=0.2)
    assert length == pytest.approx(width / 6, abs=0.3)
    assert "+5.0 points" in drawn


def test_a_ladder_without_any_difference_or_any_run_is_drawn_too() -> None:
    assert "0.0 points" in ladder.waterfall(walked(0.1, 0.1))
    assert "no rung could be run" in ladder.waterfall(walked(float("nan")))


def test_a_ladder_of_one_recording_has_no_whiskers_instead_of_ones_that_are_no_number() -> None:
    alone = Change(0.5, float("nan"), float("nan"), 1.0, False)
    steps = (Step("float", "", "cpu:", 0.0), Step("weights", "", "cpu:", 0.5, alone, alone=alone))
    drawn = str(ladder.drawn(Ladder("net", "chip:", "rates", 1, steps, alone)))
    assert "+50.0" in drawn
    assert "nan" not in drawn
    assert len(bars(drawn, "worse unsure")) == 1


def test_every_energy_carries_its_label_and_none_is_added() -> None:
    found = [
        ("a:", 0, Energy(1.0, "measured", "meter", "board", interval=(0.9, 1.1))),
        ("a:", 0, Energy(2.0, "modelled", "table", "arithmetic only")),
        ("b:", 1, Energy(4.0, "published", "paper", "chip")),
    ]
    drawn = str(energy.drawn(found))
    for kind in ("measured", "modelled", "published"):
        assert f'class="label {kind}"' in drawn
    assert "7 J" not in drawn
    assert "Nothing is known" in str(energy.drawn([]))


def test_what_a_device_dropped_or_doubts_is_told_once() -> None:
    concerns = (
        Concern("overloaded", "device", "3 times a queue may have been full"),
        Concern("lossy", "input", "5 events lie outside the network's input"),
    )
    device = Participant("a:", True, doubts={"a queue may have been full": 3}, outside=5, concerns=concerns)
    page = of_comparison(Comparison({"name": "net"}, {}, {}, ("out",), Options(), "now", (device,), (), ()))
    assert page.count("3 times a queue may have been full") == 1
    assert page.count("5 events") == 1

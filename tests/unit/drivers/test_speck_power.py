"""Energy of a run from samples of the rails, which are counted and never integrated over their time stamps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nrt_drivers.speck.chip import spec
from nrt_drivers.speck.power import Meter, energy

METER = Meter(100.0, "measured", "a meter")
IDLE = {0: 61.7e-6, 1: 51.7e-6, 2: 367.0e-6, 3: 78.9e-6, 4: 610.9e-6}
"""What a Speck2f kit's monitor showed at rest, W per rail (sinabs, docs/speck/notebooks/power_monitoring.ipynb)."""


@dataclass
class Sample:
    channel: int
    value: float
    timestamp: int


def samples(count: int, stamp: int = 0) -> list[Sample]:
    """`count` samples of every rail at rest, all with one time stamp, as they come in bursts."""
    return [Sample(rail, watts, stamp) for _ in range(count) for rail, watts in IDLE.items()]


def test_five_seconds_at_rest_cost_five_times_the_published_idle_power() -> None:
    found = energy(samples(500), METER, 5.0)
    assert found is not None
    assert found.joules == pytest.approx(5 * 1.1702e-3, rel=1e-6)
    assert found.kind == "measured"
    assert found.boundary == "chip rails"
    assert found.samples == 2_500
    assert "were due" not in str(found.notes)
    assert "logic 0.00184 J" in found.notes[0]


def test_a_count_that_disagrees_with_the_time_is_said() -> None:
    """2498 of 2500, as that notebook counted, agree; half do not."""
    agreeing = energy(samples(500)[:-2], METER, 5.0)
    assert agreeing is not None
    assert "were due" not in str(agreeing.notes)
    half = energy(samples(250), METER, 5.0)
    assert half is not None
    assert "250 samples per rail where 500 were due" in half.notes[1]


def test_without_samples_nothing_is_known_and_strange_channels_are_left_out() -> None:
    assert energy([], METER, 1.0) is None
    assert energy([Sample(9, 1.0, 0)], METER, 1.0) is None


def test_the_definition_holds_the_published_idle_power() -> None:
    rows = {row.operation: row.watts for row in spec().energy}
    rails = spec().enum("power_rail").values
    assert {number: rows[f"idle_{name}"] for name, number in rails.items()} == IDLE

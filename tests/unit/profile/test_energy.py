"""What a figure of energy says of itself."""

from __future__ import annotations

import json

import pytest

from nrt import plain
from nrt.errors import ConfigError
from nrt.profile import Energy
from nrt.profile.energy import readable_joules

MEASURED = Energy(
    12.0,
    "measured",
    "a meter",
    "board",
    seconds=2.0,
    idle_watts=5.0,
    windows=3,
    interval=(11.0, 13.0),
    net_interval=(1.5, 2.5),
    rate_hz=1000,
    samples=6000,
    notes=("a note",),
)


def test_net_is_gross_without_idle_and_both_are_shown() -> None:
    assert MEASURED.net == 2.0
    assert str(MEASURED).startswith(
        "12 J ± 1 J (95 %) measured, board (a meter), 2 J ± 500 mJ (95 %) net of 5 W idle"
    )
    assert "3 windows, 2 s, 6,000 samples, 1000 Hz" in str(MEASURED)
    assert MEASURED.lines()[-1] == "a note"
    assert MEASURED.to_dict()["net"] == 2.0


def test_without_idle_there_is_no_net_and_the_figure_says_that_nothing_was_subtracted() -> None:
    gross = Energy(12.0, "measured", "a meter", "GPU", seconds=2.0)
    assert gross.net is None
    assert gross.to_dict()["net"] is None
    assert "idle not measured, not subtracted" in str(gross)
    assert "idle" not in str(Energy(1.0, "modelled", "a table", "arithmetic only"))


def test_a_figure_survives_json() -> None:
    text = json.dumps(plain.encode(MEASURED.to_dict()))
    assert plain.decode(Energy, json.loads(text)) == MEASURED


def test_a_share_divides_everything_that_is_of_the_whole() -> None:
    part = MEASURED.each(4)
    assert (part.joules, part.seconds, part.net) == (3.0, 0.5, 0.5)
    assert (part.interval, part.net_interval) == ((2.75, 3.25), (0.375, 0.625))
    assert part.idle_watts == 5.0
    with pytest.raises(ConfigError, match="cannot be shared by 0"):
        MEASURED.each(0)


@pytest.mark.parametrize(
    ("joules", "text"),
    [
        (0.0, "0 J"),
        (1234.5, "1.23e+03 J"),
        (0.5, "500 mJ"),
        (3.21e-6, "3.21 µJ"),
        (0.9e-12, "0.9 pJ"),
        (-2e-9, "-2 nJ"),
        (0.9999e-3, "1 mJ"),
    ],
)
def test_joules_are_read_in_the_unit_that_suits_them(joules: float, text: str) -> None:
    assert readable_joules(joules) == text

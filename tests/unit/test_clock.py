from __future__ import annotations

import pytest

from nrt.clock import microseconds, readable
from nrt.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "us"),
    [("1ms", 1000), ("0.5 s", 500_000), ("100us", 100), ("2min", 120_000_000), (7, 7), ("1e-1ms", 100)],
)
def test_durations_are_read_as_whole_microseconds(text: str | int, us: int) -> None:
    assert microseconds(text) == us


@pytest.mark.parametrize("text", ["1", "ms", "-1ms", "0.1us", "", "1 fortnight"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        microseconds(text)


@pytest.mark.parametrize(
    ("us", "text"), [(250, "250 µs"), (1000, "1 ms"), (12_300_000, "12.3 s"), (245_000_000, "4 min 05 s")]
)
def test_durations_are_written_for_people(us: int, text: str) -> None:
    assert readable(us) == text

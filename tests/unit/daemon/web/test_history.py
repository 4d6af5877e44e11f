"""Figures as pages get them."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.daemon.notice import State
from nrt.daemon.stats import Stats
from nrt.daemon.web.history import DRAWN, KEPT, History, figures
from nrt.profile import Energy, Histogram, Latency


def stats(**given: object) -> Stats:
    values: dict[str, object] = {
        "state": State.running, "reason": "", "uptime_s": 1.0, "restarts": 0, "packets": 5, "events": 7,
        "spikes": 2, "lost": 0, "dropped": 0, "decisions": 0, "alarms": 0, "misses": 0,
        "real_time_factor": 1.0,
    }  # fmt: skip
    return Stats(**{**values, **given})  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=200))
def test_the_bars_of_a_latency_hold_every_packet_within_a_fifth_of_its_value(values: list[int]) -> None:
    made = figures(stats(latency=Latency.of(Histogram.of(values), "schedule")))["latency"]
    assert isinstance(made, dict)
    bars = made["bars"]
    assert isinstance(bars, list)
    table = np.array(bars, np.int64)
    assert table[:, 2].sum() == len(values)
    assert (table[1:, 0] > table[:-1, 1]).all(), "in order, without overlap"
    assert (table[:, 1] - table[:, 0] <= np.maximum(table[:, 0] / 4, 1)).all()
    for value in values:
        near = value * (1 - 1 / 64)  # a value is known as its bucket in the report is
        assert ((table[:, 0] <= value) & (table[:, 1] >= near)).any(), value


def test_an_energy_keeps_the_word_for_how_it_was_had() -> None:
    energy = (
        Energy(0.5, "modelled", "a table", "arithmetic only"),
        Energy(3.0, "measured", "a meter", "board"),
    )
    made = figures(stats(energy=energy))["energy"]
    assert isinstance(made, list)
    assert [(each["kind"], each["boundary"], each["source"]) for each in made if isinstance(each, dict)] == [
        ("modelled", "arithmetic only", "a table"),
        ("measured", "board", "a meter"),
    ]


def test_figures_are_json_whatever_is_not_known() -> None:
    text = json.dumps(figures(stats(real_time_factor=float("nan"))), allow_nan=False)
    assert json.loads(text)["real_time_factor"] is None


def test_a_history_keeps_one_set_for_each_second_and_no_more_than_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = History()
    begun = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: begun)
    for _ in range(20):
        history.take(stats())
    assert len(history.kept()) == 1, "all within a second"
    (kept,) = history.kept()
    assert isinstance(kept, dict)
    assert set(kept) == set(DRAWN)
    seconds = itertools.count(begun + 1)
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    for _ in range(2 * KEPT):
        history.take(stats())
    assert len(history.kept()) == KEPT

from __future__ import annotations

import numpy as np
import pytest

from nrt.compare import totals
from nrt.profile import Energy, Histogram
from nrt.profile.latency import Latency


def measured(joules: float, **more: object) -> Energy:
    return Energy(joules, "measured", "a meter", "board", **more)  # type: ignore[arg-type]


def modelled(joules: float) -> Energy:
    return Energy(joules, "modelled", "a table", "arithmetic only")


def test_energies_are_summed_over_runs_and_never_across_kinds() -> None:
    found = totals.energy(
        [[measured(1.0, seconds=2.0), modelled(3.0)], [measured(5.0, seconds=1.0), modelled(7.0)]]
    )
    assert [(each.kind, each.joules) for each in found] == [("measured", 6.0), ("modelled", 10.0)]
    assert found[0].seconds == 3.0


def test_a_figure_that_a_run_has_not_is_no_sum_of_the_others() -> None:
    assert totals.energy([[measured(1.0), modelled(2.0)], [modelled(3.0)]]) == (modelled(5.0),)


def test_idle_power_is_weighted_by_time_and_net_stays_net() -> None:
    runs = [measured(4.0, seconds=2.0, idle_watts=1.0), measured(9.0, seconds=1.0, idle_watts=4.0)]
    (found,) = totals.energy([[each] for each in runs])
    assert found.idle_watts == pytest.approx(2.0)
    assert found.net == pytest.approx(sum(each.net or 0.0 for each in runs))


def test_an_interval_of_one_run_is_not_that_of_many() -> None:
    run = measured(4.0, interval=(3.9, 4.1))
    assert totals.energy([[run]]) == (run,)
    assert totals.energy([[run], [run]])[0].interval is None


def test_latencies_of_runs_are_those_of_all_packets_together() -> None:
    random = np.random.default_rng(1)
    parts = [random.integers(1_000, 10**8, 400).tolist() for _ in range(3)]
    found = totals.latency([Latency.of(Histogram.of(part), "read") for part in parts])
    everything = Latency.of(Histogram.of([each for part in parts for each in part]), "read")
    assert found is not None
    assert found.packets == 1200
    for name in ("p50", "p99", "p999", "maximum", "minimum", "mean"):
        assert getattr(found, name) == pytest.approx(getattr(everything, name), rel=0.01)


def test_no_run_has_no_latency_and_no_energy() -> None:
    assert totals.latency([]) is None
    assert totals.energy([]) == ()

from __future__ import annotations

import numpy as np
import pytest

from nrt.live import Arrival


def test_offset_and_drift_are_found_behind_delays_that_vary() -> None:
    """A camera clock that is 37 ppm fast and began 123 s ago; bytes arrive 0.1 ms late and then some."""
    rng = np.random.default_rng(5)
    arrival = Arrival()
    assert arrival.drift_ppm is None
    host = t = 0
    for k in range(30_000):
        host = 500_000_000_000 + k * 1_000_000
        t = 123_000_000 + round(k * 1_000 * (1 + 37e-6))
        arrival.saw(t, host + 100_000 + round(rng.exponential(2e6)))
    assert arrival.drift_ppm == pytest.approx(37, abs=1)
    assert abs(arrival.host(t) - (host + 100_000)) < 150_000
    assert abs(arrival.camera(host + 100_000) - t) < 150


def test_a_clock_that_was_set_anew_is_learnt_anew() -> None:
    arrival = Arrival()
    for k in range(100):
        arrival.saw(k * 100_000, k * 100_000_000)
    arrival.reset()
    assert not arrival.known
    arrival.saw(0, 7_000_000_000)
    assert arrival.host(1_000) == 7_001_000_000

"""Delays and distances of trains that are known, without devices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt.compare.agreement import AgreementTally
from nrt.compare.result import Options
from nrt.compare.train import Train

NEURONS, STEPS, DT = 8, 400, 1_000


def train(n: NDArray[np.int64], t: NDArray[np.int64]) -> Train:
    inside = (t >= 0) & (t < STEPS * DT)
    return Train.build(n[inside], t[inside], np.ones(int(inside.sum()), np.int64), NEURONS, STEPS, DT)


def drawn(seed: int, count: int = 300) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Neurons, and the steps in which they fire; the last steps of a recording too."""
    random = np.random.default_rng(seed)
    places = random.choice(NEURONS * STEPS, count, replace=False)
    return places % NEURONS, places // NEURONS


def tally(options: Options | None = None, *, clocked: bool = True) -> AgreementTally:
    return AgreementTally("layer", NEURONS, options or Options(), DT, clocked=clocked)


def test_spikes_whose_counterpart_would_come_after_the_end_do_not_count_as_missing() -> None:
    found = tally()
    n, step = drawn(0)
    found.add(train(n, step * DT), train(n, (step + 7) * DT))
    result = found.result()
    assert result.delay.steps == 7
    assert result.exact
    assert result.matched == int((step < STEPS - 7).sum()) < len(n)
    assert result.victor_purpura == 0


def test_a_chip_that_works_event_by_event_has_its_delay_in_microseconds() -> None:
    found = tally(clocked=False)
    random = np.random.default_rng(1)
    for seed in range(4):
        n, step = drawn(seed)
        jitter = random.integers(-100, 101, len(n))
        found.add(train(n, step * DT + 100), train(n, (step + 2) * DT + 400 + jitter))
    delay = found.result().delay
    assert delay.steps == 2
    assert delay.us == pytest.approx(2 * DT + 300, abs=15)
    assert delay.spread_us == pytest.approx(100, abs=25)
    assert delay.constant


def test_a_delay_that_grows_is_not_called_constant() -> None:
    found = tally()
    n, step = drawn(2)
    found.add(train(n, step * DT), train(n, (step + (step > STEPS // 2) * 5) * DT))
    assert not found.result().delay.constant


def test_a_delay_that_differs_between_recordings_is_not_called_constant() -> None:
    found = tally()
    for seed, lag in ((0, 2), (1, 2), (2, 6)):
        n, step = drawn(seed)
        found.add(train(n, step * DT), train(n, (step + lag) * DT))
    result = found.result()
    assert result.delay.steps == 2
    assert not result.delay.constant
    assert not result.exact


def test_noise_alone_does_not_make_a_delay_vary() -> None:
    found = tally()
    random = np.random.default_rng(5)
    for seed in range(10):
        n, step = drawn(seed)
        moved = step + np.where(random.random(len(n)) < 0.3, random.integers(-3, 4, len(n)), 0)
        found.add(train(n, step * DT), train(n, moved * DT))
    assert found.result().delay.constant


def test_no_delay_is_preferred_where_nothing_speaks_for_another() -> None:
    found = tally()
    empty = train(np.zeros(0, np.int64), np.zeros(0, np.int64))
    n, step = drawn(0)
    found.add(empty, train(n, step * DT))
    result = found.result()
    assert (result.delay.steps, result.matched, result.only_second) == (0, 0, len(n))


def test_within_a_tolerance_a_spike_one_step_off_matches() -> None:
    n, step = drawn(3)
    once = np.unique(step % 200 * 2, return_index=True)[1]
    n, step = np.zeros(len(once), np.int64), np.sort(step[once] % 200 * 2)
    shift = np.where(np.arange(len(step)) % 3 == 0, 1, 0)
    strict, loose = tally(), tally(Options(tolerance=1))
    for each in (strict, loose):
        each.add(train(n, step * DT), train(n, (step + shift) * DT))
    assert strict.result().only_first == int(shift.sum())
    assert loose.result().exact


def test_distances_add_up_over_recordings() -> None:
    one = [tally(), tally()]
    both = tally()
    for k, seed in enumerate((0, 1)):
        n, step = drawn(seed)
        first, second = train(n, step * DT), train(n[5:], step[5:] * DT)
        one[k].add(first, second)
        both.add(first, second)
    apart = [each.result() for each in one]
    together = both.result()
    assert together.victor_purpura == pytest.approx(sum(each.victor_purpura or 0 for each in apart))
    assert together.van_rossum == pytest.approx(math.hypot(*(each.van_rossum or 0 for each in apart)))
    assert together.matched == sum(each.matched for each in apart)
    assert together.cosine is not None
    assert 0 < together.cosine < 0.01

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.compare import kernels
from nrt.compare.train import Train

Ints = NDArray[np.int64]
Spikes = Sequence[tuple[int, int]]
"""(neuron, time) of each."""

spikes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=14)


def arrays(train: Spikes) -> tuple[Ints, Ints]:
    ordered = np.array(sorted(train), np.int64).reshape(-1, 2)
    return ordered[:, 0].copy(), ordered[:, 1].copy()


def of_neuron(train: Spikes, neuron: int) -> list[int]:
    return sorted(t for n, t in train if n == neuron)


def table(first: Sequence[int], second: Sequence[int], q: float) -> float:
    """The distance by Victor and Purpura's own recursion, for one neuron; t in µs."""
    cost = [[0.0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) + 1):
        for j in range(len(second) + 1):
            ways = [float(i + j)] if not i or not j else []
            if i and j:
                moved = q * 1e-6 * abs(first[i - 1] - second[j - 1]) if first[i - 1] != second[j - 1] else 0.0
                ways = [cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + moved]
            cost[i][j] = min(ways)
    return cost[-1][-1]


@settings(max_examples=300, deadline=None)
@given(spikes, spikes, st.sampled_from([0.0, 1e4, 1e5, 3.7e5, 1e7, math.inf]))
def test_victor_purpura_is_the_cheapest_way_to_edit_one_train_into_the_other(
    first: Spikes, second: Spikes, q: float
) -> None:
    expected = sum(table(of_neuron(first, n), of_neuron(second, n), q) for n in range(3))
    assert kernels.victor_purpura(*arrays(first), *arrays(second), q) == pytest.approx(expected, abs=1e-9)


def filtered(train: Sequence[int], t: NDArray[np.float64], tau: float) -> NDArray[np.float64]:
    total = np.zeros_like(t)
    for each in train:
        total += np.where(t >= each, np.exp(-np.maximum(t - each, 0.0) / tau), 0.0)
    return total


@settings(max_examples=25, deadline=None)
@given(spikes, spikes)
def test_van_rossum_is_twice_the_integral_over_the_filtered_trains(first: Spikes, second: Spikes) -> None:
    tau, step = 8.0, 0.002
    t = np.arange(0.0, 60 + 12 * tau, step) + step / 2
    expected = 0.0
    for neuron in range(3):
        apart = filtered(of_neuron(first, neuron), t, tau) - filtered(of_neuron(second, neuron), t, tau)
        expected += 2 / tau * float((apart**2).sum()) * step
    ones = [np.ones(len(train), np.int64) for train in (first, second)]
    a, b = arrays(first), arrays(second)
    assert kernels.van_rossum(*a, ones[0], *b, ones[1], tau) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_an_entry_of_three_spikes_is_as_far_as_three_entries() -> None:
    one, t = np.zeros(1, np.int64), np.array([5], np.int64)
    none = np.zeros(0, np.int64)
    packed = kernels.van_rossum(one, t, np.array([3], np.int64), none, none, none, 10.0)
    three = np.zeros(3, np.int64)
    spread = kernels.van_rossum(three, three + 5, three + 1, none, none, none, 10.0)
    assert packed == pytest.approx(spread)


def most(first: Sequence[int], second: Sequence[int], tolerance: int) -> int:
    """The most pairs of spikes within the tolerance, by trying everything."""
    if not first or not second:
        return 0
    best = most(first[1:], second, tolerance)
    for j, t in enumerate(second):
        if abs(t - first[0]) <= tolerance:
            best = max(best, 1 + most(first[1:], [*second[:j], *second[j + 1 :]], tolerance))
    return best


short = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(short, short, st.integers(-3, 3), st.integers(0, 2))
def test_as_many_spikes_match_as_can(first: Spikes, second: Spikes, lag: int, tolerance: int) -> None:
    expected = sum(
        most(of_neuron(first, n), [t - lag for t in of_neuron(second, n)], tolerance) for n in range(2)
    )
    left, right = np.ones(len(first), np.int64), np.ones(len(second), np.int64)
    a, b = arrays(first), arrays(second)
    assert kernels.match(*a, left, *b, right, lag, tolerance) == expected
    assert left.sum() == len(first) - expected
    assert right.sum() == len(second) - expected


@settings(max_examples=150, deadline=None)
@given(short, short, st.integers(0, 2), st.integers(10, 12), st.integers(0, 14))
def test_a_lags_score_leaves_out_what_would_lie_outside_of_the_recording(
    first: Spikes, second: Spikes, tolerance: int, steps: int, reach: int
) -> None:
    trains = [
        Train.build(n, t, np.ones(len(n), np.int64), 2, steps, 1) for n, t in (arrays(first), arrays(second))
    ]
    found = kernels.scores(trains[0], trains[1], reach, tolerance)
    for lag in range(-reach, reach + 1):
        low, high = max(0, -lag), min(steps, steps - lag)
        ours = [(n, t) for n, t in first if low <= t < high]
        theirs = [(n, t - lag) for n, t in second if low <= t - lag < high]
        matched = sum(most(of_neuron(ours, n), of_neuron(theirs, n), tolerance) for n in range(2))
        assert found[lag + reach, :3].tolist() == [matched, len(ours), len(theirs)]
        if not tolerance:
            early = [(n, t) for n, t in ours if 2 * t < steps]
            halves = sum(most(of_neuron(early, n), of_neuron(theirs, n), 0) for n in range(2))
            assert found[lag + reach, 3] == halves

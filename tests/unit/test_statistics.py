from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.statistics import bootstrap, holm, mcnemar, sign_flip, wilson


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_newcombes_table(right: int, of: int, low: float, high: float) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3 (score, without correction)."""
    assert wilson(right, of) == pytest.approx((low, high), abs=5e-5)


def test_nothing_seen_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_all_right_reaches_one_and_none_right_zero() -> None:
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 10)[0] == 0.0


def test_mcnemar_sums_the_binomial_tail_on_both_sides() -> None:
    tail = sum(math.comb(12, k) for k in range(4)) / 2**12
    assert mcnemar(9, 3) == pytest.approx(2 * tail)
    assert mcnemar(3, 9) == mcnemar(9, 3)


def test_devices_that_err_alike_are_not_told_apart() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0


def test_a_thousand_against_none_does_not_overflow() -> None:
    assert 0.0 <= mcnemar(2000, 0) < 1e-300


@given(st.lists(st.integers(-5, 5), max_size=7))
def test_the_sign_test_counts_every_way_to_change_the_signs(differences: list[int]) -> None:
    some = [d for d in differences if d]
    signs = itertools.product((1, -1), repeat=len(some))
    ways = [sum(s * d for s, d in zip(each, some, strict=True)) for each in signs]
    as_much = sum(abs(way) >= abs(sum(some)) for way in ways)
    assert sign_flip(differences) == pytest.approx(as_much / len(ways))


def test_fishers_test_of_darwins_maize_gives_his_p() -> None:
    """R. A. Fisher, The Design of Experiments, §21: of 2^15 ways 1726 are as extreme, p = 5.267 %; here drawn."""
    inches = [6.125, -8.375, 1.0, 2.0, 0.75, 2.875, 3.5, 5.125, 1.75, 3.625, 7.0, 3.0, 9.375, 7.5, -6.0]
    assert sign_flip(inches) == pytest.approx(1726 / 2**15, abs=0.005)


def test_answers_that_turned_wrong_are_tested_as_mcnemar_does() -> None:
    assert sign_flip([1.0] * 9 + [-1.0] * 3 + [0.0] * 40) == mcnemar(9, 3)


def test_five_differences_are_never_enough_and_six_may_be() -> None:
    assert sign_flip([1, 2, 3, 4, 5]) > 0.05
    assert sign_flip([1, 2, 3, 4, 5, 6]) < 0.05
    assert sign_flip([]) == sign_flip([0.0, 0.0]) == 1.0


def test_holms_order_stops_at_the_first_that_fails() -> None:
    """0.01 < 0.05 / 3 holds; 0.03 > 0.05 / 2 does not, and so neither does 0.04, which would hold alone."""
    assert holm([0.03, 0.01, 0.04]) == (False, True, False)
    assert holm([0.01, 0.02, 0.03]) == (True, True, True)
    assert holm([]) == ()


def test_the_bootstrapped_interval_of_many_values_is_that_of_the_normal_mean() -> None:
    values = np.random.default_rng(7).normal(3.0, 2.0, 400)
    half = 1.96 * values.std() / math.sqrt(400)
    low, high = bootstrap(values.tolist())
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.04)
    assert all(math.isnan(bound) for bound in bootstrap([1.0]))

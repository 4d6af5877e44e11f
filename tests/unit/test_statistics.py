from __future__ import annotations

import math

import pytest

from nrt.statistics import mcnemar, wilson


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

"""Student's interval against published values."""

from __future__ import annotations

import pytest

from nrt.profile.meters.interval import interval, student


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.706), (4, 2.776), (30, 2.042), (40, 2.021), (60, 2.000), (120, 1.980)]
)
def test_students_t_is_that_of_the_tables(freedom: int, value: float) -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, upper 0.975."""
    assert student(freedom) == pytest.approx(value, abs=0.001)


def test_the_interval_of_a_worked_example() -> None:
    """Ten values of mean 5 and standard deviation 1: 5 ± 2.262 / √10."""
    values = [5 + d for d in (-1.5, -1, -0.5, -0.5, 0, 0, 0.5, 0.5, 1, 1.5)]
    low, high = interval(values) or (0.0, 0.0)
    deviation = (2 * (1.5**2 + 1 + 2 * 0.5**2) / 9) ** 0.5
    assert (low + high) / 2 == pytest.approx(5)
    assert (high - low) / 2 == pytest.approx(2.262 * deviation / 10**0.5)


def test_one_window_has_no_interval() -> None:
    assert interval([3.0]) is None

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nrt.profile import Histogram

values = st.lists(st.integers(0, 10**12), min_size=1, max_size=200)


@given(values, st.sampled_from([0.0, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_percentiles_equal_numpys_to_the_width_of_a_bucket(numbers: list[int], q: float) -> None:
    exact = float(np.percentile(numbers, q, method="inverted_cdf"))
    assert exact <= Histogram.of(numbers).percentile(q) <= exact * (1 + 1 / 128)


@given(values, values)
def test_merging_equals_recording_everything_in_one(first: list[int], second: list[int]) -> None:
    merged, whole = Histogram.of(first), Histogram.of(first + second)
    merged.merge(Histogram.of(second))
    assert merged.buckets() == whole.buckets()
    assert (merged.minimum, merged.maximum, merged.mean) == (whole.minimum, whole.maximum, whole.mean)


@given(st.integers(0, 2**63 - 1))
def test_a_value_lies_in_the_bucket_that_counts_it_and_the_bucket_is_narrow(number: int) -> None:
    ((low, high, count),) = Histogram.of([number]).buckets()
    assert count == 1
    assert low <= number <= high
    assert high - low <= low / 128


def test_an_empty_histogram_has_no_figures() -> None:
    assert math.isnan(Histogram().percentile(50))
    assert math.isnan(Histogram().mean)


def test_a_clock_that_went_backwards_counts_as_no_delay() -> None:
    assert Histogram.of([-5]).maximum == 0

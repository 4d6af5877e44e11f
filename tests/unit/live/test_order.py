from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nrt.live.order import in_order, place

TIMES = st.lists(st.integers(0, 50), min_size=1, max_size=30)


def pairs(times: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    out = np.zeros((len(times), 2), np.int64)
    out[:, 0] = times
    return out


@given(times=TIMES, last=st.integers(-5, 50), shift=st.integers(-5, 5), gap=st.integers(1, 20))
def test_events_are_in_order_where_every_step_is_forward_and_no_longer_than_a_gap(
    times: list[int], last: int, shift: int, gap: int
) -> None:
    found = pairs(times)
    steps = np.diff(np.array(times) + shift, prepend=last)
    wanted = bool(np.all((steps >= 0) & (steps <= gap)))
    assert in_order(found, 0, len(found), last, shift, gap) == wanted
    assert (found[:, 0] - times).tolist() == [shift if wanted else 0] * len(times)


@given(times=TIMES.map(sorted), time=st.integers(-1, 52))
def test_a_place_is_that_of_the_first_event_not_before_a_time(times: list[int], time: int) -> None:
    assert place(pairs(times), 0, len(times), time) == int(np.searchsorted(times, time))

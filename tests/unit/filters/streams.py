"""Event streams for filters, and how to put them through a chain."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from nrt.filters import Chain
from nrt.packet import EVENT, Records
from tests.unit.filters.oracle import Event

WIDTH, HEIGHT = 7, 5
SENSOR = (2, HEIGHT, WIDTH)

_NEAR = [
    0,
    0,
    1,
    3,
    89,
    90,
    91,
    100,
    110,
    250,
    999,
    1_000,
    1_001,
    4_999,
    5_000,
    9_999,
    10_000,
    10_001,
    10_250,
]
_FAR = [500_000, 3_000_000, 2**32 - 10_500, 2**32 - 1, 2**32, 2**45]


@st.composite
def streams(draw: st.DrawFn, longest: int = 60, outside: bool = True) -> list[Event]:
    """Events in time order on pixels that lie together, some beyond the sensor, with few lengths of steps."""
    more = 2 if outside else 0
    x, y = draw(st.integers(0, WIDTH - 1 + more)), draw(st.integers(0, HEIGHT - 1 + more))
    near = st.tuples(st.integers(max(x - 2, 0), x), st.integers(max(y - 2, 0), y))
    pixels = draw(st.lists(near, min_size=1, max_size=5))
    steps = draw(st.lists(st.sampled_from(_NEAR), min_size=1, max_size=3)) + draw(
        st.lists(st.sampled_from(_FAR), max_size=1)
    )
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from(steps), st.sampled_from(pixels), st.integers(0, 1)), max_size=longest
        )
    )
    t, events = draw(st.sampled_from([0, -5_000, 2**50])), list[Event]()
    for step, (column, row), p in rows:
        t += step
        events.append((t, column, row, p))
    return events


def array(events: Sequence[Event]) -> Records:
    out = np.zeros(len(events), EVENT)
    for k, event in enumerate(events):
        out[k] = event
    return out


def listed(events: Records) -> list[Event]:
    return [(int(t), int(x), int(y), int(p)) for t, x, y, p in events.tolist()]


def through(
    chain: Chain,
    events: Sequence[Event],
    cuts: Sequence[int] = (),
    shape: tuple[int, int, int] | None = SENSOR,
) -> list[Event]:
    """What stays of `events`, given to `chain` in packets that end at `cuts`."""
    chain.start(shape)
    places = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    kept: list[Event] = []
    for begin, end in pairwise(places):
        kept += listed(chain(array(events[begin:end])))
    return kept

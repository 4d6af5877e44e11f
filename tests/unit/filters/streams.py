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

_STEPS = st.sampled_from(
    [0, 0, 0, 1, 3, 90, 100, 110, 999, 1_000, 1_001, 5_000, 10_000, 10_200, 3_000_000, 2**32 - 500, 2**45]
)


@st.composite
def streams(draw: st.DrawFn, longest: int = 60, outside: bool = True) -> list[Event]:
    """Events in time order on a few pixels, some of them beyond the sensor, with leaps in time."""
    more = 2 if outside else 0
    pixel = st.tuples(st.integers(0, WIDTH - 1 + more), st.integers(0, HEIGHT - 1 + more))
    pixels = draw(st.lists(pixel, min_size=1, max_size=6))
    rows = draw(st.lists(st.tuples(_STEPS, st.sampled_from(pixels), st.integers(0, 1)), max_size=longest))
    t, events = draw(st.sampled_from([0, -5_000, 2**50])), list[Event]()
    for step, (x, y), p in rows:
        t += step
        events.append((t, x, y, p))
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

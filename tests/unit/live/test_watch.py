from __future__ import annotations

import numpy as np
import pytest

from nrt.clock import now
from nrt.live.watch import MOST, SPAN, Watch
from nrt.packet import EVENT, Packet
from tests.fakes import events


def test_a_picture_is_on_minus_off_of_every_pixel() -> None:
    watch = Watch((2, 3, 4))
    watch.take(Packet(events((0, 1, 2, 1), (1, 1, 2, 1), (2, 3, 0, 0), (3, 9, 9, 1)), 0, 1_000, now()))
    watch.take(Packet(events((1_500, 1, 2, 0)), 1_000, 2_000, now(), lost=7))
    seen = watch.look()
    wanted = np.zeros((3, 4))
    wanted[2, 1], wanted[0, 3] = 1, -1
    np.testing.assert_array_equal(seen.picture, wanted)
    assert (seen.events, seen.lost, seen.stream_us) == (5, 7, 2_000)
    assert seen.rate == pytest.approx(5 / 2_000e-6)
    assert watch.look().rate == 0


def test_what_is_long_ago_is_no_longer_in_the_picture() -> None:
    watch = Watch((2, 1, 1))
    watch.take(Packet(events((0, 0, 0, 1)), 0, 1_000, now()))
    assert watch.look().picture[0, 0] == 1
    watch.take(Packet(events(), 1_000, 2_000 + SPAN, now()))
    assert watch.look().picture[0, 0] == 0


def test_of_a_stream_too_fast_to_draw_the_newest_events_are_kept() -> None:
    watch = Watch((2, 1, 1))
    packet = Packet(np.zeros(MOST // 4, EVENT), 0, 100, now())
    for _ in range(40):
        watch.take(packet)
    seen = watch.look()
    assert seen.events == 10 * MOST
    assert MOST <= -seen.picture[0, 0] <= MOST + len(packet)


def test_nothing_seen_is_a_black_picture() -> None:
    seen = Watch((2, 2, 2)).look()
    assert not seen.picture.any()
    assert (seen.rate, seen.events, seen.stream_us) == (0, 0, 0)

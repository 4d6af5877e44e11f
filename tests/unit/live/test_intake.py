from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.errors import StreamError
from nrt.formats.edvs import EdvsDecoder
from nrt.formats.evt3 import Evt3Decoder, Evt3Encoder
from nrt.live import Cut, Intake
from nrt.live.intake import QUIET
from nrt.packet import EVENT, Packet, Records, join
from tests.fakes import events


def scene(count: int, seed: int, mean_us: float = 40.0) -> Records:
    """Random events of a 640 x 480 sensor, in time order."""
    rng = np.random.default_rng(seed)
    out = np.zeros(count, EVENT)
    out["t"] = np.cumsum(rng.exponential(mean_us, count)).astype(np.int64)
    out["x"], out["y"], out["p"] = (
        rng.integers(0, 640, count),
        rng.integers(0, 480, count),
        rng.integers(0, 2, count),
    )
    return out


def rows(records: Records) -> list[tuple[int, ...]]:
    return [tuple(row) for row in records[["t", "x", "y", "p"]].tolist()]


def whole(packets: list[Packet]) -> list[tuple[int, ...]]:
    return rows(join([p.data for p in packets])) if packets else []


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    sizes=st.lists(st.integers(64, 30_000), min_size=1, max_size=8),
    cut=st.sampled_from([Cut(), Cut(span=250), Cut(span=0), Cut(span=0, count=100)]),
)
def test_every_event_leaves_once_in_order_however_the_bytes_arrive(
    seed: int, sizes: list[int], cut: Cut
) -> None:
    found = scene(3_000, seed)
    raw = Evt3Encoder().encode(found, int(found["t"][-1]) + 1).tobytes()
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=cut, origin="test", decoder=Evt3Decoder())
    at, stamp = 0, 0
    for size in itertools.cycle(sizes):
        if at >= len(raw):
            break
        stamp += 1_000
        intake.bytes(raw[at : at + size], stamp)
        at += size
    intake.finish(stamp)
    assert sum(map(len, packets)) == len(found)
    for before, after in itertools.pairwise(packets):
        assert before.end == after.start
    for packet in packets:
        assert bool(np.all((packet.data["t"] >= packet.start) & (packet.data["t"] < packet.end)))
    if cut.span:
        assert whole(packets) == rows(found)
        assert {p.end - p.start for p in packets[:-1]} == {cut.span}
    if cut.count:
        assert all(len(p) >= cut.count for p in packets[:-1])


def test_packets_that_are_kept_are_not_written_over() -> None:
    found = scene(400_000, 3, mean_us=2.0)
    raw = Evt3Encoder().encode(found, int(found["t"][-1]) + 1).tobytes()
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(), origin="test", decoder=Evt3Decoder())
    for at in range(0, len(raw), 1 << 16):
        intake.bytes(raw[at : at + (1 << 16)], at)
    intake.finish(0)
    assert whole(packets) == rows(found)


def test_a_burst_denser_than_a_slab_leaves_in_shorter_packets() -> None:
    """A million events in one ms: more than the memory of a packet holds."""
    found = np.zeros(200_000, EVENT)
    found["t"] = np.arange(200_000) // 400
    found["x"] = np.arange(200_000) % 640
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=1_000), origin="test")
    intake.events(found, 0)
    intake.finish(0)
    assert sum(map(len, packets)) == len(found)
    assert all(a.end == b.start for a, b in itertools.pairwise(packets))


def test_a_quiet_scene_still_lets_time_pass() -> None:
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=1_000), origin="test")
    intake.quiet(5_000_000)
    assert packets == []
    intake.events(events((100, 1, 1, 1), (300, 2, 2, 0)), 1_000_000_000)
    assert packets == []
    intake.quiet(1_000_000_000 + QUIET * 1_000)
    assert packets == []
    intake.quiet(1_000_000_000 + (QUIET + 3_500) * 1_000)
    assert [(p.start, p.end, len(p)) for p in packets] == [(100, 3_100, 2)]
    intake.events(events((3_200, 1, 1, 1), (4_200, 1, 1, 1)), 1_004_000_000)
    assert [(p.start, p.end, len(p)) for p in packets] == [(100, 3_100, 2), (3_100, 4_100, 1)]


def test_an_event_that_comes_after_its_packet_left_is_moved_and_counted() -> None:
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=1_000), origin="test")
    intake.events(events((0, 1, 1, 1), (1_500, 2, 2, 1)), 0)
    intake.events(events((900, 3, 3, 1), (2_500, 4, 4, 1)), 0)
    assert [rows(p.data) for p in packets] == [[(0, 1, 1, 1)], [(1_000, 3, 3, 1), (1_500, 2, 2, 1)]]
    assert intake.counters() == {"late": 1}


def test_a_clock_that_was_set_anew_goes_on_from_the_last_event() -> None:
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=1_000), origin="test")
    intake.events(events((5_000_000, 1, 1, 1), (5_000_400, 1, 1, 1)), 0)
    intake.events(events((0, 2, 2, 1), (2_000, 2, 2, 1)), 0)
    assert [p.end for p in packets] == [5_001_000, 5_002_000]
    assert intake.counters() == {"resets": 1}


def test_what_was_lost_before_events_stands_in_the_packet_that_has_them() -> None:
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=0), origin="test")
    intake.events(events((0, 1, 1, 1)), 0)
    intake.events(events((10, 1, 1, 1)), 0, lost=7)
    assert [p.lost for p in packets] == [0, 7]


def test_a_filter_sees_every_event_once_and_its_packets_keep_their_time() -> None:
    packets: list[Packet] = []
    intake = Intake(
        packets.append, cut=Cut(span=1_000), origin="test", filter=lambda part: part[part["p"] == 1]
    )
    intake.events(events((0, 1, 1, 1), (10, 1, 1, 0), (1_500, 2, 2, 0)), 0)
    intake.finish(0)
    assert [(p.start, p.end, len(p)) for p in packets] == [(0, 1_000, 1), (1_000, 1_501, 0)]


def test_bytes_of_something_else_are_refused_in_one_sentence() -> None:
    intake = Intake(lambda _: None, cut=Cut(), origin="edvs", decoder=EdvsDecoder(4, joined=True))
    with pytest.raises(StreamError, match=r"edvs: .* no eDVS that sends E4"):
        for _ in range(40):
            intake.bytes(b"no camera " * 400, 0)


def test_events_behind_a_late_one_are_sorted_in_among_those_that_wait() -> None:
    """The last event to come was a late one: what follows it need not follow those that came before it."""
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=1_000), origin="test")
    intake.events(events((0, 1, 1, 1), (500, 2, 2, 1)), 0)
    intake.events(events((300, 3, 3, 1)), 0)
    intake.events(events((400, 4, 4, 1), (2_000, 5, 5, 1)), 0)
    assert packets[0].data["t"].tolist() == [0, 300, 400, 500]


def test_time_goes_on_where_a_camera_says_much_but_sees_nothing() -> None:
    packets: list[Packet] = []
    intake = Intake(packets.append, cut=Cut(span=1_000), origin="test", decoder=Evt3Decoder())
    intake.bytes(Evt3Encoder().encode(events((100, 1, 1, 1)), 200).tobytes(), 1_000_000_000)
    for k in range(60):
        intake.bytes(b"\x00\xe0", 1_000_000_000 + k * 1_000_000)
    assert sum(map(len, packets)) == 1
    assert packets[-1].end > 20_000

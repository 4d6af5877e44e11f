from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nrt
from nrt import formats, registry
from nrt.clock import now
from nrt.file import FileSource
from nrt.packet import EVENT, SPIKE, Packet, Records
from nrt.timeline import RESET, SLAB, Cutter, Order, Slabs
from tests.fakes import events


def at(*times: int) -> Records:
    """Events at the given times, told apart by x."""
    return events(*((t, k % 60_000, 0, 1) for k, t in enumerate(times)))


async def play(path: Path, options: str = "") -> list[Packet]:
    source = registry.source(f"{path}{options}")
    await source.open()
    try:
        return [packet async for packet in source.packets()]
    finally:
        await source.close()


def write(path: Path, records: Records) -> Path:
    with formats.create(path, "es", (2, 240, 60_000)) as writer:
        writer.write(records)
    return path


def arrange(order: Order, times: Sequence[int], horizon: int = -(2**62)) -> list[int]:
    records = at(*times)
    order.arrange(records, 0, horizon)
    return [int(t) for t in records["t"]]


def test_a_slab_is_used_again_only_when_no_packet_refers_to_it() -> None:
    slabs = Slabs(EVENT)
    first = slabs.take()
    view = first[:10]
    address = first.ctypes.data
    del first
    assert slabs.take().ctypes.data != address
    del view
    assert address in {slabs.take().ctypes.data for _ in range(3)}


def test_events_a_little_early_are_sorted_in() -> None:
    order = Order(10**9)
    assert arrange(order, [10, 30, 20, 40]) == [10, 20, 30, 40]
    assert order.counts == {"late": 0, "resets": 0, "gaps": 0}


def test_an_event_behind_the_packets_that_left_moves_to_the_next_and_is_counted() -> None:
    order = Order(10**9)
    assert arrange(order, [100, 200]) == [100, 200]
    assert arrange(order, [150, 210], horizon=180) == [180, 210]
    assert order.counts["late"] == 1


def test_a_clock_reset_goes_on_from_the_last_event_and_is_counted() -> None:
    order = Order(10**9)
    assert arrange(order, [5 * RESET, 5 * RESET + 7, 3, 10]) == [
        5 * RESET,
        5 * RESET + 7,
        5 * RESET + 7,
        5 * RESET + 14,
    ]
    assert arrange(order, [20]) == [5 * RESET + 24]
    assert order.counts["resets"] == 1


def test_a_jump_beyond_the_longest_silence_is_closed_and_counted() -> None:
    order = Order(1_000)
    assert arrange(order, [0, 10, 10**12, 10**12 + 5]) == [0, 10, 1_010, 1_015]
    assert order.counts["gaps"] == 1


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=300), st.integers(1, 3_000), st.booleans())
def test_packets_hold_every_event_once_in_order_and_join_without_a_gap(
    times: list[int], span: int, merge: bool
) -> None:
    records = at(*sorted(times))
    cutter = Cutter(span, "", merge=merge)
    packets: list[Packet] = []
    cut = cutter.cut(records, np.array(records["t"]), 0)
    while True:
        try:
            packets.append(next(cut))
        except StopIteration as stop:
            packets.extend(cutter.finish(stop.value, 0))
            break
    assert [t for p in packets for t in p.data["t"].tolist()] == sorted(times)
    assert packets[0].start == min(times)
    assert packets[-1].end == max(times) + 1
    for before, after in itertools.pairwise(packets):
        assert before.end == after.start
    for packet in packets:
        assert all(packet.start <= t < packet.end for t in packet.data["t"].tolist())
        assert merge or packet.end - packet.start <= span


async def test_more_events_in_one_instant_than_a_slab_holds_all_arrive(tmp_path: Path) -> None:
    records = np.zeros(3 * SLAB, EVENT)
    records["t"][: SLAB // 2] = np.arange(SLAB // 2)
    records["t"][SLAB // 2 :] = SLAB
    packets = await play(write(tmp_path / "a", records), "?packet=100s")
    assert sum(map(len, packets)) == len(records)
    assert all(a.end == b.start for a, b in itertools.pairwise(packets))


async def test_a_paced_recording_is_stamped_with_the_times_at_which_its_events_were_due(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a", at(*range(0, 50_000, 100)))
    before = now()
    packets = await play(path, "?speed=2&packet=10ms")
    stamps = [packet.stamp for packet in packets]
    assert np.diff(stamps[:-1]).tolist() == [5_000_000] * (len(stamps) - 2)
    assert now() >= before + 24_000_000


async def test_unpaced_silence_is_one_empty_packet_and_paced_silence_is_many(tmp_path: Path) -> None:
    path = write(tmp_path / "a", at(0, 50_500))
    assert [(p.start, p.end, len(p)) for p in await play(path)] == [
        (0, 10_000, 1),
        (10_000, 50_000, 0),
        (50_000, 50_501, 1),
    ]
    assert len(await play(path, "?speed=100&packet=10ms")) == 6


async def test_a_damaged_recording_yields_what_comes_before_and_then_says_where(tmp_path: Path) -> None:
    path = write(tmp_path / "a.es", at(*range(0, 1_000, 10)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    source = registry.source(path)
    await source.open()
    seen = 0
    with pytest.raises(nrt.BadRecording) as caught:
        async for packet in source.packets():
            seen += len(packet)
    await source.close()
    assert seen == 99
    assert caught.value.offset >= len(whole) - 6


async def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(nrt.NotFound, match="cannot read"):
        await registry.source(tmp_path / "nothing.raw").open()


@pytest.mark.parametrize("options", ["?speed=-1", "?packet=0us", "?speed=nan"])
def test_absurd_options_are_refused(options: str) -> None:
    with pytest.raises(nrt.ConfigError):
        registry.source(f"file:a.raw{options}")


async def test_the_identity_changes_with_the_content(tmp_path: Path) -> None:
    prints = set()
    for times in ((0, 1), (0, 2)):
        source = registry.source(write(tmp_path / "a", at(*times)))
        assert isinstance(source, FileSource)
        prints.add(source.identity()["fingerprint"])
    assert len(prints) == 2
    assert all(len(p) == len(hashlib.sha256().hexdigest()) for p in prints)


async def test_a_recording_of_spikes_is_played_as_spikes(tmp_path: Path) -> None:
    spikes = np.zeros(5, SPIKE)
    spikes["t"], spikes["n"], spikes["v"] = [0, 1, 20_000, 20_000, 90_000], [3, 1, 0, 7, 7], 1
    with formats.create(tmp_path / "a.h5", "hdf5", (1, 1, 8), spikes=True) as writer:
        writer.write(spikes)
    packets = await play(tmp_path / "a.h5")
    assert [row for packet in packets for row in packet.data.tolist()] == spikes.tolist()

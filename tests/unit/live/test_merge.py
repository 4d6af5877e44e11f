from __future__ import annotations

import itertools

import numpy as np
import pytest

from nrt import registry
from nrt.errors import ConfigError, DeviceLost
from nrt.live import Merge
from nrt.packet import Packet, join
from nrt.source import Source
from nrt.testing import Script
from tests.unit.live.cameras import camera, rows

TIMES = list(range(500, 400_000, 1_700))


async def merged(*sources: Source, **options: int) -> tuple[list[Packet], Merge]:
    merge = Merge(sources, **options)
    await merge.open()
    packets = [packet async for packet in merge.packets()]
    await merge.close()
    return packets, merge


async def test_what_two_cameras_see_at_once_has_one_time_whatever_their_clocks_say() -> None:
    left = camera(TIMES, offset=5_000_000, x=1)
    right = camera(TIMES, offset=-123_456_000, x=2, delay=700)
    packets, merge = await merged(left, right)
    assert merge.shape == (2, 3, 8)
    events = join([packet.data for packet in packets])
    first, second = (events["t"][events["x"] == x] for x in (1, 6))
    assert len(first) == len(second) == len(TIMES)
    np.testing.assert_array_equal(np.diff(first), np.diff(TIMES))
    assert np.abs(second - first).max() <= 500 + 1  # the delays differ by 500 µs, which nobody can know
    assert bool(np.all(np.diff(events["t"]) >= 0))
    assert all(a.end == b.start for a, b in itertools.pairwise(packets))


async def test_recordings_of_one_clock_are_merged_by_it_and_without_loss() -> None:
    left = camera(TIMES, offset=0, x=0, scheduled=False)
    right = camera([t + 3 for t in TIMES], offset=0, x=0, scheduled=False)
    packets, merge = await merged(left, right)
    found = rows(join([packet.data for packet in packets]))
    wanted = sorted([(t, 0, 0, 0) for t in TIMES] + [(t + 3, 4, 0, 0) for t in TIMES])
    assert found == wanted
    assert merge.counters() == {}


async def test_a_source_that_ends_early_does_not_hold_up_the_other() -> None:
    packets, _ = await merged(
        camera(TIMES[:20], offset=0, scheduled=False), camera(TIMES, offset=0, scheduled=False)
    )
    assert sum(map(len, packets)) == 20 + len(TIMES)


async def test_losses_of_both_are_added_up() -> None:
    left, right = camera(TIMES, offset=0), camera(TIMES, offset=0)
    lossy = [Packet(p.data, p.start, p.end, p.stamp, lost=1, origin=p.origin) async for p in right.packets()]
    packets, _ = await merged(left, Script(lossy, shape=right.shape, scheduled=True))
    assert sum(packet.lost for packet in packets) == len(lossy)


async def test_what_one_source_fails_with_is_raised() -> None:
    good = camera(TIMES, offset=0)
    bad = Script([], DeviceLost("test:", "unplugged"), shape=(2, 3, 4), scheduled=True)
    with pytest.raises(DeviceLost, match="unplugged"):
        await merged(good, bad)


def test_two_kinds_of_time_are_not_merged() -> None:
    with pytest.raises(ConfigError, match="all of the sources must keep time, or none"):
        Merge([camera(TIMES, offset=0), camera(TIMES, offset=0, scheduled=False)])
    with pytest.raises(ConfigError, match="two sources or more"):
        Merge([camera(TIMES, offset=0)])


async def test_sources_that_do_not_know_their_size_are_refused() -> None:
    unknown = camera(TIMES, offset=0)
    unknown.shape = None
    with pytest.raises(ConfigError, match="how large its sensor is"):
        await merged(unknown, camera(TIMES, offset=0))


def test_a_uri_names_two_sources() -> None:
    merge = registry.source("merge:?a=edvs+emu:&b=edvs+emu:&window=8ms")
    assert isinstance(merge, Merge)
    assert [source.uri for source in merge.sources] == ["edvs+emu:", "edvs+emu:"]
    with pytest.raises(ConfigError, match="name two sources"):
        registry.source("merge:?a=edvs+emu:")

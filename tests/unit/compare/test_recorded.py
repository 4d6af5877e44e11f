from __future__ import annotations

import asyncio

import numpy as np
import pytest

from nrt.compare.recorded import Recorded, Replay
from nrt.errors import ConfigError, StreamError
from nrt.packet import Packet
from nrt.testing.stimulus import Script, events


async def taken(packets: list[Packet], limit_us: int | None = None) -> Recorded:
    return await asyncio.wait_for(Recorded.take(Script(packets), limit_us), 20)


ROWS = [(10, 1, 2, 0), (2_500, 3, 4, 1), (2_500, 0, 0, 1), (9_999, 7, 7, 0)]


async def test_the_hash_is_of_the_stream_and_not_of_how_it_was_cut() -> None:
    whole = await taken([Packet(events(*ROWS), 0, 10_000, 5)])
    parts = await taken([Packet(events(*ROWS[:1]), 0, 2_000, 0), Packet(events(*ROWS[1:]), 2_000, 10_000, 9)])
    assert whole.hash() == parts.hash()


@pytest.mark.parametrize("change", ["t", "x", "p", "start", "end"])
async def test_another_event_or_another_span_is_another_recording(change: str) -> None:
    first = Packet(events(*ROWS), 0, 10_000, 0)
    data = first.data.copy()
    if change in ("t", "x", "p"):
        data[change][1] = data[change][1] + 1 if change != "p" else 0
    second = Packet(data, 5 if change == "start" else 0, 10_001 if change == "end" else 10_000, 0)
    assert (await taken([first])).hash() != (await taken([second])).hash()


async def test_a_limit_cuts_within_a_packet() -> None:
    cut = await taken([Packet(events(*ROWS), 0, 10_000, 0)], 2_500)
    assert (cut.start, cut.end, cut.events) == (0, 2_500, 1)
    assert cut.steps(1_000) == 3


async def test_a_source_is_closed_whether_it_ends_or_fails() -> None:
    good, bad = Script([Packet(events(*ROWS), 0, 10_000, 0)]), Script([], ConfigError("broken"))
    await Recorded.take(good)
    with pytest.raises(ConfigError, match="broken"):
        await Recorded.take(bad)
    assert (good.closed, bad.closed) == (1, 1)


async def test_a_source_without_a_packet_is_refused() -> None:
    with pytest.raises(StreamError, match="not one packet"):
        await taken([])


@pytest.mark.parametrize("speed", [0.0, 50.0])
async def test_a_replay_gives_the_same_packets_as_often_as_it_is_asked(speed: float) -> None:
    recorded = await taken(
        [Packet(events(*ROWS[:1]), 0, 2_000, 0), Packet(events(*ROWS[1:]), 2_000, 10_000, 0)]
    )
    for _ in range(2):
        replay = Replay(recorded, speed)
        seen = [packet async for packet in replay.packets()]
        await replay.close()
        assert [(p.start, p.end) for p in seen] == [(0, 2_000), (2_000, 10_000)]
        for packet, original in zip(seen, recorded.packets, strict=True):
            np.testing.assert_array_equal(packet.data, original.data)
        assert replay.scheduled == (speed > 0)
        if speed:
            assert seen[1].stamp - seen[0].stamp == round(8_000 * 1_000 / speed)

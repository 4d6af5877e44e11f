from __future__ import annotations

import asyncio
import threading

import pytest

from nrt.errors import DeviceLost, Overrun
from nrt.live import Outlet
from nrt.packet import Packet
from tests.fakes import events, ticks


async def test_packets_come_out_as_they_went_in() -> None:
    outlet = Outlet(1_000_000, strict=False, origin="test")
    for each in ticks(5):
        outlet.put(each)
    outlet.end()
    found: list[int] = []
    while (packet := await outlet.take()) is not None:
        found.append(packet.end)
    assert found == [p.end for p in ticks(5)]
    assert outlet.dropped == 0


async def test_when_nobody_takes_the_oldest_go_and_the_next_one_says_how_many() -> None:
    outlet = Outlet(10_000, strict=False, origin="test")
    for each in ticks(100):
        outlet.put(each)
    outlet.end()
    first = await outlet.take()
    assert first is not None
    assert (first.start, first.end, first.lost) == (0, 91_000, 90)
    rest: list[Packet] = []
    while (packet := await outlet.take()) is not None:
        rest.append(packet)
    assert len(rest) == 9
    assert sum(p.lost for p in rest) == 0
    assert sum(map(len, [first, *rest])) + first.lost == 100


async def test_strict_raises_instead() -> None:
    outlet = Outlet(10_000, strict=True, origin="camera")
    for packet in ticks(100):
        outlet.put(packet)
    with pytest.raises(Overrun, match="camera: 90 events lost") as caught:
        await outlet.take()
    assert caught.value.lost == 90


async def test_one_packet_is_never_dropped_however_long() -> None:
    outlet = Outlet(10, strict=True, origin="test")
    outlet.put(Packet(events((0, 0, 0, 1)), 0, 5_000_000, 0))
    packet = await outlet.take()
    assert packet is not None
    assert packet.end == 5_000_000


async def test_what_the_camera_died_of_comes_after_its_last_packet() -> None:
    outlet = Outlet(1_000_000, strict=False, origin="test")
    outlet.put(ticks(1)[0])
    outlet.end(DeviceLost("test:", "unplugged"))
    assert await outlet.take() is not None
    with pytest.raises(DeviceLost):
        await outlet.take()


async def test_nothing_is_lost_between_a_fast_thread_and_a_loop_that_keeps_up() -> None:
    outlet = Outlet(1 << 40, strict=True, origin="test")
    packets = ticks(20_000)

    def produce() -> None:
        for packet in packets:
            outlet.put(packet)
        outlet.end()

    thread = threading.Thread(target=produce)
    thread.start()
    found = 0
    async with asyncio.timeout(60):
        while (packet := await outlet.take()) is not None:
            assert packet.end == packets[found].end
            found += 1
    thread.join()
    assert found == len(packets)

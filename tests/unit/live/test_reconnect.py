from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from nrt import registry
from nrt.errors import ConfigError, DeviceLost
from nrt.live import Cut, Intake, LiveSource, Reconnector
from nrt.packet import Packet
from nrt.registry import Uri
from tests.fakes import events
from tests.unit.live.cameras import plugged


def test_a_stream_that_continues_another_begins_with_the_time_that_nobody_saw() -> None:
    """The camera's clock began anew; 2.5 s passed on the host's from the last packet to the first bytes."""
    packets: list[Packet] = []
    intake = Intake(
        packets.append, cut=Cut(span=1_000), origin="test", resume=(7_000, 1_000_000_000), begin=3_000_000_000
    )
    intake.quiet(3_100_000_000)
    assert packets == []
    intake.events(events((40, 1, 1, 1), (140, 2, 2, 0), (1_240, 3, 3, 0)), 3_501_200_000)
    gap = 3_501_200 - 1_000_000 - 1_200
    assert [(p.start, p.end, len(p)) for p in packets] == [
        (7_000, 7_000 + gap, 0),
        (7_000 + gap, 8_000 + gap, 2),
    ]
    assert packets[1].data["t"].tolist() == [7_000 + gap, 7_100 + gap]


async def test_a_camera_that_is_unplugged_in_a_stream_goes_on_when_it_is_back(tmp_path: Path) -> None:
    link = tmp_path / "camera"
    source = registry.source(f"edvs+serial://{link}?reconnect=60s")
    packets: list[Packet] = []
    async with asyncio.timeout(120):
        with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
            first.enter_context(plugged(link))
            await source.open()
            async with contextlib.aclosing(source.packets()) as stream:  # type: ignore[type-var]
                async for packet in stream:
                    packets.append(packet)
                    if len(packets) == 50:
                        await asyncio.to_thread(first.close)
                        await asyncio.sleep(0.3)
                        second.enter_context(plugged(link))
                    if source.counters().get("gap ms") and len(packets) >= 100 and len(packets[-1]):
                        break
            counts = source.counters()
            await source.close()
    assert all(a.end == b.start for a, b in itertools.pairwise(packets))
    assert counts["reconnects"] >= 1
    assert counts["gap ms"] >= 250
    longest = max(packets, key=lambda packet: packet.end - packet.start)
    assert not (longest.data["t"] < longest.end - 1_000).any()  # a slow consumer gets it with the next packet
    assert longest.end - longest.start >= 250_000
    assert source.identity()["camera"].startswith("EDVS")


async def test_a_camera_that_stays_away_is_given_up(tmp_path: Path) -> None:
    link = tmp_path / "camera"
    source = registry.source(f"edvs+serial://{link}?reconnect=300ms")
    async with asyncio.timeout(60):
        with contextlib.ExitStack() as first:
            first.enter_context(plugged(link))
            await source.open()
            with pytest.raises(DeviceLost, match=r"not back within 0\.3 s"):
                async for _ in source.packets():
                    await asyncio.to_thread(first.close)
        await source.close()


async def test_another_camera_at_the_same_place_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "camera"
    source = registry.source(f"edvs+serial://{link}?reconnect=30s")
    swapped = False
    async with asyncio.timeout(60):
        with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
            first.enter_context(plugged(link))
            await source.open()
            with pytest.raises(DeviceLost, match="another camera came back"):
                async for packet in source.packets():
                    if len(packet) and link.exists() and not swapped:
                        swapped = True
                        await asyncio.to_thread(first.close)
                        second.enter_context(plugged(link, generation="stm32"))
            await source.close()


class Dying(LiveSource):
    """A camera that can be opened, and is gone as soon as it is to stream."""

    shape = (2, 1, 1)

    async def _start(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        end(DeviceLost(self.uri, "gone"))

    async def _stop(self) -> None:
        pass


async def test_a_camera_that_dies_whenever_it_is_opened_has_not_come_back() -> None:
    source = Reconnector(Dying(Uri("dying")), 200_000)
    async with asyncio.timeout(60):
        await source.open()
        with pytest.raises(DeviceLost, match=r"not back within 0\.2 s"):
            async for _ in source.packets():
                pass
        await source.close()
    assert source.counters()["reconnects"] >= 1


def test_what_cannot_be_unplugged_cannot_be_reconnected() -> None:
    with pytest.raises(ConfigError, match="reconnect is for cameras"):
        registry.source("synth:bar?reconnect=3s")
    with pytest.raises(ConfigError, match="longer than 0"):
        Reconnector(registry.source("edvs+emu:"), 0)

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nrt
from nrt import formats, registry
from nrt.clock import now
from nrt.errors import BadRecording, ConfigError, NotFound
from nrt.filters import Chain, Filtered
from nrt.live import Intake, LiveSource
from nrt.network import Network, Population
from nrt.packet import EVENT, SPIKE, Packet, Records, join
from nrt.registry import Uri
from nrt.source import Source
from nrt.testing import Script
from tests.unit.filters.oracle import Event, background
from tests.unit.filters.streams import array, listed, through

CHAIN = "background:3ms,refractory:2ms,crop:4:2:20:12,rotate:90"
SHAPE = (2, 16, 32)


def clusters(count: int = 6_000, seed: int = 0) -> list[Event]:
    """Events that keep together in space, and some that do not; 3 µs apart."""
    random = np.random.default_rng(seed)
    centre = np.arange(count) // 200 * 3
    x = np.where(
        random.random(count) < 0.8, centre % 30 + random.integers(0, 3, count), random.integers(0, 32, count)
    )
    y = random.integers(0, 16, count)
    return [(3 * k, int(x[k]) % 32, int(y[k]), k % 2) for k in range(count)]


def recorded(path: Path, events: list[Event]) -> Path:
    with formats.create(path, "hdf5", SHAPE) as writer:
        writer.write(array(events))
    return path


async def taken(source: Source) -> tuple[list[Packet], Records]:
    """A source's packets and all of their events."""
    await source.open()
    try:
        packets = [packet async for packet in source.packets()]
    finally:
        await source.close()
    return packets, join([packet.data for packet in packets]) if packets else np.empty(0, EVENT)


async def in_time(source: Source) -> tuple[list[Packet], Records]:
    return await asyncio.wait_for(taken(source), 60)


async def test_a_recording_a_camera_and_a_foreign_source_are_filtered_alike(tmp_path: Path) -> None:
    events = clusters()
    expected = through(Chain(CHAIN), events, shape=SHAPE)
    assert 0 < len(expected) < len(events) / 2
    path = recorded(tmp_path / "a.h5", events)
    sources = [
        registry.source(f"{path}?filter={CHAIN}"),
        registry.source(f"{path}?packet=500us&filter={CHAIN}"),
        registry.source(f"file:{path}?filter={CHAIN}&speed=50"),
        Filtered(Camera(events), Chain(CHAIN)),
        Filtered(Foreign(events), Chain(CHAIN)),
    ]
    for source in sources:
        _, kept = await in_time(source)
        assert listed(kept) == expected
        assert source.shape == (2, 20, 12)
        counters = source.counters()
        assert set(counters) == {"removed by background", "removed by refractory", "removed by crop"}
        assert sum(counters.values()) + len(kept) == len(events)


class Camera(LiveSource):
    """A live source whose thread hands over events in reads of 700."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__(Uri("camera"), queue=None)
        self._events = events
        self.shape = SHAPE
        self._thread: threading.Thread | None = None

    async def _start(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        self._limit = 2**40

        def stream() -> None:
            for begin in range(0, len(self._events), 700):
                intake.events(array(self._events[begin : begin + 700]), now())
            intake.finish(now())
            end(None)

        self._thread = threading.Thread(target=stream)
        self._thread.start()

    async def _stop(self) -> None:
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)


class Foreign(Script):
    """A source of somebody else's, which knows nothing of filters and keeps what it hands out, read-only."""

    def __init__(self, events: list[Event]) -> None:
        self.whole = array(events)
        self.whole.flags.writeable = False
        parts = [self.whole[k : k + 1_000] for k in range(0, len(events), 1_000)]
        self.parts = [Packet(p, int(p["t"][0]), int(p["t"][-1]) + 1, 0, origin="foreign") for p in parts]
        super().__init__(self.parts, shape=SHAPE)


async def test_the_events_of_a_foreign_source_are_left_as_they_were() -> None:
    source = Foreign(clusters())
    before = source.whole.copy()
    packets, _ = await in_time(Filtered(source, Chain("flip:x")))
    assert listed(source.whole) == listed(before)
    assert [(p.start, p.end, p.origin) for p in packets] == [(p.start, p.end, p.origin) for p in source.parts]


async def test_packets_keep_their_time_and_their_losses_though_no_event_stays() -> None:
    lossy = [Packet(array([(5, 1, 1, 1)]), 0, 1_000, 7, 3, "a"), Packet(array([]), 1_000, 2_000, 8, 0, "a")]
    packets, kept = await in_time(Filtered(Script(lossy, shape=SHAPE), Chain("polarity:off")))
    assert len(kept) == 0
    assert [(p.start, p.end, p.stamp, p.lost) for p in packets] == [(0, 1_000, 7, 3), (1_000, 2_000, 8, 0)]


async def test_a_packet_that_somebody_keeps_stays_as_it_was(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.h5", clusters(200_000))
    source = registry.source(f"{path}?packet=1ms&filter=background:1ms,flip:x")
    await source.open()
    kept: list[tuple[Packet, Records]] = []
    async with asyncio.timeout(60):
        async for packet in source.packets():
            kept.append((packet, packet.data.copy()))
    await source.close()
    assert len(kept) > 100
    assert all(np.array_equal(packet.data, copy) for packet, copy in kept)


async def test_a_source_that_is_opened_again_starts_from_nothing(tmp_path: Path) -> None:
    source = registry.source(f"{recorded(tmp_path / 'a.h5', clusters())}?filter={CHAIN}")
    _, first = await in_time(source)
    counted = dict(source.counters())
    _, second = await in_time(source)
    assert listed(first) == listed(second)
    assert dict(source.counters()) == counted


async def test_a_simulated_sensor_is_filtered_where_it_is_made() -> None:
    uri = "synth:bar?width=24&height=16&seconds=0.06&speed=0&seed=4"
    _, plain = await in_time(registry.source(uri))
    source = registry.source(f"{uri}&filter=background:2ms")
    packets, kept = await in_time(source)
    assert 0 < len(kept) < len(plain)
    assert listed(kept) == background(listed(plain), 2_000)
    assert len(packets) == 60


async def test_the_report_says_what_was_filtered_and_what_that_removed(tmp_path: Path) -> None:
    events = clusters()
    path = recorded(tmp_path / "a.h5", events)
    network = Network((Population("input", (2, 20, 12)),), (), ("input",), ("input",))
    async with nrt.open("null:") as session:
        await session.deploy(network)
        report = await session.run(f"{path}?filter={CHAIN}")
        with pytest.raises(ConfigError, match="32x16 pixels and the network sees 12x20"):
            await session.run(path)
    assert report.source["uri"] == f"file:{path}?filter={CHAIN}"
    assert report.source["filter"] == (
        "background:time=3ms,refractory:time=2ms:since=passed,crop:x=4:y=2:width=20:height=12,rotate:degrees=90"
    )
    assert report.events + sum(report.source_counts.values()) == len(events)
    assert "removed by background" in str(report)


async def test_a_filter_for_pixels_that_are_not_there_is_refused_at_open_and_the_file_closed(
    tmp_path: Path,
) -> None:
    source = registry.source(f"{recorded(tmp_path / 'a.h5', clusters(10))}?filter=crop:0:0:64:64")
    with pytest.raises(ConfigError, match="beyond the 32x16 pixels"):
        await source.open()
    await source.close()


async def test_spikes_are_no_events_to_filter(tmp_path: Path) -> None:
    with formats.create(tmp_path / "s.h5", "hdf5", (1, 1, 8), spikes=True) as writer:
        writer.write(np.zeros(3, SPIKE))
    with pytest.raises(ConfigError, match="filters are for the events of a sensor"):
        await in_time(registry.source(f"{tmp_path / 's.h5'}?filter=polarity:on"))


async def test_an_error_of_the_source_comes_after_the_filtered_events_before_it() -> None:
    damaged = BadRecording("x", 3, "cut short")
    source = Filtered(Script([Packet(array([(5, 1, 1, 1)]), 0, 10, 0)], damaged, SHAPE), Chain("polarity:on"))
    seen: list[Event] = []
    with pytest.raises(BadRecording):
        async for packet in source.packets():
            seen += listed(packet.data)
    assert seen == [(5, 1, 1, 1)]


def test_bad_filters_are_refused_before_anything_is_opened() -> None:
    with pytest.raises(NotFound, match="no filter 'blur'; there is background"):
        registry.source("file:nowhere.raw?filter=blur")
    with pytest.raises(ConfigError, match="is not a duration"):
        registry.source("nowhere.raw?filter=background:soon")


def test_events_are_moved_where_they_are_and_nothing_is_allocated_for_them() -> None:
    chain = Chain("rate:1G,polarity:swap,hot,background,refractory,antiflicker,downsample:2:1,flip:x")
    chain.start(SHAPE)
    chain.warm()
    slab = array(clusters(50_000))
    part = slab[1_000:41_000]
    before, behind = slab[:1_000].copy(), slab[41_000:].copy()
    tracemalloc.start()
    kept = chain(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000  # 640 000 bytes of events went through
    assert 0 < len(kept) < len(part)
    assert np.shares_memory(kept, part[: len(kept)])
    assert np.array_equal(slab[:1_000], before)
    assert np.array_equal(slab[41_000:], behind)

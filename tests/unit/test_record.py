"""Transfers and recordings: what is read back is what was streamed, and whatever is not, is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrt import formats, registry
from nrt.clock import now
from nrt.errors import BadRecording, ConfigError, StreamError
from nrt.packet import EVENT, Packet, Records, join
from nrt.record import FileSink, Nowhere, Sink, Totals, Transfer, format_of
from nrt.source import Source
from tests.fakes import Script, events, ticks
from tests.unit.formats.streams import Rows, random_events, recorded, rows

SHAPE = (2, 120, 160)
SHAPES: Mapping[str, tuple[int, int, int]] = {"nmnist": (2, 34, 34), "aedat2": (2, 128, 128)}


def cut(stream: Records, span: int, first: int | None = None) -> list[Packet]:
    """The events in packets of `span` µs, empty ones too."""
    start = int(stream["t"][0]) if first is None else first
    packets: list[Packet] = []
    while start <= int(stream["t"][-1]):
        part = stream[(stream["t"] >= start) & (stream["t"] < start + span)]
        packets.append(Packet(part, start, start + span, now(), origin="test:script"))
        start += span
    return packets


async def record(source: Source, sink: FileSink, *, limit: int = 0) -> Totals:
    return await Transfer(source, sink, limit=limit).run()


def read(path: Path) -> Rows:
    with formats.open(path) as recording:
        return recorded(recording)


class Slow(Sink):
    """Takes nothing until it is released."""

    def __init__(self, queue: int) -> None:
        self.queue = queue
        self.released = threading.Event()
        self.taken: list[Packet] = []

    def take(self, packet: Packet) -> None:
        self.released.wait()
        self.taken.append(packet)

    def close(self) -> None:
        pass


class Endless(Source):
    """One event per ms until somebody stops it."""

    uri = "test:endless"
    finite = False
    shape = SHAPE

    def __init__(self, at: int, then: Callable[[], object]) -> None:
        self._at, self._then = at, then
        self.given = 0

    async def packets(self) -> AsyncIterator[Packet]:
        while True:
            if self.given == self._at:
                self._then()
            await asyncio.sleep(0)
            start = 1_000 * self.given
            yield Packet(events((start, 0, 0, 1)), start, start + 1_000, now())
            self.given += 1


@pytest.mark.parametrize("name", [row.name for row in formats.FORMATS])
async def test_a_recording_holds_exactly_the_events_that_were_streamed(tmp_path: Path, name: str) -> None:
    shape = SHAPES.get(name, SHAPE)
    stream = random_events(11, 3_000, shape, 3_000)
    stream["t"] -= stream["t"][0]
    sink = FileSink(tmp_path / "recording", name)
    totals = await record(Script(cut(stream, 1_777), shape=shape), sink)
    assert read(sink.path) == rows(stream)
    assert totals.events == sink.safe == len(stream)
    assert totals.bytes == sink.path.stat().st_size
    assert (totals.lost, totals.dropped, totals.error) == (0, 0, "")


@pytest.mark.parametrize("name", ["evt3", "aedat4", "es", "hdf5"])
async def test_a_file_played_as_a_source_is_recorded_identically(tmp_path: Path, name: str) -> None:
    stream = random_events(5, 20_000, SHAPE, 500)
    with formats.create(tmp_path / "original", "aedat4", SHAPE) as writer:
        writer.write(stream)
    sink = FileSink(tmp_path / "copy", name)
    await record(registry.source(tmp_path / "original"), sink)
    assert read(sink.path) == rows(stream)


@pytest.mark.parametrize("name", ["evt3", "es", "hdf5"])
async def test_times_since_1970_are_counted_from_the_start_on_request(tmp_path: Path, name: str) -> None:
    stream = random_events(5, 500, SHAPE, 500)
    stream["t"] += 1_700_000_000_000_000
    packets = cut(stream, 1_000)
    sink = FileSink(tmp_path / "recording", name, rebase=True)
    await record(Script(packets, shape=SHAPE), sink)
    stream["t"] -= packets[0].start
    assert read(sink.path) == rows(stream)
    assert int(packets[0].data["t"][0]) > 1_700_000_000_000_000


async def test_the_limit_cuts_the_stream_at_exactly_that_time(tmp_path: Path) -> None:
    stream = random_events(3, 5_000, SHAPE, 500)
    first = int(stream["t"][0])
    sink = FileSink(tmp_path / "a.es")
    totals = await record(Script(cut(stream, 1_000), shape=SHAPE), sink, limit=12_345)
    assert read(sink.path) == rows(stream[stream["t"] < first + 12_345])
    assert totals.stream_us == 12_345


async def test_a_source_without_a_schedule_waits_for_a_slow_sink() -> None:
    packets = ticks(200)
    sink = Slow(queue=1_000)
    asyncio.get_running_loop().call_later(0.05, sink.released.set)
    totals = await Transfer(Script(packets), sink).run()
    assert [packet.start for packet in sink.taken] == [packet.start for packet in packets]
    assert (totals.packets, totals.events, totals.dropped) == (200, 200, 0)
    assert totals.late_ms is None


async def test_a_live_source_drops_what_finds_the_queue_full_and_counts_it() -> None:
    packets = ticks(200)
    sink = Slow(queue=1_000)
    asyncio.get_running_loop().call_later(0.05, sink.released.set)
    totals = await Transfer(Script(packets, scheduled=True), sink).run()
    assert 0 < len(sink.taken) < 200
    assert totals.dropped == 200 - len(sink.taken)
    assert totals.events == len(sink.taken)
    assert totals.late_ms is not None


async def test_events_that_the_source_lost_are_in_the_totals() -> None:
    packets = [Packet(events(), k, k + 1, 0, lost=k) for k in range(5)]
    assert (await Transfer(Script(packets), Nowhere()).run()).lost == 10


async def test_stopping_ends_in_order_and_leaves_a_whole_file(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.raw")
    source = Endless(50, lambda: transfer.stop())
    transfer = Transfer(source, sink)
    totals = await asyncio.wait_for(transfer.run(), 20)
    assert totals.error == "stopped by the user"
    assert read(sink.path) == [(1_000 * k, 0, 0, 1) for k in range(totals.events)]
    assert totals.events in (source.given, source.given - 1)


async def test_cancelling_closes_the_source_and_the_file(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.raw")
    task = asyncio.create_task(Transfer(Endless(50, lambda: task.cancel()), sink).run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(read(sink.path)) == sink.safe > 0


async def test_a_source_that_fails_leaves_everything_before_that(tmp_path: Path) -> None:
    source = Script(ticks(20), BadRecording("camera", 7, "unplugged"), SHAPE)
    sink = FileSink(tmp_path / "a.aedat4")
    transfer = Transfer(source, sink)
    with pytest.raises(BadRecording, match="unplugged"):
        await transfer.run()
    assert len(read(sink.path)) == 20
    assert source.closed == 1
    assert "unplugged" in transfer.totals.error


async def test_events_that_the_format_cannot_hold_end_the_recording_before_them(tmp_path: Path) -> None:
    bad = Packet(events((20_000, 160, 0, 1)), 20_000, 21_000, now())
    sink = FileSink(tmp_path / "a.raw")
    with pytest.raises(ConfigError, match="x=160, y=0 lies outside the 160 x 120 sensor"):
        await record(Script([*ticks(20), bad, *ticks(5)], shape=SHAPE), sink)
    assert len(read(sink.path)) == 20


async def test_the_source_is_not_waited_for_when_the_sink_has_failed(tmp_path: Path) -> None:
    class Silent(Script):
        async def packets(self) -> AsyncIterator[Packet]:
            yield Packet(events((0, 999, 0, 1)), 0, 1, now())
            await asyncio.Event().wait()

    with pytest.raises(ConfigError, match="outside"):
        await asyncio.wait_for(record(Silent([], shape=SHAPE), FileSink(tmp_path / "a.raw")), 20)


async def test_a_file_that_exists_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(b"precious")
    with pytest.raises(ConfigError, match="exists already"):
        await record(Script(ticks(2), shape=SHAPE), FileSink(path))
    assert path.read_bytes() == b"precious"
    await record(Script(ticks(2), shape=SHAPE), FileSink(path, replace=True))
    assert len(read(path)) == 2


@pytest.mark.parametrize(
    ("path", "error", "reason"),
    [
        ("a.foo", ConfigError, "the ending tells no format"),
        ("missing/a.raw", StreamError, "cannot write .*: No such file"),
    ],
)
async def test_a_file_that_cannot_be_written_is_refused_before_anything_streams(
    tmp_path: Path, path: str, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        await record(Script(ticks(2), shape=SHAPE), FileSink(tmp_path / path))


async def test_a_source_without_a_size_needs_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give the size"):
        await record(Script(ticks(2)), FileSink(tmp_path / "a.raw"))
    await record(Script(ticks(2)), FileSink(tmp_path / "a.raw", shape=SHAPE))
    assert len(read(tmp_path / "a.raw")) == 2


def test_the_ending_names_the_format() -> None:
    endings: Sequence[str] = ["raw", "aedat4", "es", "H5", "dat", "csv"]
    assert [format_of(Path(f"x.{end}")) for end in endings] == ["evt3", "aedat4", "es", "hdf5", "dat", "csv"]


async def test_a_source_can_be_paced_by_the_transfer() -> None:
    begin = now()
    totals = await Transfer(Script(ticks(50)), Nowhere(), speed=0.5).run()
    assert now() - begin >= 100_000_000  # 50 ms of stream at half speed; sleeping is never shorter
    assert totals.late_ms is not None


@pytest.mark.parametrize("name", ["evt3", "aedat4", "es"])
async def test_another_projects_reader_finds_what_was_recorded(tmp_path: Path, name: str) -> None:
    faery: Any = pytest.importorskip("faery")
    stream = random_events(8, 4_000, SHAPE, 500)
    suffix = {"evt3": ".raw", "aedat4": ".aedat4", "es": ".es"}[name]
    sink = FileSink(tmp_path / f"a{suffix}", name)
    await record(Script(cut(stream, 1_000), shape=SHAPE), sink)
    found = np.concatenate(list(faery.events_stream_from_file(sink.path)))
    height = SHAPE[1] - 1 if name == "es" else 0  # faery turns ES upside down
    assert found["t"].tolist() == stream["t"].tolist()
    assert found["x"].tolist() == stream["x"].tolist()
    assert abs(height - found["y"].astype(int)).tolist() == stream["y"].tolist()
    assert found[list(found.dtype.names or ())[3]].astype(int).tolist() == stream["p"].tolist()


async def test_packets_that_share_one_array_are_recorded_before_it_is_reused(tmp_path: Path) -> None:
    stream = random_events(2, 200_000, SHAPE, 3)
    with formats.create(tmp_path / "original", "dat", SHAPE) as writer:
        writer.write(stream)
    sink = FileSink(tmp_path / "a.h5")
    totals = await record(registry.source(f"file:{tmp_path}/original?speed=1000000"), sink)
    with formats.open(sink.path) as recording:
        slab = np.zeros(1 << 16, EVENT)
        parts: list[Records] = []
        while count := recording.read(slab):
            parts.append(slab[:count].copy())
    assert totals.dropped == 0
    for name in "txyp":
        np.testing.assert_array_equal(join(parts)[name], stream[name])

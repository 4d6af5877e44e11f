from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from nrt import registry
from nrt.errors import BadRecording, ConfigError, NotFound
from nrt.formats.base import Decoder
from nrt.formats.edvs import EdvsDecoder
from nrt.formats.evt3 import Evt3Decoder, Evt3Encoder
from nrt.live import Cut, Intake
from nrt.packet import Packet, join
from nrt.record import Transfer
from nrt.record.raw import COUNT, Begin, Header, Kind, RawReader, block, record
from nrt.record.raw_sink import ROOM, Queue, RawSink
from nrt.record.raw_source import RawRecording, RawSource
from tests.fakes import events
from tests.unit.live.cameras import SCENE, rows
from tests.unit.live.test_intake import scene

PART = ROOM // 2 - 1_000
HEADER = Header("edvs+emu:", {"camera": "test"}, (2, 480, 640), 1_000, 0, "2026-01-01").to_bytes()


def same(a: list[Packet], b: list[Packet]) -> None:
    """Fails unless the packets are equal in everything."""
    assert [(p.start, p.end, p.stamp, p.lost) for p in a] == [(p.start, p.end, p.stamp, p.lost) for p in b]
    for one, other in zip(a, b, strict=True):
        assert rows(one.data) == rows(other.data)


def written(path: Path, decoder: Decoder | None, feed: list[tuple[str, object, int]]) -> list[Packet]:
    """Records what `feed` brings to an intake; returns the packets that came out of it."""
    packets: list[Packet] = []
    queue = Queue()
    intake = Intake(packets.append, cut=Cut(), origin=str(path), decoder=decoder, begin=500, tap=queue)
    for kind, what, stamp in feed:
        if kind == "bytes":
            assert isinstance(what, bytes)
            intake.bytes(what, stamp)
        elif kind == "events":
            assert isinstance(what, np.ndarray)
            intake.events(what, stamp, 3)
        else:
            intake.quiet(stamp)
    intake.finish(feed[-1][2])
    path.write_bytes(HEADER + block(b"".join(queue.take(1 << 30))))
    return packets


async def replayed(path: Path) -> list[Packet]:
    """Its packets, stamps and all."""
    source = registry.source(path)
    assert isinstance(source, RawSource)
    await source.open()
    try:
        return list(source.replayed())
    finally:
        await source.close()


async def test_a_replay_makes_the_same_packets_with_the_same_stamps(tmp_path: Path) -> None:
    found = scene(20_000, 1)
    raw = Evt3Encoder().encode(found, int(found["t"][-1]) + 1).tobytes()
    sizes = np.random.default_rng(2).integers(1, 3_000, 400)
    feed: list[tuple[str, object, int]] = []
    at, stamp = 0, 1_000_000_000
    for size in sizes.tolist():
        feed.append(("bytes", raw[at : at + size], stamp))
        at += size
        stamp += size * 10_000
        if size % 7 == 0:
            stamp += 60_000_000
            feed.append(("quiet", b"", stamp))
    path = tmp_path / "x.nrtraw"
    packets = written(path, Evt3Decoder(), feed)
    assert len(packets) > 100
    same(await replayed(path), packets)


async def test_words_without_times_are_timed_as_they_were_when_they_came(tmp_path: Path) -> None:
    bytes_of_e0 = bytes([0x80 | 5, 7, 0x80 | 6, 0x80 | 8] * 40)
    feed: list[tuple[str, object, int]] = [("bytes", bytes_of_e0, k * 700_000) for k in range(1, 50)]
    path = tmp_path / "x.nrtraw"
    packets = written(path, EdvsDecoder(0, joined=True), feed)
    assert packets[-1].end > 30_000
    same(await replayed(path), packets)


async def test_events_of_a_library_are_kept_with_what_was_lost_before_them(tmp_path: Path) -> None:
    feed: list[tuple[str, object, int]] = [
        ("events", events((0, 1, 1, 1), (900, 2, 2, 0)), 1_000),
        ("events", events((1_500, 3, 3, 1)), 2_000),
    ]
    path = tmp_path / "x.nrtraw"
    packets = written(path, None, feed)
    assert sum(packet.lost for packet in packets) == 6
    same(await replayed(path), packets)


async def test_a_camera_is_recorded_beside_its_stream_and_streams_again(tmp_path: Path) -> None:
    path = tmp_path / "camera.nrtraw"
    source = registry.source(f"edvs+emu:?plays={SCENE.replace('&', '%26')}&filter=crop:0:0:64:128")
    async with asyncio.timeout(120):
        totals = await Transfer(source, RawSink(path), limit=300_000).run()
    assert totals.counters.get("bytes not recorded", 0) == 0
    header = RawReader(path)
    header.close()
    assert header.header.uri.startswith("edvs+emu:")
    assert header.header.identity["camera"].startswith("EDVS")
    packets = await replayed(path)
    assert packets[-1].end - packets[0].start >= 300_000
    xs = join([packet.data for packet in packets])["x"]
    assert xs.max() >= 64  # recorded before the filter
    played = registry.source(f"{path}?speed=50")
    async with asyncio.timeout(60):
        await played.open()
        again = [packet async for packet in played.packets()]
        await played.close()
    assert played.shape == (2, 128, 128)
    assert [(p.start, p.end, rows(p.data)) for p in again] == [
        (p.start, p.end, rows(p.data)) for p in packets
    ]
    with RawRecording(path) as recording:
        slab = np.zeros(4_096, packets[0].data.dtype)
        count = 0
        while read := recording.read(slab):
            count += read
    assert 0 <= count - sum(map(len, packets)) < 2_000  # with the packet that was not complete at the end


def test_what_is_no_camera_is_not_recorded_raw(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no camera"):
        RawSink(tmp_path / "x.nrtraw").open(registry.source("synth:bar"))
    with pytest.raises(NotFound, match="cannot read"):
        RawReader(tmp_path / "none.nrtraw")


async def damaged(path: Path, content: bytes) -> tuple[list[Packet], str]:
    """What a file with this content replays, and why it ends."""
    await asyncio.to_thread(path.write_bytes, content)
    source = RawSource(registry.Uri("raw", place=str(path)))
    packets: list[Packet] = []
    try:
        await source.open()
        packets.extend(source.replayed())
    except BadRecording as error:
        return packets, error.reason
    finally:
        await source.close()
    raise AssertionError("nobody minded")


async def test_damage_is_told_after_all_that_lies_before_it(tmp_path: Path) -> None:
    path = tmp_path / "x.nrtraw"
    begin = record(Kind.BEGIN, 0, Begin.of(None, None).to_bytes())
    first = block(
        begin + record(Kind.EVENTS, 5, COUNT.pack(0) + events((0, 1, 1, 1), (5_000, 1, 1, 1)).tobytes())
    )
    second = block(record(Kind.QUIET, 9))
    whole = HEADER + first + second
    for cut in (3, len(second) - 1):
        packets, reason = await damaged(path, whole[:-cut])
        assert len(packets) == 5
        assert "ends inside a block" in reason
    packets, reason = await damaged(path, whole[:-1] + b"\xff")
    assert len(packets) == 5
    assert "CRC" in reason
    assert "should begin here" in (await damaged(path, HEADER + first + b"nonsense"))[1]
    assert "header" in (await damaged(path, HEADER[:-1]))[1]
    assert "more than the" in (await damaged(path, HEADER + b"BLCK" + b"\xff" * 8))[1]


async def test_nonsense_in_whole_blocks_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.nrtraw"
    begin = record(Kind.BEGIN, 0, Begin.of(None, None).to_bytes())
    cases = {
        "before the first stream": record(Kind.QUIET, 0),
        "no decoder": begin + record(Kind.BYTES, 0, b"abc"),
        "no whole number of events": begin + record(Kind.EVENTS, 0, b"abc"),
        "begins with nonsense": record(Kind.BEGIN, 0, b"[]"),
        "makes no sense": b"\x09" + record(Kind.QUIET, 0)[1:],
        "longer than its block": b"\x02",
    }
    for reason, content in cases.items():
        assert reason in (await damaged(path, HEADER + block(content)))[1]


@pytest.mark.parametrize(
    "decoder", ["os:system", "nrt.clock:now", "nrt.nothing:Decoder", "nrt.formats.evt3:Evt3Writer"]
)
async def test_a_file_names_no_code_but_decoders_of_nrt(tmp_path: Path, decoder: str) -> None:
    begin: dict[str, object] = {"decoder": decoder, "arguments": ["true"], "named": {}, "resume": None}
    content = HEADER + block(record(Kind.BEGIN, 0, json.dumps(begin).encode()))
    assert "its bytes need the decoder" in (await damaged(tmp_path / "x.nrtraw", content))[1]


def test_a_disk_too_slow_leaves_holes_that_are_counted_and_marked() -> None:
    queue = Queue()
    queue.begin(None, None, 0)
    for stamp in range(5):
        queue.bytes(bytes(PART), stamp)
    assert queue.dropped == 3 * PART
    queue.take(1 << 40)
    queue.bytes(b"abc", 9)
    hole, after = queue.take(1 << 40)
    assert hole == record(Kind.HOLE, 9, COUNT.pack(3 * PART))
    assert after == record(Kind.BYTES, 9, b"abc")

"""spif: and tcp: as sources, and spif: as a place to play to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrt import formats, registry
from nrt.errors import ConfigError, DeviceBusy, NotFound, StreamError
from nrt.formats.evt3 import Evt3Encoder
from nrt.live.aer import AerDecoder, AerEncoder
from nrt.packet import EVENT, Packet, Records, join
from nrt.record import Transfer
from nrt.record.aer import AerSink
from nrt.record.raw_sink import RawSink
from nrt.source import Source
from nrt.testing import Script, events
from nrt_drivers.cameras.spif import Gaps, Rates
from tests.unit.drivers.cameras import received

PATIENCE = 30


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def opened(uri: str) -> AsyncGenerator[Source]:
    source = registry.source(uri)
    async with asyncio.timeout(PATIENCE):
        try:
            await source.open()
            yield source
        finally:
            await source.close()


def send(port: int, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for each in datagrams:
            sender.sendto(each, ("127.0.0.1", port))


def rows(records: Records) -> list[Any]:
    found: list[Any] = records[["t", "x", "y", "p"]].tolist()
    return found


def scene(count: int, seed: int = 3) -> Records:
    rng = np.random.default_rng(seed)
    out = np.zeros(count, EVENT)
    out["t"] = np.sort(rng.integers(0, 200_000, count))
    out["x"], out["y"] = rng.integers(0, 346, count), rng.integers(0, 260, count)
    out["p"] = rng.integers(0, 2, count)
    return out


def test_words_are_those_of_aestreams_source() -> None:
    """x 5, y 7, ON: the bytes that DVSToUDP::stream makes of them, without and with a time of one second."""
    decoder = AerDecoder()
    assert rows(decoder.decode(bytes.fromhex("07800580"), 42)) == [(42, 5, 7, 1)]
    assert rows(decoder.decode(bytes.fromhex("0780050040420F00"), 42)) == [(1_000_000, 5, 7, 1)]
    one = events((1_000_000, 5, 7, 1))
    assert AerEncoder(times=False, whole=128).encode(one) == [bytes.fromhex("07800580")]
    assert AerEncoder(times=True, whole=128).encode(one) == [bytes.fromhex("0780050040420F00")]


def test_events_with_and_without_times_may_stand_in_one_datagram() -> None:
    raw = bytes.fromhex("07800580" + "0780050040420F00" + "07000580")
    assert rows(AerDecoder().decode(raw, 42)) == [(42, 5, 7, 1), (1_000_000, 5, 7, 1), (42, 5, 7, 0)]


def test_a_time_with_its_top_bit_set_is_no_event() -> None:
    raw = bytes.fromhex("07000500" + "000000F0" + "07000500" + "010000F0")
    assert [t for t, *_ in rows(AerDecoder().decode(raw, 0))] == [0xF0000000, 0xF0000001]


def test_the_clock_turns_over_and_steps_back_a_little() -> None:
    decoder = AerDecoder()
    word = bytes.fromhex("07000500")
    raw = b"".join(word + t.to_bytes(4, "little") for t in (0xFFFFFFF0, 5, 0xFFFFFFFE, 9))
    assert [t for t, *_ in rows(decoder.decode(raw, 0))] == [
        0xFFFFFFF0,
        (1 << 32) + 5,
        0xFFFFFFFE,
        (1 << 32) + 9,
    ]


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 6, 7, 4, 0])
def test_torn_datagrams_give_whole_events_and_a_count(cut: int) -> None:
    decoder = AerDecoder()
    found = decoder.decode(bytes.fromhex("0780050040420F00")[:cut], 0)
    assert len(found) == 0
    assert decoder.torn == cut


def test_any_bytes_are_events_or_counted() -> None:
    rng = np.random.default_rng(5)
    for size in range(0, 1100, 7):
        decoder = AerDecoder()
        assert len(decoder.decode(rng.bytes(size), 0)) * 4 <= size


async def test_what_is_played_to_spif_arrives_with_its_times() -> None:
    port, sent = free_port(), scene(5_000)
    async with opened(f"spif://127.0.0.1:{port}?width=346&height=260&queue=1h") as source:
        sink = AerSink.make(f"spif://127.0.0.1:{port}?times=yes&whole=32")
        await Transfer(Script([Packet(sent, 0, 200_000, 0)]), sink).run()
        packets = await received(source, len(sent))
        assert source.shape == (2, 260, 346)
    assert sorted(rows(join([p.data for p in packets]))) == sorted(rows(sent))


async def test_without_times_events_count_from_when_they_arrive() -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        async with opened(f"spif://:{port}?queue=1h") as source:
            parts: list[Records] = []
            async with contextlib.aclosing(source.packets()) as packets:  # type: ignore[type-var]
                for _ in range(2):
                    sender.sendto(bytes.fromhex("07800580"), ("127.0.0.1", port))
                    while not len(part := (await anext(packets)).data):
                        pass
                    parts.append(part)
                    await asyncio.sleep(0.02)  # it has arrived: the next one does so at least as much later
            first, second = rows(join(parts))
    assert first == (0, 5, 7, 1)
    assert second[0] >= 20_000


async def test_a_second_sender_is_not_mixed_in_but_counted() -> None:
    port = free_port()
    word = bytes.fromhex("07800580")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        async with opened(f"spif://127.0.0.1:{port}") as source:
            one.sendto(word, ("127.0.0.1", port))
            send(port, bytes.fromhex("01000180") * 5)
            one.sendto(word, ("127.0.0.1", port))
            found = rows(join([p.data for p in await received(source, 2)]))
            assert [(x, y) for _, x, y, _ in found] == [(5, 7), (5, 7)]
            assert source.counters()["datagrams of others"] == 1


async def test_events_outside_the_sensor_are_dropped_and_counted() -> None:
    port = free_port()
    async with opened(f"spif://127.0.0.1:{port}?width=4&height=9") as source:
        send(port, bytes.fromhex("07800580" + "07800380"))
        found = rows(join([p.data for p in await received(source, 1)]))
        assert [(x, y) for _, x, y, _ in found] == [(3, 7)]
        assert source.counters()["outside"] == 1


async def test_datagrams_that_the_kernel_dropped_are_counted_and_their_events_estimated() -> None:
    """Nobody iterates yet, so the socket's thread pauses when 4 MiB wait, and the kernel drops what finds no room."""
    port, datagram = free_port(), bytes.fromhex("07800580") * 256
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        async with opened(f"spif://127.0.0.1:{port}?queue=1h") as source:
            for _ in range(20_000):
                sender.sendto(datagram, ("127.0.0.1", port))
            lost = events_found = 0
            async with contextlib.aclosing(source.packets()) as packets:  # type: ignore[type-var]
                async for packet in packets:
                    lost, events_found = lost + packet.lost, events_found + len(packet)
                    if lost:
                        break
                    sender.sendto(datagram, ("127.0.0.1", port))
            dropped = source.counters()["datagrams dropped"]
    assert 0 < dropped <= 20_000
    assert lost == dropped * 256


def test_a_dense_stream_with_a_hole_is_suspected_and_a_steady_one_is_not() -> None:
    gaps, t = Gaps(), np.arange(3_200) * 10
    for k in range(100):
        if k != 50:
            gaps.saw(events(*[(int(each), 1, 1, 1) for each in t[32 * k : 32 * k + 32]]))
    assert gaps.count == 0, "one datagram of 32 events is not longer than its neighbours together"
    for k in range(100):
        if not 50 <= k < 55:
            gaps.saw(events(*[(100_000 + int(each), 1, 1, 1) for each in t[32 * k : 32 * k + 32]]))
    assert gaps.count >= 1
    rates = Rates()
    for ms in range(1_000):
        if not 400 <= ms < 500:
            rates.saw(ms * 1_000, 100)
    assert rates.count == 1


async def test_two_programs_on_one_port_are_refused() -> None:
    port = free_port()
    async with opened(f"spif://127.0.0.1:{port}"):
        with pytest.raises(DeviceBusy, match="another"):
            await registry.source(f"spif://127.0.0.1:{port}").open()


@pytest.mark.parametrize("place", ["", "3333", "host:0", "host:99999", "host:"])
def test_an_address_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="write the address as spif://host:port"):
        registry.source(f"spif://{place}")


async def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(NotFound, match="cannot listen there"):
        await registry.source("spif://192.0.2.1:4321").open()


def test_a_sink_says_what_it_cannot_send() -> None:
    with pytest.raises(ConfigError, match="a datagram takes 1 to 128 events"):
        AerSink.make("spif://127.0.0.1:3333?times=yes&whole=200")
    with pytest.raises(ConfigError, match="no option 'tmies' to play to; there is times, whole"):
        AerSink.make("spif://127.0.0.1:3333?tmies=yes")


AESTREAM = os.environ.get("NRT_AESTREAM") or shutil.which("aestream")
needs_aestream = pytest.mark.skipif(
    AESTREAM is None,
    reason="aestream is not installed; name the one of another environment by NRT_AESTREAM=/path/to/bin/aestream",
)


@needs_aestream
@pytest.mark.parametrize("times", ["true", "false"])
async def test_what_aestream_sends_is_received(times: str, tmp_path: Path) -> None:
    """Known of AEStream 0.6.4: with times, its last datagram repeats events of the one before."""
    port, sent, path = free_port(), scene(1_000), tmp_path / "some.aedat4"
    with formats.create(path, "aedat4", (2, 260, 346)) as writer:
        writer.write(sent)
    async with opened(f"spif://127.0.0.1:{port}?queue=1h") as source:
        assert AESTREAM is not None
        words = [
            "input",
            "file",
            str(path),
            "output",
            "udp",
            "127.0.0.1",
            str(port),
            "--include-timestamp",
            times,
        ]
        process = await asyncio.create_subprocess_exec(AESTREAM, *words, stdout=asyncio.subprocess.PIPE)
        packets = await received(source, len(sent))
        await process.communicate()
    found = join([p.data for p in packets])
    addresses = [(x, y, p) for _, x, y, p in rows(sent)]
    if times == "true":
        assert set(rows(sent)[:992]) <= set(rows(found))
    else:
        assert sorted((x, y, p) for _, x, y, p in rows(found)) == sorted(addresses)


_READ = """
import sys, time
from aestream import UDPInput
with UDPInput((346, 260), device="cpu", port=int(sys.argv[1])) as stream:
    print("ready", flush=True)
    total = stream.read().copy()
    end = time.time() + 10
    while total.sum() < 1000 and time.time() < end:
        time.sleep(0.02)
        total = total + stream.read()
    for x, y in zip(*total.nonzero()):
        print(x, y, int(total[x, y]))
"""


@needs_aestream
async def test_what_is_played_is_received_by_aestream() -> None:
    port, sent = free_port(), scene(1_000)
    assert AESTREAM is not None
    python = str(Path(AESTREAM).with_name("python"))
    process = await asyncio.create_subprocess_exec(
        python, "-c", _READ, str(port), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        assert process.stdout is not None
        assert (await process.stdout.readline()).strip() == b"ready"
        await asyncio.sleep(0.5)  # it binds its port in a thread of its own
        sink = AerSink.make(f"spif://127.0.0.1:{port}")
        await Transfer(Script([Packet(sent, 0, 200_000, 0)]), sink).run()
        out, _ = await process.communicate()
    found = sorted(tuple(map(int, line.split())) for line in out.decode().splitlines())
    places, counts = np.unique(np.stack([sent["x"], sent["y"]]), axis=1, return_counts=True)
    assert found == sorted(zip(*places.tolist(), counts.tolist(), strict=True))


@contextlib.asynccontextmanager
async def serving(pieces: Sequence[bytes], pause: float = 0.0) -> AsyncGenerator[int]:
    """A server that sends `pieces` to whoever comes, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def all_events(source: Source) -> Records:
    return join([p.data async for p in source.packets()])


SAMPLES = [
    "faery_evt2.raw",
    "expelliarmus_evt3_sample.raw",
    "derived_evt21_legacy.raw",
    "loris_NCARS_obj_004397_td.dat",
]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("size", [1 << 16, 9_973])
async def test_a_recording_over_tcp_is_the_recording(name: str, size: int, data: Path) -> None:
    """The oracle is the file source, which is held to independent decoders elsewhere."""
    path = data / "events" / name
    raw = path.read_bytes()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    async with serving(pieces) as port, opened(f"tcp://127.0.0.1:{port}?queue=1h") as source:
        found = await all_events(source)
    async with opened(f"file:{path}") as file:
        expected = await all_events(file)
    assert len(found) == len(expected) > 1_000
    assert np.array_equal(
        np.sort(found, order=["t", "x", "y", "p"]), np.sort(expected, order=["t", "x", "y", "p"])
    )


async def test_text_over_tcp_may_end_without_the_end_of_a_line() -> None:
    async with (
        serving([b"t,x,y,p\n1,2,3,1\n5,", b"6,7,0\n9,9,", b"9,1"], 0.01) as port,
        opened(f"tcp://127.0.0.1:{port}") as source,
    ):
        assert rows(await all_events(source)) == [(1, 2, 3, 1), (5, 6, 7, 0), (9, 9, 9, 1)]


@pytest.mark.parametrize("pause", [0.01, 0.3])
async def test_a_short_stream_recorded_raw_is_replayed(pause: float, tmp_path: Path) -> None:
    """What it is was found at its end, or because no more came for a while: so it is again."""
    path = tmp_path / "some.nrtraw"
    async with (
        asyncio.timeout(PATIENCE),
        serving([b"t,x,y,p\n1,2,3,1\n5,", b"6,7,0\n9,9,9,1"], pause) as port,
    ):
        await Transfer(registry.source(f"tcp://127.0.0.1:{port}"), RawSink(path)).run()
    async with opened(f"raw:{path}") as source:
        found = [where for _, *where in rows(await all_events(source))]
    assert found == [[2, 3, 1], [6, 7, 0], [9, 9, 1]]


async def test_it_listens_and_refuses_a_second_caller() -> None:
    port = free_port()
    source = registry.source(f"tcp://127.0.0.1:{port}?listen=yes&format=csv")
    async with asyncio.timeout(PATIENCE):
        opening = asyncio.create_task(source.open())
        while True:
            await asyncio.sleep(0.02)
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
        await opening
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"t,x,y,p\n1,2,3,1\n")
        writer.close()
        assert rows(await all_events(source)) == [(1, 2, 3, 1)]
        await source.close()


async def test_what_is_no_recording_is_one_sentence() -> None:
    async with (
        serving([b"GET / HTTP/1.1\r\n\r\n" * 5_000]) as port,
        opened(f"tcp://127.0.0.1:{port}") as source,
    ):
        with pytest.raises(StreamError, match="none of the known formats"):
            await all_events(source)


async def test_another_format_than_was_said_is_refused(data: Path) -> None:
    raw = (data / "events" / "faery_evt2.raw").read_bytes()[: 1 << 17]
    async with serving([raw]) as port, opened(f"tcp://127.0.0.1:{port}?format=evt3") as source:
        with pytest.raises(StreamError, match="this is evt2, not evt3"):
            await all_events(source)


async def test_containers_are_read_from_files_only(data: Path) -> None:
    raw = (data / "events" / "tonic_sample.aedat4").read_bytes()
    async with serving([raw]) as port, opened(f"tcp://127.0.0.1:{port}") as source:
        with pytest.raises(StreamError, match="aedat4 can only be read from a file"):
            await all_events(source)


async def test_a_stream_that_ends_inside_a_word_says_so_after_its_events() -> None:
    raw = Evt3Encoder().encode(events((10, 1, 1, 1), (5_000, 2, 2, 1)), 6_000).tobytes()
    async with serving([raw + b"\x01"]) as port, opened(f"tcp://127.0.0.1:{port}?format=evt3") as source:
        taken: list[Packet] = []
        with pytest.raises(StreamError, match="ends inside a word"):
            async for packet in source.packets():
                taken.append(packet)
    assert sum(map(len, taken)) == 2


async def test_nobody_there_is_one_sentence() -> None:
    with pytest.raises(NotFound, match="nothing there"):
        await registry.source(f"tcp://127.0.0.1:{free_port()}").open()


def test_an_unknown_format_lists_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no format 'mp4'; there is aedat2, .*evt3"):
        registry.source("tcp://host:1?format=mp4")

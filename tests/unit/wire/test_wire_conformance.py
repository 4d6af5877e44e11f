"""What every wire owes a driver, over the real transport of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nrt.clock import now
from nrt.errors import DeviceBusy, DeviceLost, NotFound, StreamError
from nrt.wire import Faults, FaultyWire, Wire
from tests.unit.wire.far import CABLES, FARS, Echo, Far, Ticker, UsbFar, soon, take, until


@pytest.fixture(params=FARS)
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Far]:
    made = FARS[request.param](Echo(), tmp_path)
    yield made
    made.unplug()


cable = pytest.mark.parametrize("far", CABLES, indirect=True)


def noise(count: int) -> bytes:
    return random.Random(count).randbytes(count)


async def test_bytes_arrive_in_order_whatever_the_pieces(far: Far) -> None:
    line, data, at = far.wire(), noise(100_000), 0
    await line.open()
    while at < len(data):
        step = 1 + data[at] * 37
        await soon(line.write(data[at : at + step]))
        at += step
    assert await take(line, len(data)) == data
    await line.close()


async def test_much_goes_both_ways_at_once(far: Far) -> None:
    line, data = far.wire(), noise(3_000_000)
    await line.open()
    writing = asyncio.create_task(line.write(data))
    assert await take(line, len(data)) == data
    await soon(writing)
    await line.close()
    assert line.counters() == {"bytes in": len(data), "bytes out": len(data)}


async def test_one_byte_at_a_time_is_the_same(far: Far) -> None:
    single = Faults(piece=1)
    line, data = FaultyWire(far.wire(), single, single), noise(2_000)
    await line.open()
    writing = asyncio.create_task(line.write(data))
    got = [(await soon(line.read())).data for _ in data]
    await soon(writing)
    await line.close()
    assert b"".join(got) == data
    assert {len(each) for each in got} == {1}


async def test_a_cancelled_read_loses_nothing(far: Far) -> None:
    line, data = far.wire(), noise(40_000)
    await line.open()

    async def feed() -> None:
        for at in range(0, len(data), 100):
            await line.write(data[at : at + 100])
            await asyncio.sleep(0)

    got, cancelled = bytearray(), 0
    writing = asyncio.create_task(feed())
    while len(got) < len(data):
        reading = asyncio.create_task(line.read())
        for _ in range(random.Random(len(got) + cancelled).randrange(4)):
            await asyncio.sleep(0)
        reading.cancel()
        try:
            got += (await soon(reading)).data
        except asyncio.CancelledError:
            cancelled += 1
            await asyncio.sleep(0)
    await soon(writing)
    await line.close()
    assert bytes(got) == data
    assert cancelled > 0


async def test_a_chunk_is_stamped_with_the_time_of_its_arrival(far: Far) -> None:
    line = far.wire()
    await line.open()
    before = now()
    await line.write(b"x")
    chunk = await soon(line.read())
    assert before <= chunk.stamp <= now()
    await line.close()


async def test_what_a_board_sends_by_itself_comes_without_being_asked(far: Far) -> None:
    far.unplug()
    far.board = Ticker(1_000_000)
    if isinstance(far, UsbFar):
        far.usb.board = far.board
    far.plug()
    line = far.wire()
    await line.open()
    await line.write(b"go")
    got = bytearray()
    while len(got) < 30:
        got += (await soon(line.read())).data
    assert bytes(got) == bytes(range(len(got)))
    await line.close()


async def test_closing_ends_a_read_under_way(far: Far) -> None:
    line = far.wire()
    await line.open()
    reading = asyncio.create_task(line.read())
    await asyncio.sleep(0.01)
    await soon(line.close())
    with pytest.raises(DeviceLost):
        await soon(reading)


async def test_a_closed_wire_says_so_and_closes_again(far: Far) -> None:
    line = far.wire()
    await line.close()
    await line.open()
    await line.close()
    await line.close()
    with pytest.raises(DeviceLost):
        await soon(line.read())
    with pytest.raises(DeviceLost):
        await soon(line.write(b"x"))


async def test_a_closed_wire_opens_again_on_a_fresh_link(far: Far) -> None:
    line = far.wire()
    for k in range(5):
        await line.open()
        await line.write(b"%d" % k)
        assert await take(line, 1) == b"%d" % k
        await line.close()
    assert isinstance(far.board, Echo)
    assert far.board.links == 5


async def test_what_one_opening_left_behind_is_not_the_next_ones(far: Far) -> None:
    line = far.wire()
    await line.open()
    await soon(line.write(b"old"))
    await _arrived(line, 3)
    await line.close()
    await line.open()
    await line.write(b"new")
    assert await take(line, 3) == b"new"
    await line.close()


async def test_an_open_wire_cannot_be_opened(far: Far) -> None:
    line = far.wire()
    await line.open()
    with pytest.raises(DeviceBusy):
        await line.open()
    await line.write(b"still here")
    assert await take(line, 10) == b"still here"
    await line.close()


async def test_a_full_line_holds_the_writer_back_and_not_the_loop(far: Far) -> None:
    """Nobody reads what comes back; the line fills up, however much a kernel's sockets may hold."""
    line, block = far.wire(), noise(1 << 16)
    await line.open()
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    writing = asyncio.create_task(_again_and_again(line, block))
    await _until_full(line)
    assert not writing.done()
    assert turns > 20
    ticking.cancel()
    await line.close()
    with pytest.raises(DeviceLost):
        await soon(writing)


async def _until_full(line: Wire) -> None:
    """Until something was written and a fifth of a second nothing more."""
    sent, quiet = 0, 0
    async with asyncio.timeout(60):
        while quiet < 20:
            await asyncio.sleep(0.01)
            out = line.counters().get("bytes out", 0)
            sent, quiet = out, quiet + 1 if out == sent > 0 else 0


async def _again_and_again(line: Wire, block: bytes) -> None:
    while True:
        await line.write(block)


@cable
async def test_unplugging_ends_a_read_under_way_and_the_device_comes_back(far: Far) -> None:
    line = far.wire()
    await line.open()
    await line.write(b"x")
    assert await take(line, 1) == b"x"
    reading = asyncio.create_task(line.read())
    await asyncio.sleep(0.01)
    far.unplug()
    with pytest.raises(DeviceLost):
        await soon(reading)
    with pytest.raises(DeviceLost):
        await soon(line.read())
    await line.close()
    with pytest.raises(NotFound):
        await line.open()
    far.plug()
    await line.open()
    await line.write(b"y")
    assert await take(line, 1) == b"y"
    await line.close()


@cable
async def test_unplugging_ends_a_write_under_way(far: Far) -> None:
    line = far.wire()
    await line.open()
    writing = asyncio.create_task(_again_and_again(line, noise(1 << 16)))
    await until(lambda: line.counters().get("bytes out", 0) > 100_000)
    far.unplug()
    with pytest.raises(DeviceLost):
        await soon(writing)
    await line.close()


@cable
async def test_a_second_user_is_told_that_the_device_is_busy(far: Far) -> None:
    first, second = far.wire(), far.wire()
    await first.open()
    with pytest.raises(DeviceBusy):
        await second.open()
    await first.write(b"mine")
    assert await take(first, 4) == b"mine"
    await first.close()
    await second.open()
    await second.write(b"yours")
    assert await take(second, 5) == b"yours"
    await second.close()


async def test_what_was_received_and_not_read_is_counted_at_the_end(far: Far) -> None:
    line = far.wire()
    await line.open()
    await line.write(b"0123456789")
    assert len(await take(line, 10)) == 10
    await line.write(b"abc")
    await _arrived(line, 13)
    await line.close()
    assert line.counters()["bytes never read"] == 3


async def _arrived(line: Wire, count: int) -> None:
    """Until the reader's thread has so many bytes; a wire without a thread takes them when asked."""
    if not hasattr(line, "board"):
        await until(lambda: line.counters().get("bytes in") == count)


async def test_a_feed_gets_what_waited_and_all_that_comes_and_hears_of_silence(far: Far) -> None:
    line, data = far.wire(), noise(300_000)
    await line.open()
    await line.write(data[:1_000])
    first = (await soon(line.read())).data
    got, silences = bytearray(first), 0

    def taken(part: bytes, stamp: int) -> None:
        nonlocal silences
        got.extend(part)
        silences += not part

    line.feed(taken, idle_ms=1)
    for at in range(1_000, len(data), 50_000):
        await soon(line.write(data[at : at + 50_000]))
        await asyncio.sleep(0.005)
    await until(lambda: len(got) == len(data) and silences > 0)
    assert bytes(got) == data
    await line.close()
    with pytest.raises(DeviceLost):
        await soon(line.read())
    assert line.counters() == {"bytes in": len(data), "bytes out": len(data)}


async def test_a_second_feed_takes_the_place_of_the_first(far: Far) -> None:
    line, data = far.wire(), noise(100_000)
    await line.open()
    before, after = bytearray(), bytearray()
    line.feed(lambda part, stamp: before.extend(part), idle_ms=1)
    await soon(line.write(b"first"))
    await until(lambda: bytes(before) == b"first")
    line.feed(lambda part, stamp: after.extend(part), idle_ms=1)
    for at in range(0, len(data), 20_000):
        await soon(line.write(data[at : at + 20_000]))
    await until(lambda: len(before) + len(after) == len(data) + len(b"first"))
    assert bytes(before) == b"first"
    assert bytes(after) == data
    await line.close()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "nrt.wire feed"] == []


async def test_what_a_feed_dies_of_ends_the_line(far: Far) -> None:
    line = far.wire()
    await line.open()

    def refuses(part: bytes, stamp: int) -> None:
        if part:
            raise StreamError("no camera sends this")

    line.feed(refuses)
    await soon(line.write(b"x"))
    with pytest.raises(StreamError, match="no camera"):
        await soon(line.read())
    await line.close()


@cable
async def test_a_feed_hears_of_an_unplugged_cable_by_read(far: Far) -> None:
    line = far.wire()
    await line.open()
    got = bytearray()
    line.feed(lambda part, stamp: got.extend(part))
    await soon(line.write(b"last words"))
    await until(lambda: bytes(got) == b"last words")
    far.unplug()
    with pytest.raises(DeviceLost):
        await soon(line.read())
    await line.close()


async def test_a_write_that_waited_does_not_go_on_after_reopening(far: Far) -> None:
    line = far.wire()
    await line.open()
    writing = asyncio.create_task(_again_and_again(line, bytes(1 << 16)))
    await _until_full(line)
    await line.close()
    await line.open()
    with pytest.raises(DeviceLost):
        await soon(writing)
    await soon(line.write(b"new"))
    got = bytearray()
    while not got.endswith(b"new"):  # a terminal may still hand over what was on its way
        got += (await soon(line.read())).data
    assert set(got[:-3]) <= {0}
    await line.close()

"""A faulty wire does what it was asked to, and counts every byte of it."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.errors import ConfigError, DeviceLost
from nrt.registry import Uri
from nrt.wire import Faults, FaultyWire, MemoryWire, wire
from nrt.wire.faults import Damage
from tests.unit.wire.far import Echo, Ticker, soon, take, until

CLEAN = Faults()
RATES = st.floats(0, 0.5)


def through(damage: Damage, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(
        piece for begin, end in itertools.pairwise(edges) for piece in damage.pieces(data[begin:end])
    )


@given(
    st.binary(max_size=2000),
    st.lists(st.integers(0, 2000), max_size=6),
    RATES,
    RATES,
    RATES,
    st.integers(0, 9),
)
def test_the_same_bytes_suffer_the_same_in_whatever_pieces(
    data: bytes, cuts: list[int], lose: float, corrupt: float, repeat: float, seed: int
) -> None:
    faults = Faults(lose=lose, corrupt=corrupt, repeat=repeat, seed=seed)
    whole, cut = Damage(faults, "in"), Damage(faults, "in")
    out = through(whole, data, [])
    assert out == through(cut, data, cuts)
    assert whole.counters() == cut.counters()
    count = whole.counters().get
    assert len(out) == count("in taken", 0) - count("in lost", 0) + count("in repeated", 0)


def test_every_corrupted_byte_is_counted_and_has_one_wrong_bit() -> None:
    damage, data = Damage(Faults(corrupt=0.1, seed=1), "out"), bytes(10_000)
    out = np.frombuffer(b"".join(damage.pieces(data)), np.uint8)
    wrong = np.unpackbits(out).reshape(-1, 8).sum(axis=1)
    assert damage.counters() == {"out taken": 10_000, "out corrupted": int((wrong > 0).sum())}
    assert wrong.max() == 1
    assert 800 < (wrong > 0).sum() < 1200  # 0.1 ± 6.7 standard deviations
    assert set(np.unique(out)) == {0, *(1 << k for k in range(8))}


def test_each_direction_and_each_seed_has_faults_of_its_own() -> None:
    data = bytes(1000)
    made = {
        b"".join(Damage(Faults(corrupt=0.1, seed=seed), side).pieces(data))
        for seed in range(3)
        for side in ("in", "out")
    }
    assert len(made) == 6


def test_a_datagram_is_lost_or_repeated_whole() -> None:
    damage = Damage(Faults(lose=0.3, repeat=0.3, corrupt=0.3, seed=4), "in", datagrams=True)
    out = [damage.pieces(bytes([k]) * 50) for k in range(200)]
    counts = damage.counters()
    assert {len(each) for each in out} == {0, 1, 2}
    assert counts["in lost"] == 50 * sum(not each for each in out)
    assert counts["in repeated"] == 50 * sum(len(each) == 2 for each in out)
    wrong = [sum(byte != k for byte in each[0]) for k, each in enumerate(out) if each]
    assert counts["in corrupted"] == sum(wrong)
    assert max(wrong) == 1


async def test_what_is_sent_is_delivered_or_counted_through_ten_thousand_faults() -> None:
    faults = Faults(lose=0.01, corrupt=0.01, repeat=0.01, delay=0.02, hold=0.0005, piece=400, seed=7)
    board = Echo()
    line = FaultyWire(MemoryWire(board), faults, dataclasses.replace(faults, seed=8))
    await line.open()
    got = bytearray()

    async def collect() -> None:
        while True:
            got.extend((await line.read()).data)

    reading = asyncio.create_task(collect())
    sent = 0
    for _ in range(40):
        await soon(line.write(bytes(4_000)))
        sent += 4_000
    await until(lambda: line.counters().get("in delivered", 0) + line.counters()["in lost"] == _came(line))
    await line.close()
    with pytest.raises(DeviceLost):
        await soon(reading)
    counts = line.counters()
    assert counts["out taken"] == sent
    for side, delivered in (("out", board.received), ("in", len(got))):
        count = {
            name: counts.get(f"{side} {name}", 0) for name in ("taken", "lost", "repeated", "undelivered")
        }
        assert counts[f"{side} delivered"] == delivered
        assert count["taken"] + count["repeated"] == delivered + count["lost"] + count["undelivered"]
    assert sum(counts[f"{s} {f}"] for s in ("in", "out") for f in ("lost", "corrupted", "repeated")) > 9_000


def _came(line: FaultyWire) -> int:
    """What will have passed inwards once everything written has come back."""
    return line.counters()["out delivered"] + line.counters()["in repeated"]


async def test_a_stall_swallows_the_rest_and_ends_when_the_wire_is_closed() -> None:
    line = FaultyWire(MemoryWire(Echo()), Faults(stall=5), CLEAN)
    await line.open()
    await line.write(b"0123456789")
    assert await take(line, 5) == b"01234"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(line.read(), 0.05)
    reading = asyncio.create_task(line.read())
    await asyncio.sleep(0)
    await line.close()
    with pytest.raises(DeviceLost):
        await soon(reading)
    assert line.counters()["in undelivered"] == 5
    await line.open()
    await line.write(b"abc")
    assert await take(line, 3) == b"abc"
    await line.close()


async def test_a_writer_into_a_stalled_line_waits_until_it_is_cancelled() -> None:
    board = Echo()
    line = FaultyWire(MemoryWire(board), CLEAN, Faults(stall=5))
    await line.open()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(line.write(b"0123456789"), 0.05)
    await line.close()
    assert board.received == 5
    assert line.counters()["out undelivered"] == 5


@pytest.mark.parametrize("side", ["in", "out"])
async def test_the_plug_is_pulled_after_exactly_so_many_bytes_and_once(side: str) -> None:
    board, faults = Echo(), Faults(unplug=7)
    line = FaultyWire(
        MemoryWire(board), faults if side == "in" else CLEAN, faults if side == "out" else CLEAN
    )
    await line.open()
    got = bytearray()
    with pytest.raises(DeviceLost):
        await _converse(line, got)
    assert (len(got) if side == "in" else board.received) == 7
    assert line.counters()[f"{side} undelivered"] == 3
    with pytest.raises(DeviceLost):
        await soon(line.write(b"x"))
    await line.close()
    await line.open()
    await line.write(b"0123456789")
    assert await take(line, 10) == b"0123456789"
    await line.close()


async def _converse(line: FaultyWire, got: bytearray) -> None:
    await soon(line.write(b"0123456789"))
    while True:
        got += (await soon(line.read())).data


async def test_pulling_the_plug_while_writing_ends_a_read_under_way() -> None:
    mute = Ticker(1 << 60)
    line = FaultyWire(MemoryWire(mute), CLEAN, Faults(unplug=3))
    await line.open()
    await line.write(b"ab")
    reading = asyncio.create_task(line.read())
    await asyncio.sleep(0)
    with pytest.raises(DeviceLost):
        await soon(line.write(b"cd"))
    with pytest.raises(DeviceLost):
        await soon(reading)
    await line.close()


async def test_what_is_held_back_stays_in_order_and_survives_a_cancelled_read() -> None:
    line = FaultyWire(MemoryWire(Echo()), Faults(piece=1, delay=0.3, hold=0.02, seed=2), CLEAN)
    await line.open()
    await line.write(bytes(range(60)))
    got, cancelled = bytearray(), 0
    while len(got) < 60:
        reading = asyncio.create_task(line.read())
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        try:
            got += (await soon(reading)).data
        except asyncio.CancelledError:
            cancelled += 1
            await asyncio.sleep(0.002)
    await line.close()
    assert bytes(got) == bytes(range(60))
    assert cancelled > 0
    assert line.counters()["in delayed"] > 0


def test_faults_are_read_from_a_uri_for_one_side_or_both() -> None:
    assert Faults.parse("corrupt:1e-4,in.lose:0.25,out.unplug:9,seed:3") == (
        Faults(corrupt=1e-4, lose=0.25, seed=3),
        Faults(corrupt=1e-4, unplug=9, seed=3),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("melt:1", "no 'melt'; there is lose, corrupt"),
        ("up.lose:1", r"no 'up\.lose'"),
        ("lose:much", "lose: 'much' is not a number"),
        ("piece:1.5", "piece: '1.5' is not a whole number"),
        ("lose:1.5", "lose is 1.5; it is a rate between 0 and 1"),
        ("hold:-1", "hold is -1.0; it must not be negative"),
        ("lose:nan", "lose is nan"),
    ],
)
def test_faults_that_make_no_sense_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Faults.parse(text)


def test_any_wire_of_a_uri_becomes_faulty() -> None:
    assert isinstance(wire(Uri.parse("test+serial:///dev/null?faults=lose:0.1")), FaultyWire)
    assert not isinstance(wire(Uri.parse("test+serial:///dev/null")), FaultyWire)


async def test_a_second_feed_takes_the_place_of_the_first() -> None:
    line = FaultyWire(MemoryWire(Echo()), CLEAN, CLEAN)
    await line.open()
    before, after = bytearray(), bytearray()
    line.feed(lambda part, stamp: before.extend(part))
    line.feed(lambda part, stamp: after.extend(part))
    for _ in range(20):
        await soon(line.write(b"ten bytes."))
        await asyncio.sleep(0)
    await until(lambda: len(before) + len(after) == 200)
    assert not before
    await line.close()

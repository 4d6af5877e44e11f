"""The host's side of the bridge, against the emulated board and against boards that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from nrt import spec
from nrt.bridge import Batch, Bridge, Identity, Link, Service, Stream, events, messages, words
from nrt.bridge.words import DATA
from nrt.errors import ConfigError, DeviceError, DeviceLost, DeviceTimeout, ProtocolError
from nrt.wire import Board, MemoryWire
from nrt.wire.faults import Faults
from nrt.wire.faulty import FaultyWire
from nrt_sim.chips.tinyodin.board import TinyOdinBoard

CHIP = spec.load("tinyodin")
SOON = 300_000_000
"""ns of patience with boards that will never answer."""

IDENTITY = Identity(
    "rogue", "tinyodin", "1", words.BRIDGE.short_hash, 0, 1, 1, 64, 64, frozenset({"spi", "aer"})
)


class Chatter:
    """Something else on the port: it talks, but not this protocol. Or it says nothing at all."""

    def __init__(self, says: bytes = b"ERR unknown command\r\n") -> None:
        self._says = says

    def connect(self) -> None:
        self._said = b""

    def receive(self, data: bytes, now: int) -> None:
        self._said += self._says

    def transmit(self, now: int) -> bytes:
        said, self._said = self._said, b""
        return said

    def due(self) -> int | None:
        return None


class Rogue:
    """Speaks frames correctly and answers every message with what a test wants."""

    def __init__(self, **answers: list[bytes]) -> None:
        self.answers = {words.MESSAGES[name]: list(said) for name, said in answers.items()}
        self.got: list[messages.Message] = []
        self.restarts = False

    def connect(self) -> None:
        self.link = Link("board")
        self.link.credit = 64

    def receive(self, data: bytes, now: int) -> None:
        if self.restarts:
            self.restarts = False
            self.link = Link("board")
        for received in self.link.receive(data, now):
            if received.kind == DATA:
                self.answer(messages.unpack(received.body))

    def answer(self, message: messages.Message) -> None:
        self.got.append(message)
        if message.type == words.IDENTIFY and words.IDENTIFY not in self.answers:
            self.link.send(messages.pack(words.IDENTIFY + words.ANSWER, message.tag, 0, IDENTITY.pack()))
        for said in self.answers.get(message.type, []):
            self.link.send(said[:1] + bytes([message.tag]) + said[2:] if said[1] else said)

    def transmit(self, now: int) -> bytes:
        return self.link.transmit(now)

    def due(self) -> int | None:
        return self.link.due()


@contextlib.asynccontextmanager
async def opened(board: Board, patience: int = 3_000_000_000) -> AsyncGenerator[Bridge]:
    bridge = Bridge(MemoryWire(board, "test+emu:"), patience)
    async with asyncio.timeout(60):
        await bridge.open()
        try:
            yield bridge
        finally:
            await bridge.close()


async def program(bridge: Bridge, threshold: int = 1, weight: int = 1) -> None:
    """Every source drives every neuron, which fires at `threshold`; open loop."""
    config, data = CHIP.word("spi_config_write"), CHIP.word("spi_data")

    async def register(name: str, value: int) -> None:
        address = np.array([config.pack_one(address=CHIP.register(name).address)], np.uint32)
        await bridge.transfer(address, np.array([value], np.uint32))

    for name, value in (("SPI_GATE_ACTIVITY", 1), ("SPI_OPEN_LOOP", 1), ("SPI_AER_SRC_CTRL_nNEUR", 0)):
        await register(name, value)
    await register("SPI_MAX_NEUR", 3)
    at, byte = np.divmod(np.arange(1024), 4)
    where = CHIP.word("spi_neuron").pack(read=0, write=1, byte=byte, neuron=at).astype(np.uint32)
    word = CHIP.word("neuron").pack_one(core=0, thr=threshold, leak_str=0, neur_disable=0)
    contents = np.tile(np.frombuffer(word.to_bytes(4, "little"), np.uint8), 256)
    await bridge.write(where, contents, data.pack_one(byte=0))
    pre, pair = np.divmod(np.arange(256 * 128), 128)
    where = CHIP.word("spi_synapse").pack(read=0, write=1, pre=pre, pair=pair).astype(np.uint32)
    both = CHIP.word("synapse_pair").pack_one(even=weight, odd=weight)
    await bridge.write(where, np.full(len(where), both, np.uint8), data.pack_one(byte=0))
    await register("SPI_GATE_ACTIVITY", 0)
    await bridge.configure(Stream((Service(0, 0, 1000),), settle_us=1000))


class Inbox:
    """What comes out of a bridge, from mark to mark."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._rest: events.Words = np.zeros(0, np.uint32)

    async def until(self, tag: int) -> tuple[list[int], int]:
        """Addresses up to the mark `tag`, and how many spikes gaps report."""
        while True:
            kinds = events.KINDS.classify(self._rest)
            marks = np.flatnonzero(kinds == events.MARK)
            found = marks[events.tags(self._rest[marks]) == tag]
            if len(found):
                break
            self._rest = np.concatenate([self._rest, (await self._bridge.receive()).words])
        end = int(found[0])
        taken, kinds, self._rest = self._rest[:end], kinds[:end], self._rest[end + 1 :]
        return events.addresses(taken[kinds == events.EVENT]).tolist(), events.lost(
            taken[kinds == events.GAP]
        )


async def until_mark(bridge: Bridge, tag: int) -> tuple[list[int], int]:
    return await Inbox(bridge).until(tag)


def spikes_then_mark(count: int, tag: int) -> events.Words:
    return np.concatenate([events.pack_events(np.arange(count) % 256), events.pack_marks(tag)])


async def test_a_board_says_who_it_is() -> None:
    async with opened(TinyOdinBoard(serial="A7", clock=50_000_000, fifo=512)) as bridge:
        identity = bridge.identity
    assert (identity.chip, identity.serial, identity.chip_clock) == ("tinyodin", "A7", 50_000_000)
    assert (identity.events_in, identity.events_out) == (512, 512)
    assert identity.bridge_hash == words.BRIDGE.short_hash
    assert "emulated" in identity.capabilities
    assert "power" not in identity.capabilities


async def test_bytes_are_written_and_read_back_in_any_order_of_addresses() -> None:
    async with opened(TinyOdinBoard()) as bridge:
        await program(bridge)
        config = CHIP.word("spi_config_write").pack_one(address=CHIP.register("SPI_GATE_ACTIVITY").address)
        await bridge.transfer(np.array([config], np.uint32), np.array([1], np.uint32))
        order = np.random.default_rng(3).permutation(2000)
        pre, pair = np.divmod(order, 128)
        write, read = (
            CHIP.word("spi_synapse").pack(read=r, write=1 - r, pre=pre, pair=pair).astype(np.uint32)
            for r in (0, 1)
        )
        contents = np.random.default_rng(4).integers(0, 256, 2000, np.uint8)
        await bridge.write(write, contents)
        assert np.array_equal(await bridge.read(read), contents)


async def test_events_come_out_in_order_with_the_marks_between_them() -> None:
    async with opened(TinyOdinBoard(fifo=100)) as bridge:
        await program(bridge)
        stream = np.concatenate([spikes_then_mark(70, 1), spikes_then_mark(50, 2)])
        sending = asyncio.create_task(bridge.send(stream))
        inbox = Inbox(bridge)
        first, _ = await inbox.until(1)
        second, _ = await inbox.until(2)
        await sending
        assert first == [0, 1, 2, 3] * 70
        assert second == [0, 1, 2, 3] * 50
        counts = await bridge.board_counters()
    assert counts["events_executed"] == 120
    assert counts["spikes_sent"] == counts["spikes_seen"] == 480


async def test_nobody_reading_holds_the_chip_and_loses_nothing() -> None:
    """The output FIFO fills, the chip waits, credit runs out, and `send` waits: that is the backpressure."""
    async with opened(TinyOdinBoard(fifo=64)) as bridge:
        await program(bridge)
        sending = asyncio.create_task(bridge.send(spikes_then_mark(5000, 9)))
        spikes, lost = await until_mark(bridge, 9)
        await sending
    assert len(spikes) == 20_000
    assert lost == 0


async def test_a_board_told_to_drop_says_how_many_and_where() -> None:
    board = TinyOdinBoard(fifo=64)
    async with opened(board) as bridge:
        await program(bridge)
        await bridge.configure(Stream((Service(0, 0, 1000),), drop=True))
        await bridge.send(spikes_then_mark(60, 1))
        spikes, lost = await until_mark(bridge, 1)
        counts = await bridge.board_counters()
    assert lost > 0
    assert len(spikes) + lost == 240 == counts["spikes_seen"]
    assert counts["spikes_dropped"] == lost


async def test_events_wait_for_their_device_time() -> None:
    async with opened(TinyOdinBoard()) as bridge:
        await program(bridge)
        probe = (await bridge.probes())[-1]
        start = probe.device + 20_000
        stream = np.concatenate(
            [events.pack_events(np.array([1, 2]), np.array([0, 3000])), events.pack_marks(1)]
        )
        await bridge.send(stream, start)
        batches: list[Batch] = []
        while not any(bool((events.KINDS.classify(b.words) == events.MARK).any()) for b in batches):
            batches.append(await bridge.receive())
    times = np.concatenate([b.times() for b in batches])
    assert times[0] >= start
    assert times[4] >= start + 3000


async def test_probes_read_the_boards_clock() -> None:
    async with opened(TinyOdinBoard(offset=5_000_000_000)) as bridge:
        probes = await bridge.probes(5)
    assert 0 < len(probes) <= 5
    for probe in probes:
        assert (
            probe.sent // 1000 + 5_000_000_000 - 1 <= probe.device <= probe.received // 1000 + 5_000_000_001
        )


async def test_probes_that_the_line_loses_are_left_out() -> None:
    wire = FaultyWire(MemoryWire(TinyOdinBoard(), "test+emu:"), Faults(lose=0.01, seed=4), Faults())
    bridge = Bridge(wire)
    async with asyncio.timeout(60):
        await bridge.open()
        assert 0 < len(await bridge.probes(20)) < 20
        await bridge.close()


async def test_power_samples_are_numbered_and_stop() -> None:
    async with opened(TinyOdinBoard(power=0.002)) as bridge:
        await bridge.measure_power(1000)
        taken: list[messages.Sample] = []
        while len(taken) < 5:
            taken += bridge.samples()
            await asyncio.sleep(0.002)
        await bridge.measure_power(0)
        bridge.samples()
        await bridge.board_counters()
        assert bridge.samples() == []
    assert [s.index for s in taken[:5]] == [0, 1, 2, 3, 4]
    assert {s.nanowatts for s in taken} == {2_000_000}
    assert np.diff([s.time for s in taken[:5]]).tolist() == [1000] * 4


async def test_a_board_without_a_meter_refuses_to_measure() -> None:
    async with opened(TinyOdinBoard()) as bridge:
        with pytest.raises(DeviceError, match="no power meter"):
            await bridge.measure_power(1000)
        assert (await bridge.board_counters())["sessions"] == 1


async def test_addresses_that_the_chips_bus_cannot_carry_are_refused() -> None:
    async with opened(TinyOdinBoard()) as bridge:
        with pytest.raises(DeviceError, match="wider than"):
            await bridge.transfer(np.array([1 << 20], np.uint32), np.array([0], np.uint32))


# ---------------------------------------------------------------------------------------------- boards gone wrong


async def test_another_device_on_the_port_is_told_by_what_it_says() -> None:
    with pytest.raises(ProtocolError, match=r"45 52 52 20 75.*another device"):
        async with opened(Chatter(), SOON):
            pass


async def test_a_port_where_nothing_answers_times_out() -> None:
    with pytest.raises(DeviceTimeout, match="nothing answers as an AER bridge"):
        async with opened(Chatter(b""), SOON):
            pass


async def test_a_board_that_stops_answering_times_out_wherever_the_host_waits() -> None:
    wire = FaultyWire(MemoryWire(TinyOdinBoard(), "test+emu:"), Faults(stall=12_000), Faults())
    bridge = Bridge(wire, SOON)
    async with asyncio.timeout(30):
        await bridge.open()
        with pytest.raises(DeviceTimeout, match="stopped answering"):
            while True:
                await program(bridge)
        for use in (bridge.board_counters, bridge.receive, bridge.probes):
            with pytest.raises(DeviceTimeout):
                await use()
        await bridge.close()


async def test_an_unplugged_board_is_lost_and_found_again() -> None:
    board = TinyOdinBoard()
    wire = FaultyWire(MemoryWire(board, "test+emu:"), Faults(unplug=10_000), Faults())
    bridge = Bridge(wire)
    async with asyncio.timeout(30):
        await bridge.open()
        with pytest.raises(DeviceLost):
            while True:
                await program(bridge)
        await bridge.close()
        await bridge.open()
        await program(bridge)
        await bridge.send(spikes_then_mark(5, 1))
        assert (await until_mark(bridge, 1))[0] == [0, 1, 2, 3] * 5
        assert (await bridge.board_counters())["sessions"] == 2
        await bridge.close()


async def test_words_sent_are_delivered_or_known_to_be_undelivered() -> None:
    board = TinyOdinBoard()
    wire = FaultyWire(MemoryWire(board, "test+emu:"), Faults(), Faults(unplug=80_000))
    bridge = Bridge(wire)
    async with asyncio.timeout(30):
        await bridge.open()
        await program(bridge)
        with pytest.raises(DeviceLost):
            while True:
                await bridge.send(spikes_then_mark(500, 1))
        await bridge.close()
    taken = board.counters()["events_in"]
    assert 0 < bridge.undelivered < bridge.sent
    assert bridge.sent - bridge.undelivered <= taken + taken // 500 + 1
    assert taken <= bridge.sent


async def test_a_board_that_restarts_is_lost_at_once() -> None:
    rogue = Rogue()
    async with opened(rogue) as bridge:
        rogue.restarts = True
        with pytest.raises(DeviceLost, match="restarted"):
            await bridge.board_counters()


async def test_a_chip_that_no_longer_acknowledges_is_reported() -> None:
    async with opened(TinyOdinBoard(dies_after=10)) as bridge:
        await program(bridge)
        await bridge.send(spikes_then_mark(10, 1))
        await until_mark(bridge, 1)
        await bridge.send(spikes_then_mark(10, 2))
        with pytest.raises(DeviceTimeout, match="chip stalled"):
            await until_mark(bridge, 2)


async def test_events_while_the_gate_is_closed_are_a_stalled_chip() -> None:
    async with opened(TinyOdinBoard()) as bridge:
        await program(bridge)
        config = CHIP.word("spi_config_write").pack_one(address=CHIP.register("SPI_GATE_ACTIVITY").address)
        await bridge.transfer(np.array([config], np.uint32), np.array([1], np.uint32))
        await bridge.send(spikes_then_mark(1, 1))
        with pytest.raises(DeviceTimeout, match="chip stalled"):
            await until_mark(bridge, 1)


def answer(name: str, count: int, body: bytes, tag: int = 1) -> bytes:
    return messages.pack(words.MESSAGES[name], tag, count, body)


@pytest.mark.parametrize(
    ("asked", "said", "complaint"),
    [
        ("read", answer("contents", 2, b"ab"), "rows of contents"),
        ("read", answer("contents", 3, b"ab"), "rows of contents"),
        ("read", answer("written", 0, b""), "the message contents"),
        ("identify", answer("identity", 0, b"short"), "identity has"),
        ("count", answer("counts", 1, b"odd"), "counts"),
    ],
)
async def test_answers_that_the_protocol_does_not_allow_are_refused(
    asked: str, said: bytes, complaint: str
) -> None:
    rogue = Rogue(**{asked: [said]})
    with pytest.raises(ProtocolError, match=complaint):
        async with opened(rogue, SOON) as bridge:
            if asked == "read":
                await bridge.read(np.array([5], np.uint32))
            await bridge.board_counters()


@pytest.mark.parametrize(
    "said",
    [
        answer("spikes", 3, b"", tag=0),
        answer("spikes", 2, Batch(0, 0, np.zeros(1, np.uint32)).pack(), tag=0),
        answer("samples", 1, b"x", tag=0),
        b"\x86",
    ],
)
async def test_messages_that_are_cut_short_end_the_link_with_a_sentence(said: bytes) -> None:
    rogue = Rogue(count=[said if len(said) > 1 else said + b"\0"])
    async with opened(rogue, SOON) as bridge:
        with pytest.raises(ProtocolError, match="a message of the protocol"):
            await bridge.board_counters()


async def test_words_that_a_board_never_sent_are_counted_and_shown() -> None:
    batch = Batch(0, 5, spikes_then_mark(2, 1))
    rogue = Rogue(events=[answer("spikes", 3, batch.pack(), tag=0)])
    async with opened(rogue) as bridge:
        await bridge.send(spikes_then_mark(2, 1))
        spikes, lost = await until_mark(bridge, 1)
        assert (spikes, lost) == ([0, 1], 5)
        assert bridge.missing == 5
        assert bridge.counters()["words missing"] == 5


async def test_no_more_is_sent_than_the_board_gave_credit_for() -> None:
    rogue = Rogue()
    async with opened(rogue, SOON) as bridge:
        with pytest.raises(DeviceTimeout):
            await bridge.send(spikes_then_mark(1000, 1))
        assert sum(m.count for m in rogue.got if m.type == words.EVENTS) == 64
        assert bridge.sent == 64


async def test_a_closed_bridge_refuses_in_one_sentence() -> None:
    bridge = Bridge(MemoryWire(TinyOdinBoard(), "test+emu:"))
    with pytest.raises(ConfigError, match="not open"):
        _ = bridge.identity
    await bridge.close()
    with pytest.raises(DeviceLost, match="closed"):
        await bridge.board_counters()

"""The emulated bridge board as bytes in and bytes out: its books, its clock, and hosts that misbehave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt import spec
from nrt.bridge import Batch, Link, Message, Received, Service, Stream, events, messages, words
from nrt.bridge.words import DATA, ECHO, PROBE
from nrt.errors import ConfigError
from nrt.wire import Board
from nrt_sim.chips.tinyodin.board import TinyOdinBoard

CHIP = spec.load("tinyodin")
MS = 1_000_000


class Host:
    """A host without I/O, in virtual time: says what a test wants and keeps what comes back."""

    def __init__(self, board: TinyOdinBoard, session: int = 1, now: int = 0) -> None:
        self.board, self.now = board, now
        self.link = Link("host")
        self.echoes: list[bytes] = []
        self.got: list[Message] = []
        board.connect()
        self.link.open(session, now)
        self.turn()

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            data = self.link.transmit(self.now)
            if data:
                self.board.receive(data, self.now)
            for received in self.link.receive(self.board.transmit(self.now), self.now):
                self.keep(received)

    def keep(self, received: Received) -> None:
        if received.kind == DATA:
            self.got.append(messages.unpack(received.body))
        elif received.kind == ECHO:
            self.echoes.append(received.body)

    def ask(self, name: str, count: int = 0, body: bytes = b"", tag: int = 9) -> Message:
        """One request and its answer."""
        self.link.send(messages.pack(words.MESSAGES[name], tag, count, body))
        self.turn(3)
        return self.got.pop()

    def counts(self) -> dict[str, int]:
        return messages.unpack_counts(self.ask("count").body)

    def register(self, name: str, value: int) -> None:
        address = CHIP.word("spi_config_write").pack_one(address=CHIP.register(name).address)
        self.ask(
            "transfer",
            1,
            messages.pack_transfers(np.array([address], np.uint32), np.array([value], np.uint32)),
        )

    def program(self, threshold: int = 1) -> None:
        """Every source drives the neurons 0 to 3, which fire at `threshold`."""
        for name, value in (("SPI_GATE_ACTIVITY", 1), ("SPI_OPEN_LOOP", 1), ("SPI_AER_SRC_CTRL_nNEUR", 0)):
            self.register(name, value)
        self.register("SPI_MAX_NEUR", 3)
        word = CHIP.word("neuron").pack_one(core=0, thr=threshold, leak_str=0, neur_disable=0)
        for byte in range(4):
            address = CHIP.word("spi_neuron").pack_one(read=0, write=1, byte=byte, neuron=0)
            self.ask("write", 4, messages.pack_block(address, 0, bytes([word >> 8 * byte & 0xFF]) * 4))
        for pair in range(0, 128, 2):
            address = CHIP.word("spi_synapse").pack_one(read=0, write=1, pre=0, pair=pair)
            for source in range(2):
                self.ask("write", 1, messages.pack_block(address + 32 * source, 0, b"\x11"))
                odd = CHIP.word("spi_synapse").pack_one(read=0, write=1, pre=source, pair=1)
                self.ask("write", 1, messages.pack_block(odd, 0, b"\x11"))
        self.register("SPI_GATE_ACTIVITY", 0)
        self.ask("configure", 1, Stream((Service(0, 0, 50_000),), settle_us=1000).pack())

    def send(self, stream: events.Words, index: int = 0, time: int = 0) -> None:
        self.link.send(messages.pack(words.EVENTS, 0, len(stream), Batch(time, index, stream).pack()))
        self.turn(3)

    def spikes(self) -> tuple[events.Words, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
        """Words and their device times, of all that came."""
        batches = [Batch.unpack(m) for m in self.got if m.type == words.SPIKES]
        self.got = [m for m in self.got if m.type != words.SPIKES]
        nothing = np.zeros(0, np.int64)
        return (
            np.concatenate([nothing.astype(np.uint32), *(b.words for b in batches)]),
            np.concatenate([nothing, *(b.times() for b in batches)]),
        )

    def error(self) -> str:
        return messages.unpack_error(next(m for m in self.got if m.type == words.ERROR).body)[0]


def ready(**options: object) -> Host:
    host = Host(TinyOdinBoard(**options))  # type: ignore[arg-type]
    host.program()
    return host


def spike(source: int, delta: int = 0) -> events.Words:
    return events.pack_events(np.array([source]), delta)


def test_it_is_a_board() -> None:
    board: Board = TinyOdinBoard()
    assert board.due() is None
    assert board.transmit(0) == b""


def test_what_was_executed_and_seen_balances() -> None:
    host = ready()
    host.send(np.concatenate([spike(0), spike(1), events.pack_marks(3)]))
    stream, _ = host.spikes()
    assert events.addresses(stream[:-1]).tolist() == [0, 1, 2, 3] * 2
    assert events.tags(stream[-1:]).tolist() == [3]
    counts = host.counts()
    assert (counts["events_in"], counts["events_executed"], counts["events_flushed"]) == (2, 2, 0)
    assert (counts["spikes_seen"], counts["spikes_sent"], counts["spikes_flushed"]) == (8, 8, 0)


def test_a_session_that_ends_takes_what_was_waiting_along_and_counts_it() -> None:
    host = ready()
    later = host.board.time + 10_000_000
    host.send(np.concatenate([spike(0), spike(1)]), time=later)
    fresh = Host(host.board, session=2, now=host.now)
    counts = fresh.counts()
    assert (counts["events_in"], counts["events_executed"], counts["events_flushed"]) == (2, 0, 2)
    assert counts["sessions"] == 2


def test_spikes_that_a_host_never_acknowledged_are_counted_as_flushed() -> None:
    host = ready()
    host.link.send(messages.pack(words.EVENTS, 0, 1, Batch(0, 0, spike(0)).pack()))
    host.board.receive(host.link.transmit(host.now), host.now)
    assert host.board.transmit(host.now)  # gone into a line that loses it
    counts = Host(host.board, session=2, now=host.now).counts()
    assert (counts["spikes_seen"], counts["spikes_sent"], counts["spikes_flushed"]) == (4, 0, 4)


def test_an_event_waits_for_its_time_and_the_board_says_when_that_is() -> None:
    host = ready(offset=500)
    start = host.board.time + 5_000
    host.send(np.concatenate([spike(0), spike(1, 2_000)]), time=start)
    assert len(host.spikes()[0]) == 0
    assert host.board.due() == 5 * MS
    host.now = 5 * MS
    host.turn(2)
    assert len(host.spikes()[0]) == 4
    host.now = 7 * MS
    host.turn(2)
    stream, times = host.spikes()
    assert len(stream) == 4
    assert times.tolist() == [start + 2_000] * 4


def test_paced_the_chip_takes_its_time_for_each_event() -> None:
    host = ready(paced=True)
    begin = host.board.time
    host.send(np.concatenate([spike(0), spike(1), events.pack_marks(1)]))
    for _ in range(10):
        due = host.board.due()
        host.now = host.now if due is None else max(host.now, due)
        host.turn(2)
    stream, times = host.spikes()
    assert len(stream) == 9
    assert (times - begin).tolist() == [50] * 4 + [100] * 5


def test_the_clock_has_an_offset_and_a_skew() -> None:
    host = Host(TinyOdinBoard(offset=1_000_000, skew_ppm=100.0))
    host.now = 1_000 * MS
    host.link.send_loose(PROBE, words.BRIDGE.record("probe").pack(host=77))
    host.turn(2)
    echo = words.BRIDGE.record("echo").integers(host.echoes[0])
    assert echo["host"] == 77
    assert echo["received"] == 1_000_000 + 1_000_100


def test_requests_wait_for_the_events_before_them_but_questions_do_not() -> None:
    host = ready()
    host.send(spike(0), time=host.board.time + 1_000)
    host.link.send(messages.pack(words.RESET, 5))
    host.turn(3)
    assert host.counts()["events_executed"] == 0
    assert host.got == []
    host.now = 2 * MS
    host.turn(3)
    assert [m.type for m in host.got] == [words.SPIKES, words.RESET + words.ANSWER]


@pytest.mark.parametrize(
    ("type", "count", "body", "code"),
    [
        (99, 0, b"", "unknown_message"),
        (words.TRANSFER, 2, b"12345678", "malformed"),
        (words.WRITE, 2, b"12345678a", "malformed"),
        (words.READ, 2000, b"12345678", "malformed"),
        (words.READ, 1, b"", "malformed"),
        (words.CONFIGURE, 1, Stream(()).pack(), "malformed"),
        (words.POWER, 1, b"\0\0\0\1", "malformed"),
        (words.EVENTS, 1, b"", "malformed"),
        (words.EVENTS, 1, Batch(0, 7, spike(0)).pack(), "missing_events"),
        (words.EVENTS, 1, Batch(0, 0, spike(0x7FF)).pack(), "chip_stalled"),
    ],
)
def test_what_it_cannot_do_is_refused_with_a_reason(type: int, count: int, body: bytes, code: str) -> None:
    host = ready()
    host.link.send(messages.pack(type, 3, count, body))
    host.turn(3)
    assert host.error() == code
    assert host.counts()["events_executed"] == 0


def test_more_events_than_credit_are_refused_and_not_taken() -> None:
    host = ready(fifo=8)
    host.send(np.repeat(spike(0), 9))
    assert host.error() == "beyond_credit"
    assert host.counts()["events_in"] == 0


def test_an_impossible_board_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        TinyOdinBoard(fifo=0)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 3), st.binary(max_size=60)), max_size=6))
def test_any_messages_are_survived_and_the_next_question_is_answered(
    stream: list[tuple[int, int, bytes]],
) -> None:
    host = Host(TinyOdinBoard())
    for type, count, body in stream:
        host.link.send(messages.pack(type, 1, count, body))
    host.turn(3)
    host.got.clear()
    host.link.send(messages.pack(words.IDENTIFY, 77))
    host.turn(3)
    assert any(m.tag == 77 and m.type == words.IDENTIFY + words.ANSWER for m in host.got)


@settings(max_examples=40)
@given(st.binary(max_size=500))
def test_any_bytes_are_survived(noise: bytes) -> None:
    host = Host(TinyOdinBoard())
    host.board.receive(noise + b"\0", host.now)
    host.turn(5)
    assert host.ask("identify").type == words.IDENTIFY + words.ANSWER

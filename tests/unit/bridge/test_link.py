"""Links: two ends joined by a line that loses, damages, repeats and delays, in virtual time."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.bridge.link import LONGEST_RETRY, WINDOW, Link, Received
from nrt.bridge.words import CLOSED, DATA, ECHO, HEADER, OPEN, OPENED, PROBE

MS = 1_000_000


@dataclass
class Line:
    """Both directions between two links; damage is drawn from `chance`, one draw per chunk of bytes."""

    seed: int = 0
    lose: float = 0.0
    corrupt: float = 0.0
    repeat: float = 0.0
    host: Link = field(default_factory=lambda: Link("host"))
    board: Link = field(default_factory=lambda: Link("board"))
    now: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.to_host: list[Received] = []
        self.to_board: list[Received] = []

    def spoil(self, data: bytes) -> bytes:
        if not data:
            return data
        if self.chance.random() < self.corrupt:
            at = self.chance.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ (1 << self.chance.randrange(8))]) + data[at + 1 :]
        if self.chance.random() < self.lose:
            cut = self.chance.randrange(len(data))
            data = data[:cut] + data[cut + self.chance.randrange(20) :]
        return data * 2 if self.chance.random() < self.repeat else data

    def turn(self) -> None:
        """What either side has to say reaches the other."""
        self.to_board += self.board.receive(self.spoil(self.host.transmit(self.now)), self.now)
        self.to_host += self.host.receive(self.spoil(self.board.transmit(self.now)), self.now)

    def run(self, turns: int) -> None:
        for _ in range(turns):
            self.now += MS
            self.turn()

    def opened(self) -> Line:
        self.host.open(7, self.now)
        while not self.host.is_open:
            self.run(1)
        return self


def messages(received: list[Received]) -> list[bytes]:
    return [each.body for each in received if each.kind == DATA]


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3), st.integers(1, 120))
def test_every_message_arrives_once_and_in_order_over_any_line(
    seed: int, lose: float, corrupt: float, repeat: float, count: int
) -> None:
    line = Line(seed, lose, corrupt, repeat).opened()
    there = [b"host %d" % k for k in range(count)]
    back = [b"board %d" % k for k in range(count)]
    for ours, theirs in zip(there, back, strict=True):
        line.host.send(ours)
        line.board.send(theirs)
        line.run(1)
    for _ in range(300_000):
        if not line.host.unsettled() and not line.board.unsettled():
            break
        line.run(1)
    assert messages(line.to_board) == there
    assert messages(line.to_host) == back


def test_a_lost_frame_is_asked_for_before_any_time_has_passed() -> None:
    line = Line().opened()
    for k in range(3):
        line.host.send(b"%d" % k)
        data = line.host.transmit(line.now)
        if k != 1:
            line.to_board += line.board.receive(data, line.now)
    line.turn()
    line.turn()
    line.turn()
    assert messages(line.to_board) == [b"0", b"1", b"2"]
    assert line.host.counts["timeouts"] == 0
    assert line.host.counts["resent"] == 2


def test_no_more_is_under_way_than_the_window_holds() -> None:
    line = Line().opened()
    for k in range(5 * WINDOW):
        line.host.send(b"%d" % k)
    first = line.host.transmit(line.now)
    assert first.count(b"\0") == WINDOW
    assert line.host.transmit(line.now) == b""
    assert len(line.host.unsettled()) == 5 * WINDOW
    assert line.host.waiting == 4 * WINDOW


def test_a_slow_line_is_not_flooded_with_copies() -> None:
    """115200 baud: a window takes 1.4 s to pass, far longer than the round trip of the small messages before."""
    line = Line().opened()
    per_ms = 11.5
    there, back = bytearray(), bytearray()
    messages_sent = [b"small"] * 20 + [bytes([k % 255 + 1]) * 1000 for k in range(60)]
    waiting = list(messages_sent)
    budget = 0.0
    while len(messages(line.to_board)) < len(messages_sent) and line.now < 60_000 * MS:
        line.now += MS
        if waiting and (len(waiting) <= 60 or not line.host.unsettled()):
            line.host.send(waiting.pop(0))
        there += line.host.transmit(line.now)
        budget = min(budget + per_ms, 50)
        piece, there = there[: int(budget)], there[int(budget) :]
        budget -= len(piece)
        line.to_board += line.board.receive(bytes(piece), line.now)
        back += line.board.transmit(line.now)
        piece, back = back[:11], back[11:]
        line.to_host += line.host.receive(bytes(piece), line.now)
    assert messages(line.to_board) == messages_sent
    assert line.host.counts["resent"] <= 10


def test_a_silent_board_is_asked_again_ever_more_seldom() -> None:
    line = Line().opened()
    line.host.send(b"hello?")
    times: list[int] = []
    while line.now < 20_000 * MS:
        if line.host.transmit(line.now):
            times.append(line.now)
        due = line.host.due()
        assert due is not None
        line.now = max(line.now + 1, due)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == LONGEST_RETRY
    assert line.host.expects
    assert line.host.unsettled() == (b"hello?",)


def test_an_idle_link_has_nothing_to_say() -> None:
    line = Line().opened()
    line.host.send(b"x")
    line.run(5)
    assert line.host.due() is None
    assert line.board.due() is None
    assert (line.host.transmit(line.now), line.board.transmit(line.now)) == (b"", b"")


def test_a_new_session_forgets_the_old_one_and_says_what_was_left() -> None:
    line = Line().opened()
    line.board.send(b"never acknowledged")
    line.board.transmit(line.now)
    fresh = Line(host=Link("host"), board=line.board, now=line.now)
    fresh.host.open(8, fresh.now)
    fresh.run(3)
    assert line.board.abandoned == (b"never acknowledged",)
    assert [each.kind for each in fresh.to_board] == [OPEN]
    assert [each.kind for each in fresh.to_host] == [OPENED]
    fresh.host.send(b"new")
    fresh.run(3)
    assert messages(fresh.to_board) == [b"new"]


def test_an_opening_that_is_repeated_starts_one_session() -> None:
    line = Line()
    line.host.open(9, 0)
    asked = line.host.transmit(0)
    for _ in range(3):
        line.to_board += line.board.receive(asked, 0)
    line.turn()
    assert [each.kind for each in line.to_board] == [OPEN]
    assert line.host.is_open


def test_a_board_that_restarted_says_that_it_knows_no_session() -> None:
    line = Line().opened()
    line.board = Link("board")
    line.host.send(b"are you there?")
    line.run(3)
    assert [each.kind for each in line.to_host if each.kind == CLOSED] == [CLOSED]
    assert not line.host.is_open


def test_probes_pass_outside_of_the_sequence() -> None:
    line = Line().opened()
    line.host.send_loose(PROBE, b"12345678")
    line.run(1)
    line.board.send_loose(ECHO, b"87654321")
    line.run(1)
    assert Received(PROBE, b"12345678") in line.to_board
    assert Received(ECHO, b"87654321") in line.to_host
    assert not line.host.unsettled()


def test_credit_comes_with_every_frame_and_never_goes_back() -> None:
    line = Line().opened()
    line.board.credit = 100
    line.board.tell()
    old = line.board.transmit(line.now)
    line.board.credit = 300
    line.board.tell()
    line.host.receive(line.board.transmit(line.now), line.now)
    line.host.receive(old, line.now)
    assert line.host.peer_credit == 300


def test_credit_passes_the_end_of_its_range() -> None:
    line = Line().opened()
    for credit in (2**31 - 5, 2**32 - 6, 7):
        line.board.credit = credit
        line.board.tell()
        line.host.receive(line.board.transmit(line.now), line.now)
        assert line.host.peer_credit == credit


@given(st.binary(max_size=400), st.sampled_from(["host", "board"]))
def test_any_frame_is_survived(body: bytes, side: str) -> None:
    from nrt.bridge.frame import frame

    line = Line().opened()
    link = line.host if side == "host" else line.board
    header = HEADER.pack(kind=3, session=7, sequence=0, acknowledge=0, credit=0)
    link.receive(frame(body) + frame(header[:4] + body), line.now)
    line.run(400)
    assert line.board.is_open


@pytest.mark.parametrize("acknowledge", [1, 100, 200])
def test_an_acknowledgement_of_what_was_never_sent_is_ignored(acknowledge: int) -> None:
    from nrt.bridge.frame import frame

    line = Line().opened()
    line.host.receive(
        frame(HEADER.pack(kind=4, session=7, sequence=0, acknowledge=acknowledge, credit=0)), line.now
    )
    line.host.send(b"x")
    line.run(3)
    assert messages(line.to_board) == [b"x"]

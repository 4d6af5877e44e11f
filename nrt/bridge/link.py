"""Link: one end of the bridge's line, without I/O: messages in, bytes out, and back, whatever the line does to them.

Data frames carry a sequence number each way and are delivered once and in order (go-back-n): the receiver takes
only the frame that it expects, answers everything with the number that it expects next, and says `reject` once
when it sees a gap or damage, and once more when frames sent again leave the same gap. The sender keeps what is not
acknowledged, at most a window of it, and sends it all again when it is rejected, or some of it when the retry time
has passed. So a request that arrives twice is executed once, and what was sent is delivered, or `unsettled`
when the link ends.

The host opens a link under a session number of its choice; frames of other sessions are not looked at. A board
that was restarted knows no session and says `closed`. Probes and echoes have no sequence number: they measure
time, and a lost one is measured again.

The host's end is opened with `open`; the board's end opens itself when the host asks. Whoever owns a link calls
`receive` with what came, then `transmit` for what is to go, and `transmit` again at `due`. Times are ns of one
monotonic clock. The facts of the protocol are in docs/aer-bridge.md.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final, Literal

from nrt.bridge import words
from nrt.bridge.frame import Deframer, frame
from nrt.bridge.words import ACKNOWLEDGE, CLOSED, DATA, ECHO, HEADER, LINK, OPEN, OPENED, PROBE, REJECT
from nrt.errors import ConfigError

FIRST_RETRY: Final = words.nanoseconds("first_retry")
LEAST_RETRY: Final = words.nanoseconds("least_retry")
LONGEST_RETRY: Final = words.nanoseconds("longest_retry")

WINDOW: Final = 16
"""Data frames under way each way: 16 KiB, 82 ms of a serial line at 2 Mbaud."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a frame brought: a message (DATA), a PROBE or ECHO body, or a new session (OPEN, OPENED) or its end."""

    kind: int
    body: bytes = b""


@dataclass(slots=True)
class _Flying:
    """A data frame that is not acknowledged.

    since: when it was sent, 0 once it was sent again; load: bytes under way when it was sent, its own included
    """

    sequence: int
    body: bytes
    since: int
    load: int


class Link:
    """One end of the line. `side` says who opens: the host does, the board answers.

    credit:      what the board tells in every frame: how many event words may have been sent
    peer_credit: what the other side told last
    counts:      frames by what happened to them
    abandoned:   messages of the session before that were unsettled when the other side began a new one
    """

    def __init__(self, side: Literal["host", "board"]) -> None:
        self._side = side
        self._deframer = Deframer()
        self.counts: Counter[str] = Counter()
        self.credit = 0
        self.abandoned: tuple[bytes, ...] = ()
        self.is_open = False
        self._opening = False
        self.session = 0
        self._clear(0)

    def _clear(self, now: int) -> None:
        """A fresh session: nothing sent, nothing expected but frame 0."""
        self.peer_credit = 0
        self._queue: deque[bytes] = deque()
        self._flying: deque[_Flying] = deque()
        self._loose: deque[bytes] = deque()  # frames without sequence numbers
        self._next = self._expected = 0
        self._rejected = -1  # the expectation that was rejected last: once for each round of frames
        self._ahead = 0  # how far the last frame out of order was ahead of the one expected
        self._answer = 0  # kind of the frame that acknowledges, 0 for none
        self._again = False
        self._retry = FIRST_RETRY
        self._burst = 1  # frames that are sent again when the retry time has passed
        self._stuck = False  # nothing was acknowledged since the retry time passed last
        self._smoothed = self._spread = 0
        self._per_byte = 0.0  # ns: how long a byte takes at most, by the quickest frame so far
        self._load = 0  # bytes under way
        self._deadline: int | None = None
        self._window = self._longest = 0
        self.progress = now
        """When the other side last acknowledged something new, or answered an opening."""

    # ------------------------------------------------------------------------------------- what the owner does

    def open(self, session: int, now: int) -> None:
        """The host's side: asks for a new session until it is answered."""
        self._clear(now)
        self.session, self.is_open, self._opening = session, False, True
        self._deadline = now

    def send(self, message: bytes) -> None:
        """Queues one message of at most `longest` bytes; it goes when the window has room."""
        self._queue.append(message)

    def send_loose(self, kind: int, body: bytes) -> None:
        """Queues a frame outside of the sequence: a probe or an echo, which may be lost."""
        self._loose.append(self._frame(kind, 0, body))

    @property
    def longest(self) -> int:
        """Bytes of the longest message that the other side takes."""
        return self._longest

    @property
    def waiting(self) -> int:
        """Messages that were never sent so far."""
        return len(self._queue)

    def unsettled(self) -> tuple[bytes, ...]:
        """Messages of which it is not known whether they arrived, those never sent included; oldest first."""
        return (*(each.body for each in self._flying), *self._queue)

    @property
    def expects(self) -> bool:
        """Whether the other side owes an acknowledgement or an answer to an opening."""
        return self._opening or bool(self._flying)

    # ------------------------------------------------------------------------------------- bytes in

    def receive(self, data: bytes, now: int) -> list[Received]:
        """What the frames that `data` completes brought, in order."""
        damaged = self._deframer.corrupt
        received: list[Received] = []
        for body in self._deframer.feed(data):
            self.counts["received"] += 1
            received += self._take(body, now)
        if self._deframer.corrupt > damaged:
            self.counts["corrupt"] += self._deframer.corrupt - damaged
            self._reject()
        return received

    def _take(self, body: bytes, now: int) -> list[Received]:
        if len(body) < HEADER.size:
            self.counts["malformed"] += 1
            return []
        header = HEADER.integers(body)
        kind, rest = header["kind"], body[HEADER.size :]
        if kind in (OPEN, OPENED):
            return self._begin(kind, header["session"], rest, now)
        if kind == CLOSED:
            return self._ended(header["session"])
        if header["session"] != self.session or not self.is_open:
            self.counts["stale"] += 1
            if self._side == "board" and kind == DATA:
                self._loose.append(self._frame(CLOSED, 0, b"", header["session"]))
            return []
        if self.ahead(header["credit"]):
            self.peer_credit = header["credit"]
        self._acknowledged(header["acknowledge"], now)
        if kind == REJECT:
            self.counts["rejected"] += 1
            self._again = bool(self._flying)
        if kind == DATA:
            return self._in_order(header["sequence"], rest)
        return [Received(kind, rest)] if kind in (PROBE, ECHO) else []

    def ahead(self, credit: int) -> bool:
        """Whether `credit` grants more than what is known: frames sent again may tell old news."""
        return 0 < (credit - self.peer_credit) % words.INDICES < words.INDICES // 2

    def _begin(self, kind: int, session: int, body: bytes, now: int) -> list[Received]:
        """The board's side: a new session. The host's side: the answer to its own."""
        try:
            link = LINK.integers(body)
        except ConfigError:
            self.counts["malformed"] += 1
            return []
        if self._side == "board" and kind == OPEN:
            fresh = not self.is_open or session != self.session or self._began
            if fresh:
                self.abandoned = self.unsettled()
                self._clear(now)
                self.session, self.is_open = session, True
            self._loose.append(self._frame(OPENED, 0, _link()))
        elif self._side == "host" and kind == OPENED and self._opening and session == self.session:
            self._opening, self.is_open, fresh = False, True, True
            self._deadline, self.progress = None, now
        else:
            return []
        self._window = min(WINDOW, max(1, link["window"]))
        self._longest = link["payload"]
        return [Received(kind)] if fresh else []

    @property
    def _began(self) -> bool:
        """Whether anything was exchanged in this session: an opening repeated after that is a new one."""
        return bool(self._next or self._expected or self._flying)

    def _ended(self, session: int) -> list[Received]:
        if self._side != "host" or session != self.session or not self.is_open:
            return []
        self.is_open = False
        return [Received(CLOSED)]

    def _acknowledged(self, expected: int, now: int) -> None:
        """Forgets what the other side has; a number outside of the window is old and says nothing."""
        if not self._flying or not 0 < (expected - self._flying[0].sequence) % words.SEQUENCES <= len(
            self._flying
        ):
            return
        while self._flying and self._flying[0].sequence != expected:
            flown = self._flying.popleft()
            self._load -= len(flown.body)
            if flown.since:
                self._learn(now - flown.since, flown.load)
        self.progress = now
        self._again = self._stuck = False
        self._deadline = self._overdue_at(now) if self._flying else None

    def _overdue_at(self, now: int) -> int:
        """When to worry: the retry time, and what all that is under way takes on a line of this speed."""
        return now + self._retry + round(self._load * self._per_byte)

    def _learn(self, trip: int, load: int) -> None:
        """The retry time from round trips of frames sent once (RFC 6298: mean and four deviations)."""
        pace = trip / (load + HEADER.size)
        self._per_byte = min(pace, 1.1 * self._per_byte) if self._per_byte else pace
        if not self._smoothed:
            self._smoothed, self._spread = trip, trip // 2
        else:
            self._spread += (abs(trip - self._smoothed) - self._spread) // 4
            self._smoothed += (trip - self._smoothed) // 8
        self._retry = min(max(self._smoothed + 4 * self._spread, LEAST_RETRY), LONGEST_RETRY)
        self._burst = 1

    def _in_order(self, sequence: int, body: bytes) -> list[Received]:
        """The message, if it is the one expected; what is behind it comes again, what is before it came before."""
        behind = (self._expected - sequence) % words.SEQUENCES
        if behind:
            self.counts["repeated" if behind <= words.SEQUENCES // 2 else "out of order"] += 1
            self._answer = self._answer or ACKNOWLEDGE
            if behind > words.SEQUENCES // 2:
                ahead = words.SEQUENCES - behind
                if ahead <= self._ahead:  # they are being sent again, and the expected one was lost again
                    self._rejected = -1
                self._ahead = ahead
                self._reject()
            return []
        self._expected = (self._expected + 1) % words.SEQUENCES
        self._rejected, self._ahead = -1, 0
        self._answer = ACKNOWLEDGE
        return [Received(DATA, body)]

    def _reject(self) -> None:
        """Asks for everything from the expected frame on, once each time that the other side sends it."""
        if self.is_open and self._rejected != self._expected:
            self._rejected = self._expected
            self._answer = REJECT

    # ------------------------------------------------------------------------------------- bytes out

    def transmit(self, now: int) -> bytes:
        """Everything that may go now."""
        frames = list(self._loose)
        self._loose.clear()
        if self._opening and self._deadline is not None and now >= self._deadline:
            frames += [b"\0", self._frame(OPEN, 0, _link())]  # the zero ends whatever lies on the line
            self._deadline = now + FIRST_RETRY
        if self.is_open:
            frames += self._data(now)
        return b"".join(frames)

    def _data(self, now: int) -> list[bytes]:
        frames: list[bytes] = []
        if self._again:
            frames += self._resent(len(self._flying), now)
        elif self._flying and self._deadline is not None and now >= self._deadline:
            frames += self._overdue(now)
        while self._queue and len(self._flying) < self._window:
            body = self._queue.popleft()
            self._load += len(body)
            flying = _Flying(self._next, body, now, self._load)
            self._flying.append(flying)
            self._next = (self._next + 1) % words.SEQUENCES
            frames.append(self._frame(DATA, flying.sequence, flying.body))
            if self._deadline is None:
                self._deadline, self.progress = self._overdue_at(now), now
        if self._answer == REJECT or (self._answer and not frames):
            frames.insert(0, self._frame(self._answer, 0, b""))
        self._answer = 0
        return frames

    def _overdue(self, now: int) -> list[bytes]:
        """Some frames again, without knowing that they were lost: a slow line must not be flooded with all of them.

        One at first, twice as many each time, until a frame that was sent once is acknowledged.
        """
        self.counts["timeouts"] += 1
        if self._stuck:
            self._retry = min(2 * self._retry, LONGEST_RETRY)
        self._stuck = True
        count, self._burst = self._burst, 2 * self._burst
        return self._resent(count, now)

    def _resent(self, count: int, now: int) -> list[bytes]:
        """The oldest frames again."""
        self._again = False
        again = list(self._flying)[:count]
        self.counts["resent"] += len(again)
        for flying in again:
            flying.since = 0
        self._deadline = self._overdue_at(now)
        return [self._frame(DATA, flying.sequence, flying.body) for flying in again]

    def due(self) -> int | None:
        """When `transmit` has something although nothing is received; 0: now; None: never."""
        if self._loose or self._answer or self._again or (self.is_open and self._room):
            return 0
        return self._deadline

    @property
    def _room(self) -> bool:
        return bool(self._queue) and len(self._flying) < self._window

    def tell(self) -> None:
        """Sends a frame even if there is nothing to say but `credit`."""
        self._answer = self._answer or ACKNOWLEDGE

    def _frame(self, kind: int, sequence: int, body: bytes, session: int | None = None) -> bytes:
        self.counts["sent"] += 1
        header = HEADER.pack(
            kind=kind,
            session=self.session if session is None else session,
            sequence=sequence,
            acknowledge=self._expected,
            credit=self.credit,
        )
        return frame(header + body)


def _link() -> bytes:
    return LINK.pack(window=WINDOW, payload=words.PAYLOAD)

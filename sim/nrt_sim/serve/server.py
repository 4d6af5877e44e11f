"""Server: one thread that carries bytes between a Door and a Board, waits for both and polls neither.

A driver that does not read is felt by the board's inputs: beyond `LIMIT` unsent bytes it is not listened to. What
is unsent when a driver goes is dropped and counted. Each link begins with the board's `connect`.
"""

from __future__ import annotations

import os
import select
import threading
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from nrt.clock import now
from nrt.wire import Board, hang_up
from nrt_sim.serve.door import Door
from nrt_sim.serve.line import Line

LIMIT: Final = 1 << 16
_RETRY: Final = 0.001
"""Seconds before a descriptor is asked again that said it has room and had none: terminals do that when nearly full."""


class Server:
    """Serves `board` at `door`, in a thread from `start` to `stop`, or in the caller's with `run`.

    baud: bits per second each way, ten of them a byte; 0 for as fast as the transport goes
    What is due, of the board's own accord or at that speed, is up to 1 ms late: the resolution of epoll.
    """

    def __init__(self, board: Board, door: Door, *, baud: int = 0) -> None:
        self.board, self.door = board, door
        self._in, self._out = Line(baud), Line(baud)
        self._unsent = bytearray()
        self._stuck = self._told = self._balked = False
        self._counts: Counter[str] = Counter()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._epoll.register(door.watch, select.EPOLLIN)
        self._listening = -1
        self._stopping = self._running = False
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def address(self) -> str:
        """What follows a device's scheme in the URI that opens it."""
        return self.door.address

    def counters(self) -> Mapping[str, int]:
        """Links, bytes each way and bytes that a driver left behind; only what is not zero."""
        return {name: count for name, count in self._counts.items() if count}

    def start(self) -> Self:
        """Serves in a thread of its own."""
        self._running = True
        self._thread = threading.Thread(target=self._main, name=f"nrt.serve {self.address}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends `run`, from any thread or signal handler; waits for the thread of `start`. May be called twice.

        Raises what the board failed with.
        """
        self._stopping = True
        if not self._running:
            self.run()
        elif self._wake >= 0:
            os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            if self._failure is not None:
                raise self._failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _main(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._failure = error

    def run(self) -> None:
        """Serves until `stop`; then the plug is pulled: a driver inside sees its device go."""
        self._running = True
        try:
            while not self._stopping:
                self._turn()
            self._drop()
        finally:
            wake, self._wake = self._wake, -1
            hang_up(self.board)
            self.door.close()
            self._epoll.close()
            os.close(wake)

    def _turn(self) -> None:
        """Waits until something can be done, and does it."""
        self._deliver(self._in.pop(now()))
        self._flush()
        self._listen()
        ready = dict(self._epoll.poll(self._patience()))
        self._told = bool(ready.get(self.door.link, 0) & select.EPOLLOUT)
        if self.door.watch in ready and self.door.admit():
            self._connect()
        if self.door.link >= 0 and ready.get(self.door.link, 0) & ~select.EPOLLOUT:
            self._receive()

    def _connect(self) -> None:
        self._deliver(self._in.drain())
        self._drop()
        self._counts["links"] += 1
        self.board.connect()

    def _receive(self) -> None:
        try:
            data = self.door.read(max(self._in.capacity - len(self._in), 1))
        except BlockingIOError:
            return
        returned = self.door.admit()  # it left and came back between two looks: its first bytes are in `data`
        if returned:
            self._connect()
        self._counts["bytes in"] += len(data)
        self._in.push(data, now())
        if not data and not returned:
            self._hang_up()

    def _deliver(self, data: bytes) -> None:
        if data:
            self.board.receive(data, now())

    def _hang_up(self) -> None:
        self._unlisten()
        self.door.hang_up()
        self._deliver(self._in.drain())
        self._drop()
        hang_up(self.board)

    def _drop(self) -> None:
        """What the board has sent, and nobody will get."""
        self._out.push(self.board.transmit(now()), now())
        self._counts["bytes not sent"] += len(self._unsent) + len(self._out.drain())
        self._unsent.clear()

    def _flush(self) -> None:
        """Sends what the board has, as far as the line takes it."""
        if self.door.link < 0:
            return
        time = now()
        self._out.push(self.board.transmit(time), time)
        self._unsent += self._out.pop(time)
        before, self._stuck = len(self._unsent), False
        while self._unsent and not self._stuck:
            self._push()
        self._balked = self._stuck and self._told and len(self._unsent) == before

    def _push(self) -> None:
        try:
            with memoryview(self._unsent) as raw:
                sent = self.door.write(raw)
        except BlockingIOError:
            self._stuck = True
        except OSError:  # the driver has gone; reading says the same, after what it wrote
            self._drop()
        else:
            self._counts["bytes out"] += sent
            del self._unsent[:sent]

    def _patience(self) -> float | None:
        """Seconds until the board sends by itself; None without end."""
        if self._balked:
            return _RETRY
        if self.door.link < 0:
            return None
        dues = [
            self._in.due(),
            None if self._stuck else self._out.due(),
            None if self._stuck else self.board.due(),
        ]
        due = min((each for each in dues if each is not None), default=None)
        return None if due is None else max(due - now(), 0) / 1e9

    def _listen(self) -> None:
        """Waits for what matters on the link: bytes, unless too many are unsent; room, if some are."""
        link = self.door.link
        if link != self._listening:
            self._unlisten()
        if link < 0:
            return
        room = self._stuck and not self._balked
        listening = len(self._unsent) + len(self._out) < LIMIT and len(self._in) < self._in.capacity
        mask = (select.EPOLLIN if listening else 0) | (select.EPOLLOUT if room else 0)
        if self._listening < 0:
            self._epoll.register(link, mask)
            self._listening = link
        else:
            self._epoll.modify(link, mask)

    def _unlisten(self) -> None:
        if self._listening >= 0:
            self._epoll.unregister(self._listening)
            self._listening = -1

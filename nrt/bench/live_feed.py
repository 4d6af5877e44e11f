"""A process that plays an event camera on a pseudo-terminal: EVT3 words at a given rate, on the host's clock.

Encoding 10 million events/s would be the larger part of the work on a small machine, so that the words of a few
blocks are made before and repeated, each time with the TIME_HIGH of their moment. A camera whose buffers are full
loses events: what the terminal has not taken after `DEPTH` slices is left out and counted.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pty
import select
import time
import tty
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

import numpy as np

from nrt.clock import now
from nrt.errors import StreamError
from nrt.formats.evt3 import Evt3Encoder
from nrt.packet import EVENT, Records

WIDTH: Final = 1280
HEIGHT: Final = 720
BLOCK: Final = 4096
"""µs between two values of TIME_HIGH."""
SLICE: Final = 1024
"""µs of events that are sent together."""
DEPTH: Final = 64
"""Slices that may wait for the terminal: about 2 MB, what the transfers hold that a driver has under way."""
_BLOCKS: Final = 8
_RUN: Final = 3
"""Events side by side in a row."""
_PATIENCE: Final = 60.0


def scene(rate: float, span: int, seed: int) -> Records:
    """Edges that move over the sensor: runs of three pixels of a row, `rate` events per µs, over `span` µs."""
    random = np.random.default_rng(seed)
    runs = max(round(rate * span / _RUN), 1)
    events = np.zeros(runs * _RUN, EVENT)
    for name, most in (("y", HEIGHT), ("x", WIDTH - _RUN), ("p", 2)):
        events[name] = np.repeat(random.integers(0, most, runs), _RUN)
    events["t"] = np.repeat(np.sort(random.integers(0, span, runs)), _RUN)
    events["x"] += np.tile(np.arange(_RUN), runs).astype(np.uint16)
    return events


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The words of one slice, from a TIME_HIGH of 0 on, and how many events they are."""

    words: np.ndarray[tuple[int], np.dtype[np.uint16]]
    events: int


def pieces(rate: float) -> list[Piece]:
    """The slices of `_BLOCKS` blocks, `rate` events per µs."""
    found: list[Piece] = []
    for block in range(_BLOCKS):
        events = scene(rate, BLOCK, block)
        for start in range(0, BLOCK, SLICE):
            part = events[(events["t"] >= start) & (events["t"] < start + SLICE)]
            words = Evt3Encoder().encode(part, start + SLICE - 1).view(np.uint16).copy()
            found.append(Piece(words, len(part)))
    return found


@dataclass(frozen=True, slots=True)
class Sent:
    """What the process put on the terminal. skipped: events that found no room; begin: host ns of time 0."""

    begin: int
    events: int
    bytes: int
    skipped: int


class Feed:
    """The process; `with` it. path: the terminal. The first byte written to it starts the stream."""

    def __init__(self, rate: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_main, args=(far, rate), name="nrt.feed", daemon=True)
        self._process.start()
        far.close()
        self.path = str(self._receive())

    def _receive(self) -> object:
        try:
            if self._pipe.poll(_PATIENCE):
                return self._pipe.recv()
        except EOFError:
            pass
        raise StreamError("the process that plays the camera has ended")

    def begin(self) -> int:
        """Host time, ns, of the stream's time 0; once it has started."""
        return int(str(self._receive()))

    def sent(self) -> Sent:
        """What it sent; once its reader has hung up."""
        found = self._receive()
        assert isinstance(found, Sent)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.join(1)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


def _main(pipe: Connection, rate: float) -> None:
    found = pieces(rate)
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    pipe.send(os.ttyname(slave))
    select.select([master], [], [])
    os.read(master, 1)
    os.close(slave)  # so that the reader's hanging up is seen here
    with contextlib.suppress(EOFError, BrokenPipeError):  # nobody is interested any more
        pipe.send(_play(pipe, master, found))


def _play(pipe: Connection, master: int, found: list[Piece]) -> Sent:
    begin = now()
    pipe.send(begin)
    events = size = skipped = k = 0
    poll = select.poll()
    poll.register(master, select.POLLOUT)
    while True:
        wait = begin + (k + 1) * SLICE * 1_000 - now()
        if wait > 0:
            time.sleep(wait / 1e9)
        piece = found[k % len(found)]
        k += 1
        if -wait > DEPTH * SLICE * 1_000:
            skipped += piece.events
            continue
        piece.words[0] = 0x8000 | ((k - 1) * SLICE // BLOCK & 0xFFF)
        if not _send(poll, master, piece.words.view(np.uint8).data):
            return Sent(begin, events, size, skipped)
        events += piece.events
        size += piece.words.nbytes


def _send(poll: select.poll, master: int, raw: memoryview) -> bool:
    """False once the reader has hung up."""
    at = 0
    while at < len(raw):
        if any(mask & select.POLLHUP for _, mask in poll.poll()):
            return False
        try:
            at += os.write(master, raw[at:])
        except BlockingIOError:
            time.sleep(0.0002)  # a terminal says that it has room a little before it has
        except OSError:
            return False
    return True

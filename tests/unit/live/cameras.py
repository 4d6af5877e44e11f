"""Emulated cameras that a test can unplug, and sources whose clocks are known."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nrt import registry
from nrt.packet import EVENT, Packet, Records
from nrt.testing import Script
from nrt_sim.serve import PtyDoor, Server

SCENE = "synth:bar?sensor=dvs128&seconds=0&velocity=40"


@contextmanager
def plugged(link: Path, **options: object) -> Generator[Server]:
    """An eDVS at the serial port `link`, unplugged at the end of the block."""
    board = registry.board("edvs")
    server = Server(board(plays=SCENE, **options), PtyDoor(link)).start()
    try:
        yield server
    finally:
        server.stop()


def rows(events: Records) -> list[tuple[int, ...]]:
    """As (t, x, y, p)."""
    return [tuple(row) for row in events[["t", "x", "y", "p"]].tolist()]


def camera(
    times: Sequence[int],
    *,
    offset: int,
    delay: int = 200,
    width: int = 4,
    x: int = 0,
    scheduled: bool = True,
    begin: int = 1_000_000_000,
) -> Script:
    """A camera that sees an event at host times `begin` + `times`, µs, in packets of 1 ms on its own clock.

    offset: µs that its clock is ahead · delay: µs from the end of a packet to when it arrives
    """
    packets: list[Packet] = []
    seen = np.array(times, np.int64)
    for start in range(0, int(seen.max()) + 1_000, 1_000):
        inside = seen[(seen >= start) & (seen < start + 1_000)]
        events = np.zeros(len(inside), EVENT)
        events["t"], events["x"] = inside + offset, x
        stamp = (begin + start + 1_000 + delay) * 1_000
        packets.append(Packet(events, start + offset, start + 1_000 + offset, stamp, origin="test"))
    return Script(packets, shape=(2, 3, width), scheduled=scheduled)

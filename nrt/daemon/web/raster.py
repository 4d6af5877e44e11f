"""Raster: output spikes of one frame, as dots of at most `ROWS` lines.

Each population that a device yields spikes of has its own band of lines, in order; one with more neurons than its band
has lines shares each line among neighbours. A dot is eight bytes: i4 µs before the end of the frame, u2 line, u2
spikes. What is beyond `MOST` dots in a frame is thinned out evenly and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from nrt.daemon.notice import Json
from nrt.packet import SPIKE, Packet, Records

ROWS: Final = 256
MOST: Final = 4_000
"""Dots of one frame: more than a screen can tell apart in a sixtieth of a second."""
DOT: Final = np.dtype([("before", "<i4"), ("line", "<u2"), ("count", "<u2")])


@dataclass(frozen=True, slots=True)
class Band:
    """Lines `first` to `first + lines` are the `size` neurons of a population."""

    name: str
    size: int
    first: int
    lines: int

    def to_dict(self) -> dict[str, Json]:
        """For the page."""
        return {"name": self.name, "size": self.size, "first": self.first, "lines": self.lines}


def bands(sizes: Mapping[str, int]) -> tuple[Band, ...]:
    """A band for each population: as many lines as neurons where there is room, else a fair share."""
    left, found, first = ROWS, list[Band](), 0
    shares: dict[str, int] = {}
    for rank, (name, size) in enumerate(sorted(sizes.items(), key=lambda each: each[1])):
        shares[name] = max(min(size, left // (len(sizes) - rank)), 1)
        left -= shares[name]
    for name, size in sizes.items():
        found.append(Band(name, size, first, shares[name]))
        first += shares[name]
    return tuple(found)


class Raster:
    """The dots that gather until the next frame."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.bands = bands(sizes)
        self._by_name = {band.name: band for band in self.bands}
        self._waiting: list[tuple[Band, Records]] = []
        self._count = 0
        self._ends: dict[str, int] = {}
        self.end = 0
        """µs: how far the device has come."""
        self.left_out = 0

    def take(self, packet: Packet) -> None:
        """Keeps the spikes of a packet; membranes and populations that have no band pass by."""
        if packet.end < self._ends.get(packet.origin, packet.end):
            self._ends.clear()  # the stream began anew: a restart, or a recording that is repeated
        self._ends[packet.origin] = packet.end
        self.end = max(self._ends.values())
        band = self._by_name.get(packet.origin)
        if band is None or packet.data.dtype != SPIKE or not len(packet.data):
            return
        room = 4 * MOST - self._count
        kept = packet.data[:room] if room < len(packet.data) else packet.data
        self.left_out += len(packet.data) - len(kept)
        if len(kept):
            self._waiting.append((band, kept.copy()))
            self._count += len(kept)

    def pack(self, end: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """The dots so far, relative to `end`, in µs; the next frame is empty."""
        dots = np.empty(self._count, DOT)
        at = 0
        for band, spikes in self._waiting:
            part = dots[at : at + len(spikes)]
            part["before"] = np.clip(end - spikes["t"], -(1 << 31), (1 << 31) - 1)
            part["line"] = band.first + spikes["n"].astype(np.int64) * band.lines // band.size
            part["count"] = np.clip(np.abs(spikes["v"].astype(np.int64)), 1, 65_535)
            at += len(spikes)
        self._waiting.clear()
        self._count = 0
        if len(dots) > MOST:
            self.left_out += len(dots) - MOST
            dots = dots[np.linspace(0, len(dots) - 1, MOST).astype(np.int64)]
        return dots

"""What the demo sees of one run: the events that pass, the spikes that come out, and what they add up to.

Nothing is done per event while the run goes on, and per packet only a list grows; sums are made when somebody looks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from nrt.packet import Packet, Records, join
from nrt.source import Source

COLUMNS: Final = 4
"""Columns of the raster for one digit."""


class Task(Protocol):
    """How output spikes become answers; see `nrt_sim.models.reading`."""

    def votes(self, spikes: Records, count: int) -> NDArray[np.int64]:
        """Votes for every class and episode, int64[count, classes]."""
        ...

    def decide(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The answers, -1 where there is none."""
        ...


class Tee(Source):
    """A source that keeps the packets that it hands on."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.uri, self.shape = source.uri, source.shape
        self.finite, self.scheduled = source.finite, source.scheduled
        self.kept: list[Packet] = []

    async def open(self) -> None:
        await self._source.open()

    async def close(self) -> None:
        await self._source.close()

    async def packets(self) -> AsyncIterator[Packet]:
        async for packet in self._source.packets():
            self.kept.append(packet)
            yield packet

    def counters(self) -> Mapping[str, int]:
        return self._source.counters()

    def identity(self) -> Mapping[str, str]:
        return self._source.identity()


class Watch:
    """Events, spikes and votes of one run. truth: what is shown in each episode; episode: its length in µs."""

    def __init__(self, source: Source, truth: NDArray[np.int64], episode: int, task: Task) -> None:
        self.source = Tee(source)
        self.truth, self.episode = truth, episode
        self._task = task
        classes = int(task.votes(_NONE, 1).shape[1])
        self.votes = np.zeros((len(truth), classes), np.int64)
        self.raster = np.zeros((classes, len(truth) * COLUMNS), np.int64)
        self.spikes: list[Records] = []
        self.end = 0
        self._summed = 0

    def take(self, packet: Packet) -> None:
        """One output packet."""
        self.end = packet.end
        if len(packet.data):
            self.spikes.append(packet.data)

    def add_up(self) -> None:
        """Brings votes and raster up to the last packet."""
        fresh, self._summed = self.spikes[self._summed :], len(self.spikes)
        if not fresh:
            return
        spikes = join(fresh)
        self.votes += self._task.votes(spikes, len(self.truth))
        column = spikes["t"] * COLUMNS // self.episode
        inside = column < self.raster.shape[1]
        np.add.at(self.raster, (spikes["n"][inside], column[inside]), spikes["v"][inside])

    @property
    def done(self) -> int:
        """Episodes that are over."""
        return min(self.end // self.episode, len(self.truth))

    @property
    def answers(self) -> NDArray[np.int64]:
        """The answer to each episode so far, -1 where there is none."""
        return self._task.decide(self.votes)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which of the episodes that are over were answered right, bool[done]."""
        right: NDArray[np.bool_] = self.answers == self.truth
        return right[: self.done]

    def cut(self) -> None:
        """Forgets the episodes that are not over: the run was stopped."""
        self.truth, self.votes = self.truth[: self.done], self.votes[: self.done]
        self.raster = self.raster[:, : len(self.truth) * COLUMNS]

    def picture(self, start: int, end: int) -> NDArray[np.int64]:
        """ON minus OFF events of each pixel in [start, end), int64[height, width]."""
        _, height, width = self.source.shape or (2, 1, 1)
        packets: list[Records] = []
        for packet in reversed(self.source.kept):
            if packet.end <= start:
                break
            if packet.start < end:
                packets.append(packet.data)
        if not packets:
            return np.zeros((height, width), np.int64)
        events = join(packets)
        events = events[(events["t"] >= start) & (events["t"] < end)]
        sign = events["p"] * 2.0 - 1.0
        sums = np.bincount(events["y"].astype(np.int64) * width + events["x"], sign, minlength=height * width)
        return sums.astype(np.int64).reshape(height, width)


_NONE: Final[Records] = np.zeros(0, np.dtype([("t", "<i8"), ("n", "<u4"), ("v", "<i4")]))

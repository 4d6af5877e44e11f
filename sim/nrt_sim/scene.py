"""`synth:bar`: a bar that crosses the view in one of four directions, with its ground truth.

A bright bar, a few pixels wide, moves at a constant speed. Where its front arrives, pixels fire ON; where its
back leaves, OFF; each with a little jitter in time, some not at all, and background noise everywhere. After every
`episode` it starts over in a new direction. The same seed gives the same events on every machine.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Final

import numpy as np

from nrt.clock import now
from nrt.errors import NotFound
from nrt.packet import EVENT, Packet, Records, join
from nrt.registry import Uri
from nrt.source import Source
from nrt.worker import Reader

DIRECTIONS: Final = ("right", "left", "down", "up")
SIZE: Final = 32
SPEED: Final = 250e-6
"""Pixels per µs: a pixel every 4 ms."""
EPISODE: Final = 160_000
"""µs for which the bar moves in one direction."""
_SPAN: Final = 1_000


class SceneSource(Source):
    """`synth:bar?seconds=4&seed=0&speed=1`. speed: 1 in real time, 0 as fast as possible. noise: events/s."""

    def __init__(
        self, uri: Uri, *, seconds: float = 4.0, seed: int = 0, speed: float = 1.0, noise: float = 2_000.0
    ) -> None:
        if uri.place not in ("", "bar"):
            raise NotFound(uri.place, f"no scene '{uri.place}'; there is bar", ["bar"])
        self.shape = (2, SIZE, SIZE)
        self.scheduled = speed > 0
        self._speed = speed
        self._noise = noise
        self._seed = seed
        self.truth = self._directions(max(round(seconds * 1e6 / EPISODE), 1))
        """Index into DIRECTIONS for each episode, int64[episodes]."""
        self._reader: Reader[Packet] | None = None

    def _directions(self, episodes: int) -> np.ndarray:
        """Every direction equally often, in random order."""
        rng = np.random.default_rng(self._seed)
        rounds = [rng.permutation(len(DIRECTIONS)) for _ in range(-(-episodes // len(DIRECTIONS)))]
        return np.concatenate(rounds)[:episodes]

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=8, name="nrt.synth")
        async for packet in self._reader.items():
            yield packet

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()

    def identity(self) -> Mapping[str, str]:
        return {"uri": self.uri, "seed": str(self._seed)}

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        begin = now()
        for k, direction in enumerate(self.truth.tolist()):
            events = episode(np.random.default_rng([self._seed, k]), direction, self._noise)
            events["t"] += k * EPISODE
            for start in range(k * EPISODE, (k + 1) * EPISODE, _SPAN):
                first, last = np.searchsorted(events["t"], [start, start + _SPAN])
                due = now()
                if self._speed:
                    due = begin + round((start + _SPAN) * 1_000 / self._speed)
                    if (wait := due - now()) > 0 and stop.wait(wait / 1e9):
                        return
                yield Packet(events[first:last], start, start + _SPAN, due, origin="synth:bar")


def episode(rng: np.random.Generator, direction: int, noise: float) -> Records:
    """The events of one crossing, in time order, t from 0. noise: background events per second."""
    length, width = 16, 3
    position, offset = np.meshgrid(np.arange(SIZE), np.arange(length), indexing="ij")
    across = offset + rng.integers(0, SIZE - length)
    edges = [(position / SPEED, 1), ((position + width) / SPEED, 0)]
    parts = [_edge(rng, arrival, across, position, direction, polarity) for arrival, polarity in edges]
    count = rng.poisson(noise * EPISODE / 1e6)
    background = np.zeros(count, EVENT)
    background["t"] = rng.integers(0, EPISODE, count)
    background["x"], background["y"] = rng.integers(0, SIZE, (2, count))
    background["p"] = rng.integers(0, 2, count)
    events = join([*parts, background])
    events = events[(events["t"] >= 0) & (events["t"] < EPISODE)]
    return events[np.argsort(events["t"], kind="stable")]


def _edge(
    rng: np.random.Generator,
    arrival: np.ndarray,
    across: np.ndarray,
    position: np.ndarray,
    direction: int,
    polarity: int,
) -> Records:
    """One event where an edge passes, jittered by half a millisecond; one pixel in ten misses it."""
    events = np.zeros(arrival.size, EVENT)
    events["t"] = (arrival + rng.normal(1_000, 500, arrival.shape)).ravel()
    forward = position if direction in (0, 2) else SIZE - 1 - position
    x, y = (forward, across) if direction < 2 else (across, forward)
    events["x"], events["y"], events["p"] = x.ravel(), y.ravel(), polarity
    return events[rng.random(arrival.size) < 0.9]

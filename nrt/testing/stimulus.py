"""Sources, networks and packets for tests of devices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

import numpy as np

from nrt.clock import now
from nrt.network import Dense, Encoding, Network, Population, Projection, Semantics, neuron
from nrt.network.operators import array
from nrt.packet import EVENT, Packet, Records
from nrt.source import Source

DT: Final = 1_000
"""µs of a step of the networks here."""


class Script(Source):
    """Plays given packets; after them it ends, or fails with `error`."""

    uri = "test:script"

    def __init__(
        self,
        packets: Sequence[Packet],
        error: Exception | None = None,
        shape: tuple[int, int, int] | None = None,
        *,
        scheduled: bool = False,
    ) -> None:
        self._packets, self._error, self.shape = packets, error, shape
        self.scheduled = scheduled
        self.opened = self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    async def packets(self) -> AsyncIterator[Packet]:
        for packet in self._packets:
            yield packet
        if self._error is not None:
            raise self._error


def events(*rows: tuple[int, int, int, int]) -> Records:
    """EVENT records of (t, x, y, p) rows."""
    out = np.zeros(len(rows), EVENT)
    for name, column in zip("txyp", zip(*rows, strict=True) if rows else [()] * 4, strict=True):
        out[name] = column
    return out


def small(inputs: int = 8, hidden: int = 6, outputs: int = 4, *, name: str = "conformance") -> Network:
    """Two dense layers of integrate-and-fire neurons that every known chip can compute exactly.

    Whole-number weights of 0 to 3, thresholds of 4 and 3, reset to zero, no leak; one row of `inputs` pixels. Every
    input drives one hidden neuron, so an event makes at most one of them fire: with one event in a step, a chip
    that works event by event and one that works step by step agree.
    """
    first = np.zeros((hidden, inputs))
    first[np.arange(inputs) % hidden, np.arange(inputs)] = 1 + np.arange(inputs) % 3
    return Network(
        (
            Population("input", (1, 1, inputs)),
            Population("hidden", (hidden,), neuron(threshold=4.0)),
            Population("output", (outputs,), neuron(threshold=3.0)),
        ),
        (
            Projection("input", "hidden", (Dense(array(first)),)),
            Projection("hidden", "output", (Dense(_weights(outputs, hidden)),)),
        ),
        ("input",),
        ("output",),
        Semantics(dt=DT),
        Encoding(polarity="merge"),
        name=name,
    )


def _weights(rows: int, columns: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Weights 0 to 3 in a pattern in which every row and every column differs from its neighbours."""
    k, j = np.mgrid[:rows, :columns]
    return array((k * k + 3 * j + k * j) % 4)


def spaced(steps: int, inputs: int = 8, *, every: int = 1, seed: int = 1) -> list[Packet]:
    """A packet for each of `steps` steps; every `every`-th holds one event, at a pixel drawn from `seed`."""
    pixels = np.random.default_rng(seed).integers(0, inputs, steps)
    return [
        Packet(
            events(*([(k * DT + 10, int(pixels[k]), 0, 1)] if k % every == 0 else [])),
            k * DT,
            (k + 1) * DT,
            now(),
            origin="test:script",
        )
        for k in range(steps)
    ]

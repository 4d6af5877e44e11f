"""The very edge: numpy columns on the driver's side, the vendor's event objects on the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt_drivers.speck.chip import Layer, Link, spec
from nrt_drivers.speck.config import MARKER_SIDE
from nrt_drivers.speck.vendor import Events

Int = NDArray[np.int64]
LAYER, FEATURE, Y, X, TIME = range(5)
"""Columns of received spikes."""

_TIME: Final = spec().arithmetic["timestamp"].high
"""Greatest time stamp; also the mask of one."""


def received(events: Sequence[Any], kinds: Events) -> tuple[Int, int]:
    """The spikes among `events` as int64[n, 5] (layer, feature, y, x, time stamp), and the number of read answers."""
    spike, value = kinds.Spike, kinds.NeuronValue
    rows = [
        (e.layer, e.feature, e.y, e.x, e.timestamp)
        for e in events
        if isinstance(e, spike)  # type: ignore[arg-type]  # a Protocol of the class; at run time it is one
    ]
    answers = sum(isinstance(e, value) for e in events) if len(rows) < len(events) else 0  # type: ignore[arg-type]
    return np.array(rows, np.int64).reshape(-1, 5), answers


def unwrapped(stamps: Int, last: int) -> Int:
    """Board times of 32-bit `stamps`, near `last`; a stamp may lie up to half the range to either side."""
    half = (_TIME + 1) // 2
    result: Int = last + ((stamps - last + half) & _TIME) - half
    return result


def spikes(kinds: Events, entry: int, feature: Int, y: Int, x: Int, time: Int) -> list[Any]:
    """Spike events to core `entry`. time: board time, µs."""
    batch: list[Any] = []
    make = kinds.Spike
    rows = zip(feature.tolist(), y.tolist(), x.tolist(), (time & _TIME).tolist(), strict=True)
    for f, row, column, t in rows:
        event = make()
        event.layer, event.feature, event.y, event.x, event.timestamp = entry, f, row, column, t
        batch.append(event)
    return batch


def pixels(kinds: Events, x: Int, y: Int, p: Int, time: Int) -> list[Any]:
    """Pixel events to the DVS layer. time: board time, µs."""
    batch: list[Any] = []
    make = kinds.DvsEvent
    for column, row, on, t in zip(x.tolist(), y.tolist(), p.tolist(), (time & _TIME).tolist(), strict=True):
        event = make()
        event.x, event.y, event.p, event.timestamp = column, row, bool(on), t
        batch.append(event)
    return batch


@dataclass(frozen=True, slots=True)
class Marker:
    """Events that come back in order with everything before them: how an asynchronous chip keeps a promise of time.

    core: None: a pixel event to the monitored DVS layer, which leads nowhere · else a core that only answers
    """

    core: int | None

    @property
    def layer(self) -> int:
        """What the monitor calls the answer's layer."""
        return spec().limit("dvs_layer") if self.core is None else self.core

    def make(self, kinds: Events, number: int, time: int) -> list[Any]:
        """Marker `number`, handed to the chip at board time `time`.

        A core answers after a while, and an emulated board in virtual time stands still after its last input; so a
        core is sent two, a microsecond apart. Either is enough.
        """
        row, column = divmod(number % MARKER_SIDE**2, MARKER_SIDE)
        times = np.array([time] if self.core is None else [time, time + 1])
        x, y, one = (np.full(len(times), v) for v in (column, row, 1))
        if self.core is None:
            return pixels(kinds, x, y, one, times)
        return spikes(kinds, self.core, one - 1, y, x, times)

    @staticmethod
    def numbers(rows: Int) -> Int:
        """Which marker each answer is, modulo 256."""
        result: Int = rows[:, Y] * MARKER_SIDE + rows[:, X]
        return result


@dataclass(frozen=True, slots=True)
class Entry:
    """Where input neurons' spikes go: a core, after dividing their address by the pooling."""

    core: int
    pooling: int
    shift: int

    @classmethod
    def of(cls, link: Link, core: int) -> Entry:
        """The entry of a link."""
        return cls(core, link.pooling, link.shift)

    def spikes(self, kinds: Events, neuron: Int, volume: tuple[int, int, int], time: Int) -> list[Any]:
        """Spikes of input neurons (in C, H, W order of `volume`)."""
        _, height, width = volume
        feature, place = np.divmod(neuron, height * width)
        y, x = np.divmod(place, width)
        return spikes(kinds, self.core, feature + self.shift, y // self.pooling, x // self.pooling, time)


def resets(kinds: Events, layer: Layer, core: int, memory: int) -> Iterator[Any]:
    """Writes of the initial state to every address that a neuron of the layer can have."""
    make = kinds.WriteNeuronValue
    for address in range(min(layer.addresses, memory)):
        event = make()
        event.layer, event.address, event.neuron_state = core, address, layer.initial
        yield event


def probe(kinds: Events, core: int) -> Any:
    """A read whose answer comes after everything written before it."""
    event = kinds.ReadNeuronValue()
    event.layer, event.address = core, 0
    return event

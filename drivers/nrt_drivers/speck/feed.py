"""Packets into the chip: which events go where, in the vendor's objects, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt.errors import Unsupported
from nrt.network.network import Network
from nrt.network.operators import fan
from nrt.packet import SPIKE, Packet, Records
from nrt_drivers.speck.chip import spec
from nrt_drivers.speck.edge import Entry, Int, pixels
from nrt_drivers.speck.geometry import Volume
from nrt_drivers.speck.vendor import Events

_SLICE = 4096
"""Events turned into the vendor's objects at a time, so that the event loop is not held for long."""


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """How a network's events reach the chip. dvs: through the DVS layer, as pixel events; else straight to cores."""

    network: Network
    volume: Volume
    entries: tuple[Entry, ...]
    dvs: bool


class Feed:
    """One run's input. offset: stream time minus board time, µs."""

    def __init__(self, given: Input, kinds: Events, offset: int) -> None:
        self._given, self._kinds, self._offset = given, kinds, offset
        self._origin: int | None = None
        self._last: Int = np.empty(0, np.int64)  # of binary values: what the unfinished step has had
        self._fans = _fans(given.network)
        self.events = self.outside = self.cropped = 0
        self.synops = dict.fromkeys(self._fans, 0)
        """Synaptic operations that the input causes, per projection out of it."""

    def batches(self, packet: Packet) -> Iterator[list[Any]]:
        """The vendor's events of a packet, in order, in slices. Raises Unsupported for what cannot be sent."""
        data = packet.data
        self.events += len(data)
        if self._origin is None:
            self._origin = packet.start
        if data.dtype == SPIKE and self._given.dvs:
            raise Unsupported("input=dvs", "the DVS layer takes pixel events, not spikes; use input=spikes")
        neuron, data = self._spikes(data) if data.dtype == SPIKE else self._events(data)
        self._count(neuron)
        for begin in range(0, len(data), _SLICE):
            part = slice(begin, begin + _SLICE)
            yield self._objects(neuron[part], data[part])

    def _objects(self, neuron: Int, data: Records) -> list[Any]:
        time = data["t"] - self._offset
        if self._given.dvs:
            x, y, p = (data[name].astype(np.int64) for name in ("x", "y", "p"))
            return pixels(self._kinds, x, y, p, time)
        lists = [e.spikes(self._kinds, neuron, self._given.volume, time) for e in self._given.entries]
        return lists[0] if len(lists) == 1 else [event for each in zip(*lists, strict=True) for event in each]

    def _spikes(self, data: Records) -> tuple[Int, Records]:
        """The input neuron of each spike; a payload of k is k spikes, and what is not positive is outside."""
        good = (data["v"] > 0) & (data["n"] < self._given.network[self._given.network.inputs[0]].size)
        self.outside += int(np.count_nonzero(~good))
        times = np.where(good, data["v"], 0)
        kept = data[np.repeat(np.arange(len(data)), times)]
        return kept["n"].astype(np.int64), kept

    def _events(self, data: Records) -> tuple[Int, Records]:
        """The input neuron of each event; in the DVS layer's case -1 where the chip itself leaves it out."""
        network = self._given.network
        index = network.encoding.index(data, network[network.inputs[0]].shape)
        self.cropped += int(np.count_nonzero(index == -1))
        self.outside += int(np.count_nonzero(index == -2))
        if self._given.dvs:
            size = spec().limit("sensor_size")
            seen = (data["x"] < size) & (data["y"] < size)
            return index[seen], data[seen]
        keep = index >= 0
        if network.encoding.values == "binary":
            keep[keep] = self._first_of_step(index[keep], data["t"][keep])
        return index[keep], data[keep]

    def _first_of_step(self, index: Int, time: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether an event is its neuron's first in its time step; steps as those of a clocked device."""
        assert self._origin is not None
        step = (time - self._origin) // self._given.network.semantics.dt
        key = (step << 32) + index
        result = np.zeros(len(key), np.bool_)
        result[np.unique(key, return_index=True)[1]] = True
        result &= ~np.isin(key, self._last)
        if len(key):
            known = np.union1d(self._last, key)
            self._last = known[known >> 32 == step[-1]]
        return result

    def _count(self, neuron: Int) -> None:
        for label, ways in self._fans.items():
            self.synops[label] += int(ways[neuron[neuron >= 0]].sum())


def _fans(network: Network) -> dict[str, Int]:
    """Synapses of each input neuron, per projection out of the input."""
    entry = network.inputs[0]
    return {f"{p.source} → {p.target}": ways for p, ways in fans(network, [entry])}


def fans(network: Network, sources: Sequence[str]) -> Iterator[tuple[Any, Int]]:
    """Projections out of `sources`, each with the synapses of every source neuron, int64[n]."""
    for projection in network.projections:
        if projection.source in sources:
            ways: Int = fan(projection.operators, network[projection.source].shape).reshape(-1)
            yield projection, ways

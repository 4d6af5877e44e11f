"""Rasters: the spikes that a page shows, of one recording, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from nrt.compare import train
from nrt.compare.result import Raster, Train
from nrt.compare.trace import Trace
from nrt.network import Network

SPIKES: Final = 3_000
"""Entries of one population on one device; the span is cut to what all devices can show of it."""


def rasters(network: Network, index: int, traces: Sequence[Trace | None]) -> tuple[Raster, ...]:
    """Of every population that a device shows. index: of the recording · traces: None of a device that did not run."""
    found: list[Raster] = []
    for population in network.populations:
        trains = [None if trace is None else trace.trains.get(population.name) for trace in traces]
        shown = [each for each in trains if each is not None]
        if not shown:
            continue
        steps = shown[0].steps
        end = min(_cut(each, steps) for each in shown)
        dt = network.semantics.dt
        kept = tuple(None if each is None else _train(each.within(0, end)) for each in trains)
        found.append(Raster(index, population.name, population.size, 0, end * dt, end == steps, kept))
    return tuple(found)


def _cut(spikes: train.Train, steps: int) -> int:
    """The step up to which there are at most SPIKES entries; at least one."""
    if len(spikes.step) <= SPIKES:
        return steps
    return max(int(np.partition(spikes.step, SPIKES)[SPIKES]), 1)


def _train(spikes: train.Train) -> Train:
    order = np.argsort(spikes.t, kind="stable")[:SPIKES]
    neurons = spikes.key[order] % spikes.neurons
    return Train(tuple(spikes.t[order].tolist()), tuple(neurons.tolist()))

"""Bytes: what a network needs on a device, counted before anything is laid out, and what a step must move."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from math import prod
from pathlib import Path
from typing import Final

from nrt.errors import DoesNotFit, Violation
from nrt.network import Conv, Dense, Network, Population
from nrt_sim.gpu.layout import Layout

NEURON: Final = 24
"""Bytes per neuron for places, counts of synapses and what torch computes with on the way."""


def needs(network: Network, batch: int, span: int, itemsize: int) -> dict[str, int]:
    """Bytes of every population with the projections that end there, by its name."""
    return {
        p.name: _state(network, p, batch, span, itemsize) + _weights(network, p, itemsize)
        for p in network.populations
    }


def _state(network: Network, population: Population, batch: int, span: int, itemsize: int) -> int:
    """What it keeps per recording: membrane, synapse, spikes before, current, and what it put out."""
    delay = max((p.delay for p in network.projections if p.source == population.name), default=0)
    kept = delay + 2 * span
    neuron = population.neuron
    if neuron is not None:
        kept += 2 + (neuron.synapse_decay is not None) + (neuron.timing == "delayed")
    return population.size * (batch * kept * itemsize + NEURON)


def _weights(network: Network, population: Population, itemsize: int) -> int:
    """Both ways of every projection that ends there."""
    operators = chain.from_iterable(p.operators for p in network.into(population.name))
    return 2 * itemsize * sum(o.weight.size for o in operators if isinstance(o, Conv | Dense))


def check(network: Network, batch: int, span: int, itemsize: int, have: int) -> None:
    """Raises DoesNotFit where a network needs more than `have` bytes; names the population that needs most."""
    each = needs(network, batch, span, itemsize)
    total = sum(each.values())
    if total <= have:
        return
    largest = max(each, key=lambda name: each[name])
    shape = "x".join(map(str, network[largest].shape))
    hint = f"'{largest}' ({shape}, {prod(network[largest].shape):,} neurons) alone takes {each[largest]:,}"
    if batch > 1:
        hint += f"; {batch} recordings side by side, run fewer"
    raise DoesNotFit([Violation(network.name, "bytes of memory", total, have, hint)])


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that this machine can give without swapping; a very large number where it does not say."""
    try:
        lines: Mapping[str, str] = dict(
            line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line
        )
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return 2**62


def least_bytes(layout: Layout, batch: int, events: float, spikes: float) -> float:
    """Bytes that a step of `batch` recordings must move, whatever the program.

    Every state once in and once out, every weight once, 16 bytes per event in and per watched spike out.
    events, spikes: per step, of all recordings
    """
    total = 16.0 * (events + spikes)
    for layer in layout.layers:
        neuron = layer.neuron
        if neuron is not None:
            states = 1 + (neuron.synapse_decay is not None) + (neuron.timing == "delayed")
            total += 2 * states * layer.size * batch * layout.dtype.itemsize
    for route in layout.routes:
        weights = sum(o.weight.size for o in route.operators if isinstance(o, Conv | Dense))
        total += weights * layout.dtype.itemsize
    return total

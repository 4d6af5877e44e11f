"""Bytes: what a network needs on a device, counted before anything is laid out, and what a step must move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod
from pathlib import Path
from typing import Final

from nrt.errors import DoesNotFit, Violation
from nrt.network import Conv, Dense, Network, Population
from nrt_sim.gpu.layout import Layout

NEURON: Final = 24
"""Bytes per neuron for places, counts of synapses and what torch computes with on the way."""
ROOM: Final = 64
"""Steps of a chunk, unless what is watched needs the memory."""
WATCHED: Final = 2**22
"""Elements that all steps of a chunk may show."""
ROW: Final = 16
"""Bytes of a spike that is watched: step, recording, place, payload."""
CHUNKS: Final = 2
"""Chunks under way at a time, each with room for what is watched."""


def room(watched: int, batch: int, span: int) -> int:
    """Most steps of a chunk: fewer where much is watched; a whole number of passes. watched: the largest's neurons"""
    return max(1, min(ROOM, WATCHED // (batch * max(watched, 1))) // span) * span


def needs(network: Network, watched: Sequence[str], batch: int, span: int, itemsize: int) -> dict[str, int]:
    """Bytes of every population by its name, with the projections that end there and whoever watches it."""
    seen = _watches(network, watched, batch, span, itemsize)
    return {
        p.name: _state(network, p, batch, span, itemsize) + _weights(network, p, itemsize) + seen[p.name]
        for p in network.populations
    }


def _state(network: Network, population: Population, batch: int, span: int, itemsize: int) -> int:
    """What it keeps per recording: membrane, synapse, spikes before, current, and planes and lists of its output."""
    delays = {p.delay for p in network.projections if p.source == population.name}
    depth = max(delays, default=0)
    listed = depth + 1 if span == 1 else span * max(len(delays), 1)
    kept = depth + span + 2 * listed
    neuron = population.neuron
    if neuron is not None:
        kept += 1 + span + (neuron.synapse_decay is not None) + (neuron.timing == "delayed")
    return population.size * (batch * kept * itemsize + NEURON)


def _weights(network: Network, population: Population, itemsize: int) -> int:
    """Both ways of every projection that ends there."""
    operators = chain.from_iterable(p.operators for p in network.into(population.name))
    return 2 * itemsize * sum(o.weight.size for o in operators if isinstance(o, Conv | Dense))


def _watches(
    network: Network, watched: Sequence[str], batch: int, span: int, itemsize: int
) -> dict[str, int]:
    """What carries spikes and membranes of a chunk back, for each of two chunks."""
    names = {p.name for p in network.populations}
    owners = [(name, name if name in names else name.removesuffix(".v")) for name in watched]
    steps = room(max((network[owner].size for _, owner in owners if owner in names), default=1), batch, span)
    taken = dict.fromkeys(names, 0)
    for name, owner in owners:
        if owner in names:  # who lays the network out says what is wrong with the others
            each = ROW if name == owner else itemsize
            taken[owner] += CHUNKS * steps * batch * network[owner].size * each
    return taken


def check(network: Network, watched: Sequence[str], batch: int, span: int, itemsize: int, have: int) -> None:
    """Raises DoesNotFit where a network needs more than `have` bytes; names the population that needs most."""
    each = needs(network, watched, batch, span, itemsize)
    total = sum(each.values())
    if total <= have:
        return
    largest = max(each, key=lambda name: each[name])
    shape = "x".join(map(str, network[largest].shape))
    hint = f"'{largest}' ({shape}, {prod(network[largest].shape):,} neurons) alone takes {each[largest]:,}"
    watching = sum(_watches(network, watched, batch, span, itemsize).values())
    if total - watching <= have:
        hint += f"; {watching:,} are for what is watched, watch fewer populations"
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

"""What layers have to bear: synaptic operations per second, and membranes at the ends of their range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.compare.divergence import encoded
from nrt.compare.recorded import Recorded, Replay
from nrt.compare.train import Train
from nrt.device import Rung
from nrt.errors import Unsupported
from nrt.network import Network
from nrt.network.operators import fan
from nrt.packet import MEMBRANE
from nrt.session import open

Floats = NDArray[np.float64]

WINDOW_US: Final = 10_000
"""Over which the rate of synaptic operations is taken: shorter bursts wait in queues."""
SHOWN: Final = 1 << 18
"""Neurons of a network whose membranes are looked at: each is 16 bytes in every step."""


def busiest(network: Network, recorded: Recorded, trains: Mapping[str, Train]) -> dict[str, float]:
    """Per population that receives spikes which were seen: synaptic operations per second, in its busiest window."""
    span = max(recorded.end - recorded.start, 1)
    windows = -(-span // WINDOW_US)
    arrived: dict[str, Floats] = {}
    for projection in network.projections:
        fired = _fired(network, projection.source, recorded, trains)
        if fired is None:
            continue
        ways = fan(projection.operators, network[projection.source].shape).ravel()
        work = np.bincount(
            np.minimum(fired.t // WINDOW_US, windows - 1),
            ways[fired.key % fired.neurons] * fired.count,
            windows,
        )
        arrived[projection.target] = arrived.get(projection.target, np.zeros(windows)) + work
    return {name: float(work.max()) / (min(WINDOW_US, span) / 1e6) for name, work in arrived.items()}


def _fired(network: Network, name: str, recorded: Recorded, trains: Mapping[str, Train]) -> Train | None:
    """Spikes of a population. Of an input, what the recording is to it."""
    if name in trains:
        return trains[name]
    return encoded(network, name, recorded) if name in network.inputs else None


async def at_bounds(rung: Rung, recordings: Sequence[Recorded]) -> dict[str, float]:
    """Per population, the share of (neuron, step) at which its membrane is at the device's bounds or beyond them.

    Raises Unsupported where there are too many neurons or what runs the rung cannot show membranes, and what it raises.
    """
    if rung.bounds is None:
        return {}
    if rung.network.neurons > SHOWN:
        raise Unsupported(rung.network.name, f"{rung.network.neurons:,} neurons are more than {SHOWN:,}")
    low, high = rung.bounds
    names = [p.name for p in rung.network.populations if p.neuron is not None]
    beyond, of = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    async with open(rung.on) as session:
        await session.deploy(rung.network, membranes=names)
        for recorded in recordings:
            async with session.stream(Replay(recorded)) as run:
                async for packet in run:
                    name = packet.origin.removesuffix(".v")
                    if packet.data.dtype == MEMBRANE and name in of:
                        v = packet.data["v"]
                        beyond[name] += int(np.count_nonzero((v <= low) | (v >= high)))
                        of[name] += len(v)
    return {name: beyond[name] / of[name] for name in names if of[name]}

"""Networks in which it is known by construction what goes wrong on a chip, and recordings of one event to a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrt.compare.ladder import Case
from nrt.compare.recorded import Recorded
from nrt.network import Dense, Encoding, Network, Neuron, Population, Projection, Semantics
from nrt.network.operators import array
from nrt.packet import Packet
from nrt.testing.stimulus import DT, events


def chain(width: int, *layers: tuple[str, object, Neuron]) -> Network:
    """Dense layers one after the other, over one row of `width` pixels: name, weights, neurons."""
    populations, projections = [Population("input", (1, 1, width))], list[Projection]()
    for name, weights, cells in layers:
        matrix = np.asarray(weights, np.float64)
        projections.append(Projection(populations[-1].name, name, (Dense(array(matrix)),)))
        populations.append(Population(name, (len(matrix),), cells))
    return Network(
        tuple(populations),
        tuple(projections),
        ("input",),
        (populations[-1].name,),
        Semantics(dt=DT),
        Encoding(polarity="merge"),
        name="made",
    )


def pixels(name: str, columns: Sequence[int], label: int | None = None, *, span: int = 10) -> Case:
    """One event in every step, at the given pixel; -1 for none. A packet holds `span` steps."""
    packets: list[Packet] = []
    for begin in range(0, len(columns), span):
        end = min(begin + span, len(columns))
        rows = [(k * DT + 10, columns[k], 0, 1) for k in range(begin, end) if columns[k] >= 0]
        packets.append(Packet(events(*rows), begin * DT, end * DT, 0, origin=name))
    return Case(name, Recorded(f"test:{name}", tuple(packets), None, {"uri": f"test:{name}"}), label)


def drawn(count: int, width: int, *, steps: int = 120, seed: int = 0) -> list[Case]:
    """Recordings of random pixels."""
    random = np.random.default_rng(seed)
    return [pixels(f"r{k}", random.integers(0, width, steps).tolist()) for k in range(count)]

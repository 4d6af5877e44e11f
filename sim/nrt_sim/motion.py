"""A small network that tells in which direction things move: Reichardt's detector in spikes.

A cell for direction d at pixel p listens to ON events at p, and at p - d with a delay of the time that the motion
takes from there to here. Alone, either input stays under threshold; together, within the membrane's few
milliseconds of memory, they fire it. Four neurons count, one per direction.
(W. Reichardt, "Autocorrelation, a principle for the evaluation of sensory information", 1961.)
"""

from __future__ import annotations

import numpy as np

from nrt.network import Conv, Dense, Encoding, Network, Population, Projection, Semantics, neuron
from nrt.network.operators import array
from nrt_sim.scene import DIRECTIONS, SIZE, SPEED

_STEPS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}


def motion_network() -> Network:
    """Input (2, 32, 32), four direction-selective maps, four counting outputs; dt 1 ms."""
    here = np.zeros((4, 2, 3, 3))
    before = np.zeros((4, 2, 3, 3))
    for k, name in enumerate(DIRECTIONS):
        dy, dx = _STEPS[name]
        here[k, 1, 1, 1] = 0.6
        before[k, 1, 1 - dy, 1 - dx] = 0.6
    pooled = np.kron(np.eye(4), np.full((1, SIZE * SIZE), 0.125))
    detector = neuron(decay=0.75, threshold=1.0, reset="hard")
    counter = neuron(decay=0.9375, threshold=1.0, reset="soft")
    return Network(
        populations=(
            Population("input", (2, SIZE, SIZE)),
            Population("motion", (4, SIZE, SIZE), detector),
            Population("direction", (4,), counter),
        ),
        projections=(
            Projection("input", "motion", (Conv(array(here), padding=(1, 1)),)),
            Projection(
                "input", "motion", (Conv(array(before), padding=(1, 1)),), delay=round(1 / SPEED / 1_000)
            ),
            Projection("motion", "direction", (Dense(array(pooled)),)),
        ),
        inputs=("input",),
        outputs=("direction",),
        semantics=Semantics(dt=1_000, fire=">=", name="motion"),
        encoding=Encoding(values="binary"),
        name="motion",
    )

"""GpuEngine: `nrt_sim.engine.Engine` on a simulation of one recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Self

import numpy as np

from nrt.device import Counters
from nrt.network import Network
from nrt.packet import Records
from nrt_sim.engine import Engine
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import MakeOps, Projections, Simulation


class GpuEngine(Engine):
    """One recording, streaming. Subclasses say on which device by `make`."""

    def __init__(
        self,
        network: Network,
        watched: Sequence[str],
        make: MakeOps,
        dtype: Literal["float32", "float64"] = "float32",
        span: int = 1,
        projections: Projections = "measured",
    ) -> None:
        self._attach(Simulation(lay_out(network, watched, np.dtype(dtype)), make, 1, span, projections))
        self._again = (make, span, projections)

    def _attach(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.network = simulation.layout.network
        self.watched = tuple(watch.name for watch in simulation.layout.watches)

    def reset(self) -> None:
        self.simulation.reset()

    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        return self.simulation.run([inputs], [start], steps)[0]

    def counters(self) -> Counters:
        return self.simulation.counters()

    def fork(self) -> Self:
        twin = object.__new__(type(self))
        make, span, projections = self._again
        twin._again = self._again
        twin._attach(Simulation(self.simulation.layout, make, 1, span, projections))
        return twin

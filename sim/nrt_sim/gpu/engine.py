"""GpuEngine: `nrt_sim.engine.Engine` on a simulation of one recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from nrt.device import Counters
from nrt.packet import Records
from nrt_sim.engine import Engine
from nrt_sim.gpu.failures import translated
from nrt_sim.gpu.layout import Layout
from nrt_sim.gpu.ops import MakeOps
from nrt_sim.gpu.simulation import Projections, Simulation


class GpuEngine(Engine):
    """A network laid out, streaming one recording through the device that `make` gives; `uri` names it in errors."""

    def __init__(
        self,
        layout: Layout,
        make: MakeOps,
        uri: str,
        span: int = 1,
        projections: Projections = "measured",
    ) -> None:
        self._make, self._uri, self._span = make, uri, span
        self._projections: Projections = projections
        self._attach(layout)

    def _attach(self, layout: Layout) -> None:
        self.network = layout.network
        self.watched = tuple(watch.name for watch in layout.watches)
        self.layout = layout
        self.simulation = self.side_by_side(1)

    def side_by_side(self, batch: int) -> Simulation:
        """Another simulation of the same network on the same device, of so many recordings."""
        with translated(self._uri):
            return Simulation(self.layout, self._make, batch, self._span, self._projections)

    def close(self) -> None:
        """Gives the device's memory back; what was counted can still be read."""
        self.simulation.close()

    def reset(self) -> None:
        with translated(self._uri):
            self.simulation.reset()

    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        with translated(self._uri):
            return self.simulation.run([inputs], [start], steps)[0]

    def counters(self) -> Counters:
        return self.simulation.counters()

    def fork(self) -> Self:
        return type(self)(self.layout, self._make, self._uri, self._span, self._projections)

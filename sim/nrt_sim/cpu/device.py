"""The `cpu:` device: the event-driven engine in a thread."""

from __future__ import annotations

from nrt.device import Placement, Row
from nrt.network import Network
from nrt_sim.clocked import ClockedDevice
from nrt_sim.cpu.apart import compile_apart
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.engine import Engine


class CpuDevice(ClockedDevice):
    """float32, event-driven; the same kernels for every network, compiled once per machine."""

    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        return CpuEngine(network, watched)

    def _ready(self, network: Network, watched: tuple[str, ...]) -> Engine:
        compile_apart()  # a plan runs no kernel
        return super()._ready(network, watched)

    def _placement(self, engine: Engine) -> Placement:
        rows = [
            Row(p.name, "x".join(map(str, p.shape)), "float32, event-driven")
            for p in engine.network.populations
        ]
        return Placement(self.uri, engine.network.name, tuple(rows), engine.network.notes)

    def _sibling(self) -> CpuDevice:
        return CpuDevice(self._uri)

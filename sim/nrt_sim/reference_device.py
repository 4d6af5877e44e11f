"""`reference:`, the slow, obvious device that defines what is right."""

from __future__ import annotations

from typing import ClassVar

from nrt.device import Placement, Row
from nrt.network import Network
from nrt_sim.clocked import ClockedDevice
from nrt_sim.engine import Engine
from nrt_sim.reference import ReferenceEngine


class ReferenceDevice(ClockedDevice):
    """float64 numpy, one dense pass per step."""

    dense: ClassVar[bool] = True

    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        return ReferenceEngine(network, watched)

    def _placement(self, engine: Engine) -> Placement:
        rows = [
            Row(p.name, "x".join(map(str, p.shape)), "float64, dense") for p in engine.network.populations
        ]
        return Placement(self.uri, engine.network.name, tuple(rows), engine.network.notes)

    def _sibling(self) -> ReferenceDevice:
        return ReferenceDevice(self._uri)

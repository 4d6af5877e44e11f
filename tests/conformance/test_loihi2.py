"""DeviceConformance of the simulated Loihi 2: its spikes take a step for every layer."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from nrt.network import Network
from nrt.testing import DeviceConformance


class TestLoihi2(DeviceConformance):
    uri = "loihi2+sim:"
    delay: ClassVar[int] = 2

    def beyond(self) -> Network:
        """A delay is cheaper to have too much of than a million neurons."""
        network = self.network()
        first, second = network.projections
        return replace(network, projections=(first, replace(second, delay=80)))

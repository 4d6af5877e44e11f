"""DeviceConformance of the tinyODIN driver: over clean and faulty wires, in this process and in another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from nrt import registry
from nrt.device import Device
from nrt.network import Network
from nrt.packet import Packet
from nrt.registry import Uri
from nrt.testing import DeviceConformance
from nrt.testing.stimulus import small, spaced
from nrt.wire import board
from nrt_sim.serve import PtyDoor, Server


class TestEmulated(DeviceConformance):
    uri: ClassVar[str] = "tinyodin+emu:"


class TestPaced(DeviceConformance):
    """Execution takes the time that it takes on the chip."""

    uri: ClassVar[str] = "tinyodin+emu:?paced=yes&clock=20000000&offset=1000000000&skew_ppm=80"


class TestOneByteAtATime(DeviceConformance):
    uri: ClassVar[str] = "tinyodin+emu:?faults=piece:1"
    steps: ClassVar[int] = 60

    def network(self) -> Network:
        return small(4, 3, 2)

    def stimulus(self) -> list[Packet]:
        return spaced(self.steps, 4)


class TestLossyAndCorrupting(DeviceConformance):
    uri: ClassVar[str] = "tinyodin+emu:?faults=lose:2e-4,corrupt:2e-4,repeat:2e-4,seed:5"
    steps: ClassVar[int] = 40


class TestAcrossATerminal(DeviceConformance):
    @pytest.fixture(autouse=True)
    def served(self) -> Iterator[None]:
        with Server(board(Uri.parse("tinyodin+emu:")), PtyDoor()) as server:
            self.address = f"tinyodin{server.address}"
            yield

    def device(self) -> Device:
        return registry.device(self.address)

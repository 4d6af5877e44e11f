"""Trace: what one device made of one recording, population by population."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.compare.recorded import Recorded, Replay
from nrt.compare.train import Train
from nrt.network import Network
from nrt.packet import MEMBRANE, SPIKE, Packet, Records, join
from nrt.report import Report
from nrt.session import Session

Floats = NDArray[np.float32]

READOUT: Final = 1 << 26
"""Membranes of one readout in one recording that are kept: 256 MiB."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One device's output for one recording.

    trains:   of every population that it shows and that fires
    readouts: float32[steps, neurons] of every one that does not fire, and of every watched membrane ("name.v")
    dropped:  readouts that were too large to keep · lost: spikes that the device says it lost
    """

    trains: Mapping[str, Train]
    readouts: Mapping[str, Floats]
    report: Report
    dropped: tuple[str, ...] = ()
    lost: int = 0


async def trace(session: Session, recorded: Recorded, speed: float = 0.0) -> Trace:
    """Runs `recorded` on the session's device from its reset state. Raises what the device raises."""
    network = session.network
    collected = _Collected(network)
    run = session.stream(Replay(recorded, speed))
    async with run:
        async for packet in run:
            collected.take(packet)
    # it sorts all spikes, and other devices may be running
    return await asyncio.to_thread(collected.trace, recorded, run.report)


@dataclass(slots=True)
class _Collected:
    """Output packets of one run, by origin."""

    network: Network
    spikes: dict[str, list[Records]] = field(default_factory=dict[str, list[Records]])
    membranes: dict[str, list[Floats]] = field(default_factory=dict[str, list[Floats]])
    kept: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0

    def take(self, packet: Packet) -> None:
        self.lost += packet.lost
        if packet.data.dtype == MEMBRANE:
            self.kept[packet.origin] = self.kept.get(packet.origin, 0) + len(packet)
            if self.kept[packet.origin] <= READOUT:
                values = np.ascontiguousarray(packet.data["v"], np.float32)
                self.membranes.setdefault(packet.origin, []).append(values)
        elif packet.data.dtype == SPIKE:
            self.spikes.setdefault(packet.origin, []).append(packet.data)

    def trace(self, recorded: Recorded, report: Report) -> Trace:
        dt = self.network.semantics.dt
        steps = recorded.steps(dt)
        trains = {
            name: Train.of(join(parts), self.network[name], recorded.start, steps, dt)
            for name, parts in self.spikes.items()
        }
        dropped = tuple(name for name, count in self.kept.items() if count > READOUT)
        readouts = {
            name: np.concatenate(parts).reshape(-1, self.network[name.removesuffix(".v")].size)[:steps]
            for name, parts in self.membranes.items()
            if name not in dropped
        }
        return Trace(trains, readouts, report, dropped, self.lost)

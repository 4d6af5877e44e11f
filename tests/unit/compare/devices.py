"""Devices that differ from the reference in one known way, and networks and recordings to compare them on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from nrt.device import Placement
from nrt.errors import DeviceLost, Unsupported
from nrt.network import Dense, Encoding, Network, Population, Projection, Semantics, neuron
from nrt.network.operators import array
from nrt.packet import EVENT, SPIKE, Packet
from nrt.testing.stimulus import Script
from nrt.uri import Uri
from nrt_sim.clocked import ClockedDevice
from nrt_sim.engine import Engine
from nrt_sim.reference import ReferenceEngine

DT = 1_000
PIXELS, HIDDEN, CLASSES = 6, 5, 3


def network(*, readout: bool = False) -> Network:
    """6 pixels, 5 hidden neurons, 3 classes; every number is exact in binary."""
    random = np.random.default_rng(11)

    def dense(outputs: int, inputs: int) -> tuple[Dense, ...]:
        return (Dense(array(random.integers(-2, 9, (outputs, inputs)) / 8)),)

    last = neuron(decay=0.5, spikes="none", reset="none") if readout else neuron(decay=0.75, threshold=1.0)
    return Network(
        (
            Population("input", (1, 1, PIXELS)),
            Population("hidden", (HIDDEN,), neuron(decay=0.5, threshold=1.0)),
            Population("out", (CLASSES,), last),
        ),
        (
            Projection("input", "hidden", dense(HIDDEN, PIXELS)),
            Projection("hidden", "out", dense(CLASSES, HIDDEN)),
        ),
        ("input",),
        ("out",),
        Semantics(dt=DT),
        Encoding(polarity="merge"),
        name="tiny",
    )


def recording(seed: int = 0) -> Script:
    """`packets` as a source."""
    return Script(packets(seed))


def packets(seed: int = 0, steps: int = 60, begin: int = 5_000) -> list[Packet]:
    """Spikes of random pixels, cut into packets that do not fall on steps."""
    random = np.random.default_rng(seed)
    count = 3 * steps
    events = np.zeros(count, SPIKE)
    events["t"] = begin + np.sort(random.integers(0, steps * DT, count))
    events["n"], events["v"] = random.integers(0, PIXELS, count), 1
    edges = np.arange(begin, begin + steps * DT + 1, 2_500)
    cuts = np.searchsorted(events["t"], edges)
    return [
        Packet(events[low:high], int(a), int(b), 0, origin="test")
        for low, high, a, b in zip(cuts[:-1], cuts[1:], edges[:-1], edges[1:], strict=True)
    ]


def silence(steps: int = 20) -> Script:
    """A recording without an event."""
    return Script([Packet(np.zeros(0, EVENT), 0, steps * DT, 0)])


class Changed(ClockedDevice):
    """The reference with another network in place of the deployed one.

    change: that network · shows: populations that it can show, None for all · membranes: whether it has them
    """

    def __init__(
        self,
        change: Callable[[Network], Network] = lambda same: same,
        *,
        uri: str = "changed:",
        shows: Sequence[str] | None = None,
        membranes: bool = True,
    ) -> None:
        super().__init__(Uri.parse(uri))
        self._change, self._shows, self._membranes = change, shows, membranes

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        if membranes and not self._membranes:
            raise Unsupported(membranes[0], "this device keeps its membranes to itself")
        for tap in taps:
            if self._shows is not None and tap not in (*self._shows, *network.outputs):
                raise Unsupported(tap, "this device cannot show it")
        return await super().deploy(network, taps=taps, membranes=membranes)

    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        return ReferenceEngine(self._change(network), watched)

    def _placement(self, engine: Engine) -> Placement:
        return Placement(self.uri, engine.network.name, ())

    def _sibling(self) -> Changed:
        return Changed(self._change, uri=self.uri, shows=self._shows, membranes=self._membranes)


class Dying(Changed):
    """Is lost at its first packet of the `after`-th run."""

    def __init__(self, after: int) -> None:
        super().__init__(uri="dying:")
        self._left = after

    async def send(self, packet: Packet) -> None:
        if self._left == 0:
            raise DeviceLost(self.uri, "it went up in smoke")
        await super().send(packet)

    async def finish(self) -> None:
        self._left -= 1
        await super().finish()


class Flaky(Dying):
    """Is lost in the third run after every opening; made from a URI, as devices are that are opened again."""

    def __init__(self, _: Uri) -> None:
        super().__init__(2)


def delayed(by: int) -> Callable[[Network], Network]:
    """Every projection takes `by` steps more."""

    def change(network: Network) -> Network:
        later = tuple(dataclasses.replace(p, delay=p.delay + by) for p in network.projections)
        return dataclasses.replace(network, projections=later)

    return change


def weighted(projection: int, target: int, source: int, add: float) -> Callable[[Network], Network]:
    """One weight of a dense projection changed."""

    def change(network: Network) -> Network:
        old = network.projections[projection]
        (operator,) = old.operators
        assert isinstance(operator, Dense)
        weight = operator.weight.copy()
        weight[target, source] += add
        new = dataclasses.replace(old, operators=(Dense(array(weight)),))
        projections = [*network.projections]
        projections[projection] = new
        return dataclasses.replace(network, projections=tuple(projections))

    return change


def silenced(name: str) -> Callable[[Network], Network]:
    """A population whose threshold is out of reach."""

    def change(network: Network) -> Network:
        populations = tuple(
            dataclasses.replace(p, neuron=neuron(decay=0.5, threshold=1e9)) if p.name == name else p
            for p in network.populations
        )
        return dataclasses.replace(network, populations=populations)

    return change

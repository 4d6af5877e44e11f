"""`loihi2+sim:`, a network in Loihi's fixed-point arithmetic; nothing of it runs on a chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from nrt.device import Placement, Row, Rung
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.registry import Uri
from nrt_sim.chips.loihi2.engine import LoihiEngine
from nrt_sim.chips.loihi2.fit import fit
from nrt_sim.chips.loihi2.program import SPEC, Program
from nrt_sim.chips.loihi2.rungs import rungs
from nrt_sim.clocked import ClockedDevice
from nrt_sim.engine import Engine


class Loihi2Device(ClockedDevice):
    """CUBA LIF neurons of 24 bits, weights of 8; every spike takes at least one step."""

    tables: ClassVar[tuple[str, ...]] = (SPEC.name,)

    def __init__(self, uri: Uri) -> None:
        super().__init__(uri)
        if uri.wire != "sim" or uri.place:
            raise ConfigError(f"{uri}: Loihi 2 is there as a simulation only; write loihi2+sim:")

    @property
    def limits(self) -> Mapping[str, float]:
        return SPEC.limits

    def rungs(self, network: Network) -> Sequence[Rung]:
        return rungs(self.uri, network)

    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        return LoihiEngine(fit(network), watched)

    def _placement(self, engine: Engine) -> Placement:
        assert isinstance(engine, LoihiEngine)
        program = engine.program
        notes = (
            *engine.network.notes,
            *program.notes,
            "fixed-point simulation; this network was not tried on a chip",
        )
        return Placement(self.uri, engine.network.name, tuple(_rows(program)), notes)

    def _sibling(self) -> Loihi2Device:
        return Loihi2Device(self._uri)


def _rows(program: Program) -> list[Row]:
    """Layer by layer, on the next free cores."""
    per_core = SPEC.limit("neurons_per_core")
    rows: list[Row] = []
    first = 0
    for population in program.network.populations:
        shape = "x".join(map(str, population.shape))
        if population.neuron is None:
            rows.append(Row(population.name, shape, "from the host"))
            continue
        last = first + -(-population.size // per_core) - 1
        where = f"core {first}" if first == last else f"cores {first}-{last}"
        stored = sum(one.stored for one in program.synapses if one.target == population.name)
        rows.append(
            Row(population.name, f"{shape}, {stored:,} synapses", where, program.remarks[population.name])
        )
        first = last + 1
    return rows

"""CpuEngine: the event-driven engine. Work is proportional to spikes, not to neurons or pixels.

A network becomes data (`plan`), which kernels compiled once per machine (`step`, `scatter`, `gather`, `fire`)
compute. Spikes add weights to their targets' currents, projection by projection; then a population's currents charge
its membranes. A projection whose input is dense in a step is gathered, output by output (`dense` decides). State is
float32 (or float64): with parameters on a coarse dyadic grid it is exact, and equals the reference engine; otherwise
to rounding, see docs/decisions/0003-order-of-additions-in-the-cpu-engine.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from nrt.device import Counters
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import EVENT, MEMBRANE, SPIKE, Records
from nrt_sim.cpu import program
from nrt_sim.cpu.arena import aligned
from nrt_sim.cpu.dense import Choice
from nrt_sim.cpu.plan import Plan, make_plan
from nrt_sim.cpu.step import run
from nrt_sim.engine import Engine

ROWS: Final = 4096
"""Records that a watched population has room for at first."""
LARGEST_OUT: Final = 2**22
"""Records beyond which the room does not grow: longer runs are computed in several parts."""


class CpuEngine(Engine):
    """`Engine` for any network; see the module.

    dtype: of state and weights · dense: when projections are gathered instead of scattered; results differ by
    rounding at most
    """

    def __init__(
        self,
        network: Network,
        watched: Sequence[str],
        dtype: Literal["float32", "float64"] = "float32",
        dense: Choice = "measured",
    ) -> None:
        self._attach(make_plan(network, watched, np.dtype(dtype), dense), tuple(watched))

    def _attach(self, plan: Plan, watched: tuple[str, ...]) -> None:
        self.network, self.watched, self._plan = plan.network, watched, plan
        sizes, dtype = plan.sizes, plan.dtype
        self._watches = plan.watches.copy()
        self._state = aligned(sizes.state, dtype)
        self._bits = aligned(sizes.bits, np.uint64)
        self._last = aligned(sizes.last, np.int64)
        self._ids = aligned(sizes.ids, np.int32)
        self._values = aligned(sizes.values, dtype)
        self._values[: sizes.ones] = 1
        self._counts = aligned(sizes.counts, np.int64)
        places, rows, runs = (aligned(sizes.aim, np.int64) for _ in range(3))
        self._aim = (places, rows, aligned(sizes.factors, dtype), runs)
        self._written = np.zeros(len(watched), np.int64)
        self._make_room(ROWS)
        self.reset()

    def reset(self) -> None:
        for array in (self._state, self._bits, self._counts):
            array[:] = 0
        self._last[:] = -1
        for offset, membranes in self._plan.start:
            self._state[offset : offset + len(membranes)] = membranes
        for offset, blocks in self._plan.awake:
            self._bits[offset : offset + len(blocks)] = blocks

    def fork(self) -> Self:
        twin = object.__new__(type(self))
        twin._attach(self._plan, self.watched)
        return twin

    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        dt = self.network.semantics.dt
        records = (inputs if inputs.flags.c_contiguous else np.ascontiguousarray(inputs)).view(np.int64)
        if records.size and not (start <= records[0] and records[-2] < start + steps * dt):
            raise ConfigError(f"events lie outside of the {steps} steps from {start} µs on")
        spikes = inputs.dtype == SPIKE
        done, taken = self._call(records, spikes, 0, start, steps)
        seen = self._seen()
        while done < steps:  # the room was full
            self._make_room(min(2 * self._rows, LARGEST_OUT))
            computed, taken = self._call(records, spikes, taken, start + done * dt, steps - done)
            done += computed
            seen = [np.concatenate(parts) for parts in zip(seen, self._seen(), strict=True)]
        return dict(zip(self.watched, seen, strict=True))

    def _call(
        self, records: NDArray[np.int64], spikes: bool, taken: int, start: int, steps: int
    ) -> tuple[int, int]:
        self._written[:] = 0
        kernel: Any = run  # type checkers cannot count the arrays
        done: tuple[int, int] = kernel(
            *self._arrays, records, spikes, taken, start, self.network.semantics.dt, steps
        )
        return done

    def _make_room(self, rows: int) -> None:
        """Room for `rows` records of each watched population, or for one step of it."""
        plan, self._rows = self._plan, rows
        room = np.maximum(plan.nodes["neurons"][self._watches["node"]], rows)
        begins = np.cumsum(room) - room
        self._watches["capacity"], self._watches["rows"] = room, begins
        self._out = aligned(2 * int(room.sum()), np.int64)
        kinds = [MEMBRANE if membrane else SPIKE for membrane in self._watches["membrane"]]
        self._parts = list(zip((2 * begins).tolist(), kinds, strict=True))
        self._arrays = (
            plan.order, plan.nodes, plan.stages, self._watches, plan.encodings, plan.table, plan.weights,
            self._state, self._bits, self._last, self._ids, self._values, self._counts, *self._aim,
            self._out, self._out.view(np.float32), self._written,
        )  # fmt: skip

    def _seen(self) -> list[Records]:
        """Copies of what the last call wrote."""
        written: list[int] = self._written.tolist()
        out = self._out  # numbers are copied in a third of the time that records are
        return [
            out[begin : begin + 2 * count].copy().view(kind)
            for (begin, kind), count in zip(self._parts, written, strict=True)
        ]

    def counters(self) -> Counters:
        synops: dict[str, int] = {}
        for name, offset in self._plan.synops:
            synops[name] = synops.get(name, 0) + int(self._counts[offset])
        return Counters(
            steps=int(self._counts[program.STEP]),
            events=int(self._counts[program.EVENTS]),
            outside=int(self._counts[program.OUTSIDE]),
            cropped=int(self._counts[program.CROPPED]),
            spikes={name: int(self._counts[offset]) for name, offset in self._plan.spikes},
            synops=synops,
        )

    @property
    def dense_steps(self) -> Mapping[str, int]:
        """Steps since the last reset in which a projection was gathered, under its name in `counters().synops`.

        A projection that is computed in several stages counts each.
        """
        steps: dict[str, int] = {}
        for name, offset in self._plan.dense_steps:
            steps[name] = steps.get(name, 0) + int(self._counts[offset])
        return steps

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes of what forks share (weights, tables), and of this engine's own state."""
        plan = self._plan
        shared = plan.table.nbytes + plan.weights.nbytes
        own: list[NDArray[Any]] = [
            self._state, self._bits, self._last, self._ids, self._values, self._counts, self._out, *self._aim
        ]  # fmt: skip
        return shared, sum(array.nbytes for array in own)


def warm(dtype: Literal["float32", "float64"] = "float32") -> float:
    """Compiles the kernels, or loads them from disk where they were compiled before; returns the seconds."""
    from nrt.network import Population, Projection, neuron
    from nrt.network.operators import Dense, array

    begin = perf_counter()
    network = Network(
        (Population("input", (1,)), Population("output", (1,), neuron())),
        (Projection("input", "output", (Dense(array(np.ones((1, 1)))),)),),
        ("input",),
        ("output",),
    )
    CpuEngine(network, ("output",), dtype).run(np.empty(0, EVENT), 0, 1)
    return perf_counter() - begin

"""Recordings side by side in one simulation: each is an Engine of its own, and all advance in step.

A recording's thread hands in what it wants computed and waits. When every recording that runs has done so, the thread
that came last computes as many steps as all have, for all of them at once. A recording that begins later, or ends,
does not hold the others: it runs from its first call after a reset until the next reset.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from nrt.device import Counters
from nrt.errors import Unsupported
from nrt.packet import Records, join
from nrt_sim.engine import Engine
from nrt_sim.gpu.simulation import Simulation, nothing


@dataclass(slots=True, eq=False)
class _Wish:
    """Steps that a recording wants; `done` of them are computed."""

    inputs: Records
    start: int
    steps: int
    done: int = 0
    parts: list[dict[str, Records]] = field(default_factory=list[dict[str, Records]])
    error: BaseException | None = None

    def part(self, steps: int, dt: int) -> tuple[Records, int]:
        """The records of the next `steps` steps, and where those begin."""
        begin = self.start + self.done * dt
        low, high = np.searchsorted(self.inputs["t"], [begin, begin + steps * dt])
        return self.inputs[low:high], begin


class Together:
    """One simulation and the recordings that run in it."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self._changed = threading.Condition()
        self._running: set[int] = set()
        self._wishes: dict[int, _Wish] = {}

    def run(self, recording: int, inputs: Records, start: int, steps: int) -> list[dict[str, Records]]:
        """Waits until the steps are computed; fewer, where the recording left meanwhile. Raises what went wrong."""
        wish = _Wish(inputs, start, steps)
        with self._changed:
            if recording not in self._running:
                self.simulation.reset([recording])
                self._running.add(recording)
            self._wishes[recording] = wish
            while self._wishes.get(recording) is wish:
                if self._running <= self._wishes.keys():
                    self._advance()
                else:
                    self._changed.wait()
        if wish.error is not None:
            raise wish.error
        return wish.parts

    def leave(self, recording: int) -> None:
        """The recording runs no more; the others go on without it."""
        with self._changed:
            self._running.discard(recording)
            self._wishes.pop(recording, None)
            self._changed.notify_all()

    def rewind(self, recording: int) -> None:
        """The recording's state and counts as at the start."""
        self.leave(recording)
        with self._changed:
            self.simulation.reset([recording])

    def counters(self, recording: int) -> Counters:
        return self.simulation.counters(recording)

    def _advance(self) -> None:
        """Computes as many steps as every wish has left."""
        simulation, wishes = self.simulation, self._wishes
        dt = simulation.layout.network.semantics.dt
        steps = min(wish.steps - wish.done for wish in wishes.values())
        inputs, starts = [nothing()] * simulation.batch, [0] * simulation.batch
        for recording, wish in wishes.items():
            inputs[recording], starts[recording] = wish.part(steps, dt)
        try:
            made = simulation.run(inputs, starts, steps, sorted(wishes))
        except BaseException as error:
            for wish in wishes.values():
                wish.error = error
            wishes.clear()
        else:
            for recording, wish in wishes.items():
                wish.done += steps
                wish.parts.append(made[recording])
            self._wishes = {k: wish for k, wish in wishes.items() if wish.done < wish.steps}
        self._changed.notify_all()


class Side(Engine):
    """One recording of several, as an Engine; its calls come from a thread of its own."""

    def __init__(self, together: Together, recording: int) -> None:
        self._together, self._recording = together, recording
        layout = together.simulation.layout
        self.network = layout.network
        self.watched = tuple(watch.name for watch in layout.watches)

    def reset(self) -> None:
        self._together.rewind(self._recording)

    def leave(self) -> None:
        """Ends a call under way in another thread, and lets the others go on."""
        self._together.leave(self._recording)

    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        if steps == 0:
            return self._together.simulation.empty()
        parts = self._together.run(self._recording, inputs, start, steps)
        if len(parts) == 1:
            return parts[0]
        empty = self._together.simulation.empty()
        return {name: join([none, *(part[name] for part in parts)]) for name, none in empty.items()}

    def counters(self) -> Counters:
        return self._together.counters(self._recording)

    def fork(self) -> Self:
        raise Unsupported(self.network.name, "recordings side by side do not multiply; ask for more of them")

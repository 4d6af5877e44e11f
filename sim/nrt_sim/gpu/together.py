"""Recordings side by side in one simulation: each is an Engine of its own, and all advance in step.

A recording's thread hands in what it wants computed and waits. When every recording that runs has done so, the thread
that came last computes as many steps as all have, for all of them at once. A recording runs from its first call after
a reset until the next reset: one that begins later, or ends, does not hold the others.
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
from nrt_sim.gpu.failures import translated
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
    """One simulation and the recordings that run in it; `uri` names the device in errors."""

    def __init__(self, simulation: Simulation, uri: str) -> None:
        self.simulation = simulation
        self._uri = uri
        self._changed = threading.Condition()
        self._computing = False
        self._running: set[int] = set()
        self._wishes: dict[int, _Wish] = {}

    def run(self, recording: int, inputs: Records, start: int, steps: int) -> list[dict[str, Records]]:
        """Waits until the steps are computed; fewer, where the recording left meanwhile. Raises what went wrong."""
        wish = _Wish(inputs, start, steps)
        with self._changed:
            self._begin(recording)
            self._wishes[recording] = wish
            while self._wishes.get(recording) is wish:
                if not self._computing and self._running <= self._wishes.keys():
                    self._advance()
                else:
                    self._changed.wait()
        if wish.error is not None:
            raise wish.error
        return wish.parts

    def leave(self, recording: int) -> None:
        """The recording runs no more; the others go on without it. Never waits for what is being computed."""
        with self._changed:
            self._running.discard(recording)
            self._wishes.pop(recording, None)
            self._changed.notify_all()

    def counters(self, recording: int) -> Counters:
        """Of a recording that runs; nothing is counted for one that does not."""
        return self.simulation.counters(recording if recording in self._running else None)

    def _begin(self, recording: int) -> None:
        """At the first steps after it left: from the start."""
        while self._computing:
            self._changed.wait()
        if recording not in self._running:
            with translated(self._uri):
                self.simulation.reset([recording])
            self._running.add(recording)

    def _advance(self) -> None:
        """Computes as many steps as every wish has left, without holding the lock."""
        wishes = dict(self._wishes)
        steps = min(wish.steps - wish.done for wish in wishes.values())
        self._computing = True
        self._changed.release()
        error: BaseException | None = None
        made: dict[int, dict[str, Records]] = {}
        try:
            made = self._compute(wishes, steps)
        except BaseException as caught:
            error = caught
        self._changed.acquire()
        self._computing = False
        for recording, wish in wishes.items():
            if error is not None:
                wish.error = error
            else:
                wish.done += steps
                wish.parts.append(made[recording])
            if self._wishes.get(recording) is wish and (error is not None or wish.done == wish.steps):
                del self._wishes[recording]
        self._changed.notify_all()

    def _compute(self, wishes: Mapping[int, _Wish], steps: int) -> dict[int, dict[str, Records]]:
        simulation = self.simulation
        dt = simulation.layout.network.semantics.dt
        inputs, starts = [nothing()] * simulation.batch, [0] * simulation.batch
        for recording, wish in wishes.items():
            inputs[recording], starts[recording] = wish.part(steps, dt)
        with translated(self._uri):
            made = simulation.run(inputs, starts, steps, sorted(wishes))
        return {recording: made[recording] for recording in wishes}


class Side(Engine):
    """One recording of several, as an Engine; its calls come from a thread of its own."""

    def __init__(self, together: Together, recording: int) -> None:
        self._together, self._recording = together, recording
        layout = together.simulation.layout
        self.network = layout.network
        self.watched = tuple(watch.name for watch in layout.watches)

    def reset(self) -> None:
        """Ends a call under way in another thread and lets the others go on; the next call starts anew."""
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

"""Climbing: every recording on every rung, then on rungs taken alone and layer by layer; the loss of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from nrt.compare.ladder_load import at_bounds
from nrt.compare.ladder_measure import Floats, distance
from nrt.compare.ladder_networks import alike, altered, changed
from nrt.compare.ladder_result import Measure
from nrt.compare.ladder_run import Cases, Walked, run
from nrt.device import Rung
from nrt.errors import DeviceError, NrtError
from nrt.network import Network

K = TypeVar("K", int, str)

_APART: Final = ("leak", "weights", "state")
"""Rungs that can be taken layer by layer: a delay of one layer alone would only tear the network apart."""
_WATCHED: Final = 3
"""Recordings of which membranes are looked at: every neuron in every step is much."""


class Climb:
    """The rungs that were run, and the loss of every recording on each. Rungs are named by their place.

    used:    the recordings that ran on every rung that ran, by their place · ran: those rungs
    alone:   losses of rungs that were taken alone in the network of rung `base`
    parts:   losses of rungs of which one layer alone was taken, on top of the rung before
    omitted: what of these could not be run, one sentence each
    """

    def __init__(self, cases: Cases, measure: Measure, progress: Callable[[str], None]) -> None:
        self.cases = cases
        self.measure: Measure = measure
        self._progress = progress
        self.rungs: list[Rung] = []
        self.walked: list[Walked] = []
        self.used: NDArray[np.int64] = np.zeros(0, np.int64)
        self.base = 0
        self.alone: dict[int, Floats] = {}
        self.parts: dict[int, dict[str, Floats]] = {}
        self.omitted: list[str] = []

    async def climb(self, rung: Rung) -> None:
        """Runs every recording on the next rung."""
        self._progress(f"{rung.name} on {rung.on}")
        self.rungs.append(rung)
        self.walked.append(await run(rung, self.cases))

    def settle(self, name: str, on: str) -> None:
        """Says which recordings count. Raises DeviceError where there is nothing to compare."""
        first = self.walked[0]
        if first.error:
            raise DeviceError(self.rungs[0].on, f"the float network {name} does not run: {first.error}")
        if not self.ran[1:]:
            raise DeviceError(on, f"no rung could be run: {self.walked[-1].error}")
        failed = {index for index, _ in self._errors()}
        self.used = np.array([k for k in range(len(self.cases)) if k not in failed], np.int64)
        if not len(self.used):
            case, error = self.failed()[0]
            raise DeviceError(on, f"no recording ran on every rung; the first, {case}, failed: {error}")

    @property
    def ran(self) -> list[int]:
        return [k for k, walked in enumerate(self.walked) if not walked.error]

    def failed(self) -> list[tuple[str, str]]:
        """Recordings that are in no figure: name, and the first error."""
        first: dict[int, str] = {}
        for index, error in self._errors():
            first.setdefault(index, error)
        return [(self.cases.cases[index].name, first[index]) for index in sorted(first)]

    def _errors(self) -> list[tuple[int, str]]:
        return [
            (index, f"{self.rungs[k].name}: {outcome.error}")
            for k in self.ran
            for index, outcome in enumerate(self.walked[k].outcomes)
            if outcome.error
        ]

    def losses(self, rung: int) -> Floats:
        """Of every recording in use, on a rung that ran."""
        return self._losses(self.walked[rung])

    def _losses(self, walked: Walked) -> Floats:
        return np.array([self._loss(walked, index) for index in self.used.tolist()])

    def _loss(self, walked: Walked, index: int) -> float:
        outcome = walked.outcomes[index]
        if outcome.error:
            return math.nan
        if self.measure == "accuracy":
            return float(outcome.answer != self.cases.cases[index].label)
        return distance(self.walked[0].outcomes[index].counts, outcome.counts)

    async def take_apart(self) -> None:
        """Runs every rung that is a network alone, and layer by layer where it changes anything."""
        soft = [k for k in self.ran if k > 0 and self.rungs[k].on == self.rungs[0].on]
        if not soft:
            return
        self.base = soft[0]
        base = self.rungs[self.base].network
        for below, k in itertools.pairwise(soft):
            before, after = self.rungs[below].network, self.rungs[k].network
            if not (alike(base, after) and alike(before, after)):
                continue
            name = self.rungs[k].name
            if below == self.base:
                self.alone[k] = self.losses(k)
            else:
                await self._try(self.alone, k, f"{name} alone", changed(base, before, after))
            if name in _APART and bool(np.any(self.losses(below) != self.losses(k))):
                await self._layers(k, before, after)

    async def _layers(self, k: int, before: Network, after: Network) -> None:
        parts = self.parts[k] = {}
        for layer in altered(before, after):
            one = changed(before, before, after, [layer])
            await self._try(parts, layer, f"{self.rungs[k].name} of {layer}", one)

    async def _try(self, into: dict[K, Floats], key: K, what: str, network: Network) -> None:
        """Runs a network of the rungs' make; one that fails is left out, and `omitted` says so."""
        self._progress(what)
        made: Walked = await run(Rung(what, network, self.rungs[0].on, what), self.cases)
        errors = [made.error, *(made.outcomes[k].error for k in self.used.tolist() if made.outcomes)]
        if error := next(filter(None, errors), ""):
            self.omitted.append(f"{what} could not be run: {error}")
            return
        into[key] = self._losses(made)

    async def bounded(self) -> dict[str, float]:
        """Per layer, the share of membranes that are at the device's bounds, on the last rung that knows of any."""
        for k in reversed(self.ran):
            if self.rungs[k].bounds is not None:
                self._progress("membranes at their bounds")
                try:
                    watched = [await self.cases.get(index) for index in self.used[:_WATCHED].tolist()]
                    return await at_bounds(self.rungs[k], watched)
                except NrtError as error:
                    self.omitted.append(f"membranes could not be looked at: {error}")
                    return {}
        return {}

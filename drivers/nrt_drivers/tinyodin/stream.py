"""Time steps as the chip's events, and the chip's spikes as packets.

A step is: the bias unit's spike, the step's input events in order of arrival, a time reference for the leak, and a
mark, which the bridge sends back behind all that the step caused. A step without input causes no spike and has no
mark; the last step of a packet always has one, so that the packet is answered when the chip has done it.

Leaks stop at zero. So once nothing came for as many steps as the slowest leak needs from the end of the membrane's
range, further time references change nothing and are not sent, however long the silence lasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import events
from nrt.bridge.events import Words
from nrt.device import Counters
from nrt.errors import ConfigError
from nrt.network.operators import fan
from nrt.packet import SPIKE, Records
from nrt.steps import Span
from nrt_drivers.tinyodin import chip
from nrt_drivers.tinyodin.lower import Program

Integers = NDArray[np.int64]

_BIAS, _INPUT, _LEAK, _MARK = range(4)
"""What follows what in a step."""

_DOUBTS: Final = {
    "cascades_over": f"one event caused more than {chip.FIFO} spikes, of which the chip may have lost some",
    "unsettled": "the chip's spikes kept each other going until the bridge went on without waiting for the end",
}
"""What the bridge's counters say of things that it cannot see."""

_RANGE: Final = -chip.MEMBRANE.low


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """One span as event words. steps: the step that each of its marks ends, in order; taps: what inputs did."""

    span: Span
    words: Words
    steps: Integers
    inputs: Records


class Encoder:
    """Turns the spans of one run into event words, and counts what it takes in."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._network = program.network
        self._input = program.network[program.network.inputs[0]]
        self._first = program.first[self._input.name]
        leaks = [int(f.leak[f.leak > 0].min()) for f in program.layers if f.leak.any()]
        self._fades = ceil(_RANGE / min(leaks)) if leaks else 0
        self._address = _event(chip.SPIKE.pack(neuron=self._first + np.arange(self._input.size)))
        self._bias = _event(chip.SPIKE.pack(neuron=max(program.bias, 0)))
        self._leak = _event(np.asarray(chip.LEAK_ALL.pack_one()))
        self._silent = 0  # steps since something came, at the end of the span before
        self._tag = 0
        self.steps = self.events = self.outside = self.cropped = 0
        self.spikes = np.zeros(self._input.size, np.int64)

    def encode(self, span: Span) -> Sent:
        """Raises ConfigError for input spikes that are negative: the chip's inputs have no sign."""
        step, unit = self._taken(span)
        self.steps += span.steps
        self.spikes += np.bincount(unit, minlength=self._input.size)
        busy = np.arange(span.steps) if self._program.bias >= 0 else np.unique(step)
        leaks = self._leaking(busy, span.steps)
        biases = busy if self._program.bias >= 0 else busy[:0]
        marks = busy
        if (len(busy) or len(leaks)) and (not len(busy) or busy[-1] != span.steps - 1):
            marks = np.append(busy, span.steps - 1)
        parts = (
            (biases, _BIAS, np.broadcast_to(self._bias, biases.shape)),
            (step, _INPUT, self._address[unit]),
            (leaks, _LEAK, np.broadcast_to(self._leak, leaks.shape)),
            (marks, _MARK, events.pack_marks(self._tag + np.arange(len(marks)))),
        )
        self._tag = (self._tag + len(marks)) % events.TAGS
        place = np.concatenate([steps * 4 + rank for steps, rank, _ in parts])
        words = np.concatenate([words for _, _, words in parts])
        return Sent(span, words[np.argsort(place, kind="stable")], marks, self._records(span, step, unit))

    def _taken(self, span: Span) -> tuple[Integers, Integers]:
        """The step and the input neuron of every event that drives one, in order of arrival."""
        records = span.records
        times = ((records["t"] - span.start) // self._network.semantics.dt).astype(np.int64)
        if records.dtype == SPIKE:
            unit = records["n"].astype(np.int64)
            unit[unit >= self._input.size] = -2
            if bool((records["v"] < 0).any()):
                raise ConfigError("an input spike is negative; tinyODIN's inputs have no sign")
        else:
            unit = self._network.encoding.index(records, self._input.shape)
        valid = unit >= 0
        self.events += int(np.count_nonzero(valid))
        self.outside += int(np.count_nonzero(unit == -2))
        self.cropped += int(np.count_nonzero(unit == -1))
        step, unit = times[valid], unit[valid]
        if records.dtype == SPIKE:
            often = records["v"][valid]
            return np.repeat(step, often), np.repeat(unit, often)
        if self._network.encoding.values == "binary":
            _, first = np.unique(step * self._input.size + unit, return_index=True)
            first.sort()
            return step[first], unit[first]
        return step, unit

    def _leaking(self, busy: Integers, steps: int) -> Integers:
        """The steps of the span at whose end a time reference is due."""
        if not self._fades or not steps:
            return np.zeros(0, np.int64)
        begins = np.concatenate([[-self._silent], busy])
        ends = np.minimum(np.append(busy, steps), begins + self._fades)
        begins = np.maximum(begins, 0)
        self._silent = min(steps - int(busy[-1]) if len(busy) else self._silent + steps, self._fades)
        spans = [np.arange(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True) if b > a]
        return np.concatenate([np.zeros(0, np.int64), *spans])

    def _records(self, span: Span, step: Integers, unit: Integers) -> Records:
        """The input population's own spikes."""
        return _spikes(span, self._network.semantics.dt, step, unit, self._input.size)


class Decoder:
    """Turns what the bridge sends back into spikes of steps and populations, and counts them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._dt = program.network.semantics.dt
        self._words: list[Words] = []
        self._marks = 0  # among those words
        self._tag = 0
        self.units = np.zeros(program.last + 1, np.int64)

    def take(self, words: Words) -> None:
        """Words of the bridge, in order."""
        self._words.append(words)
        self._marks += int(np.count_nonzero(events.KINDS.classify(words) == events.MARK))

    def decode(self, sent: Sent) -> tuple[dict[str, Records], int] | None:
        """Spikes by population, and how many were lost on the way; None while marks of the span are missing.

        Raises ConfigError for marks that were never sent.
        """
        count = len(sent.steps)
        if self._marks < count:
            return None
        words = np.concatenate([np.zeros(0, np.uint32), *self._words])
        kinds = events.KINDS.classify(words)
        marks = np.flatnonzero(kinds == events.MARK)[:count]
        end = int(marks[-1]) + 1 if count else 0
        words, kinds, self._words = words[:end], kinds[:end], [words[end:]]
        self._marks -= count
        expected = (self._tag + np.arange(count)) % events.TAGS
        if not np.array_equal(events.tags(words[marks]), expected):
            raise ConfigError("marks come back that were not sent")
        self._tag = (self._tag + count) % events.TAGS
        at = np.flatnonzero(kinds == events.EVENT)
        unit = chip.OUTPUT.unpack(events.addresses(words[at]))["neuron"].astype(np.int64)
        step = sent.steps[np.searchsorted(marks, at)] if len(at) else np.zeros(0, np.int64)
        return self._split(sent.span, step, unit), events.lost(words[kinds == events.GAP])

    def _split(self, span: Span, step: Integers, unit: Integers) -> dict[str, Records]:
        """By population. Raises ConfigError for an address that holds no neuron."""
        if len(unit) and int(unit.max()) >= len(self.units):
            raise ConfigError(f"a spike of address {int(unit.max())}, where there is no neuron")
        self.units += np.bincount(unit, minlength=len(self.units))
        out: dict[str, Records] = {}
        for population in self._program.network.populations:
            if population.neuron is not None:
                first = self._program.first[population.name]
                mine = (unit >= first) & (unit < first + population.size)
                out[population.name] = _spikes(
                    span, self._dt, step[mine], unit[mine] - first, population.size
                )
        return out


def doubts(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """How often the bridge counted what it cannot rule out, between two readings of its counters."""
    return {name: after.get(name, 0) - before.get(name, 0) for name in _DOUBTS}


def _event(addresses: NDArray[np.integer]) -> Words:
    return events.pack_events(addresses)


def _spikes(span: Span, dt: int, step: Integers, unit: Integers, size: int) -> Records:
    """SPIKE records in order of step, then of neuron; v is how often it fired in that step."""
    keys, often = np.unique(step * size + unit, return_counts=True)
    out = np.empty(len(keys), SPIKE)
    out["t"] = span.start + (keys // size + 1) * dt - 1
    out["n"], out["v"] = keys % size, often
    return out


def tally(program: Program, encoder: Encoder, decoder: Decoder, doubts: Mapping[str, int]) -> Counters:
    """What was counted: every single spike, also several of a neuron in one step."""
    network = program.network
    fired = {network.inputs[0]: encoder.spikes}
    for population in network.populations:
        if population.neuron is not None:
            first = program.first[population.name]
            fired[population.name] = decoder.units[first : first + population.size]
    synops: Counter[str] = Counter()
    for projection in network.projections:
        ways = fan(projection.operators, network[projection.source].shape).ravel()
        synops[f"{projection.source} → {projection.target}"] += int(ways @ fired[projection.source])
    return Counters(
        encoder.steps,
        encoder.events,
        encoder.outside,
        encoder.cropped,
        {name: int(counts.sum()) for name, counts in fired.items() if name not in network.inputs},
        dict(synops),
        {_DOUBTS[name]: count for name, count in doubts.items() if count},
    )

"""Counters: what a device counted in a run, from which its energy is modelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counters:
    """What a device counted since its last reset.

    steps:    time steps computed; events: input events taken in; outside: events outside the input, discarded
    cropped:  events that the encoding leaves out on purpose
    spikes:   per population · synops: per projection "source → target", one per spike and synapse reached
    doubts:   what may have happened where nobody can see it, such as in a chip's own queue, and how often
    """

    steps: int = 0
    events: int = 0
    outside: int = 0
    cropped: int = 0
    spikes: Mapping[str, int] = field(default_factory=dict[str, int])
    synops: Mapping[str, int] = field(default_factory=dict[str, int])
    doubts: Mapping[str, int] = field(default_factory=dict[str, int])

"""Notices: what a node tells everybody who listens. State changes, decisions, alarms; each with an id of its own.

An id is `node.boot.pipeline.kind-number`. `boot` is drawn anew at every start of the daemon, and the numbers of one
kind, pipeline and boot count from 1 without a gap: whoever keeps the ids of decisions and alarms knows whether one is
missing and whether one came twice. Times are Unix seconds, for people; nothing in the daemon computes with them.
"""

from __future__ import annotations

import dataclasses
import itertools
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What JSON can say."""


AlarmKind = Literal[
    "source lost",
    "source back",
    "device stalled",
    "device back",
    "disk full",
    "disk back",
    "output failed",
    "output back",
    "restarts",
    "deadline",
    "failed",
    "config",
    "service",
    "rollback",
    "spool",
]


class State(StrEnum):
    """What a pipeline does. `failed`: no restart can help; it waits for a command or another configuration."""

    stopped = "stopped"
    starting = "starting"
    running = "running"
    backoff = "backoff"
    stopping = "stopping"
    failed = "failed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A pipeline is in another state; `reason` is one sentence, or "" where there is none to give."""

    id: str
    time: float
    pipeline: str
    state: State
    reason: str

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the outputs said in one window of the stream.

    start, end: µs of the stream
    winner: the neuron that fired most, None on a tie, without a spike or with several outputs · label: its name, or ""
    counts: per output, each neuron's spikes (sum of payloads), or its mean membrane for a readout
    """

    id: str
    time: float
    pipeline: str
    start: int
    end: int
    winner: int | None
    label: str
    counts: Mapping[str, tuple[float, ...]]

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON."""
        counts: dict[str, Json] = {name: list(values) for name, values in self.counts.items()}
        return {
            "id": self.id,
            "time": self.time,
            "pipeline": self.pipeline,
            "start": self.start,
            "end": self.end,
            "winner": self.winner,
            "label": self.label,
            "counts": counts,
        }


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should know of. pipeline: "" where it concerns the whole node."""

    id: str
    time: float
    pipeline: str
    kind: AlarmKind
    text: str

    def to_dict(self) -> dict[str, Json]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)


Notice = StateChange | Decision | Alarm


class Ids:
    """Makes ids; one for the whole node."""

    def __init__(self, node: str, boot: str | None = None) -> None:
        self.node, self.boot = node, boot or secrets.token_hex(4)
        self._numbers: defaultdict[tuple[str, str], Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def next(self, pipeline: str, kind: Literal["state", "decision", "alarm"]) -> tuple[str, float]:
        """The id of the next notice of that kind, and the wall clock's time."""
        number = next(self._numbers[pipeline, kind])
        return f"{self.node}.{self.boot}.{pipeline or '-'}.{kind}-{number}", time.time()

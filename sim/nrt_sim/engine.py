"""Engine: computes time steps of a network, synchronously; knows neither packets nor event loops.

`nrt_sim.clocked` makes a Device of any Engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nrt.device import Counters
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import Records


class Engine(ABC):
    """A network with its state. `run` continues where the last call stopped.

    watched: names of populations whose spikes are returned; "name.v" stands for a membrane.
    """

    network: Network
    watched: tuple[str, ...]

    @abstractmethod
    def reset(self) -> None:
        """Membranes to v0, delays and counters emptied."""

    @abstractmethod
    def run(self, inputs: Records, start: int, steps: int) -> Mapping[str, Records]:
        """Computes `steps` steps from `start` µs on; returns the records of every watched name.

        inputs: EVENT records (encoded by `network.encoding`) or SPIKE records (n and v as they are) in time
        order, all of [start, start + steps · dt). Events outside the input are counted and discarded.

        Returns SPIKE records in order of step, then of n; each t is the last µs of its step. The name of a
        population that does not fire, and "name.v", give MEMBRANE records: every neuron in every step.
        The arrays belong to the caller.
        """

    @abstractmethod
    def counters(self) -> Counters:
        """What was counted since the last reset."""

    @abstractmethod
    def fork(self) -> Self:
        """An engine of the same network in its reset state; shares what does not change."""


def edges(records: Records, start: int, steps: int, dt: int) -> NDArray[np.int64]:
    """Where each step's records begin, and the end. Raises ConfigError for records outside of the steps."""
    found = np.searchsorted(np.ascontiguousarray(records["t"]), start + dt * np.arange(steps + 1))
    if len(records) and (found[0] != 0 or found[-1] != len(records)):
        raise ConfigError(f"events lie outside of the {steps} steps from {start} µs on")
    return found.astype(np.int64)

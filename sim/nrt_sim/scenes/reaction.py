"""Closing the loop: how long it takes from a command to the first event that it causes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nrt.clock import now
from nrt.packet import Packet
from nrt_sim.scenes.path import Action, Steerable


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a command led to.

    t: µs of the first event from the moment on at which the scene took the command up · simulated_us: since that
    moment · host_ns: from giving the command to having the event in hand
    """

    action: Action
    t: int
    simulated_us: int
    host_ns: int


class Reactions:
    """Watches the packets that a caller receives, for the first event after each command to `path`.

    Noise counts as an event too: in a noisy picture ask for more than one within a step (`least`).
    """

    def __init__(self, path: Steerable, *, least: int = 1) -> None:
        self._path, self._least = path, least
        self._seen = 0
        self.results: list[Reaction] = []

    def saw(self, packet: Packet) -> None:
        """Call it with every packet, as it comes."""
        arrived, t = now(), packet.data["t"]
        for action in self._path.actions[self._seen :]:
            first = int(np.searchsorted(t, action.taken))
            if len(t) - first < self._least:
                return
            event = int(t[first])
            self.results.append(Reaction(action, event, event - action.taken, arrived - action.stamp))
            self._seen += 1

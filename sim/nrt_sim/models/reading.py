"""The digits task: the shipped network, what it watches, and how its spikes become answers.

A gaze reads held-out digits (`nrt_sim.scenes.digits`); the network runs on without a reset between them. The answer
to a digit is the output neuron that fired most while the gaze was on it; spikes of the sweep to it do not count.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.network import Network
from nrt.packet import Records
from nrt_sim.models import digits
from nrt_sim.scenes.digits import EPISODE, SWEEP, Digits, held_out_row
from nrt_sim.sensors import Sensor
from nrt_sim.sensors.source import SensorSource

SIZE: Final = 32
"""Pixels in height and width of the view that the network was trained for."""
SENSOR: Final = "davis346"
CLASSES: Final = 10


def network() -> Network:
    """The shipped network, in nrt's plain reading of NIR with its time step of 1 ms."""
    return Network.load(digits())


class Reading(SensorSource):
    """`count` digits before a sensor of 32x32 pixels. speed: 1 in real time, 0 as fast as possible.

    row: digits to read; by default the held-out ones in an order drawn from `seed`, as in
    `synth:digits?sensor=davis346&width=32&height=32` with that seed
    """

    def __init__(self, count: int, *, seed: int, speed: float = 1.0, row: Digits | None = None) -> None:
        shape = (SIZE, SIZE)
        scene = row or held_out_row(shape, seed)
        super().__init__(
            scene,
            Sensor(SENSOR, shape=shape, seed=seed),
            seconds=count * EPISODE / 1e6,
            speed=speed,
            name="synth:digits",
        )
        if row is None:
            self.uri = (
                f"synth:digits?sensor={SENSOR}&width={SIZE}&height={SIZE}&seconds={count * EPISODE / 1e6:g}"
                f"&seed={seed}&speed={speed:g}"
            )
        self.answers = np.array([scene.answer(k) for k in range(count)], np.int64)
        """The digits in view, int64[count]."""
        self.episode = EPISODE
        """µs from one digit to the next."""


def votes(spikes: Records, count: int) -> NDArray[np.int64]:
    """Spikes of every output neuron for each of `count` digits, int64[count, 10]."""
    episode, rest = np.divmod(spikes["t"], EPISODE)
    counted = (rest >= SWEEP) & (episode < count)
    cells = episode[counted] * CLASSES + spikes["n"][counted]
    sums = np.bincount(cells, spikes["v"][counted], minlength=count * CLASSES)
    return sums.astype(np.int64).reshape(count, CLASSES)


def decide(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The answers: the neuron with most votes, the lower number of a tie, -1 where none fired."""
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)

"""The held-out digits one by one: the data set `digits`, and the source `digit:K` that each of its samples is."""

from __future__ import annotations

from typing import Final

from nrt.dataset import Dataset, Sample
from nrt.errors import ConfigError
from nrt.uri import Uri
from nrt_sim.models import held_out
from nrt_sim.models.reading import CLASSES, SENSOR, SIZE
from nrt_sim.scenes.digits import EPISODE, Digits
from nrt_sim.sensors import Sensor
from nrt_sim.sensors.source import SensorSource

_SEEDS: Final = 1000
"""Seeds of the sensor from one seed of a data set to the next: more than there are digits, so that none meet."""


class DigitSource(SensorSource):
    """`digit:K?seed=0&speed=0`: held-out digit K, swept to and looked at with three saccades, in 160 ms.

    The same K and seed give the same events. speed: 1 in real time, 0 as fast as possible.
    """

    def __init__(self, uri: Uri, *, seed: int = 0, speed: float = 0.0) -> None:
        images, labels = held_out()
        if not (uri.place.isascii() and uri.place.isdigit()) or int(uri.place) >= len(labels):
            raise ConfigError(f"digit:{uri.place}: write digit:0 to digit:{len(labels) - 1}")
        if seed < 0:
            raise ConfigError(f"digit: seed is {seed}; it must be 0 or more")
        index = int(uri.place)
        super().__init__(
            Digits((SIZE, SIZE), images[index : index + 1], labels[index : index + 1]),
            Sensor(SENSOR, shape=(SIZE, SIZE), seed=seed * _SEEDS + index),
            seconds=EPISODE / 1e6,
            speed=speed,
            name=f"digit:{index}",
        )


def digits(uri: Uri, *, seed: int = 0, count: int = 0) -> Dataset:
    """`digits?seed=0&count=0`: the held-out digits, each before a simulated sensor with noise of its own.

    count: how many; 0 for all 360. Raises ConfigError.
    """
    _, labels = held_out()
    if uri.place:
        raise ConfigError(f"digits:{uri.place}: it takes no name; write digits?count=100")
    if not 0 <= count <= len(labels):
        raise ConfigError(f"digits: count is {count}; there are {len(labels)}")
    if seed < 0:
        raise ConfigError(f"digits: seed is {seed}; it must be 0 or more")
    samples = [
        Sample(f"digit:{k}?seed={seed}", int(label), f"digit {k}")
        for k, label in enumerate(labels[: count or None])
    ]
    return Dataset(str(uri), tuple(samples), tuple(map(str, range(CLASSES))))

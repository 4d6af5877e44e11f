"""What a sensor's maker would measure: noise against light, events against contrast, response to flicker.

Used by the tests and by the plots of docs/sensors.md, so that both show the same measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nrt_sim.sensors.arithmetic import cosine
from nrt_sim.sensors.parameters import Parameters
from nrt_sim.sensors.sensor import Sensor


def noise_rate(
    parameters: Parameters, lux: float, seconds: float, *, seed: int = 0, shape: tuple[int, int] | None = None
) -> float:
    """Events per pixel and second in constant light."""
    sensor = Sensor(parameters, shape=shape, seed=seed)
    light = np.full(sensor.shape, lux, np.float32)
    sensor.step(light, 0)
    spans = round(seconds * 100)
    count = sum(len(sensor.step(light, k * 10_000)) for k in range(1, spans + 1))
    return count / (light.size * spans * 0.01)


def contrast_curve(
    parameters: Parameters,
    contrasts: Sequence[float] | NDArray[np.float64],
    *,
    lux: float = 100.0,
    seed: int = 0,
) -> list[float]:
    """For each step of ln(light), the part of the pixels that answer with an event of its sign."""
    out = []
    for contrast in contrasts:
        sensor = Sensor(parameters, seed=seed)
        light = np.full(sensor.shape, lux, np.float32)
        sensor.step(light, 0)
        events = sensor.step((light * np.exp(contrast)).astype(np.float32), 100_000)
        right = events[events["p"] == int(contrast > 0)]
        pixels = right["y"].astype(np.int64) * sensor.shape[1] + right["x"]
        out.append(len(np.unique(pixels)) / light.size)
    return out


def response(parameters: Parameters, lux: float, hertz: float, *, depth: float, periods: int = 6) -> float:
    """Amplitude that a pixel sees of a sinusoidal flicker of ln(light), ± depth, relative to that: 0 to 1.

    ON events count the rise of a period in thresholds, and a rise is twice the amplitude. The first half of the
    periods is left out.
    """
    sensor = Sensor(parameters, seed=0)
    points = min(200, int(5e5 / hertz))  # steps of 2 µs at least
    light = np.empty(sensor.shape, np.float32)
    on = 0
    for k in range(periods * points + 1):
        light.fill(lux * np.exp(depth * cosine(k / points - 0.25)))
        events = sensor.step(light, round(k / points * 1e6 / hertz))
        if k > periods // 2 * points:
            on += int(np.count_nonzero(events["p"]))
    rise = on / light.size / (periods - periods // 2) * parameters.on
    return rise / (2 * depth)

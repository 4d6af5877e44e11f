"""Compiles the kernels of the simulated sensor, by showing it two pictures."""

from __future__ import annotations

import numpy as np

from nrt_sim.sensors.sensor import Sensor


def warm() -> None:
    """Leaves every kernel compiled, in this process and in numba's cache on disk."""
    sensor = Sensor("davis346", shape=(32, 32))
    for t, light in ((0, 100.0), (1_000, 1_000.0), (2_000, 100.0)):
        sensor.step(np.full((32, 32), light, np.float32), t)

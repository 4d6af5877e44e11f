"""Simulated event cameras: `Sensor`, its `Parameters` and the `PRESETS` of real ones."""

from nrt_sim.sensors.parameters import Parameters, Readout
from nrt_sim.sensors.presets import PRESETS
from nrt_sim.sensors.sensor import Sensor

__all__ = ["PRESETS", "Parameters", "Readout", "Sensor"]

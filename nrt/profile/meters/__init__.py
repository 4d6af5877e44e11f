"""Meters: instruments that say what a run took, and the method by which they are read.

A meter is opened, asked for laps (what was taken since the last lap), and closed. `measure` asks it while some work
runs and while nothing does, and makes an Energy of each of its channels. `nrt.registry.meter` finds one by its URI.
"""

from __future__ import annotations

from nrt.profile.meters.base import Channel, Lap, Meter
from nrt.profile.meters.measure import measure

__all__ = ["Channel", "Lap", "Meter", "measure"]

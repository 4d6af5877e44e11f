"""Measuring: latency histograms, the clocks of devices, and energy."""

from __future__ import annotations

from nrt.profile.energy import Energy
from nrt.profile.histogram import Histogram
from nrt.profile.sync import ClockMap, Probe, Sync

__all__ = ["ClockMap", "Energy", "Histogram", "Probe", "Sync"]

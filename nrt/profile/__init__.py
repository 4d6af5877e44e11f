"""Measuring: latency histograms, the clocks of devices and, later, energy meters."""

from __future__ import annotations

from nrt.profile.histogram import Histogram
from nrt.profile.sync import ClockMap, Probe, Sync

__all__ = ["ClockMap", "Histogram", "Probe", "Sync"]

"""Measuring: latency, decisions, the clocks of devices, and energy."""

from __future__ import annotations

from nrt.profile.counters import Counters
from nrt.profile.decision import Decider, Decisions, Moment
from nrt.profile.energy import Energy
from nrt.profile.histogram import Histogram
from nrt.profile.latency import Deadline, Floor, Latency, Phase, Stopwatch
from nrt.profile.spread import Spread
from nrt.profile.sync import ClockMap, Probe, Sync

__all__ = [
    "ClockMap",
    "Counters",
    "Deadline",
    "Decider",
    "Decisions",
    "Energy",
    "Floor",
    "Histogram",
    "Latency",
    "Moment",
    "Phase",
    "Probe",
    "Spread",
    "Stopwatch",
    "Sync",
]

"""Measuring: latency histograms and, later, energy meters."""

from __future__ import annotations

from nrt.profile.histogram import Histogram

__all__ = ["Histogram"]

"""Filters of event streams: the same on cameras, recordings and simulated sensors; see docs/filters.md."""

from __future__ import annotations

from nrt.filters.base import Filter
from nrt.filters.chain import FILTERS, Chain, parse
from nrt.filters.source import Filtered

__all__ = ["FILTERS", "Chain", "Filter", "Filtered", "parse"]

"""Streaming a source into a sink: a recording on disk, a wire, or nothing but the look of it.

A `Transfer` moves a source's packets to a `Sink` and counts; `FileSink` is the sink that records.
"""

from __future__ import annotations

from nrt.record.file import FileSink, format_of
from nrt.record.sink import Nowhere, Sink
from nrt.record.transfer import Totals, Transfer

__all__ = ["FileSink", "Nowhere", "Sink", "Totals", "Transfer", "format_of"]

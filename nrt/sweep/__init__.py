"""Sweeps: models x recordings x devices, on this machine or across a lab, resumable and counted once."""

from nrt.sweep.executor import Executor, NotRun
from nrt.sweep.item import Item, Plan, Row, names
from nrt.sweep.journal import Journal
from nrt.sweep.local import Local
from nrt.sweep.summary import Joules, Summary, summaries
from nrt.sweep.sweep import Sweep, sweep

__all__ = [
    "Executor", "Item", "Joules", "Journal", "Local", "NotRun", "Plan", "Row", "Summary", "Sweep", "names",
    "summaries", "sweep",
]  # fmt: skip

"""Replay: runs and comparisons that were kept as JSON, made again, and what changed since."""

from __future__ import annotations

from nrt.replay.changes import Change
from nrt.replay.repeat import Instead, Replay, replay_comparison, replay_run

__all__ = ["Change", "Instead", "Replay", "replay_comparison", "replay_run"]

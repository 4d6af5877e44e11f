"""Compare devices: the same packets, from the same reset state, on two or more of them."""

from __future__ import annotations

from nrt.compare.figures import (
    Accuracy,
    Activity,
    Agreement,
    Concern,
    Delay,
    Divergence,
    InputSpike,
    Membrane,
    Paired,
    Participant,
    Readout,
    Workload,
)
from nrt.compare.ladder_result import Ladder
from nrt.compare.result import Comparison, Options, Pair, Raster, Recording, Train
from nrt.compare.run import compare

__all__ = [
    "Accuracy",
    "Activity",
    "Agreement",
    "Comparison",
    "Concern",
    "Delay",
    "Divergence",
    "InputSpike",
    "Ladder",
    "Membrane",
    "Options",
    "Pair",
    "Paired",
    "Participant",
    "Raster",
    "Readout",
    "Recording",
    "Train",
    "Workload",
    "compare",
]

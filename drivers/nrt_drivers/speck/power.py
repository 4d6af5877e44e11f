"""Energy from the board's power monitor.

Time stamps of its samples come in bursts, so samples are counted instead: each stands for 1/rate seconds of its rail.
The count is checked against the time that the run took; where they disagree, the figure says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nrt.device import Energy
from nrt_drivers.speck.chip import spec
from nrt_drivers.speck.vendor import Measurement

Kind = Literal["measured", "modelled"]


@dataclass(frozen=True, slots=True)
class Meter:
    """How the samples were had. kind: "measured" only on a board; source: what the figures are, for people."""

    rate: float
    kind: Kind
    source: str


def energy(samples: Sequence[Measurement], meter: Meter, seconds: float) -> Energy | None:
    """Energy of a run of `seconds` of board time, gross: idle power is not subtracted. None without samples."""
    rails = spec().enum("power_rail").values
    totals = dict.fromkeys(rails, 0.0)
    counts = dict.fromkeys(rails, 0)
    names = {number: name for name, number in rails.items()}
    for sample in samples:
        name = names.get(sample.channel)
        if name is not None:
            totals[name] += float(sample.value)
            counts[name] += 1
    if not any(counts.values()):
        return None
    joules = sum(totals.values()) / meter.rate
    parts = ", ".join(f"{name} {totals[name] / meter.rate:.3g} J" for name in rails if counts[name])
    expected = seconds * meter.rate
    most = max(counts.values())
    notes = [f"by rail: {parts}; samples are counted, for their stamps come in bursts"]
    if abs(most - expected) > 1 + 0.1 * expected:
        notes.append(f"{most} samples per rail where {expected:.0f} were due")
    return Energy(
        joules,
        meter.kind,
        meter.source,
        "chip rails",
        seconds=seconds,
        rate_hz=meter.rate,
        samples=sum(counts.values()),
        notes=tuple(notes),
    )

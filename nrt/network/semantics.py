"""What NIR leaves open, as named choices: one value per choice, one preset per framework.

NIR describes neurons in continuous time. Between the file and the first spike lie the length of a step,
how the differential equation is discretised, what a spike is worth, how the membrane is reset and which
spikes of a loop arrive when. Frameworks differ in every one of them. `Semantics` holds the answers, is
kept with the network, and is printed by `nrt info` and in every report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nrt.network.neuron import FireTest, Reset, Spikes, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """How a NIR graph is read.

    dt:          µs per time step, a whole number
    integration: "euler": decay 1 - dt/τ, input dt/τ · r · x;
                 "exact": decay exp(-dt/τ), input (1 - exp(-dt/τ)) · r · x (x held over the step);
                 "decay": decay exp(-dt/τ), input r · x unscaled (sinabs, rockpool: a spike is an impulse)
    tau:         "seconds", or "steps": τ in the file counts time steps (sinabs)
    if_input:    what an input does to NIR's IF and I in one step: "step": v += r · x; "current": v += r · dt · x
    synapse:     when a synaptic current is read: "after" its input (i ← αi + x, v sees i) or
                 "decayed" (i ← α(i + x); rockpool, sinabs)
    reset, timing, fire, spikes: as in `nrt.network.neuron`
    v_reset:     "file": NIR's v_reset (v_leak's value is never used), absent = 0; "zero": ignore it
    use_r:       False: r is taken as 1 (norse, spyx, sinabs drop it)
    propagation: "same": a spike crosses a layer within its step; "next": it arrives one step later everywhere.
                 Either way the projection that closes a loop takes one step.
    name:        the preset this came from
    """

    dt: int = 1000
    integration: Literal["euler", "exact", "decay"] = "euler"
    tau: Literal["seconds", "steps"] = "seconds"
    if_input: Literal["step", "current"] = "step"
    synapse: Literal["after", "decayed"] = "after"
    reset: Reset = "hard"
    timing: Timing = "immediate"
    fire: FireTest = ">"
    spikes: Spikes = "binary"
    v_reset: Literal["file", "zero"] = "file"
    use_r: bool = True
    propagation: Literal["same", "next"] = "same"
    name: str = "nir"

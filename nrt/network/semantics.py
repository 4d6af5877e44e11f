"""What NIR leaves open, as named choices: one value per choice, one preset per framework.

NIR describes neurons in continuous time. Between the file and the first spike lie the length of a step,
how the differential equation is discretised, what a spike is worth, how the membrane is reset and which
spikes of a loop arrive when. Frameworks differ in every one of them. `Semantics` holds the answers, is
kept with the network, and is printed by `nrt info` and in every report. `nrt.network.presets` has what
each framework answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nrt.network.neuron import FireTest, Reset, Spikes, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """How a NIR graph is read.

    dt:          µs per time step, a whole number
    integration: decay of a state with time constant τ in one step: "euler": 1 - dt/τ; "exact": exp(-dt/τ)
    input:       what x adds to that state: "scaled": (1 - decay) · x, a current held over the step;
                 "impulse": x itself (sinabs and rockpool: a spike is worth its weight)
    synapse_input: the same choice for the synaptic current of CubaLI and CubaLIF
    tau:         "seconds", or "steps": τ in the file counts time steps, dt does not matter (sinabs)
    if_input:    what x does to NIR's IF and I in one step: "step": v += r · x; "current": v += r · dt · x
    synapse:     "after": i ← α i + x; "decayed": i ← α (i + x) (sinabs, rockpool). v sees the new i
    reset, timing, fire, spikes: as in `nrt.network.neuron`
    v_reset:     "file": NIR's v_reset, 0 where the file has none; "zero": ignore it
    r:           "file": as given; "cuba": only in CubaLI and CubaLIF, elsewhere 1 (norse); "one": always 1
    floor:       "none"; "if": the membrane of NIR's IF never falls below -θ (sinabs); "zero": no membrane of
                 a neuron that fires falls below 0 (nengo)
    v0:          the membrane at the start: "zero"; "reset": v_reset (SpikingJelly); "leak": v_leak (norse)
    propagation: "same": a spike crosses a layer within its step; "next": from neuron to neuron it takes one
                 step. Either way a projection that closes a loop takes at least one.
    name:        the preset this came from
    """

    dt: int = 1000
    integration: Literal["euler", "exact"] = "euler"
    input: Literal["scaled", "impulse"] = "scaled"
    synapse_input: Literal["scaled", "impulse"] = "scaled"
    tau: Literal["seconds", "steps"] = "seconds"
    if_input: Literal["step", "current"] = "step"
    synapse: Literal["after", "decayed"] = "after"
    reset: Reset = "hard"
    timing: Timing = "immediate"
    fire: FireTest = ">"
    spikes: Spikes = "binary"
    v_reset: Literal["file", "zero"] = "file"
    r: Literal["file", "cuba", "one"] = "file"
    floor: Literal["none", "if", "zero"] = "none"
    v0: Literal["zero", "reset", "leak"] = "zero"
    propagation: Literal["same", "next"] = "same"
    name: str = "nir"

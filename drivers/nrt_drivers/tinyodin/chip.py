"""tinyODIN as its definition has it, and what its numbers mean for a network.

All addresses, fields, limits and cycles come from firmware_specs/tinyodin.toml.

The chip against `nrt.network.neuron`, one time step at a time:

* An input event, or a spike of a neuron where the loop is closed, adds its weight to every neuron at once, in order
  of arrival; each addition is followed by the threshold test (v ≥ θ) and the reset to zero. So a neuron can fire in
  the middle of a step, more than once, and what arrives later in the step counts from zero. Where at most one event
  of a step reaches a neuron, or nothing inhibits and the last event is what crosses, this is the equation's step.
* At the end of a step a time reference moves every membrane towards zero by its leak, never past it: a constant, not
  a share of the membrane. Leaking at the end of a step or at the beginning of the next is the same. With weights
  that are never negative this is exactly `drive = -leak, v_min = 0`, with the threshold raised by the leak.
* Spikes of layers act in the same step, those of a loop too; there are no delays.
"""

from __future__ import annotations

from typing import Final

from nrt import spec

CHIP: Final = spec.load("tinyodin")

UNITS: Final = CHIP.limit("neurons")
WEIGHT: Final = CHIP.format("weight")
MEMBRANE: Final = CHIP.format("membrane")
THRESHOLD: Final = CHIP.format("threshold")
LEAK: Final = CHIP.format("leak")
FIFO: Final = CHIP.limit("scheduler_fifo")

NEURON: Final = CHIP.word("neuron")
PAIR: Final = CHIP.word("synapse_pair")
NEURON_ADDRESS: Final = CHIP.memory("neurons").address
SYNAPSE_ADDRESS: Final = CHIP.memory("synapses").address
SPIKE: Final = CHIP.word("aer_spike")
LEAK_ALL: Final = CHIP.word("aer_reference_all")
OUTPUT: Final = CHIP.word("aer_out")

DURATIONS: Final = {
    "aer_reference_all": "reference_all",
    "aer_reference_one": "reference_one",
    "aer_virtual": "virtual",
    "aer_spike": "spike",
}
"""Which duration belongs to which word of the input bus, in the order in which they are told apart."""

MARGIN: Final = 64
"""Clock cycles granted on top of each event's own: synchronisers and the handshakes of both buses."""

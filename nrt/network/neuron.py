"""The neuron: one set of difference equations that covers what the field's frameworks compute.

One time step of one neuron, with x the sum of its inputs in that step (weighted spikes and biases, projection
by projection; sums are evaluated from left to right):

```
i ← synapse_decay · i + synapse_gain · x          (without a synapse: i = x)
v ← decay · v + gain · i + drive                  charge: leak, input, constant drive
v ← max(v, v_min)                                 where v_min is given
s ← fire(v)                                       by `fire` and `spikes`
v ← reset(v, s)                                   by `reset` and `timing`
```

facts: every leaky integrator of SpikingJelly, snnTorch, norse, sinabs, rockpool, spyx and lava is an
instance; `nrt.network.semantics` says which one each framework means by a NIR node.

fire test     `>=`: v ≥ θ · `>`: v > θ
spikes        binary: s ∈ {0, 1}
              signed: s = 1 by the fire test, -1 where it holds for -v, 0 where both (θ ≤ 0)
              count:  s = ⌊v/θ⌋ where the fire test holds, at most `max_spikes` (sinabs MultiSpike, rockpool)
              round:  s = round(clamp(v/θ, 0, max_spikes)), halves to even (SpikingJelly ILIF)
              graded: s = trunc(v) where the fire test holds (the membrane itself is the payload), at most
                  what 32 bits hold
              none:   never fires; its membrane is its output (NIR's LI, CubaLI, I)
reset         hard: v = v_reset where s ≠ 0 · soft: v = v - s·θ (graded: v - trunc(v)) · none
timing        immediate: fire and reset in one step
              delayed: the spike of step k resets in step k+1: soft after the leak
                  (snnTorch's default: v ← decay·v + gain·i + drive - s·θ), hard before it
              fire-first: the step begins with the fire test on the membrane of the step before; soft resets
                  are subtracted after the leak (spyx), hard ones before it. Equal to `delayed` with the
                  output one step later.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError

FireTest = Literal[">=", ">"]
Spikes = Literal["binary", "signed", "count", "round", "graded", "none"]
Reset = Literal["hard", "soft", "none"]
Timing = Literal["immediate", "delayed", "fire-first"]

Parameter = NDArray[np.float64]
"""One number for the whole population (shape ()) or one per neuron (the population's shape)."""


def parameter(value: float | NDArray[Any]) -> Parameter:
    """`value` as a parameter; an array of equal numbers becomes one number."""
    array = np.asarray(value, np.float64)
    if array.size and bool(np.all(array == array.flat[0])):
        array = np.asarray(array.flat[0])
    array = np.array(array)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Neuron:
    """Parameters of one population's neurons; see the module's equations. All in units of one time step.

    decay, gain, drive: of the membrane; threshold: θ; v_reset: membrane after a hard reset
    synapse_decay: None for no synaptic state; synapse_gain: what an input adds to it
    v0: membrane at reset of the device; v_min: None or the lowest value of the membrane
    max_spikes: most spikes of one neuron in one step (spikes = count or round)
    """

    decay: Parameter
    gain: Parameter
    drive: Parameter
    threshold: Parameter
    v_reset: Parameter
    v0: Parameter
    synapse_decay: Parameter | None = None
    synapse_gain: Parameter | None = None
    v_min: Parameter | None = None
    fire: FireTest = ">"
    spikes: Spikes = "binary"
    reset: Reset = "hard"
    timing: Timing = "immediate"
    max_spikes: int = 2**16

    @property
    def fires(self) -> bool:
        """False for a readout whose membrane is its output."""
        return self.spikes != "none"

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """Raises ConfigError unless every parameter is finite and fits a population of `shape`."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, np.ndarray):
                continue
            if value.shape not in ((), shape):
                raise ConfigError(f"{name}: {field.name} has shape {value.shape}, the population {shape}")
            if not bool(np.all(np.isfinite(value))):
                raise ConfigError(f"{name}: {field.name} is not finite")
        if (self.synapse_decay is None) != (self.synapse_gain is None):
            raise ConfigError(f"{name}: a synapse needs both synapse_decay and synapse_gain")
        if self.max_spikes < 1:
            raise ConfigError(f"{name}: max_spikes is {self.max_spikes}; it must be at least 1")
        if self.spikes in ("count", "round") and bool(np.any(self.threshold <= 0)):
            raise ConfigError(f"{name}: a neuron that counts spikes needs a threshold above zero")


def neuron(
    *,
    decay: float | NDArray[Any] = 1.0,
    gain: float | NDArray[Any] = 1.0,
    drive: float | NDArray[Any] = 0.0,
    threshold: float | NDArray[Any] = 1.0,
    v_reset: float | NDArray[Any] = 0.0,
    v0: float | NDArray[Any] = 0.0,
    synapse_decay: float | NDArray[Any] | None = None,
    synapse_gain: float | NDArray[Any] | None = None,
    v_min: float | NDArray[Any] | None = None,
    fire: FireTest = ">=",
    spikes: Spikes = "binary",
    reset: Reset = "hard",
    timing: Timing = "immediate",
    max_spikes: int = 2**16,
) -> Neuron:
    """A Neuron from plain numbers or arrays; the defaults are an integrate-and-fire neuron."""
    if synapse_decay is not None and synapse_gain is None:
        synapse_gain = 1.0
    return Neuron(
        decay=parameter(decay),
        gain=parameter(gain),
        drive=parameter(drive),
        threshold=parameter(threshold),
        v_reset=parameter(v_reset),
        v0=parameter(v0),
        synapse_decay=None if synapse_decay is None else parameter(synapse_decay),
        synapse_gain=None if synapse_gain is None else parameter(synapse_gain),
        v_min=None if v_min is None else parameter(v_min),
        fire=fire,
        spikes=spikes,
        reset=reset,
        timing=timing,
        max_spikes=max_spikes,
    )

"""NIR's neurons as difference equations, by the choices in Semantics.

With τ in seconds and dt the step, a state that follows τ ẏ = -y + r x + y∞ becomes

    y ← decay · y + gain · x + drive        decay = 1 - dt/τ (euler) or exp(-dt/τ) (exact)
                                            gain = r (1 - decay) (scaled) or r (impulse)
                                            drive = y∞ (1 - decay)

The equations are those of the NIR paper (Pedersen et al., Nature Communications 2024, table 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import floor, prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.network.neuron import Neuron, neuron, parameter
from nrt.network.nir import Node
from nrt.network.nodes import Shape, numbers, sized
from nrt.network.semantics import Semantics

Values = NDArray[np.float64]

_PARAMETERS: Final = {
    "I": ("r",),
    "IF": ("r", "v_threshold"),
    "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
    "Threshold": ("threshold",),
}
_OPTIONAL: Final = {"v_reset": 0.0, "w_in": 1.0}


def is_neuron(node: Node) -> bool:
    """Whether the node has state or a threshold: a population of its own."""
    return node.type in _PARAMETERS


def has_time_constant(node: Node) -> bool:
    """Whether what the node does depends on dt."""
    return any(key.startswith("tau") for key in _PARAMETERS.get(node.type, ()))


def own_shape(name: str, node: Node) -> Shape | None:
    """The shape that the node's parameters have, None where one number stands for all neurons."""
    shapes = [a.shape for a in _read(name, node).values() if a.size > 1]
    if not shapes:
        return None
    try:
        return sized(name, np.broadcast_shapes(*shapes))
    except ValueError:
        raise ConfigError(f"{name}: its parameters have shapes {', '.join(map(str, shapes))}") from None


def discretised(name: str, node: Node, shape: Shape, semantics: Semantics) -> Neuron:
    """The neuron of population `name`. Raises ConfigError where parameters or dt do not fit."""
    values = {k: _fitted(name, k, v, shape) for k, v in _read(name, node).items()}
    return _NEURONS[node.type](_Reading(name, values, semantics))


def _read(name: str, node: Node) -> dict[str, Values]:
    optional = {k: numbers(name, node, k, d) for k, d in _OPTIONAL.items()}
    return {k: numbers(name, node, k) for k in _PARAMETERS[node.type]} | optional


def _fitted(name: str, key: str, values: Values, shape: Shape) -> Values:
    """The parameter as one number or as one per neuron."""
    if values.size == 1:
        return values.reshape(())
    if values.size == prod(shape):
        return values.reshape(shape)
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ConfigError(f"{name}: {key} has shape {values.shape}, the population {shape}") from None


@dataclass(frozen=True, slots=True)
class _Reading:
    """A node's parameters and the choices for reading them."""

    name: str
    values: Mapping[str, Values]
    semantics: Semantics

    def __getitem__(self, key: str) -> Values:
        return self.values[key]

    def r(self) -> Values:
        given = self.semantics.r == "file" or (self.semantics.r == "cuba" and "tau_syn" in self.values)
        return self["r"] if given else np.ones(())

    def v_reset(self) -> Values:
        return self["v_reset"] if self.semantics.v_reset == "file" else np.zeros(())

    def v0(self) -> Values:
        rest = self.values.get("v_leak", np.zeros(()))
        return {"zero": np.zeros(()), "reset": self.v_reset(), "leak": rest}[self.semantics.v0]

    def floor(self) -> Values | None:
        lowest = {"none": None, "if": None if "v_leak" in self.values else -self["v_threshold"]}
        return {**lowest, "zero": np.zeros(())}[self.semantics.floor]

    def leak(self, key: str) -> tuple[Values, Values]:
        """(decay, 1 - decay) of the time constant `key`."""
        tau = self[key]
        if bool(np.any(tau <= 0)):
            raise ConfigError(f"{self.name}: {key} is {float(tau.min()):g}; it must be above zero")
        step = 1.0 if self.semantics.tau == "steps" else self.semantics.dt * 1e-6
        ratio = step / tau
        if self.semantics.integration == "exact":
            return np.exp(-ratio), -np.expm1(-ratio)
        if bool(np.any(ratio > 1 + 1e-6)):
            raise ConfigError(_too_long(self.name, key, float(tau.min()), self.semantics))
        ratio = np.minimum(ratio, 1.0)
        return 1.0 - ratio, ratio

    def current(self) -> Values:
        """What an input adds to NIR's I and IF in one step."""
        return self.r() * (self.semantics.dt * 1e-6 if self.semantics.if_input == "current" else 1.0)

    def leaky(self, key: str) -> Neuron:
        """A membrane with time constant `key` that does not fire."""
        decay, rest = self.leak(key)
        gain = self.r() * (rest if self.semantics.input == "scaled" else 1.0)
        return _silent(neuron(decay=decay, gain=gain, drive=self["v_leak"] * rest, v0=self.v0()))

    def with_synapse(self, membrane: Neuron) -> Neuron:
        decay, rest = self.leak("tau_syn")
        gain = self["w_in"] * (rest if self.semantics.synapse_input == "scaled" else 1.0)
        if self.semantics.synapse == "decayed":
            gain = decay * gain
        return replace(membrane, synapse_decay=parameter(decay), synapse_gain=parameter(gain))

    def firing(self, membrane: Neuron) -> Neuron:
        """The same membrane with threshold and reset."""
        s = self.semantics
        floor = self.floor()
        return replace(
            membrane,
            threshold=parameter(self["v_threshold"]),
            v_reset=parameter(self.v_reset()),
            v0=parameter(self.v0()),
            v_min=None if floor is None else parameter(floor),
            fire=s.fire,
            spikes=s.spikes,
            reset=s.reset,
            timing=s.timing,
        )


def _too_long(name: str, key: str, tau: float, semantics: Semantics) -> str:
    if semantics.tau == "steps":
        return f"{name}: {key} is {tau:g} steps; forward Euler needs at least 1, or choose integration=exact"
    largest = floor(tau * 1e6 * (1 + 1e-6))
    limit = f"at most {largest} µs" if largest else "below 1 µs, the shortest step"
    return (
        f"{name}: forward Euler with dt {semantics.dt} µs is unstable at {key} {tau * 1e6:g} µs; "
        f"choose dt {limit}, or integration=exact"
    )


def _silent(membrane: Neuron) -> Neuron:
    return replace(membrane, spikes="none", reset="none", timing="immediate", fire=">")


def _i(r: _Reading) -> Neuron:
    return _silent(neuron(gain=r.current()))


def _threshold(r: _Reading) -> Neuron:
    """Stateless: fires in every step in which what arrives exceeds the threshold."""
    return neuron(decay=0.0, threshold=r["threshold"], fire=r.semantics.fire, reset="none")


_NEURONS: Final[Mapping[str, Callable[[_Reading], Neuron]]] = {
    "I": _i,
    "IF": lambda r: r.firing(_i(r)),
    "LI": lambda r: r.leaky("tau"),
    "LIF": lambda r: r.firing(r.leaky("tau")),
    "CubaLI": lambda r: r.with_synapse(r.leaky("tau_mem")),
    "CubaLIF": lambda r: r.firing(r.with_synapse(r.leaky("tau_mem"))),
    "Threshold": _threshold,
}


def readout() -> Neuron:
    """What stands at an Output that no neuron feeds: its membrane is what arrives in the step."""
    return _silent(neuron(decay=0.0))

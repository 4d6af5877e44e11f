"""What runs on Loihi: a network in its fixed point, as plain arrays of whole numbers.

Units: a weight, a threshold's mantissa and what arrives in a step (`a`) count alike; the states u and v have six
more binary places. `nrt_sim.chips.loihi2.fit` makes a Program of a Network.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt import spec
from nrt.network import Network
from nrt.network.operators import Conv, Dense, Operator, Pool
from nrt_sim.chips.loihi2 import kernels
from nrt_sim.chips.loihi2.kernels import Ints, Width

SPEC: Final = spec.load("loihi2")

WIDTH: Final = Width(
    SPEC.limit("decay_unity").bit_length() - 1,
    SPEC.format("activation").exponent,
    1 << SPEC.format("current").width - 1,
    SPEC.format("membrane").low,
    SPEC.format("membrane").high,
)
ACTIVATION: Final = SPEC.format("activation")


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A population's neurons, one number each.

    decay_u, decay_v: of 4096 · threshold: mantissa · bias: in units of v
    v0: membrane at reset, in units of v · scale: units of a weight per unit of the float network
    origin: what a v of 0 stands for, in units of the float network
    constant: what an axon that spikes in every step adds to a; zeros where there is none
    """

    name: str
    decay_u: Ints
    decay_v: Ints
    threshold: Ints
    bias: Ints
    v0: Ints
    constant: Ints
    fires: bool
    scale: float
    origin: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One linear map of spikes: whole weights, [source, target] or [outputs, inputs / groups, kh, kw].

    operator: its geometry; None for `weights` as a dense matrix
    """

    weights: NDArray[np.int32]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operator: Conv | None = None

    def apply(self, neurons: Ints, payloads: Ints) -> Ints:
        """int64[targets]: what the spikes `neurons` with these payloads are worth."""
        out = np.zeros(prod(self.outputs), np.int64)
        if self.operator is None:
            kernels.dense(neurons, payloads, self.weights, out)
            return out
        (a, b, c), (d, e, f) = self.inputs, self.outputs
        geometry = self.operator
        kernels.convolve(
            neurons, payloads, self.weights, (a, b, c), (d, e, f),
            geometry.stride, geometry.padding, geometry.dilation, geometry.groups, out,
        )  # fmt: skip
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """A projection on the chip.

    only:   bool[sources], the axons that it takes; None for all
    stages: maps in order: one has the stored weights, the others are sums of windows
    exponent: a stored m means m · 2^exponent · delay: steps until a spike acts, at least 1; 0 where the
        host writes what arrives into the biases
    stored: synapses in memory · fan: int64[sources], synapses that a spike reaches
    """

    source: str
    target: str
    stages: tuple[Stage, ...]
    exponent: int
    delay: int
    stored: int
    fan: Ints
    only: NDArray[np.bool_] | None = None

    def activate(self, neurons: Ints, payloads: Ints, a: Ints) -> None:
        """Adds to `a`, int64[targets], what these spikes are worth."""
        for stage in self.stages[:-1]:
            sums = stage.apply(neurons, payloads)
            neurons = np.flatnonzero(sums)
            payloads = sums[neurons]
        total = self.stages[-1].apply(neurons, payloads)
        a += ACTIVATION.fit(
            np.left_shift(total, self.exponent) if self.exponent > 0 else total >> -self.exponent
        )


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A network on the chip. level: steps that a population runs behind the network's own time."""

    network: Network
    cells: tuple[Cells, ...]
    synapses: tuple[Synapses, ...]
    level: dict[str, int]
    notes: tuple[str, ...]
    remarks: dict[str, str]


def stage(operator: Operator, inputs: tuple[int, ...], weights: NDArray[np.int32]) -> Stage:
    """An operator with these whole weights instead of its own."""
    outputs = operator.shape(inputs)
    if isinstance(operator, Dense):
        return Stage(np.ascontiguousarray(weights.T), inputs, outputs)
    if isinstance(operator, Conv):
        return Stage(weights, inputs, outputs, operator)
    assert isinstance(operator, Pool)
    ones = np.ones((inputs[0], 1, *operator.kernel), np.int32)
    geometry = Conv(ones.astype(np.float64), operator.stride, operator.padding, (1, 1), inputs[0])
    return Stage(ones, inputs, outputs, geometry)

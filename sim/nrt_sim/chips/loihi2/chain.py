"""Projections as the chip has them: sums of windows, and one linear map with weights, all factors folded into it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt.errors import Unsupported
from nrt.network import Network, Neuron, Projection
from nrt.network.operators import Array, Conv, Dense, Operator, Pool, Scale


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A projection's operators and the shapes that enter them; `weighted` is the place of the one with weights.

    weights: of that one, with every factor on the way and the neuron's gain · only: the sources that it takes
    """

    projection: Projection
    operators: tuple[Operator, ...]
    shapes: tuple[tuple[int, ...], ...]
    weighted: int
    weights: Array
    only: NDArray[np.bool_] | None


def gain(neuron: Neuron) -> Array:
    """What a unit of input adds to the synaptic current, counted as the membrane counts it."""
    return neuron.gain * (1.0 if neuron.synapse_gain is None else neuron.synapse_gain)


def chain(network: Network, projection: Projection, neuron: Neuron) -> Chain:
    """`projection` folded. Raises Unsupported where it is no single map."""
    label = f"{projection.source} → {projection.target}"
    fold = _Fold(label, network[projection.source].shape)
    for operator in projection.operators:
        fold.add(operator)
    fold.scale(np.broadcast_to(gain(neuron), network[projection.target].shape))
    return fold.chain(projection)


class _Fold:
    """Operators taken in one by one."""

    def __init__(self, label: str, inputs: tuple[int, ...]) -> None:
        self.label = label
        self.sources = prod(inputs)
        self.operators: list[Operator] = []
        self.shapes: list[tuple[int, ...]] = [inputs]
        self.weighted: int | None = None
        self.factor: Array = np.ones(())  # of what is yet to come: a number, or one per element of the signal
        self.only: NDArray[np.bool_] | None = None

    def add(self, operator: Operator) -> None:
        if isinstance(operator, Scale):
            self.scale(operator.factor)
        elif isinstance(operator, Pool):
            self._pool(operator)
        elif self.weighted is None:
            self._take(operator)
        elif isinstance(operator, Dense) and isinstance(self.operators[-1], Dense):
            merged = Dense((operator.weight * self._columns()) @ self.operators[-1].weight)
            self.operators[-1] = merged
            self.shapes[-1] = operator.shape(self.shapes[-1])
        else:
            raise Unsupported(
                self.label, "two maps with weights and no neurons between; Loihi's synapses are one"
            )

    def scale(self, factor: NDArray[Any]) -> None:
        if factor.ndim and bool(np.all(factor == factor.flat[0])):
            factor = np.asarray(factor.flat[0])
        first = not self.operators and not self.factor.ndim
        if first and factor.ndim and bool(np.all((factor == 0) | (factor == 1))):
            taken = factor.reshape(-1) != 0
            self.only = taken if self.only is None else self.only & taken
            return
        self.factor = self.factor * (factor if not factor.ndim else factor.reshape(self.shapes[-1]))

    def _pool(self, pool: Pool) -> None:
        if self.factor.ndim:
            raise Unsupported(self.label, "a factor that differs within a map, before a pool")
        if pool.kind == "average":
            self.factor = self.factor / prod(pool.kernel)
        self._append(replace(pool, kind="sum"))

    def _take(self, operator: Dense | Conv) -> None:
        """The one with weights; a factor per element goes into its columns."""
        if self.factor.ndim:
            if isinstance(operator, Dense):
                operator = Dense(operator.weight * self._columns())
            else:
                if operator.groups != 1:
                    raise Unsupported(self.label, "a factor per channel before a grouped convolution")
                operator = replace(operator, weight=operator.weight * self._per_channel()[None])
            self.factor = np.ones(())
        self.weighted = len(self.operators)
        self._append(operator)

    def _append(self, operator: Operator) -> None:
        self.operators.append(operator)
        self.shapes.append(operator.shape(self.shapes[-1]))

    def _columns(self) -> Array:
        return self.factor.reshape(1, -1) if self.factor.ndim else self.factor

    def _per_channel(self) -> Array:
        """The pending factor as [channels, 1, 1]."""
        if not self.factor.ndim:
            return self.factor
        one = self.factor.reshape(self.shapes[-1][0], -1)
        if not bool(np.all(one == one[:, :1])):
            raise Unsupported(self.label, "a factor that differs within a map of a convolution")
        return one[:, :1, None]

    def chain(self, projection: Projection) -> Chain:
        if self.weighted is None and self.operators:
            self._weigh_pool()
        elif self.weighted is None:
            self.shapes = [(self.sources, 1, 1)]
            if self.factor.ndim:
                self.factor = self.factor.reshape(-1, 1, 1)
            self._take_identity()
        assert self.weighted is not None
        weights = self._scaled(self.operators[self.weighted])
        return Chain(projection, tuple(self.operators), tuple(self.shapes), self.weighted, weights, self.only)

    def _take_identity(self) -> None:
        self.weighted = 0
        self._append(Conv(np.ones((self.sources, 1, 1, 1)), groups=self.sources))

    def _weigh_pool(self) -> None:
        """The first pool as a convolution of each channel with itself, so that it can hold a weight."""
        pool, channels = self.operators[0], self.shapes[0][0]
        assert isinstance(pool, Pool)
        ones = np.ones((channels, 1, *pool.kernel))
        self.operators[0] = Conv(ones, pool.stride, pool.padding, (1, 1), channels)
        self.weighted = 0

    def _scaled(self, operator: Operator) -> Array:
        """Its weights with the factor of what follows: a number, or one per output."""
        assert isinstance(operator, Dense | Conv)
        if not self.factor.ndim:
            return operator.weight * self.factor
        if self.weighted != len(self.operators) - 1:
            raise Unsupported(self.label, "a factor that differs between neurons, after a pool")
        if isinstance(operator, Dense):
            return operator.weight * self.factor.reshape(-1, 1)
        return operator.weight * self._per_channel()[..., None]

"""NeuroBench's complexity metrics of a network on recorded spikes, as its package counts them.

Yik et al., "The neurobench framework for benchmarking neuromorphic computing algorithms and systems", Nature
Communications 16 (2025) 1545; definitions as in the package neurobench 2.3.0:

* An operation is one weight that is not zero met by one input that is not zero ("effective"), or any weight met by any
  input ("dense"). Biases are none.
* It is an accumulation (AC) if the whole input of its layer in that time step is -1, 0 or 1, else a
  multiply-accumulation (MAC).
* Layers are dense and convolutional weights; pools and scales are none, but change what the next layer is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.compare.figures import Workload
from nrt.compare.train import Train
from nrt.network import Network, Projection
from nrt.network.operators import Conv, Dense, Operator

Floats = NDArray[np.float64]

BYTES: Final = 4
"""Of one weight or bias: float32, as frameworks keep them."""


@dataclass(slots=True)
class _Sums:
    """Over recordings."""

    recordings: int = 0
    dense: int = 0
    macs: int = 0
    acs: int = 0
    active: int = 0
    places: int = 0
    seen: bool = True


class WorkloadTally:
    """Adds up one device's recordings. clocked: whether a layer's input of one step is taken in together.

    A chip that works event by event adds every spike by itself, so that all of its operations are accumulations.
    """

    def __init__(self, network: Network, *, clocked: bool = True) -> None:
        self._network, self._clocked = network, clocked
        self._layers = [_Layer(network, projection) for projection in network.projections]
        self._sums = _Sums()

    def add(self, trains: Mapping[str, Train], inputs: Mapping[str, Train], steps: int) -> None:
        """One recording. trains: what the device shows · inputs: what the input populations were given."""
        sums = self._sums
        sums.recordings += 1
        for layer in self._layers:
            sums.dense += layer.dense * steps
            train = inputs.get(layer.source) or trains.get(layer.source)
            if train is None:
                sums.seen = False
                continue
            macs, acs = layer.operations(train, steps, clocked=self._clocked)
            sums.macs, sums.acs = sums.macs + macs, sums.acs + acs
        for population in self._network.populations:
            if population.neuron is not None and population.neuron.fires:
                train = trains.get(population.name)
                if train is None:
                    sums.seen = False
                else:
                    sums.active += len(train.key)
                    sums.places += population.size * steps

    def result(self) -> Workload | None:
        """None before the first recording."""
        sums, network = self._sums, self._network
        if not sums.recordings:
            return None
        return Workload(
            BYTES * sum(map(_parameters, network.projections)),
            BYTES,
            _connection_sparsity(network),
            1 - sums.active / sums.places if sums.places else None,
            sums.dense / sums.recordings,
            sums.macs / sums.recordings,
            sums.acs / sums.recordings,
            1e6 / network.semantics.dt,
            sums.seen,
        )


class _Layer:
    """A projection as NeuroBench sees it. dense: operations of one step if nothing were zero."""

    def __init__(self, network: Network, projection: Projection) -> None:
        self.source = projection.source
        self._delay = projection.delay
        self._shape = network[projection.source].shape
        neuron = network[projection.source].neuron
        self._graded = neuron is not None and neuron.spikes == "graded"
        self._operators = projection.operators
        self._ways: list[Floats | None] = []
        self.dense = 0
        shape = self._shape
        for operator in projection.operators:
            after = operator.shape(shape)
            connects = isinstance(operator, Dense | Conv)
            self._ways.append(_ways(operator, shape) if connects else None)
            if connects:
                self.dense += int(operator.fan(shape, np.ones(after, np.int64)).sum())
            shape = after

    def operations(self, train: Train, steps: int, *, clocked: bool) -> tuple[int, int]:
        """MACs and ACs of one recording."""
        train = train.within(0, steps - self._delay)
        ways = self._ways[0] if self._ways else None
        if ways is None or any(each is not None for each in self._ways[1:]):
            return self._step_by_step(train)
        each = ways[train.key % train.neurons]
        if not clocked:
            return 0, int((each * train.count).sum())
        plain = np.ones(steps, np.bool_) if not self._graded else np.zeros(steps, np.bool_)
        plain[train.step[train.count > 1]] = False
        accumulated = int(each[plain[train.step]].sum())
        return int(each.sum()) - accumulated, accumulated

    def _step_by_step(self, train: Train) -> tuple[int, int]:
        """Where something stands before a layer's weights, what they are given is computed."""
        macs = acs = 0
        order = np.argsort(train.step, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(train.step[order])) + 1):
            x = np.zeros(prod(self._shape))
            negative = train.key[part] >= train.neurons
            np.add.at(x, train.key[part] % train.neurons, np.where(negative, -1, 1) * train.count[part])
            x = x.reshape(self._shape)
            for operator, ways in zip(self._operators, self._ways, strict=True):
                if ways is not None:
                    count = int(ways[x.reshape(-1) != 0].sum())
                    binary = not self._graded and bool(np.isin(x, (-1, 0, 1)).all())
                    macs, acs = (macs, acs + count) if binary else (macs + count, acs)
                x = operator.apply(x)
        return macs, acs


def _ways(operator: Operator, inputs: tuple[int, ...]) -> Floats:
    """Weights that are not zero and that each input element meets, flat."""
    if isinstance(operator, Dense):
        counts: Floats = np.count_nonzero(operator.weight, axis=0).astype(np.float64)
        return counts
    assert isinstance(operator, Conv)
    used = (operator.weight != 0).astype(np.float64)
    per_group = used.reshape(operator.groups, -1, *used.shape[1:]).sum(axis=1)
    kernel = per_group.reshape(-1, *used.shape[2:])  # of every input channel: outputs that use each place
    _, height, width = operator.shape(inputs)
    total = np.zeros((inputs[0], inputs[1] + 2 * operator.padding[0], inputs[2] + 2 * operator.padding[1]))
    for y in range(kernel.shape[1]):
        for x in range(kernel.shape[2]):
            top, left = y * operator.dilation[0], x * operator.dilation[1]
            total[
                :,
                top : top + (height - 1) * operator.stride[0] + 1 : operator.stride[0],
                left : left + (width - 1) * operator.stride[1] + 1 : operator.stride[1],
            ] += kernel[:, y, x, None, None]
    rows, columns = operator.padding
    inside = total[:, rows : rows + inputs[1], columns : columns + inputs[2]]
    return np.ascontiguousarray(inside).reshape(-1)


def _parameters(projection: Projection) -> int:
    """Weights and biases as a framework keeps them: a convolution's bias once per channel."""
    weights = sum(o.weight.size for o in projection.operators if isinstance(o, Dense | Conv))
    bias = projection.bias
    if bias is None:
        return weights
    shared = (
        bias.ndim == 3
        and any(isinstance(o, Conv) for o in projection.operators[-1:])
        and bool((bias == bias[:, :1, :1]).all())
    )
    return weights + (bias.shape[0] if shared else bias.size)


def _connection_sparsity(network: Network) -> float:
    weights = [
        o.weight
        for projection in network.projections
        for o in projection.operators
        if isinstance(o, Dense | Conv)
    ]
    total = sum(weight.size for weight in weights)
    zeros = total - sum(int(np.count_nonzero(weight)) for weight in weights)
    return round(zeros / total, 4) if total else 0.0

"""Which source neurons reach one neuron of a projection's target, and by which weights.

`Projection.matrix` applies every operator to every source neuron; here the chain is walked backwards from the one
target neuron, so that it costs what its receptive field holds.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from nrt.network import Projection
from nrt.network.operators import Conv, Dense, Operator, Pool, Scale

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def receptive_field(projection: Projection, source: tuple[int, ...], neuron: int) -> tuple[Ints, Floats]:
    """Source neurons of `neuron`, sorted, and their weights; those of weight zero are left out.

    source: shape of the source population
    """
    shapes = [source]
    for operator in projection.operators:
        shapes.append(operator.shape(shapes[-1]))
    index, weight = np.array([neuron], np.int64), np.ones(1)
    for operator, shape in zip(reversed(projection.operators), reversed(shapes[:-1]), strict=True):
        index, weight = _back(operator, shape, operator.shape(shape), index, weight)
    kept = weight != 0
    return index[kept], weight[kept]


def _back(
    operator: Operator, inputs: tuple[int, ...], outputs: tuple[int, ...], index: Ints, weight: Floats
) -> tuple[Ints, Floats]:
    """What the elements `index` of the output, weighted, see of the input."""
    if isinstance(operator, Dense):
        row = weight @ operator.weight[index]
        return np.arange(prod(inputs)), row
    if isinstance(operator, Scale):
        return index, weight * np.broadcast_to(operator.factor, inputs).reshape(-1)[index]
    parts = [_window(operator, inputs, outputs, int(k), float(w)) for k, w in zip(index, weight, strict=True)]
    found, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    summed = np.zeros(len(found))
    np.add.at(summed, place, np.concatenate([part[1] for part in parts]))
    return found, summed


def _window(
    operator: Conv | Pool, inputs: tuple[int, ...], outputs: tuple[int, ...], index: int, weight: float
) -> tuple[Ints, Floats]:
    """The window that output element `index` sees, and its weights."""
    channel, y, x = np.unravel_index(index, outputs)
    if isinstance(operator, Conv):
        per_group = operator.weight.shape[1]
        first = int(channel) // (outputs[0] // operator.groups) * per_group
        kernel, dilation = operator.weight[channel], operator.dilation
    else:
        per_group, first, dilation = 1, int(channel), (1, 1)
        share = 1 / prod(operator.kernel) if operator.kind == "average" else 1.0
        kernel = np.full((1, *operator.kernel), share)
    rows = int(y) * operator.stride[0] - operator.padding[0] + dilation[0] * np.arange(kernel.shape[1])
    columns = int(x) * operator.stride[1] - operator.padding[1] + dilation[1] * np.arange(kernel.shape[2])
    inside = np.ix_((rows >= 0) & (rows < inputs[1]), (columns >= 0) & (columns < inputs[2]))
    channels, rows, columns = np.meshgrid(
        first + np.arange(per_group),
        rows[(rows >= 0) & (rows < inputs[1])],
        columns[(columns >= 0) & (columns < inputs[2])],
        indexing="ij",
    )
    flat = np.ravel_multi_index((channels.ravel(), rows.ravel(), columns.ravel()), inputs)
    seen = np.stack([part[inside] for part in kernel])
    return flat.astype(np.int64), weight * seen.ravel()

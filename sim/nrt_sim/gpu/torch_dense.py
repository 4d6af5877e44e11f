"""The dense way: a route's operators on whole planes, with torch (oneDNN on a CPU, cuDNN and cuBLAS on a GPU).

Planes are [n, H, W, C] in memory, which torch calls channels_last; n counts recordings, and steps of a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import torch
import torch.nn.functional as f
from numpy.typing import NDArray
from torch import Tensor

from nrt.network import Conv, Dense, Pool, Scale
from nrt.network.encoding import volume
from nrt.network.operators import Operator
from nrt_sim.gpu.layout import Layer, Layout, Route, Volume
from nrt_sim.gpu.plan import in_places, places

Apply = Callable[[Tensor], Tensor]
"""From [n, size of the source] to [n, size of the target], both in place order."""


def dense_way(layout: Layout, route: Route, device: torch.device, dtype: torch.dtype) -> Apply:
    """The function that computes `route` on whole planes."""
    seen = layout.layers[route.source].volume
    steps: list[Apply] = []
    for operator in route.operators:
        make = _MAKERS[type(operator)]
        step, seen = make(operator, seen, device, dtype)
        steps.append(step)
    target = layout.layers[route.target]
    if seen != target.volume:
        steps.append(_moved(seen, target, device))

    def apply(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x.reshape(len(x), target.size)

    return apply


Made = tuple[Apply, Volume]


def _tensor(values: NDArray[np.float64], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(np.ascontiguousarray(values), dtype=dtype, device=device)


def _conv(operator: Operator, seen: Volume, device: torch.device, dtype: torch.dtype) -> Made:
    assert isinstance(operator, Conv)
    channels, height, width = seen
    weight = _tensor(operator.weight, device, dtype).contiguous(memory_format=torch.channels_last)
    stride, padding, dilation, groups = (
        list(operator.stride),
        list(operator.padding),
        list(operator.dilation),
        operator.groups,
    )

    def apply(x: Tensor) -> Tensor:
        plane = x.view(-1, height, width, channels).permute(0, 3, 1, 2)
        return f.conv2d(plane, weight, None, stride, padding, dilation, groups).permute(0, 2, 3, 1)

    return _flat(apply), volume(operator.shape(seen))


def _pool(operator: Operator, seen: Volume, device: torch.device, dtype: torch.dtype) -> Made:
    assert isinstance(operator, Pool)
    channels, height, width = seen
    kernel, stride = list(operator.kernel), list(operator.stride)
    (top, left) = operator.padding
    share = prod(operator.kernel) if operator.kind == "average" else 1

    def apply(x: Tensor) -> Tensor:
        plane = x.view(-1, height, width, channels).permute(0, 3, 1, 2)
        if top or left:  # torch allows less padding than nrt
            plane = f.pad(plane, [left, left, top, top])
        return f.avg_pool2d(plane, kernel, stride, divisor_override=share).permute(0, 2, 3, 1)

    return _flat(apply), volume(operator.shape(seen))


def _dense(operator: Operator, seen: Volume, device: torch.device, dtype: torch.dtype) -> Made:
    assert isinstance(operator, Dense)
    weight = _tensor(in_places(operator.weight, seen), device, dtype)

    def apply(x: Tensor) -> Tensor:
        return f.linear(x, weight)

    return apply, (1, 1, len(operator.weight))


def _scale(operator: Operator, seen: Volume, device: torch.device, dtype: torch.dtype) -> Made:
    assert isinstance(operator, Scale)
    factor = operator.factor
    values = _tensor(in_places(factor.reshape(-1), seen) if factor.ndim else factor, device, dtype)

    def apply(x: Tensor) -> Tensor:
        return x * values

    return apply, seen


def _moved(seen: Volume, target: Layer, device: torch.device) -> Apply:
    """From the place order of what arrives to that of the target."""
    index = torch.tensor(places(seen)[target.neuron_at], device=device)

    def apply(x: Tensor) -> Tensor:
        return x.index_select(1, index)

    return apply


def _flat(apply: Apply) -> Apply:
    """`apply` with its result as [n, size]; a copy only where torch chose another order of memory."""

    def flat(x: Tensor) -> Tensor:
        return apply(x).reshape(len(x), -1)

    return flat


_MAKERS: dict[type[Operator], Callable[[Operator, Volume, torch.device, torch.dtype], Made]] = {
    Conv: _conv,
    Pool: _pool,
    Dense: _dense,
    Scale: _scale,
}

"""One projection as a convolution: what its chain of operators means on a core.

A chain is at most [sum pool …] then one convolution or dense matrix. Pools come first because the chip pools where
spikes leave the core before. A dense matrix is a convolution whose kernel covers the whole map.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from nrt.errors import Unsupported, Violation
from nrt.network.network import Projection
from nrt.network.operators import Conv, Dense, Pool, Scale
from nrt_drivers.speck.chip import Int

Volume = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A projection as the chip does it. kernel: int64 [f, c, k, k], square; stride, padding: (y, x)."""

    pooling: int
    inputs: Volume
    outputs: Volume
    kernel: Int
    stride: tuple[int, int]
    padding: tuple[int, int]


def geometry(projection: Projection, source: Volume, violations: list[Violation]) -> Geometry:
    """The convolution of a projection of whole numbers from a map of shape `source`.

    What has a number and a limit goes to `violations`; what has none raises Unsupported.
    """
    label = f"{projection.source} → {projection.target}"
    operators = list(projection.operators)
    pooling, inputs = 1, source
    while operators and isinstance(operators[0], Pool):
        pool = operators.pop(0)
        assert isinstance(pool, Pool)
        pooling *= _pooling(label, pool, inputs, violations)
        c, y, x = pool.shape(inputs)
        inputs = (c, y, x)
    if len(operators) > 1 or (operators and isinstance(operators[0], Pool)):
        raise Unsupported(
            label,
            "a core does one convolution or dense matrix, after the pools; put neurons between "
            + " and ".join(type(o).__name__ for o in operators),
        )
    operator = operators[0] if operators else None
    if isinstance(operator, Dense):
        return _dense(label, operator, pooling, inputs, violations)
    if isinstance(operator, Conv):
        return _conv(label, operator, pooling, inputs, violations)
    weight = int(operator.factor) if isinstance(operator, Scale) else 1
    kernel = (np.eye(inputs[0], dtype=np.int64) * weight)[:, :, None, None]
    return Geometry(pooling, inputs, inputs, kernel, (1, 1), (0, 0))


def _pooling(label: str, pool: Pool, inputs: Volume, violations: list[Violation]) -> int:
    if pool.kernel[0] != pool.kernel[1] or pool.stride != pool.kernel or pool.padding != (0, 0):
        raise Unsupported(
            label,
            f"a pool of {pool.kernel} with stride {pool.stride} and padding {pool.padding}; the chip divides "
            "addresses, so kernel and stride are one number and nothing is padded",
        )
    size = pool.kernel[0]
    for axis, extent in (("y", inputs[1]), ("x", inputs[2])):
        if extent % size:
            violations.append(
                Violation(
                    label,
                    f"rest of the map under pooling in {axis}",
                    extent % size,
                    0,
                    f"crop or pad the {extent} neurons to a multiple of {size}",
                )
            )
    return size


def _dense(label: str, dense: Dense, pooling: int, inputs: Volume, violations: list[Violation]) -> Geometry:
    c, height, width = inputs
    features = dense.weight.shape[0]
    kernel = dense.weight.reshape(features, c, height, width).astype(np.int64)
    squared = _square(kernel, (1, 1), (0, 0), (height, width), (1, 1))
    if squared is None:
        violations.append(_not_square(label, kernel))
        return Geometry(pooling, inputs, (features, 1, 1), kernel, (1, 1), (0, 0))
    kernel, stride, padding = squared
    return Geometry(pooling, inputs, (features, 1, 1), kernel, stride, padding)


def _conv(label: str, conv: Conv, pooling: int, inputs: Volume, violations: list[Violation]) -> Geometry:
    f, y, x = conv.shape(inputs)
    kernel = _dilated(_ungrouped(conv), conv.dilation)
    squared = _square(kernel, conv.stride, conv.padding, inputs[1:], (y, x))
    if squared is None:
        violations.append(_not_square(label, kernel))
        squared = kernel, conv.stride, conv.padding
    return Geometry(pooling, inputs, (f, y, x), *squared)


def _not_square(label: str, kernel: Int) -> Violation:
    ky, kx = kernel.shape[2:]
    return Violation(
        label, "difference of the kernel's height and width", abs(ky - kx), 0, "use a square kernel"
    )


def _ungrouped(conv: Conv) -> Int:
    """The kernel of a grouped convolution with zeros between the groups."""
    weight = conv.weight.astype(np.int64)
    if conv.groups == 1:
        return weight
    outputs, per_in = weight.shape[0] // conv.groups, weight.shape[1]
    full = np.zeros((weight.shape[0], per_in * conv.groups, *weight.shape[2:]), np.int64)
    for g in range(conv.groups):
        rows = slice(g * outputs, (g + 1) * outputs)
        full[rows, g * per_in : (g + 1) * per_in] = weight[rows]
    return full


def _dilated(kernel: Int, dilation: tuple[int, int]) -> Int:
    """The kernel with zeros in its gaps."""
    if dilation == (1, 1):
        return kernel
    f, c, ky, kx = kernel.shape
    full = np.zeros((f, c, (ky - 1) * dilation[0] + 1, (kx - 1) * dilation[1] + 1), np.int64)
    full[:, :, :: dilation[0], :: dilation[1]] = kernel
    return full


def _square(
    kernel: Int,
    stride: tuple[int, int],
    padding: tuple[int, int],
    inputs: tuple[int, int],
    outputs: tuple[int, int],
) -> tuple[Int, tuple[int, int], tuple[int, int]] | None:
    """A square kernel of the same meaning, framed with zeros and padding; None where there is none.

    On the shorter axis, `before` zeros before the kernel and as many more pixels of padding keep every weight
    where it was; the padding is the same on both sides, so the number of places may change: it must not.
    """
    size = max(kernel.shape[2:])
    pads: list[tuple[int, int]] = []
    strides, paddings = list(stride), list(padding)
    for axis in (0, 1):
        missing = size - kernel.shape[2 + axis]
        found = False
        for before in dict.fromkeys((missing // 2, -(-missing // 2))):
            room = inputs[axis] + 2 * (padding[axis] + before) - size
            for step in (stride[axis], 2, 4, 8) if outputs[axis] == 1 else (stride[axis],):
                if room >= 0 and room // step + 1 == outputs[axis]:
                    pads.append((before, missing - before))
                    strides[axis], paddings[axis] = step, padding[axis] + before
                    found = True
                    break
            if found:
                break
        if not found:
            return None
    framed = np.pad(kernel, ((0, 0), (0, 0), *pads)) if any(map(any, pads)) else kernel
    return framed, (strides[0], strides[1]), (paddings[0], paddings[1])


def volume(shape: tuple[int, ...], *, flat: bool) -> Volume:
    """A population's map on a core: (N,) is N features of one neuron; `flat` makes one of any shape."""
    if flat or len(shape) == 1:
        return (prod(shape), 1, 1)
    padded = (1,) * (3 - len(shape)) + tuple(shape)
    return (padded[0], padded[1], padded[2])

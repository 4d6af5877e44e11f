"""Linear operators: what a projection does to a population's output on the way to the next.

Each knows its output shape and can be applied to a dense array; devices read the fields and do better.
One-dimensional convolution is a Conv with height 1. Flatten is no operator: a population is indexed in
C, H, W order wherever it goes, so only its shape changes.

`fan` counts synapses: how many ways lead from each element of the input to the end of a chain, given how
many lead there from each element of the output. A convolution's border has fewer than its middle; an
element in no window of a pool has none; a kernel's zeros count, a Scale's zeros stop the signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """y = W x, with x flattened in C, H, W order. weight: [outputs, inputs] f64."""

    weight: Array

    def shape(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if self.weight.ndim != 2 or self.weight.shape[1] != prod(inputs):
            raise ConfigError(f"a dense weight of shape {self.weight.shape} cannot take {inputs}")
        return (int(self.weight.shape[0]),)

    def apply(self, x: Array) -> Array:
        result: Array = self.weight @ x.reshape(-1)
        return result

    def fan(self, inputs: tuple[int, ...], onward: Counts) -> Counts:
        return np.full(inputs, onward.sum(), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Conv:
    """Cross-correlation as in NIR and torch. weight: [outputs, inputs / groups, kh, kw] f64."""

    weight: Array
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def shape(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        weight = self.weight.shape
        fits = len(inputs) == 3 and len(weight) == 4 and self.groups > 0
        if not fits or inputs[0] != weight[1] * self.groups or weight[0] % self.groups:
            raise ConfigError(f"a kernel of shape {weight} in {self.groups} group(s) cannot take {inputs}")
        height, width = (
            _positions(inputs[1 + k], weight[2 + k], self.stride[k], self.padding[k], self.dilation[k])
            for k in (0, 1)
        )
        return (int(weight[0]), height, width)

    def apply(self, x: Array) -> Array:
        outputs, height, width = self.shape(x.shape)
        y = np.zeros((outputs, height, width))
        if y.size == 0:
            return y
        padded = np.pad(x, ((0, 0), (self.padding[0],) * 2, (self.padding[1],) * 2))
        per_group_in = x.shape[0] // self.groups
        per_group_out = outputs // self.groups
        for ky in range(self.weight.shape[2]):
            for kx in range(self.weight.shape[3]):
                top, left = ky * self.dilation[0], kx * self.dilation[1]
                patch = padded[
                    :,
                    top : top + (height - 1) * self.stride[0] + 1 : self.stride[0],
                    left : left + (width - 1) * self.stride[1] + 1 : self.stride[1],
                ]
                for g in range(self.groups):
                    out = slice(g * per_group_out, (g + 1) * per_group_out)
                    into = patch[g * per_group_in : (g + 1) * per_group_in]
                    y[out] += np.tensordot(self.weight[out, :, ky, kx], into, axes=(1, 0))
        return y

    def fan(self, inputs: tuple[int, ...], onward: Counts) -> Counts:
        per_group = onward.reshape(self.groups, len(onward) // self.groups, *onward.shape[1:]).sum(axis=1)
        each = np.repeat(per_group, inputs[0] // self.groups, axis=0)
        return _windows(inputs, each, self.weight.shape[2:], self.stride, self.padding, self.dilation)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Sum or average over windows of each channel; padding counts as zeros (also in the average)."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    kind: Literal["sum", "average"] = "sum"

    def shape(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if len(inputs) != 3:
            raise ConfigError(f"a pool cannot take {inputs}; it needs channels, height and width")
        height, width = (
            _positions(inputs[1 + k], self.kernel[k], self.stride[k], self.padding[k], 1) for k in (0, 1)
        )
        return (inputs[0], height, width)

    def apply(self, x: Array) -> Array:
        _, height, width = self.shape(x.shape)
        y = np.zeros((x.shape[0], height, width))
        if y.size == 0:
            return y
        padded = np.pad(x, ((0, 0), (self.padding[0],) * 2, (self.padding[1],) * 2))
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y += padded[
                    :,
                    ky : ky + (height - 1) * self.stride[0] + 1 : self.stride[0],
                    kx : kx + (width - 1) * self.stride[1] + 1 : self.stride[1],
                ]
        return y / (self.kernel[0] * self.kernel[1]) if self.kind == "average" else y

    def fan(self, inputs: tuple[int, ...], onward: Counts) -> Counts:
        return _windows(inputs, onward, self.kernel, self.stride, self.padding, (1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """y = s · x, element by element. factor: one number, or one per element of x."""

    factor: Array

    def shape(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if self.factor.shape not in ((), inputs):
            raise ConfigError(f"a scale of shape {self.factor.shape} cannot take {inputs}")
        return inputs

    def apply(self, x: Array) -> Array:
        result: Array = x * self.factor
        return result

    def fan(self, inputs: tuple[int, ...], onward: Counts) -> Counts:
        return np.where(np.broadcast_to(self.factor, inputs) != 0, onward.reshape(inputs), 0)


Operator = Dense | Conv | Pool | Scale


def _positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many places a window has along one axis, possibly none. Raises ConfigError for no window."""
    if min(kernel, stride, dilation) < 1 or padding < 0:
        raise ConfigError(
            f"a window of {kernel} with stride {stride}, padding {padding} and dilation {dilation} is none"
        )
    return max(0, (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)


def _windows(
    inputs: tuple[int, ...],
    onward: Counts,
    kernel: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Counts:
    """`fan` of sliding windows that keep each channel apart; `onward` has the input's channels."""
    channels, height, width = inputs
    if onward.size == 0:
        return np.zeros(inputs, np.int64)
    total = np.zeros((channels, height + 2 * padding[0], width + 2 * padding[1]), np.int64)
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            top, left = ky * dilation[0], kx * dilation[1]
            total[
                :,
                top : top + (onward.shape[1] - 1) * stride[0] + 1 : stride[0],
                left : left + (onward.shape[2] - 1) * stride[1] + 1 : stride[1],
            ] += onward
    return total[:, padding[0] : padding[0] + height, padding[1] : padding[1] + width]


def fan(operators: Sequence[Operator], inputs: tuple[int, ...]) -> Counts:
    """Synapses of each source neuron of a projection, of shape `inputs`: what one spike of it costs."""
    shapes = [inputs]
    for operator in operators:
        shapes.append(operator.shape(shapes[-1]))
    ways = np.ones(shapes[-1], np.int64)
    for operator, shape in zip(reversed(operators), reversed(shapes[:-1]), strict=True):
        ways = operator.fan(shape, ways)
    return ways


def array(values: NDArray[Any]) -> Array:
    """`values` as frozen float64, for the fields above."""
    result = np.array(values, np.float64)
    result.flags.writeable = False
    return result

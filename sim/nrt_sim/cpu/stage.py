"""Projections as stages: what one spike adds, and where, instead of what a whole plane becomes.

A chain of operators is cut into stages, each of which can be computed spike by spike:

* `Patch`: a spike adds a small block of weights around a pixel (a convolution, an overlapping pool). Weights
  are flipped, so that what a spike adds to one row of the target is one run of consecutive numbers in a plane
  that is laid out row, column, channel. A stride gives a few phases (positions of the spike within it), each
  with weights of its own; the rest of the stride disappears.
* `Rows`: a spike adds a whole row of weights (a dense matrix).
* `Pairs`: a spike adds one number to one neuron (identity, scale, pool).

Pools whose windows do not overlap, and scales, cost nothing before or after a matrix or a kernel: they are
folded into the table of places and into the weights. Between stages stands a relay, a plane of sums.
Neurons are counted in C, H, W order throughout this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nrt.network.encoding import volume
from nrt.network.operators import Array, Conv, Dense, Operator, Pool, Scale

Index = NDArray[np.int64]
Volume = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """weight: [phases, channels, rows, segments, run]; a segment is `run` consecutive numbers of one row.

    phase, top, left: of each source pixel [H, W]: which weights (-1: reaches nothing), and which pixel of the
    target, perhaps outside of it, their first number goes to. shift: of each source channel, the target
    channel where its segments begin (groups). columns: pixels of one row.
    """

    weight: Array
    phase: Index
    top: Index
    left: Index
    shift: Index
    columns: int
    outputs: Volume


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """weight: [phases, channels, outputs]; phase: of each source pixel [H, W], -1 where it reaches nothing."""

    weight: Array
    phase: Index
    outputs: Volume


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """target: of each source neuron [C, H, W], -1 where it reaches nothing; weight: what it adds there."""

    target: Index
    weight: Array
    outputs: Volume


Stage = Patch | Rows | Pairs


@dataclass(frozen=True, slots=True, eq=False)
class _Front:
    """Pools and scales not yet computed: where each source pixel ends up, and times how much.

    y, x: of each source pixel [H, W]; reaches: whether it is inside `inner`, the volume after the pools
    factor: of each element of `inner`
    """

    outer: Volume
    inner: Volume
    y: Index
    x: Index
    reaches: NDArray[np.bool_]
    factor: Array

    @classmethod
    def of(cls, outer: Volume) -> _Front:
        y, x = np.indices(outer[1:])
        return cls(outer, outer, y, x, np.ones(outer[1:], np.bool_), np.ones(outer))

    @property
    def plain(self) -> bool:
        return self.inner == self.outer and bool(np.all(self.factor == 1))

    @property
    def per_channel(self) -> bool:
        return bool(np.all(self.factor == self.factor[:, :1, :1]))

    def scaled(self, factor: Array) -> _Front:
        """`factor`: one number, or one per element in C, H, W order, however shaped."""
        flat = factor if factor.size == 1 else factor.reshape(self.inner)
        return replace(self, factor=self.factor * flat)

    def pooled(self, pool: Pool) -> _Front:
        inner = volume(pool.shape(self.inner))
        y, x = self.y // pool.kernel[0], self.x // pool.kernel[1]
        reaches = self.reaches & (y < inner[1]) & (x < inner[2])
        share = pool.kernel[0] * pool.kernel[1] if pool.kind == "average" else 1
        factor = np.broadcast_to(self.factor[:, :1, :1] / share, inner)
        return replace(self, inner=inner, y=y, x=x, reaches=reaches, factor=factor)

    def pairs(self) -> Pairs:
        channel = np.arange(self.outer[0])[:, None, None]
        place = np.where(self.reaches, self.y * self.inner[2] + self.x, 0)
        target = channel * (self.inner[1] * self.inner[2]) + place
        weight = self.factor.reshape(-1)[target]
        return Pairs(np.where(self.reaches, target, -1), weight, self.inner)

    def rows(self, dense: Dense) -> Rows:
        channels, height, width = self.inner
        weight = (dense.weight * self.factor.reshape(1, -1)).reshape(-1, channels, height * width)
        phase = np.where(self.reaches, self.y * width + self.x, -1)
        return Rows(weight.transpose(2, 1, 0), phase, (1, 1, len(dense.weight)))

    def patch(self, conv: Conv) -> Patch:
        channels = self.inner[0]
        outputs = volume(conv.shape(self.inner))
        per_group = channels // conv.groups
        out_per_group = outputs[0] // conv.groups
        scale = self.factor[:, 0, 0].reshape(conv.groups, 1, per_group, 1, 1)
        grouped = conv.weight.reshape(conv.groups, out_per_group, *conv.weight.shape[1:]) * scale
        kernel = np.moveaxis(grouped, 1, -1).reshape(channels, *conv.weight.shape[2:], out_per_group)
        y, x = (_Axis.of(conv, k, outputs[1 + k]) for k in (0, 1))
        phases, rows, columns = y.stride * x.stride, y.extent, x.extent
        weight = np.zeros((phases, channels, rows, columns, out_per_group))
        for ry, ky, j in y.taps:
            for rx, kx, i in x.taps:
                weight[ry * x.stride + rx, :, j, i] = kernel[:, ky, kx]
        if conv.groups == 1:  # the columns of a row follow one another: one segment
            weight = weight.reshape(phases, channels, rows, 1, columns * out_per_group)
        phase = y.phase(self.y) * x.stride + x.phase(self.x)
        reaches = self.reaches & y.reaches(self.y) & x.reaches(self.x)
        return Patch(
            weight,
            np.where(reaches, phase, -1),
            y.begin(self.y),
            x.begin(self.x),
            np.arange(channels) // per_group * out_per_group,
            columns,
            outputs,
        )


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a convolution, seen from the spike: position i reaches (i + padding - k · dilation) / stride.

    taps: (phase, k, offset from `begin`) of every k that reaches something from a position of that phase
    """

    stride: int
    padding: int
    dilation: int
    kernel: int
    outputs: int
    lowest: int
    extent: int
    taps: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, conv: Conv, axis: int, outputs: int) -> _Axis:
        stride, dilation, kernel = conv.stride[axis], conv.dilation[axis], int(conv.weight.shape[2 + axis])
        reach = [
            (phase, k, (phase - k * dilation) // stride)
            for phase in range(stride)
            for k in range(kernel)
            if (phase - k * dilation) % stride == 0
        ]
        offsets = [offset for _, _, offset in reach]
        lowest = min(offsets)
        taps = tuple((phase, k, offset - lowest) for phase, k, offset in reach)
        extent = max(offsets) - lowest + 1
        return cls(stride, conv.padding[axis], dilation, kernel, outputs, lowest, extent, taps)

    def phase(self, i: Index) -> Index:
        return (i + self.padding) % self.stride

    def begin(self, i: Index) -> Index:
        return (i + self.padding) // self.stride + self.lowest

    def reaches(self, i: Index) -> NDArray[np.bool_]:
        """Whether a spike at `i` reaches any output inside the target."""
        result = np.zeros(i.shape, np.bool_)
        for k in range(self.kernel):
            away = i + self.padding - k * self.dilation
            result |= (away % self.stride == 0) & (away >= 0) & (away < self.outputs * self.stride)
        return result


def cut(operators: Sequence[Operator], inputs: Volume) -> list[Stage]:
    """The stages of a projection from a population of volume `inputs`; at least one."""
    stages: list[Stage] = []
    front = _Front.of(inputs)

    def settle() -> None:
        nonlocal front
        if not front.plain:
            stages.append(front.pairs())
            front = _Front.of(front.inner)

    for operator in operators:
        if isinstance(operator, Scale):
            if front.plain and stages and (absorbed := _absorb(stages[-1], operator.factor)):
                stages[-1] = absorbed
            else:
                front = front.scaled(operator.factor)
            continue
        if isinstance(operator, Dense):
            stages.append(front.rows(operator))
        elif not front.per_channel:
            settle()
        if isinstance(operator, Pool):
            if operator.kernel == operator.stride and operator.padding == (0, 0):
                front = front.pooled(operator)
                continue
            stages.append(front.patch(_as_conv(operator, front.inner[0])))
        elif isinstance(operator, Conv):
            stages.append(front.patch(operator))
        front = _Front.of(stages[-1].outputs)
    if not front.plain or not stages:
        stages.append(front.pairs())
    return stages


def _absorb(stage: Stage, factor: Array) -> Stage | None:
    """`stage` with its outputs times `factor`, or None where a relay must do it."""
    if factor.size == 1:
        return replace(stage, weight=stage.weight * factor.reshape(()))
    if isinstance(stage, Rows):
        return replace(stage, weight=stage.weight * factor.reshape(-1))
    return None


def _as_conv(pool: Pool, channels: int) -> Conv:
    """An overlapping or padded pool is a convolution of each channel with equal weights."""
    share = pool.kernel[0] * pool.kernel[1] if pool.kind == "average" else 1
    return Conv(np.full((channels, 1, *pool.kernel), 1.0 / share), pool.stride, pool.padding, groups=channels)

"""The sparse way with torch operators: what a list of spikes adds to its targets' currents.

On a GPU the kernels do this; here it is the same tables read with gathers and sums by index. Slower than they by an
order of magnitude, and right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as f
from torch import Tensor

from nrt_sim.gpu.layout import Layout, PairTable, PatchTable, Route, RowTable

GROUP: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """What a layer put out in one pass: the elements that are not zero, in ascending order.

    plane: int64[m], which recording (and step) · place: int64[m] · value: [m], or None where all are one
    """

    plane: Tensor
    place: Tensor
    value: Tensor | None

    @classmethod
    def of(cls, output: Tensor, unit: bool) -> Spikes:
        """From [n, size]."""
        at = _nonzero(output.view(-1))
        value = None if unit else output.view(-1)[at]
        size = output.shape[1]
        plane = torch.div(at, size, rounding_mode="floor")
        return cls(plane, at - plane * size, value)

    def where(self, some: Tensor) -> Spikes:
        return Spikes(self.plane[some], self.place[some], None if self.value is None else self.value[some])


def _nonzero(flat: Tensor) -> Tensor:
    """Indices of the elements that are not zero, ascending; groups of elements are looked at first."""
    if len(flat) % GROUP or len(flat) < 64 * GROUP:
        return flat.nonzero().view(-1)
    groups = flat.view(-1, GROUP)
    some = groups.abs().amax(1).nonzero().view(-1)
    inner = groups[some].view(-1).nonzero().view(-1)
    group = torch.div(inner, GROUP, rounding_mode="floor")
    return some[group] * GROUP + (inner - group * GROUP)


Scatter = Callable[[Spikes, Tensor], None]
"""Adds what the spikes are worth to the currents [n, size of the target]."""


def sparse_way(layout: Layout, route: Route, device: torch.device, dtype: torch.dtype) -> Scatter:
    """The function that computes `route` spike by spike; the route has a table."""
    table = route.table
    if isinstance(table, RowTable):
        return _rows(table, device, dtype)
    if isinstance(table, PairTable):
        return _pairs(table, device, dtype)
    assert isinstance(table, PatchTable)
    seen, reached = layout.layers[route.source].volume, layout.layers[route.target].volume
    return _patch(table, seen, reached, device, dtype)


def _rows(table: RowTable, device: torch.device, dtype: torch.dtype) -> Scatter:
    row = torch.tensor(table.row, dtype=torch.int64, device=device)
    weight = torch.tensor(table.weight, dtype=dtype, device=device)
    all_reach = bool((table.row >= 0).all())

    def scatter(spikes: Spikes, current: Tensor) -> None:
        rows = row[spikes.place]
        if not all_reach:
            reach = rows >= 0
            spikes, rows = spikes.where(reach), rows[reach]
        begins = torch.searchsorted(spikes.plane, torch.arange(len(current), device=device))
        current += f.embedding_bag(rows, weight, begins, mode="sum", per_sample_weights=spikes.value)

    return scatter


def _pairs(table: PairTable, device: torch.device, dtype: torch.dtype) -> Scatter:
    target = torch.tensor(table.target, dtype=torch.int64, device=device)
    weight = torch.tensor(table.weight, dtype=dtype, device=device)

    def scatter(spikes: Spikes, current: Tensor) -> None:
        spikes = spikes.where(target[spikes.place] >= 0)
        worth = weight[spikes.place]
        if spikes.value is not None:
            worth = worth * spikes.value
        at = spikes.plane * current.shape[1] + target[spikes.place]
        current.view(-1).index_add_(0, at, worth)

    return scatter


def _patch(
    table: PatchTable,
    seen: tuple[int, int, int],
    reached: tuple[int, int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> Scatter:
    phase, top, left, shift = (
        torch.tensor(values, dtype=torch.int64, device=device)
        for values in (table.phase, table.top, table.left, table.shift)
    )
    weight = torch.tensor(table.weight, dtype=dtype, device=device)
    rows, columns, group = table.weight.shape[2:]
    channels, (out_channels, height, width) = seen[0], reached
    j, i, g = (torch.arange(n, device=device) for n in (rows, columns, group))

    def scatter(spikes: Spikes, current: Tensor) -> None:
        spikes = spikes.where(phase[torch.div(spikes.place, channels, rounding_mode="floor")] >= 0)
        pixel = torch.div(spikes.place, channels, rounding_mode="floor")
        channel = spikes.place - pixel * channels
        block = weight[phase[pixel], channel]
        if spikes.value is not None:
            block = block * spikes.value.view(-1, 1, 1, 1)
        y, x = top[pixel, None] + j, left[pixel, None] + i
        inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
        place = (y[:, :, None] * width + x[:, None, :]) * out_channels + shift[channel, None, None]
        first = (place + (spikes.plane * current.shape[1])[:, None, None])[inside]
        block = block[inside]
        if group == out_channels:  # whole pixels
            current.view(-1, group).index_add_(0, torch.div(first, group, rounding_mode="floor"), block)
        else:
            current.view(-1).index_add_(0, (first[:, None] + g).view(-1), block.view(-1))

    return scatter

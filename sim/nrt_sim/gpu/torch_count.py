"""Spikes and synaptic operations of a layer, counted exactly with float32 products.

A plane of ones and zeros times ones, or times the synapses of each place, gives them. A sum of whole numbers below
2^24 is exact in float32, so the plane is cut where it could grow larger. A route with a delay counts what has arrived:
the sums so far, less those of the last `delay` steps.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt_sim.gpu.layout import Layer, Layout, Route

_EXACT: Final = 2**24


class Counting:
    """Counts of one layer, per recording. Column 0 counts elements that are not zero, the others synapses."""

    def __init__(self, layer: Layer, layout: Layout, batch: int, device: torch.device) -> None:
        leaving = [route for route in layout.routes if route.source == layer.index]
        self._uneven = [route for route in leaving if route.fan.ndim]
        columns = [np.ones(layer.size), *(route.fan for route in self._uneven)]
        self._columns = [torch.tensor(column, dtype=torch.float32, device=device) for column in columns]
        most = max(float(column.max()) for column in columns)
        edges = [*range(0, layer.size, max(1, int((_EXACT - 1) // most))), layer.size]
        self._parts = [slice(a, b) for a, b in pairwise(edges)]
        self._unit = layer.unit
        self._wanted = bool(leaving) or layer.neuron is None or layer.neuron.fires
        self._total = torch.zeros((batch, len(columns)), dtype=torch.int64, device=device)
        self._last: deque[Tensor] = deque(maxlen=max(layer.depth, 1))
        self._depth = layer.depth

    def reset(self, recordings: list[int]) -> None:
        """Those recordings' counts to zero."""
        self._total[recordings] = 0
        for row in self._last:
            row[recordings] = 0

    def add(self, output: Tensor) -> None:
        """Counts what was put out in a pass, [steps, batch, size]."""
        if not self._wanted:
            return
        ones = output
        if not self._unit or output.dtype != torch.float32:
            ones = torch.ne(output, 0.0, out=torch.empty(output.shape, device=output.device))
        rows = torch.zeros((len(output), *self._total.shape), dtype=torch.int64, device=output.device)
        for k, column in enumerate(self._columns):
            for some in self._parts:
                rows[:, :, k] += (ones[:, :, some] @ column[some]).to(torch.int64)
        self._total += rows.sum(0)
        if self._depth:
            self._last.extend(rows.unbind(0))

    def spikes(self) -> NDArray[np.int64]:
        """int64[batch]: elements that were not zero."""
        return self._total[:, 0].cpu().numpy().copy()

    def synops(self, route: Route) -> NDArray[np.int64]:
        """int64[batch]: synapses reached through a route that leaves this layer."""
        even = route.fan.ndim == 0
        column = 0 if even else 1 + self._uneven.index(route)
        arrived = self._total[:, column].clone()
        for row in list(self._last)[len(self._last) - min(route.delay, len(self._last)) :]:
            arrived -= row[:, column]
        return arrived.cpu().numpy() * (int(route.fan) if even else 1)

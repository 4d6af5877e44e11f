"""Spikes and synaptic operations of a layer, counted exactly with sums of float32.

A plane of ones and zeros is added up, or multiplied by the synapses of each place. A sum of whole numbers below 2^24 is
exact in float32, so the plane is cut where it could grow larger, and sums are kept in float64. A route with a delay
counts what has arrived: the sums so far, less those of the last `delay` steps.
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
        self._columns = [torch.tensor(r.fan, dtype=torch.float32, device=device) for r in self._uneven]
        most = max((float(route.fan.max()) for route in self._uneven), default=1.0)
        edges = [*range(0, layer.size, max(1, int((_EXACT - 1) // max(most, 1.0)))), layer.size]
        self._parts = [slice(a, b) for a, b in pairwise(edges)]
        self._unit = layer.unit
        self._wanted = bool(leaving) or layer.neuron is None or layer.neuron.fires
        self._total = torch.zeros((1 + len(self._columns), batch), dtype=torch.float64, device=device)
        self._last: deque[Tensor] = deque(maxlen=max(layer.depth, 1))
        self._depth = layer.depth

    def reset(self, recordings: list[int]) -> None:
        """Those recordings' counts to zero."""
        self._total[:, recordings] = 0
        for rows in self._last:
            rows[:, recordings] = 0

    def add(self, output: Tensor) -> None:
        """Counts what was put out in a pass, [steps, batch, size]."""
        if not self._wanted:
            return
        ones = output
        if not self._unit:
            ones = torch.ne(output, 0.0, out=torch.empty(output.shape, device=output.device))
        elif output.dtype != torch.float32:
            ones = output.to(torch.float32)
        for plane in ones:
            rows = self._rows(plane)
            self._total += rows
            if self._depth:
                self._last.append(rows)

    def _rows(self, plane: Tensor) -> Tensor:
        """[columns, batch] of one step."""
        if not self._columns and len(self._parts) == 1:
            return plane.sum(1)[None]
        rows = torch.zeros_like(self._total)
        for some in self._parts:
            rows[0] += plane[:, some].sum(1)
            for k, column in enumerate(self._columns):
                rows[k + 1] += plane[:, some] @ column[some]
        return rows

    def spikes(self) -> NDArray[np.int64]:
        """int64[batch]: elements that were not zero."""
        return self._total[0].cpu().numpy().astype(np.int64)

    def synops(self, route: Route) -> NDArray[np.int64]:
        """int64[batch]: synapses reached through a route that leaves this layer."""
        even = route.fan.ndim == 0
        column = 0 if even else 1 + self._uneven.index(route)
        arrived = self._total[column].clone()
        for rows in list(self._last)[len(self._last) - min(route.delay, len(self._last)) :]:
            arrived -= rows[column]
        return arrived.cpu().numpy().astype(np.int64) * (int(route.fan) if even else 1)

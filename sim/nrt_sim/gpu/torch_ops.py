"""TorchOps: a layout on any torch device, with torch operators alone. What `torch:cpu` runs on."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt_sim.gpu.layout import Layout, Route, RowTable
from nrt_sim.gpu.ops import Advance, Chunk, Collect, Encode, Fetched, MakeOps, Ops, Program, Project, Tally
from nrt_sim.gpu.torch_cells import Cells
from nrt_sim.gpu.torch_count import Counting
from nrt_sim.gpu.torch_dense import Apply, dense_way
from nrt_sim.gpu.torch_encode import Encoder
from nrt_sim.gpu.torch_past import Past
from nrt_sim.gpu.torch_scatter import Scatter, Spikes, sparse_way

LARGE: Final = 2**20
"""Weights of a matrix from which on it is worth looking at fewer of them."""


class Ways:
    """Both ways of the routes of a layout, with their weights on the device; made when first taken, then shared."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._layout, self._device = layout, device
        self._dtype = torch.float64 if layout.dtype == np.float64 else torch.float32
        self._dense: dict[int, Apply] = {}
        self._sparse: dict[int, Scatter] = {}

    def dense(self, route: Route) -> Apply:
        if route.index not in self._dense:
            self._dense[route.index] = dense_way(self._layout, route, self._device, self._dtype)
        return self._dense[route.index]

    def sparse(self, route: Route) -> Scatter:
        if route.index not in self._sparse:
            self._sparse[route.index] = sparse_way(self._layout, route, self._device, self._dtype)
        return self._sparse[route.index]


def torch_ops(device: torch.device | None = None) -> MakeOps:
    """Makes TorchOps on `device`, the CPU by default, which share the weights of a layout."""
    where = device or torch.device("cpu")
    known: list[tuple[Layout, Ways]] = []

    def make(layout: Layout, batch: int, span: int, room: int) -> TorchOps:
        ways = next((ways for seen, ways in known if seen is layout), None)
        if ways is None:
            ways = Ways(layout, where)
            known.append((layout, ways))
        return TorchOps(layout, batch, span, room, where, ways)

    return make


class TorchOps(Ops):
    """`Ops` with torch operators; see `nrt_sim.gpu.ops`."""

    def __init__(
        self, layout: Layout, batch: int, span: int, room: int, device: torch.device, ways: Ways
    ) -> None:
        super().__init__(layout, batch, span, room)
        self.device = device
        self._ways = ways
        self.dtype = torch.float64 if layout.dtype == np.float64 else torch.float32
        with torch.inference_mode():
            self._build()

    def _build(self) -> None:
        layout, batch, device, dtype = self.layout, self.batch, self.device, self.dtype
        self._encoder = Encoder(layout, batch, device, dtype)
        self._cells = {
            layer.index: Cells(layer, batch, device, dtype)
            for layer in layout.layers
            if layer.neuron is not None
        }
        self._past = [
            Past(layer.size, layer.depth, batch, self.span, device, dtype) for layer in layout.layers
        ]
        self._current: list[Tensor | None] = [None] * len(layout.layers)
        self._counting = [Counting(layer, layout, batch, device) for layer in layout.layers]
        self._step = 0
        self._fetched: deque[Fetched] = deque()
        self._spikes: dict[tuple[int, int], Spikes] = {}
        self._shown = [
            torch.empty((self.room, batch, layout.layers[w.layer].size), dtype=dtype, device=device)
            for w in layout.watches
        ]
        self._traced: dict[int, list[int]] = {}
        for k, watch in enumerate(layout.watches):
            if watch.membrane:
                self._traced.setdefault(watch.layer, []).append(k)

    def reset(self, recordings: Sequence[int] | None = None) -> None:
        some = list(range(self.batch)) if recordings is None else list(recordings)
        self._fetched.clear()
        with torch.inference_mode():
            for cells in self._cells.values():
                cells.reset(some)
            for past in self._past:
                past.reset(some)
            for counting in self._counting:
                counting.reset(some)
            self._encoder.reset(some)

    def sparse_below(self, route: Route) -> float:
        """Measured on one core with AVX-512 (torch 2.13), 8192 inputs to 256 outputs, with and without a pool.

        Alone the matrix is read row by row faster below 3 to 10 % of its inputs, for 16 recordings below 0.6 to 3 %.
        A matrix of 256 x 256, and kernels and pairs from 0.05 % on, are slower so than as whole planes.
        """
        large = isinstance(route.table, RowTable) and route.table.weight.size >= LARGE
        return 0.03 / math.sqrt(self.batch) if large else 0.0

    def load(self, chunk: Chunk) -> None:
        with torch.inference_mode():
            self._encoder.load(chunk)
        self._step = 0

    def run(self, program: Program, steps: int) -> None:
        with torch.inference_mode():
            for done in range(0, steps, self.span):
                self._pass(program, min(steps - done, self.span))
            self._fetched.append(self._answer(self._step))

    def fetch(self) -> Fetched:
        if self._fetched:
            return self._fetched.popleft()
        with torch.inference_mode():
            return self._answer(0)

    def _pass(self, program: Program, steps: int) -> None:
        self._spikes.clear()
        for past in self._past:
            past.begin(steps)
        for what in program:
            match what:
                case Encode():
                    self._encode(steps)
                case Project():
                    self._project(what)
                case Advance():
                    self._advance(what, steps)
                case Collect():
                    self._collect(what, steps)
        self._step += steps

    def _encode(self, steps: int) -> None:
        planes = [self._encoder.plane(self._step + t) for t in range(steps)]
        plane = planes[0][None] if steps == 1 else torch.stack(planes)
        k = self.layout.input
        self._past[k].put(plane)
        self._counting[k].add(plane)

    def _project(self, what: Project) -> None:
        route = self.layout.routes[what.route]
        target = self.layout.layers[route.target]
        source = self._past[route.source].get(route.delay)
        planes = source.view(-1, source.shape[2])
        shape = (*source.shape[:2], target.size)
        current = self._current[route.target]
        if what.way == "dense":
            made = self._ways.dense(route)(planes)
            if what.first or current is None:
                self._current[route.target] = _own(made, planes).view(shape)
            else:
                current += made.view(shape)
            return
        if what.first or current is None:
            current = torch.zeros(shape, dtype=self.dtype, device=self.device)
            self._current[route.target] = current
        listed = self._listed(route.source, route.delay, planes)
        self._ways.sparse(route)(listed, current.view(-1, target.size))

    def _listed(self, layer: int, delay: int, planes: Tensor) -> Spikes:
        """What a layer put out, as a list; made once in a pass."""
        key = (layer, delay)
        if key not in self._spikes:
            self._spikes[key] = Spikes.of(planes, self.layout.layers[layer].unit)
        return self._spikes[key]

    def _advance(self, what: Advance, steps: int) -> None:
        k = what.layer
        cells, current, past = self._cells[k], self._current[k], self._past[k]
        room = past.room()
        output = (
            torch.empty((steps, *cells.v.shape), dtype=self.dtype, device=self.device)
            if room is None
            else room
        )
        traced = [self._shown[w] for w in self._traced.get(k, ())]
        for t in range(steps):
            cells.advance(current[t] if what.fed and current is not None else None, output[t])
            for shown in traced:
                shown[self._step + t] = cells.v
        if room is None:
            past.put(output)
        self._counting[k].add(output)

    def _collect(self, what: Collect, steps: int) -> None:
        watch = self.layout.watches[what.watch]
        if not watch.membrane:
            shown = self._shown[what.watch]
            shown[self._step : self._step + steps] = self._past[watch.layer].get(0)

    def _answer(self, steps: int) -> Fetched:
        """What the chunk of so many steps gave."""
        spikes: list[NDArray[np.int32] | None] = []
        membranes: list[NDArray[Any] | None] = []
        for watch, shown in zip(self.layout.watches, self._shown, strict=True):
            spikes.append(None if watch.membrane else _rows(shown[:steps]))
            membranes.append(shown[:steps].cpu().numpy().copy() if watch.membrane else None)
        return Fetched(tuple(spikes), tuple(membranes), self._tally())

    def _tally(self) -> Tally:
        layout = self.layout
        synops = np.zeros((len(layout.routes), self.batch), np.int64)
        for route in layout.routes:
            synops[route.index] = self._counting[route.source].synops(route)
        spikes = np.stack([counting.spikes() for counting in self._counting])
        return Tally(self._encoder.counts(), spikes, synops)

    def close(self) -> None:
        self._cells.clear()
        self._past, self._counting, self._current = [], [], []
        self._shown = []


def _rows(shown: Tensor) -> NDArray[np.int32]:
    """int32[m, 4] of what is not zero in [steps, batch, size]: step, recording, place, payload."""
    at = shown.nonzero()
    values = shown[at[:, 0], at[:, 1], at[:, 2]]
    # clamped in float64, where 2^31 - 1 is a number
    payload = values.to(torch.float64).clamp_(-(2.0**31), 2.0**31 - 1).to(torch.int64)
    return torch.cat([at, payload[:, None]], 1).to(torch.int32).cpu().numpy()


def _own(made: Tensor, planes: Tensor) -> Tensor:
    """`made`, copied where a route without operators passed its input through."""
    return made.clone() if made.data_ptr() == planes.data_ptr() else made

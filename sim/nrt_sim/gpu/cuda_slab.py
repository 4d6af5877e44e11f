"""Chunks to a device and what they gave back to the host: a slab of pinned memory for each of two chunks under way.

A chunk is one block of memory and one copy: header (the structure Chunk of common.cuh), bounds, words. What it gave is
copied back while the next is computed: counts, how much was seen, and the first rows of it; rows beyond are fetched
when it is known that there are any. On a CPU the same happens without streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt.errors import NrtError
from nrt_sim.gpu.kernels import structures
from nrt_sim.gpu.layout import Layout, Watch
from nrt_sim.gpu.ops import Chunk, Fetched, Tally

HEADER: Final = 32
"""Bytes before the bounds; more than the structure Chunk has."""
WORDS: Final = 2**15
"""Events that a slab has room for at first."""
FIRST: Final = 1024
"""Rows of what is watched that come back without being asked for."""


class Tallies:
    """Counts of every recording since its reset, in one array: encoded[3], spikes[layers], synops[routes]."""

    def __init__(self, layout: Layout, batch: int, device: torch.device) -> None:
        self._layers, self._routes = len(layout.layers), len(layout.routes)
        self.counts = torch.zeros((3 + self._layers + self._routes, batch), dtype=torch.int64, device=device)

    @property
    def encoded_at(self) -> int:
        return self.counts.data_ptr()

    def spikes_at(self, layer: int) -> int:
        return self.counts[3 + layer].data_ptr()

    def synops_at(self, route: int) -> int:
        return self.counts[3 + self._layers + route].data_ptr()

    def reset(self, recordings: Sequence[int]) -> None:
        self.counts[:, list(recordings)] = 0

    def read(self, counts: NDArray[np.int64]) -> Tally:
        encoded, spikes, synops = np.split(counts, [3, 3 + self._layers])
        return Tally(encoded, spikes, synops)


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What one watch sees in a chunk. rows: int32[room, 4], or (membranes) float32[steps, batch, size].

    written: int32[2], rows that were written, and rows that found no room · finished: int32[1], see collect.cu
    first: pinned room for the first rows
    """

    rows: Tensor
    written: Tensor
    finished: Tensor
    first: Tensor


class Slab:
    """One chunk: on the host, on the device, and what it gave."""

    def __init__(self, layout: Layout, batch: int, room: int, device: torch.device) -> None:
        self._batch, self._room, self._device = batch, room, device
        self._cuda = device.type == "cuda"
        self._begin = -(-(HEADER + 4 * batch * (room + 1)) // 16) * 16
        self._allocate(WORDS)
        self._watches = layout.watches
        written = torch.zeros((len(layout.watches), 3), dtype=torch.int32, device=device)
        self._written = written
        self.watched = [
            self._watched(watch, layout.layers[watch.layer].size, written[k])
            for k, watch in enumerate(layout.watches)
        ]
        self._back = self._pinned(written.shape, torch.int32)
        self._counts: Tensor | None = None
        self.steps = 0
        self._copies = torch.cuda.Stream(device) if self._cuda else None  # type: ignore[no-untyped-call]
        self._copied, self._done = self._event(), self._event()
        self._settle()

    def _settle(self) -> None:
        """What was just filled with zeros on this stream is written to on another."""
        if self._cuda:
            torch.cuda.current_stream(self._device).synchronize()

    def _event(self) -> Any:
        return torch.cuda.Event() if self._cuda else None  # type: ignore[no-untyped-call]

    def _pinned(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return torch.zeros(tuple(shape), dtype=dtype, pin_memory=self._cuda)

    def _allocate(self, words: int) -> None:
        self._capacity = words
        self._host = self._pinned((self._begin + 16 * words,), torch.uint8)
        self._slab = torch.zeros(self._begin + 16 * words, dtype=torch.uint8, device=self._device)
        self._settle()

    def _watched(self, watch: Watch, size: int, written: Tensor) -> Watched:
        if watch.membrane:
            rows = torch.zeros((self._room, self._batch, size), device=self._device)
            first = self._pinned((0,), torch.float32)
        else:
            room = self._room * self._batch * size
            rows = torch.zeros((room, 4), dtype=torch.int32, device=self._device)
            first = self._pinned((min(FIRST, room), 4), torch.int32)
        return Watched(rows, written[:2], written[2:], first)

    @property
    def chunk(self) -> int:
        """Address of the header on the device."""
        return self._slab.data_ptr()

    @property
    def bounds(self) -> int:
        return self._slab.data_ptr() + HEADER

    @property
    def words(self) -> int:
        return self._slab.data_ptr() + self._begin

    def load(self, chunk: Chunk, step: int) -> bool:
        """Copies a chunk to the device; its first step is the `step`th of all. True where addresses have changed."""
        if self._cuda:
            self._copied.synchronize()  # the host's half is free
        grown = len(chunk.words) > self._capacity
        if grown:
            if self._cuda:
                self._done.synchronize()
            self._allocate(2 ** int(np.ceil(np.log2(len(chunk.words)))))
        self.steps = chunk.steps
        self._fill(chunk, step)
        used = self._begin + 16 * len(chunk.words)
        if self._copies is None:
            self._slab[:used] = self._host[:used]
            self._written[:, :2] = 0
            return grown
        compute = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(self._done)
            self._slab[:used].copy_(self._host[:used], non_blocking=True)
            self._written[:, :2].zero_()
            self._copied.record(self._copies)
        compute.wait_event(self._copied)
        return grown

    def _fill(self, chunk: Chunk, step: int) -> None:
        host: NDArray[np.uint8] = self._host.numpy()
        kind = structures("collect.cu")["Chunk"]
        header = np.zeros((), kind)
        header["step"], header["k"], header["steps"] = step, 0, chunk.steps
        header["spikes"], header["room"] = int(chunk.spikes), self._room
        host[: kind.itemsize] = np.frombuffer(header.tobytes(), np.uint8)
        bounds = host[HEADER : HEADER + 4 * self._batch * (self._room + 1)].view(np.int32)
        bounds.reshape(self._batch, self._room + 1)[:, : chunk.steps + 1] = chunk.bounds
        words = np.ascontiguousarray(chunk.words).reshape(-1).view(np.uint8)
        host[self._begin : self._begin + len(words)] = words

    def answer(self, tallies: Tallies) -> None:
        """After the passes: what they gave starts on its way to the host."""
        if self._counts is None:
            self._counts = self._pinned(tallies.counts.shape, torch.int64)
        self._counts.copy_(tallies.counts, non_blocking=True)
        self._back.copy_(self._written, non_blocking=True)
        for watched in self.watched:
            if len(watched.first):
                watched.first.copy_(watched.rows[: len(watched.first)], non_blocking=True)
        if self._cuda:
            self._done.record(torch.cuda.current_stream(self._device))

    def nothing(self, tallies: Tallies) -> None:
        """An answer without a chunk."""
        self.steps = 0
        self._written.zero_()
        self.answer(tallies)

    def fetch(self, tallies: Tallies) -> Fetched:
        """Waits for the answer. Raises NrtError if something that was watched found no room."""
        if self._cuda:
            self._done.synchronize()
        assert self._counts is not None
        if bool(np.any(self._back.numpy()[:, 1])):
            raise NrtError("a watched population had more spikes in a chunk than there is room for")
        spikes: list[NDArray[np.int32] | None] = []
        membranes: list[NDArray[np.float32] | None] = []
        for watch, watched, count in zip(self._watches, self.watched, self._back[:, 0].tolist(), strict=True):
            membranes.append(self._back_from(watched.rows[: self.steps]) if watch.membrane else None)
            spikes.append(None if watch.membrane else self._rows(watched, int(count)))
        return Fetched(tuple(spikes), tuple(membranes), tallies.read(self._counts.numpy().copy()))

    def _rows(self, watched: Watched, count: int) -> NDArray[np.int32]:
        if count <= len(watched.first):
            return watched.first[:count].numpy().copy()
        return self._back_from(watched.rows[:count])

    def _back_from(self, rows: Tensor) -> NDArray[Any]:
        """A copy on the host, made beside what is computed: the chunk that wrote these rows is done."""
        with ExitStack() as stack:
            if self._copies is not None:
                stack.enter_context(torch.cuda.stream(self._copies))
            return np.asarray(rows.to("cpu", copy=True).numpy())

"""Events into the input layer's planes, with torch operators: `Encoding.index` on 16-byte words."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt_sim.gpu.layout import Layout
from nrt_sim.gpu.ops import Chunk
from nrt_sim.gpu.plan import places


class Encoder:
    """Bins a chunk's words; counts what it took in and what it left out, per recording."""

    def __init__(self, layout: Layout, batch: int, device: torch.device, dtype: torch.dtype) -> None:
        layer = layout.layers[layout.input]
        self._encoding, self._batch, self._size = layout.encoding, batch, layer.size
        self._channels, self._height, self._width = layer.volume
        self._place = torch.tensor(places(layer.volume), device=device)
        self._device, self._dtype = device, dtype
        self._counts = torch.zeros((3, batch), dtype=torch.int64, device=device)
        self._key = torch.empty(0, dtype=torch.int64)
        self._value = torch.empty(0, dtype=dtype)
        self._bounds: list[list[int]] = []
        self._spikes = False

    def reset(self, recordings: list[int]) -> None:
        self._counts[:, recordings] = 0

    def counts(self) -> NDArray[np.int64]:
        """int64[3, batch]: events, outside, cropped."""
        return self._counts.cpu().numpy().copy()

    def load(self, chunk: Chunk) -> None:
        """Finds the neuron of every word."""
        words = torch.from_numpy(chunk.words.view(np.int64)).to(self._device)
        first = torch.from_numpy(np.ascontiguousarray(chunk.bounds[:, 0])).to(self._device)
        self._bounds, self._spikes = chunk.bounds.tolist(), chunk.spikes
        self._key = self._value = torch.empty(0)
        if not len(words):
            return
        at = torch.arange(len(words), dtype=torch.int32, device=self._device)
        recording = torch.searchsorted(first, at, right=True) - 1
        place = self._of_spikes(words[:, 1]) if chunk.spikes else self._of_events(words[:, 1])
        self._count(place, recording)
        nowhere = self._batch * self._size
        self._key = torch.where(place >= 0, recording * self._size + place, nowhere)
        if chunk.spikes:
            self._value = (words[:, 1] >> 32).to(self._dtype)
        else:
            self._value = torch.ones(len(words), dtype=self._dtype, device=self._device)

    def plane(self, step: int) -> Tensor:
        """[batch, size] of one step, in place order."""
        plane = torch.zeros(self._batch * self._size + 1, dtype=self._dtype, device=self._device)
        spans = [(bounds[step], bounds[step + 1]) for bounds in self._bounds]
        spans = [(a, b) for a, b in spans if a < b]
        if spans:
            key, value = (_joined(values, spans) for values in (self._key, self._value))
            if self._encoding.values == "binary" and not self._spikes:
                plane[key] = 1
            else:
                plane.index_add_(0, key, value)
        return plane[:-1].view(self._batch, self._size)

    def _count(self, place: Tensor, recording: Tensor) -> None:
        for k, some in enumerate((place >= 0, place == -2, place == -1)):
            self._counts[k] += torch.bincount(recording[some], minlength=self._batch)

    def _of_spikes(self, word: Tensor) -> Tensor:
        n = word & 0xFFFFFFFF
        return torch.where(n < self._size, self._place[n.clamp(max=self._size - 1)], -2)

    def _of_events(self, word: Tensor) -> Tensor:
        """The place of each event; -1 what crop or polarity leaves out, -2 outside the input."""
        encoding = self._encoding
        x, y, p = word & 0xFFFF, (word >> 16) & 0xFFFF, (word >> 32) & 0xFF
        seen = torch.ones_like(x, dtype=torch.bool)
        if encoding.crop is not None:
            left, top, width, height = encoding.crop
            x, y = x - left, y - top
            seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        if encoding.polarity in ("on", "off"):
            seen = seen & (p == int(encoding.polarity == "on"))
        if encoding.pool != 1:
            x = torch.div(x, encoding.pool, rounding_mode="floor")
            y = torch.div(y, encoding.pool, rounding_mode="floor")
        channel = torch.zeros_like(p)
        if encoding.polarity == "split":
            channel = p ^ 1 if encoding.swap else p
        inside = (x >= 0) & (x < self._width) & (y >= 0) & (y < self._height) & (channel < self._channels)
        place = (y * self._width + x) * self._channels + channel
        return torch.where(seen, torch.where(inside, place, -2), -1)


def _joined(values: Tensor, spans: list[tuple[int, int]]) -> Tensor:
    parts = [values[a:b] for a, b in spans]
    return parts[0] if len(parts) == 1 else torch.cat(parts)

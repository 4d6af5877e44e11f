"""Events into the input layer's planes, with torch operators: `Encoding.index` on 16-byte words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt_sim.gpu.layout import Layout
from nrt_sim.gpu.ops import Chunk
from nrt_sim.gpu.plan import places


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """planes: [steps, batch, size of the input], in place order."""

    planes: Tensor


class Encoder:
    """Bins a chunk's words; counts what it took in and what it left out, per recording."""

    def __init__(self, layout: Layout, batch: int, device: torch.device, dtype: torch.dtype) -> None:
        layer = layout.layers[layout.input]
        self._encoding, self._batch, self._size = layout.encoding, batch, layer.size
        self._channels, self._height, self._width = layer.volume
        self._place = torch.tensor(places(layer.volume), device=device)
        self._device, self._dtype = device, dtype
        self._counts = torch.zeros((3, batch), dtype=torch.int64, device=device)

    def reset(self, recordings: list[int]) -> None:
        self._counts[:, recordings] = 0

    def counts(self) -> NDArray[np.int64]:
        """int64[3, batch]: events, outside, cropped."""
        return self._counts.cpu().numpy().copy()

    def load(self, chunk: Chunk) -> Encoded:
        """The planes of all steps of a chunk."""
        words = torch.from_numpy(chunk.words.view(np.int64)).to(self._device)
        bounds = torch.from_numpy(chunk.bounds).to(self._device, torch.int64)
        first, steps = bounds[:, 0], chunk.steps
        planes = torch.zeros((steps, self._batch, self._size), dtype=self._dtype, device=self._device)
        if not len(words):
            return Encoded(planes)
        at = torch.arange(len(words), device=self._device)
        recording = torch.searchsorted(first, at, right=True) - 1
        spikes = chunk.spikes
        place = self._of_spikes(words[:, 1]) if spikes else self._of_events(words[:, 1])
        ends = (bounds[:, 1:] + 0).reshape(-1)  # ascending: recording after recording
        step = torch.searchsorted(ends, at, right=True) - recording * steps
        self._count(place, recording)
        inside = place >= 0
        key = ((step * self._batch + recording) * self._size + place)[inside]
        flat = planes.view(-1)
        if spikes:
            flat.index_add_(0, key, (words[:, 1] >> 32)[inside].to(self._dtype))
        elif self._encoding.values == "binary":
            flat[key] = 1
        else:
            flat.index_add_(0, key, torch.ones(len(key), dtype=self._dtype, device=self._device))
        return Encoded(planes)

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

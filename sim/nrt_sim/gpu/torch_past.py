"""What a layer put out in the last steps: a ring of planes, for routes with a delay."""

from __future__ import annotations

import torch
from torch import Tensor


class Past:
    """depth: longest delay in steps; planes are [steps, batch, size]. Without delays it keeps only this pass's."""

    def __init__(
        self, size: int, depth: int, batch: int, span: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.depth = depth
        self._rows = depth + span
        self._ring = torch.zeros((self._rows, batch, size), dtype=dtype, device=device)
        self._at = 0
        self._steps = 0

    def reset(self, recordings: list[int]) -> None:
        """Those recordings put out nothing before."""
        self._ring[:, recordings] = 0

    def begin(self, steps: int) -> None:
        """A pass of so many steps begins."""
        self._at = (self._at + self._steps) % self._rows if self.depth else 0
        self._steps = steps

    def room(self) -> Tensor | None:
        """Where this pass's planes go, to be written there; None where they are not in one piece."""
        if self._at + self._steps > self._rows:
            return None
        return self._ring[self._at : self._at + self._steps]

    def put(self, planes: Tensor) -> None:
        """What was put out in this pass."""
        first = min(self._steps, self._rows - self._at)
        self._ring[self._at : self._at + first] = planes[:first]
        if first < self._steps:
            self._ring[: self._steps - first] = planes[first:]

    def get(self, delay: int) -> Tensor:
        """What was put out `delay` steps before each step of this pass."""
        begin = (self._at - delay) % self._rows
        first = min(self._steps, self._rows - begin)
        if first == self._steps:
            return self._ring[begin : begin + first]
        return torch.cat([self._ring[begin:], self._ring[: self._steps - first]])

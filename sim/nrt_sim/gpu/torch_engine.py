"""TorchEngine: the engine of `torch:cpu`, for who has no device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np

from nrt.network import Network
from nrt_sim.gpu.engine import GpuEngine
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Projections
from nrt_sim.gpu.torch_ops import torch_ops


class TorchEngine(GpuEngine):
    """`GpuEngine` on torch's CPU backend, from a network."""

    def __init__(
        self,
        network: Network,
        watched: Sequence[str],
        dtype: Literal["float32", "float64"] = "float32",
        span: int = 1,
        projections: Projections = "measured",
    ) -> None:
        layout = lay_out(network, watched, np.dtype(dtype))
        super().__init__(layout, torch_ops(), "torch:cpu", span, projections)

    def fork(self) -> Self:
        twin = object.__new__(type(self))
        GpuEngine.__init__(twin, self.layout, self._make, self._uri, self._span, self._projections)
        return twin

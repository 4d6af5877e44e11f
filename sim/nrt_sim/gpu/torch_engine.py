"""TorchEngine: the GPU simulator's engine on torch operators, as `torch:cpu` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nrt.network import Network
from nrt_sim.gpu.engine import GpuEngine
from nrt_sim.gpu.simulation import Projections
from nrt_sim.gpu.torch_ops import TorchOps


class TorchEngine(GpuEngine):
    """`GpuEngine` on torch's CPU backend."""

    def __init__(
        self,
        network: Network,
        watched: Sequence[str],
        dtype: Literal["float32", "float64"] = "float32",
        span: int = 1,
        projections: Projections = "measured",
    ) -> None:
        super().__init__(network, watched, TorchOps, dtype, span, projections)

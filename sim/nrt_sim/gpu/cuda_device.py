"""`cuda:N`: the GPU simulator on an NVIDIA GPU, with its kernels. Never tried on a GPU by who wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from nrt.errors import ConfigError, DeviceError, DeviceLost, MissingDependency, NotFound
from nrt.network import Network
from nrt.packet import EVENT
from nrt.profile.nvml import Nvml
from nrt.registry import Uri
from nrt_sim.engine import Engine
from nrt_sim.gpu.device import GpuDevice
from nrt_sim.gpu.failures import translated
from nrt_sim.gpu.ops import MakeOps
from nrt_sim.gpu.simulation import Projections, Simulation
from nrt_sim.gpu.survey import cupy_cuda, obstacle, survey, torch_cuda

PLAYS: Final = 6
"""Chunks after which both slabs have launched a pass kernel by kernel, captured it, and replayed it."""

if TYPE_CHECKING:
    import torch


class CudaDevice(GpuDevice):
    """float32 on GPU N (0 by default); kernels by CuPy, dense projections by torch, a CUDA graph per pass.

    What it takes, the meter `nvml:N` measures.
    """

    exclusive = True

    def __init__(self, uri: Uri, *, span: int = 1, projections: Projections = "measured") -> None:
        super().__init__(uri, span, projections, "float32")
        if uri.place and not uri.place.isdecimal():
            raise ConfigError(f"{self.uri}: '{uri.place}' is no number of a GPU; write cuda:0")
        self._index = int(uri.place or 0)
        self._options = (span, projections)
        self._name = ""

    @classmethod
    def availability(cls) -> str:
        return survey()

    async def open(self) -> None:
        nvml = Nvml.load()
        reason = obstacle(nvml.cuda(), torch_cuda, cupy_cuda)
        if "is not installed" in reason:
            package, extra = ("torch" if reason.startswith("torch") else "cupy"), f"gpu-cuda{nvml.cuda()[0]}"
            raise MissingDependency(self.uri, package, extra)
        if reason:
            raise DeviceError(self.uri, reason)
        index = await asyncio.to_thread(self._of_driver, nvml)
        self._name = nvml.gpus()[index].name

    def _of_driver(self, nvml: Nvml) -> int:
        """The driver's number of this GPU. CUDA numbers the fastest first, and only those that it may see."""
        import torch

        count = torch.cuda.device_count()
        if self._index >= count:
            known = [f"cuda:{index}" for index in range(count)]
            raise NotFound(
                str(self._index), f"{self.uri}: no such GPU; there is {', '.join(known) or 'none'}", known
            )
        with translated(self.uri):
            uuid = getattr(torch.cuda.get_device_properties(self._index), "uuid", None)  # torch 2.5 and later
        return self._index if uuid is None else nvml.index(str(uuid))

    @property
    def name(self) -> str:
        """What the driver calls this GPU."""
        return self._name

    def traffic(self, simulation: Simulation, work: Callable[[], object]) -> tuple[float, float]:
        """Counted from the launches' arguments and the spikes there were, every projection spike by spike."""
        from nrt_sim.gpu.count import Activity, costs

        work()
        tally, steps = simulation.tally, simulation.counters().steps
        each = steps * simulation.batch
        activity = Activity(
            float(tally.encoded[0].sum()) / each,
            (tally.spikes.sum(1) / each).tolist(),
            (tally.synops.sum(1) / each).tolist(),
        )
        counted = costs(simulation.layout.network, activity)
        return float(len(counted) * steps), sum(cost.moved for cost in counted) * each

    def _ready(self, network: Network, watched: tuple[str, ...]) -> Engine:
        """With the passes of both slabs, for one step and for several, captured before the first packet."""
        from nrt_sim.gpu.cuda_ops import TOGETHER

        engine = super()._ready(network, watched)
        for steps in (1, TOGETHER):
            for _ in range(PLAYS):
                engine.run(np.empty(0, EVENT), 0, steps)
        engine.reset()
        return engine

    def _torch_device(self) -> torch.device:
        import torch

        return torch.device("cuda", self._index)

    def _make(self) -> MakeOps:
        from nrt_sim.gpu.cuda_ops import cuda_ops

        return cuda_ops(self._torch_device())

    def _free(self) -> int:
        import torch

        try:
            with translated(self.uri):
                return int(torch.cuda.mem_get_info(self._torch_device())[0])
        except RuntimeError as error:  # torch could not begin with CUDA at all
            raise DeviceLost(self.uri, str(error).splitlines()[0]) from error

    def _notes(self) -> tuple[str, ...]:
        return (f"on {self._name}", "the CUDA kernels were checked without a GPU; see docs/gpu.md")

    def _sibling(self) -> CudaDevice:
        span, projections = self._options
        return CudaDevice(self._uri, span=span, projections=projections)

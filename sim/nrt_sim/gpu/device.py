"""`torch:cpu` and `cuda:N`: the GPU simulator as devices. torch and CuPy are imported when one is opened."""

from __future__ import annotations

import importlib.util
import math
import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from nrt.device import Device, Placement, Row
from nrt.errors import ConfigError, MissingDependency, NotFound
from nrt.network import Network
from nrt.registry import Uri
from nrt_sim.clocked import ClockedDevice
from nrt_sim.engine import Engine
from nrt_sim.gpu import memory
from nrt_sim.gpu.engine import GpuEngine
from nrt_sim.gpu.failures import translated
from nrt_sim.gpu.ops import MakeOps
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Projections, Simulation
from nrt_sim.gpu.survey import torch_cuda
from nrt_sim.gpu.together import Side, Together

Dtype = Literal["float32", "float64"]


class GpuDevice(ClockedDevice):
    """What `torch:` and `cuda:` have in common.

    span: steps that are computed layer by layer, for throughput; networks with loops ignore it. A CPU gains nothing
    by it (measured on net (a): planes of more steps leave its caches)
    projections: "measured" takes the sparse or the dense way of each projection by how many spikes there were
    """

    def __init__(self, uri: Uri, span: int, projections: Projections, dtype: Dtype) -> None:
        super().__init__(uri)
        if span < 1:
            raise ConfigError(
                f"{self.uri}: span is {span}; it is steps that are computed together, at least 1"
            )
        self._span, self._dtype = span, np.dtype(dtype)
        self._projections: Projections = projections

    @property
    def threads(self) -> int:
        """Threads of the host that compute."""
        return 1

    def simulate(self, network: Network, watched: Sequence[str], batch: int) -> Simulation:
        """A simulation on this device without a stream around it, for benchmarks. Raises DeployError."""
        memory.check(network, watched, batch, self._span, self._dtype.itemsize, self._free())
        with translated(self.uri):
            layout = lay_out(network, watched, self._dtype)
            return Simulation(layout, self._make(), batch, self._span, self._projections)

    def traffic(self, simulation: Simulation, work: Callable[[], object]) -> tuple[float, float]:
        """What is launched while `work` runs the simulation, and the bytes that it moves; nan where nobody counts."""
        return math.nan, math.nan

    @abstractmethod
    def _make(self) -> MakeOps:
        """Makes Ops for this device; one per deployed network, whose weights they share."""

    @abstractmethod
    def _free(self) -> int:
        """Bytes of memory that the device has left."""

    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        memory.check(network, watched, 1, self._span, self._dtype.itemsize, self._free())
        with translated(self.uri):
            layout = lay_out(network, watched, self._dtype)
            return GpuEngine(layout, self._make(), self.uri, self._span, self._projections)

    def _placement(self, engine: Engine) -> Placement:
        assert isinstance(engine, GpuEngine)
        layout = engine.simulation.layout
        rows = [
            Row(p.name, "x".join(map(str, p.shape)), self._dtype.name) for p in engine.network.populations
        ]
        each = memory.needs(engine.network, engine.watched, 1, self._span, self._dtype.itemsize)
        only = [route.name for route in layout.routes if route.table is None]
        notes = [f"about {sum(each.values()) / 2**20:.1f} MiB of memory", *self._notes()]
        if only:
            notes.append(f"computed on whole planes in every step: {', '.join(only)}")
        return Placement(self.uri, engine.network.name, tuple(rows), (*engine.network.notes, *notes))

    def _notes(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        await super().close()
        if isinstance(self._engine, GpuEngine):
            self._engine.close()

    async def side_by_side(self, count: int) -> list[Device]:
        engine = self._deployed()
        if not isinstance(engine, GpuEngine):
            raise ConfigError(f"{self.uri}: runs side by side already")
        memory.check(engine.network, engine.watched, count, self._span, self._dtype.itemsize, self._free())
        together = Together(engine.side_by_side(count), self.uri)
        return [SideDevice(self._uri, Side(together, k), self.uri) for k in range(count)]


class SideDevice(ClockedDevice):
    """One of several recordings that a GPU computes together."""

    def __init__(self, uri: Uri, side: Side, name: str) -> None:
        super().__init__(uri)
        self.uri = name
        self._side = side
        self._engine = side

    def _build(self, network: Network, watched: tuple[str, ...]) -> Engine:
        raise ConfigError(f"{self.uri}: a network is deployed on the device itself")

    def _placement(self, engine: Engine) -> Placement:
        return Placement(self.uri, engine.network.name, ())

    def _sibling(self) -> ClockedDevice:
        raise ConfigError(f"{self.uri}: recordings side by side do not multiply; ask for more of them")

    async def _halt(self) -> None:
        self._side.reset()  # or its thread would wait for the others
        await super()._halt()


class TorchDevice(GpuDevice):
    """`torch:cpu`: the simulator with torch operators where the kernels are; `torch:cuda:0` has them on a GPU.

    threads: that torch computes with, while the device is open; by default half the cores, at most 4: with more,
    they take the time of the thread that decodes
    """

    def __init__(
        self,
        uri: Uri,
        *,
        span: int = 1,
        projections: Projections = "measured",
        dtype: Dtype = "float32",
        threads: int | None = None,
    ) -> None:
        super().__init__(uri, span, projections, dtype)
        self._options = (span, projections, dtype, threads)
        if threads is not None and threads < 1:
            raise ConfigError(f"{self.uri}: threads is {threads}; it must be at least 1")
        self._threads = threads or max(1, min(4, (os.cpu_count() or 1) // 2))
        self._threads_before: int | None = None
        self._place = uri.place or "cpu"

    @property
    def threads(self) -> int:
        return self._threads

    def traffic(self, simulation: Simulation, work: Callable[[], object]) -> tuple[float, float]:
        from nrt_sim.gpu.traffic import Traffic

        with Traffic() as counted:
            work()
        return float(counted.operators), float(counted.moved)

    @classmethod
    def availability(cls) -> str:
        try:
            torch_cuda()
        except ModuleNotFoundError:
            return str(MissingDependency("torch:cpu", "torch", "torch"))
        return "ready"

    async def open(self) -> None:
        if importlib.util.find_spec("torch") is None:
            raise MissingDependency(f"{self.uri}", "torch", "torch")
        import torch

        try:
            device = torch.device(self._place)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise NotFound(self._place, f"{self.uri}: torch has no such device: {reason}", ["cpu"]) from error
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(self._threads)

    async def close(self) -> None:
        await super().close()
        if self._threads_before is not None:
            import torch

            torch.set_num_threads(self._threads_before)
            self._threads_before = None

    def _make(self) -> MakeOps:
        import torch

        from nrt_sim.gpu.torch_ops import torch_ops

        return torch_ops(torch.device(self._place))

    def _free(self) -> int:
        if self._place == "cpu":
            return memory.free_memory()
        import torch

        with translated(self.uri):
            return int(torch.cuda.mem_get_info(torch.device(self._place))[0])

    def _sibling(self) -> TorchDevice:
        span, projections, dtype, threads = self._options
        return TorchDevice(self._uri, span=span, projections=projections, dtype=dtype, threads=threads)

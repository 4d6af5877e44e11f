"""The device that launches kernels, with the shim in place of a GPU: sessions side by side, and GPUs that fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import nrt
from nrt.clock import now
from nrt.errors import DeviceError, DeviceLost, DoesNotFit
from nrt.packet import Packet
from nrt.registry import Uri
from nrt_sim.gpu.cuda_ops import CudaOps, made_with
from nrt_sim.gpu.cuda_pass import Launcher
from nrt_sim.gpu.device import GpuDevice
from nrt_sim.gpu.kernels import Kernel
from nrt_sim.gpu.ops import MakeOps
from tests.equal import START
from tests.fakes import Script
from tests.unit.gpu.kernel_shim import built, needs_compiler
from tests.unit.sim.networks import DT, random_events, random_network

pytestmark = [needs_compiler, pytest.mark.timeout(600)]
TIMEOUT_S = 120
NETWORK = random_network(11, exact=True, short=True)


class Gpu:
    """A GPU of the shim: what it does before each launch, and how many bytes it has."""

    def __init__(self, free: int = 2**34) -> None:
        self.free = free
        self.launches = 0
        self.fails: Callable[[], None] = lambda: None
        self._turn = threading.Lock()

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        with self._turn:  # the shim runs one kernel at a time
            self.fails()
            self.launches += 1
            built().launch(kernel, option, arguments, grid)


class KernelDevice(GpuDevice):
    """`cuda:0` on such a GPU."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__(Uri.parse("cuda:0"), 1, "sparse", "float32")
        self._gpu = gpu

    def _make(self) -> MakeOps:
        launcher: Launcher = self._gpu
        return made_with(launcher, torch.device("cpu"), "sorted")

    def _free(self) -> int:
        return self._gpu.free

    def _sibling(self) -> KernelDevice:
        return KernelDevice(self._gpu)


def recording(steps: int) -> Script:
    """A packet per step."""
    events = random_events(NETWORK, 11, steps, START)
    edges = START + DT * np.arange(steps + 1)
    cuts = np.searchsorted(events["t"], edges)
    return Script(
        [Packet(events[cuts[k] : cuts[k + 1]], int(edges[k]), int(edges[k + 1]), now()) for k in range(steps)]
    )


def dies(name: str, message: str) -> Callable[[], None]:
    """Raises what CuPy or torch raises; the classes have their names."""

    def fail() -> None:
        raise type(name, (RuntimeError,), {})(message)

    return fail


async def test_two_sessions_on_one_gpu_do_not_touch_each_other() -> None:
    gpu = Gpu()
    async with asyncio.timeout(TIMEOUT_S):
        async with nrt.open("reference:") as alone:
            await alone.deploy(NETWORK)
            expected = await alone.run(recording(12))
        async with nrt.Session(KernelDevice(gpu)) as one, nrt.Session(KernelDevice(gpu)) as two:
            await one.deploy(NETWORK)
            await two.deploy(NETWORK)
            made = await asyncio.gather(one.run(recording(12)), two.run(recording(12)))
    for report in made:
        assert (report.counts, report.counters, report.error) == (expected.counts, expected.counters, "")


async def test_a_gpu_that_goes_away_in_a_run_ends_it_with_its_report() -> None:
    gpu = Gpu()
    async with asyncio.timeout(TIMEOUT_S):
        async with nrt.Session(KernelDevice(gpu)) as session:
            await session.deploy(NETWORK)
            run = session.stream(recording(40))
            with pytest.raises(
                DeviceLost, match=r"the GPU failed: cudaErrorDevicesUnavailable.*open the device again"
            ):
                async with run:
                    async for _ in run:
                        gpu.fails = dies(
                            "CUDARuntimeError", "cudaErrorDevicesUnavailable: busy or unavailable"
                        )
    assert run.report.error.startswith("DeviceLost: cuda:0: the GPU failed")
    assert "\n" not in run.report.error
    assert 0 < run.report.counters.steps < 40


async def test_a_gpu_that_is_gone_for_good_is_lost_once_and_the_session_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After such an error every call fails, that which would reset the device too."""
    gpu = Gpu()
    gone = dies("AcceleratorError", "CUDA error: unspecified launch failure\nCompile with ...")

    def reset(*_: object) -> None:
        gone()

    async with asyncio.timeout(TIMEOUT_S):
        async with nrt.Session(KernelDevice(gpu)) as session:
            await session.deploy(NETWORK)
            run = session.stream(recording(40))
            with pytest.raises(
                DeviceLost, match="cuda:0: the GPU failed: CUDA error: unspecified launch failure;"
            ):
                async with run:
                    async for _ in run:
                        gpu.fails = gone
                        monkeypatch.setattr(CudaOps, "reset", reset)
            assert run.report.error.startswith("DeviceLost: cuda:0: the GPU failed")
            with pytest.raises(DeviceLost):
                await session.run(recording(3))
        monkeypatch.undo()
        async with nrt.Session(KernelDevice(Gpu())) as session:  # and so it can be opened again
            await session.deploy(NETWORK)
            assert (await session.run(recording(3))).counters.steps == 3


async def test_a_gpu_without_memory_left_says_so_in_the_report_and_goes_on_with_the_next_run() -> None:
    gpu = Gpu()
    async with asyncio.timeout(TIMEOUT_S), nrt.Session(KernelDevice(gpu)) as session:
        await session.deploy(NETWORK)
        run = session.stream(recording(40))
        with pytest.raises(
            DeviceError, match=r"out of memory: CUDA out of memory\. Tried .*; run a smaller batch"
        ):
            async with run:
                async for _ in run:
                    gpu.fails = dies("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB.")
        assert "out of memory" in run.report.error
        assert 0 < run.report.counters.steps < 40
        gpu.fails = lambda: None
        assert (await session.run(recording(40))).counters.steps == 40


async def test_a_network_larger_than_the_memory_of_the_gpu_is_refused_with_both_numbers() -> None:
    gpu = Gpu(free=1_000)
    async with asyncio.timeout(TIMEOUT_S), nrt.Session(KernelDevice(gpu)) as session:
        with pytest.raises(
            DoesNotFit, match=r"bytes of memory needs [\d,]+, the device has 1,000; '"
        ) as caught:
            await session.deploy(NETWORK)
    (violation,) = caught.value.violations
    assert violation.need > violation.have == 1_000
    assert gpu.launches == 0

"""NVML behind a library of our own that answers as NVIDIA's reference says; and what `nrt devices` makes of it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import nrt
from nrt.errors import DeviceError
from nrt.profile.nvml import Gpu, Nvml
from nrt_sim.gpu.cuda_device import CudaDevice
from nrt_sim.gpu.survey import obstacle, survey

GIB = 2**30


class Library:
    """What ctypes would load as libnvidia-ml: functions that return a status and write through pointers.

    Handles are index + 100. `failing`: statuses by function name.
    """

    def __init__(self, gpus: int = 2, cuda: int = 13000, **failing: int) -> None:
        self._gpus, self._cuda, self._failing = gpus, cuda, failing
        self.millijoules = 2**40

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        if name in self._failing:
            return lambda *arguments: self._failing[name]
        function: Callable[..., int] = getattr(self, "_" + name.removesuffix("_v2"))
        return function

    def _nvmlInit(self) -> int:
        return 0

    def _nvmlSystemGetCudaDriverVersion(self, version: Any) -> int:
        version._obj.value = self._cuda
        return 0

    def _nvmlDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self._gpus
        return 0

    def _nvmlDeviceGetHandleByIndex(self, index: ctypes.c_uint, handle: Any) -> int:
        handle._obj.value = index.value + 100
        return 0

    def _nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:
        handle._obj.value = {b"GPU-first": 100, b"GPU-second": 101}[uuid]
        return 0

    def _nvmlDeviceGetIndex(self, handle: ctypes.c_void_p, index: Any) -> int:
        index._obj.value = (handle.value or 0) - 100
        return 0

    def _nvmlDeviceGetName(self, handle: ctypes.c_void_p, name: Any, length: ctypes.c_uint) -> int:
        name.value = f"NVIDIA GPU {handle.value}".encode()[: length.value - 1]
        return 0

    def _nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:
        memory._obj.total, memory._obj.free, memory._obj.used = 80 * GIB, 79 * GIB, GIB
        return 0

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, energy: Any) -> int:
        assert handle.value == 101
        energy._obj.value = self.millijoules
        return 0


def test_gpus_are_listed_with_their_memory() -> None:
    assert Nvml(Library()).gpus() == [
        Gpu(0, "NVIDIA GPU 100", 80 * GIB, 79 * GIB),
        Gpu(1, "NVIDIA GPU 101", 80 * GIB, 79 * GIB),
    ]


def test_the_driver_says_which_cuda_it_runs() -> None:
    assert Nvml(Library(cuda=12040)).cuda() == (12, 4)


def test_a_machine_without_a_driver_says_so() -> None:
    with pytest.raises(DeviceError, match=r"no NVIDIA driver: libnothing\.so is not on this machine"):
        Nvml.load("libnothing.so")


def test_a_function_that_fails_is_named_with_its_status() -> None:
    with pytest.raises(DeviceError, match="nvmlInit_v2 failed: NVML error 9"):
        Nvml(Library(nvmlInit_v2=9))


def test_a_gpu_that_is_gone_says_so() -> None:
    nvml = Nvml(Library(nvmlDeviceGetTotalEnergyConsumption=15))
    with pytest.raises(DeviceError, match="the GPU is lost"):
        nvml.energy(1)


def missing(name: str) -> Callable[[], Any]:
    def find() -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    return find


@pytest.mark.parametrize(
    ("driver", "torch", "cupy", "reason"),
    [
        ((13, 0), lambda: "13.0", lambda: 13, ""),
        ((13, 0), lambda: "12.6", lambda: 12, ""),
        (
            (12, 4),
            missing("torch"),
            lambda: 12,
            "torch is not installed: pip install 'nrt-runtime[gpu-cuda12]'",
        ),
        ((12, 4), lambda: "", lambda: 12, "the installed torch was built without CUDA"),
        (
            (13, 0),
            lambda: "13.0",
            missing("cupy"),
            "CuPy is not installed: pip install 'nrt-runtime[gpu-cuda13]'",
        ),
        (
            (12, 4),
            lambda: "13.0",
            lambda: 13,
            "the installed torch is for CUDA 13, the driver runs CUDA 12.4 at most",
        ),
        (
            (12, 4),
            lambda: "12.1",
            lambda: 13,
            "the installed CuPy is for CUDA 13, the driver runs CUDA 12.4 at most",
        ),
        ((13, 0), lambda: "12.6", lambda: 13, "torch is built for CUDA 12.6 and CuPy for CUDA 13"),
    ],
)
def test_the_exact_reason_why_a_gpu_cannot_be_used(
    driver: tuple[int, int], torch: Callable[[], str], cupy: Callable[[], int], reason: str
) -> None:
    found = obstacle(driver, torch, cupy)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_the_survey_lists_gpus_and_what_stands_in_their_way() -> None:
    def load() -> Nvml:
        return Nvml(Library(1))

    def nowhere() -> Nvml:
        return Nvml.load("libnothing.so")

    gpu = "cuda:0 NVIDIA GPU 100, 79.0 of 80.0 GiB free"
    assert survey(load, lambda: "13.0", lambda: 13) == f"ready: {gpu}"
    assert survey(load, lambda: "13.0", missing("cupy")).startswith(f"{gpu}, but CuPy is not installed")
    assert survey(nowhere) == "no GPU: no NVIDIA driver: libnothing.so is not on this machine"
    assert survey(lambda: Nvml(Library(0))) == "no GPU: the NVIDIA driver sees none"


async def test_opening_a_gpu_on_a_machine_without_one_gives_the_reason() -> None:
    try:
        Nvml.load()
    except DeviceError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        async with nrt.open("cuda:0"):
            pass


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (Library(), "built without CUDA|CuPy is not installed|no such GPU"),
        (
            Library(cuda=11080),
            "built without CUDA|for CUDA 1[23], the driver runs CUDA 11.8 at most|not installed",
        ),
        (Library(nvmlInit_v2=15), "the GPU is lost"),
    ],
)
async def test_opening_a_gpu_that_this_python_cannot_use_says_why(
    monkeypatch: pytest.MonkeyPatch, library: Library, message: str
) -> None:
    def load(name: str) -> Library:
        return library

    monkeypatch.setattr(ctypes, "CDLL", load)
    with pytest.raises(nrt.NrtError, match=message):
        async with nrt.open("cuda:99"):
            pass


@pytest.mark.parametrize(("place", "name"), [("cuda:0", "NVIDIA GPU 101"), ("cuda:1", "NVIDIA GPU 100")])
async def test_a_gpu_is_the_same_to_the_driver_and_to_cuda_however_each_numbers_it(
    monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    """As where CUDA puts the driver's second GPU first, because it is the faster one."""

    def properties(index: int) -> SimpleNamespace:
        return SimpleNamespace(uuid=("second", "first")[index])

    def load(name: str) -> Library:
        return Library()

    def nothing(*_: object) -> str:
        return ""

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr("nrt_sim.gpu.cuda_device.obstacle", nothing)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    async with nrt.open(place) as session:
        assert isinstance(session.device, CudaDevice)
        assert session.device.name == name
    with pytest.raises(nrt.NotFound, match="cuda:2: no such GPU; there is cuda:0, cuda:1"):
        async with nrt.open("cuda:2"):
            pass


def test_a_gpu_is_named_by_its_number() -> None:
    with pytest.raises(nrt.ConfigError, match="'first' is no number of a GPU; write cuda:0"):
        nrt.open("cuda:first")

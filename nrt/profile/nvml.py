"""NVIDIA's management library: which GPUs there are, their memory, and their energy counters.

libnvidia-ml comes with the driver and is called through ctypes, so that nothing need be installed to ask. Functions,
structures and units are those of NVIDIA's NVML API reference; the energy counter
(`nvmlDeviceGetTotalEnergyConsumption`, since Volta) counts mJ from when the driver was loaded.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nrt.errors import DeviceError, DeviceLost

LIBRARY: Final = "libnvidia-ml.so.1"
_NAME_BYTES: Final = 96
_NOT_SUPPORTED: Final = 3
_LOST: Final = 15


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver names it. total, free: bytes of memory."""

    index: int
    name: str
    total: int
    free: int

    def __str__(self) -> str:
        return f"cuda:{self.index} {self.name}, {self.free / 2**30:.1f} of {self.total / 2**30:.1f} GiB free"


class Nvml:
    """The library, initialised. Raises DeviceError saying why it cannot be used.

    library: what `ctypes.CDLL` gives for it
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._call("nvmlInit_v2")

    @classmethod
    def load(cls, name: str = LIBRARY) -> Nvml:
        """Of this machine. Raises DeviceError where there is no NVIDIA driver."""
        try:
            library = ctypes.CDLL(name)
        except OSError:
            raise DeviceError("cuda", f"no NVIDIA driver: {name} is not on this machine") from None
        return cls(library)

    def cuda(self) -> tuple[int, int]:
        """The newest CUDA that the driver runs, as (major, minor)."""
        version = ctypes.c_int()
        self._call("nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(version))
        return version.value // 1000, version.value % 1000 // 10

    def gpus(self) -> list[Gpu]:
        """All of them, in the driver's order."""
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        return [self._gpu(index) for index in range(count.value)]

    def index(self, uuid: str) -> int:
        """The driver's number of the GPU with that UUID; CUDA may number them otherwise, and see only some."""
        handle, index = ctypes.c_void_p(), ctypes.c_uint()
        self._call("nvmlDeviceGetHandleByUUID", f"GPU-{uuid}".encode(), ctypes.byref(handle))
        self._call("nvmlDeviceGetIndex", handle, ctypes.byref(index))
        return index.value

    def energy(self, index: int) -> float:
        """J that a GPU took since the driver was loaded. Raises DeviceError where it does not count."""
        millijoules = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetTotalEnergyConsumption", self._handle(index), ctypes.byref(millijoules))
        return millijoules.value / 1000

    def _gpu(self, index: int) -> Gpu:
        handle = self._handle(index)
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._call("nvmlDeviceGetName", handle, name, ctypes.c_uint(_NAME_BYTES))
        memory = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        return Gpu(index, name.value.decode("utf-8", "replace"), int(memory.total), int(memory.free))

    def _handle(self, index: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        return handle

    def _call(self, name: str, *arguments: Any) -> None:
        function: Callable[..., int] = getattr(self._library, name)
        status = function(*arguments)
        if status:
            if status == _LOST:
                raise DeviceLost("cuda", f"{name} failed: the GPU is lost")
            reason = "this GPU does not support it" if status == _NOT_SUPPORTED else f"NVML error {status}"
            raise DeviceError("cuda", f"{name} failed: {reason}")

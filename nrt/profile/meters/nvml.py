"""`nvml:0` the energy counter of an NVIDIA GPU (Volta and later), through NVML.

The counter is renewed some tens of times a second, so windows under 5 s say little: in them an A100's or H100's sensor
has looked a quarter of the time (Yang et al., arXiv 2312.02741). It counts the whole GPU, whoever uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from nrt.errors import ConfigError, DeviceError, NotFound
from nrt.profile.meters.base import Channel
from nrt.profile.meters.polled import PolledMeter, Probe
from nrt.profile.meters.tally import CounterTally
from nrt.profile.nvml import Nvml
from nrt.uri import Uri

SHORTEST_S: Final = 5.0
_RENEWED_S: Final = 0.1
"""At worst; 20 to 100 ms were reported."""


class NvmlMeter(PolledMeter):
    """`nvml:N`, N as the driver numbers GPUs. load: finds the library · seconds: a clock; both for tests"""

    def __init__(
        self,
        uri: Uri,
        load: Callable[[], Nvml] = Nvml.load,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(str(uri), _RENEWED_S, seconds)
        if uri.place and not uri.place.isdecimal():
            raise ConfigError(f"{uri}: '{uri.place}' is no number of a GPU; write nvml:0")
        self._index, self._load = int(uri.place or 0), load
        self._gpu = "a GPU"

    @classmethod
    def availability(cls, load: Callable[[], Nvml] = Nvml.load) -> str:
        """Which GPUs count their energy, or why none does."""
        try:
            nvml = load()
            gpus = {f"nvml:{gpu.index} {gpu.name}": _obstacle(nvml, gpu.index) for gpu in nvml.gpus()}
        except DeviceError as error:
            return _reason(error)
        ready = [gpu for gpu, obstacle in gpus.items() if not obstacle]
        if ready:
            return "ready: " + ", ".join(ready)
        return "; ".join(map(": ".join, gpus.items())) or "the NVIDIA driver sees no GPU"

    @property
    def instrument(self) -> str:
        """What it is."""
        return f"energy counter of {self._gpu}, by NVML"

    @property
    def shortest_s(self) -> float:
        """5 s."""
        return SHORTEST_S

    def _find(self) -> Sequence[Probe]:
        nvml = self._load()
        gpus = nvml.gpus()
        if self._index >= len(gpus):
            known = [f"nvml:{gpu.index}" for gpu in gpus]
            raise NotFound(
                str(self._index), f"{self._name}: no such GPU; there is {', '.join(known) or 'none'}", known
            )
        self._gpu = gpus[self._index].name

        def read() -> float:
            return nvml.energy(self._index)

        return [Probe(Channel(self._gpu, "GPU"), CounterTally(self._name), read)]


def _obstacle(nvml: Nvml, index: int) -> str:
    """Why a GPU does not count its energy; "" where it does."""
    try:
        nvml.energy(index)
    except DeviceError as error:
        return _reason(error)
    return ""


def _reason(error: DeviceError) -> str:
    """Without the library's name, which a list of meters has already."""
    return str(error).removeprefix(f"{error.uri}: ")

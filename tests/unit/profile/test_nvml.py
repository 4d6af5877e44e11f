"""The energy counter of a GPU, behind a library that answers as NVIDIA's reference says."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from nrt.errors import ConfigError, DeviceError, DeviceLost, NotFound
from nrt.profile.meters import measure
from nrt.profile.meters.nvml import NvmlMeter
from nrt.profile.nvml import Nvml
from nrt.uri import Uri
from tests.unit.gpu.test_nvml import Library
from tests.unit.profile.meters import Clock


def meter(library: Library, clock: Clock, place: str = "1") -> NvmlMeter:
    return NvmlMeter(Uri("nvml", place=place), lambda: Nvml(library), clock)


async def test_a_gpus_energy_is_the_difference_of_its_counter_in_windows_of_five_seconds() -> None:
    """Idle 70 W; each piece of work takes 2 s and 300 J, so three of them fill a window."""
    library, clock = Library(), Clock()

    async def rest(seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            clock.now += 0.1
            library.millijoules += 7_000

    async def work() -> None:
        clock.now += 2.0
        library.millijoules += 300_000

    (energy,) = await measure([meter(library, clock)], work, windows=3, sleep=rest, clock=clock)
    assert energy.joules == pytest.approx(300.0)
    assert energy.idle_watts == pytest.approx(70.0)
    assert energy.net == pytest.approx(160.0)
    assert energy.seconds == pytest.approx(2.0)
    assert (energy.boundary, energy.windows) == ("GPU", 3)
    assert energy.source == "energy counter of NVIDIA GPU 101, by NVML"
    assert "3 to 3 runs in a window; figures are of one run" in energy.notes


async def test_a_counter_that_stands_still_or_goes_back_gives_no_figure() -> None:
    library, clock = Library(), Clock()
    found = meter(library, clock)

    async def work() -> None:
        clock.now += 6.0

    with pytest.raises(DeviceError, match="nothing new was read in 6 s: the meter has stalled"):
        await measure([found], work, sleep=clock.sleep, clock=clock)
    await found.open()
    try:
        library.millijoules -= 1
        with pytest.raises(DeviceError, match="went back"):
            await found.lap()
    finally:
        await found.close()


@pytest.mark.parametrize(
    ("status", "error", "sentence"), [(3, DeviceError, "does not support it"), (15, DeviceLost, "lost")]
)
async def test_a_gpu_that_does_not_count_or_is_gone_says_so(
    status: int, error: type[DeviceError], sentence: str
) -> None:
    library = Library(nvmlDeviceGetTotalEnergyConsumption=status)
    with pytest.raises(error, match=sentence):
        await meter(library, Clock()).open()


class Mixed(Library):
    """Of which only the second counts: the first is older than Volta."""

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, energy: Any) -> int:
        energy._obj.value = self.millijoules
        return 3 if handle.value == 100 else 0


def test_a_gpu_that_does_not_count_hides_none_that_does() -> None:
    assert NvmlMeter.availability(lambda: Nvml(Mixed())) == "ready: nvml:1 NVIDIA GPU 101"
    assert NvmlMeter.availability(lambda: Nvml(Mixed(1))) == (
        "nvml:0 NVIDIA GPU 100: nvmlDeviceGetTotalEnergyConsumption failed: this GPU does not support it"
    )


async def test_gpus_are_named_by_number_and_listed() -> None:
    with pytest.raises(NotFound, match="no such GPU; there is nvml:0, nvml:1"):
        await meter(Library(), Clock(), "7").open()
    with pytest.raises(ConfigError, match="'first' is no number of a GPU"):
        meter(Library(), Clock(), "first")
    assert NvmlMeter.availability(lambda: Nvml.load("libnothing.so")).startswith("no NVIDIA driver")
    assert NvmlMeter.availability(lambda: Nvml(Library(0))) == "the NVIDIA driver sees no GPU"

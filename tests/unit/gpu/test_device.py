"""`torch:cpu` as a device: sessions, runs side by side, what does not fit, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nrt
from nrt.clock import now
from nrt.errors import ConfigError, DeviceError, DeviceLost, DoesNotFit, NotFound, Unsupported
from nrt.network import Conv, Network, Population, Projection, neuron
from nrt.packet import EVENT, Packet
from nrt.report import Report, Settings
from nrt.run import Run
from nrt_sim.gpu import memory
from nrt_sim.gpu.failures import translated
from tests.fakes import Script
from tests.unit.sim.networks import DT, random_network

ROOT = Path(__file__).parents[3]
NETWORK = random_network(11, exact=True)
TIMEOUT_S = 60


def recording(seed: int, steps: int, cut: int) -> Script:
    """Events of `steps` steps from seed x 1000 µs on, in packets of `cut` steps."""
    start = seed * 1000
    random = np.random.default_rng(seed)
    events = np.zeros(20 * steps, EVENT)
    events["t"] = np.sort(random.integers(start, start + max(1, steps) * DT, len(events)))
    events["x"], events["y"] = random.integers(0, 12, (2, len(events)))
    events["p"] = random.integers(0, 2, len(events))
    packets: list[Packet] = []
    for k in range(0, steps, cut):
        begin, end = start + k * DT, start + min(k + cut, steps) * DT
        low, high = np.searchsorted(events["t"], [begin, end])
        packets.append(Packet(events[low:high], begin, end, now()))
    return Script(packets)


async def reports(uri: str, sources: Sequence[Script], jobs: int = 1, batch: int = 1) -> list[Report]:
    async with asyncio.timeout(TIMEOUT_S), nrt.open(uri) as session:
        await session.deploy(NETWORK)
        return await session.run_all(sources, jobs=jobs, batch=batch)


def same(a: Report, b: Report) -> bool:
    return (a.counts, a.counters, a.events, a.packets) == (b.counts, b.counters, b.events, b.packets)


def several(steps: Sequence[int] = (40, 12, 0, 33, 7, 25)) -> list[Script]:
    return [recording(seed, steps, 1 + seed) for seed, steps in enumerate(steps)]


async def test_a_batch_reports_what_single_runs_do_whatever_their_lengths() -> None:
    single = await reports("cpu:", several())
    together = await reports("torch:cpu?dtype=float64", several(), batch=3)
    assert [r.error for r in together] == [""] * 6
    assert all(same(a, b) for a, b in zip(single, together, strict=True))
    assert sum(r.counters.events for r in together) > 0


async def test_a_recording_that_fails_leaves_the_others_of_its_batch_alone() -> None:
    sources = [*several((20, 20)), Script([], nrt.DeviceLost("camera:", "unplugged"))]
    made = await reports("torch:cpu?dtype=float64", sources, batch=3)
    single = await reports("cpu:", several((20, 20)))
    assert [r.error for r in made] == ["", "", "DeviceLost: camera:: unplugged"]
    assert all(same(a, b) for a, b in zip(single, made[:2], strict=True))


async def test_a_run_of_a_batch_that_is_left_early_lets_the_others_go_on() -> None:
    async with asyncio.timeout(TIMEOUT_S), nrt.open("torch:cpu") as session:
        await session.deploy(NETWORK)
        first, second = await session.device.side_by_side(2)

        async def stay() -> list[int]:
            async with Run(recording(4, 30, 1), second, NETWORK, nullcontext, Settings()) as run:
                return [packet.end async for packet in run]

        async with Run(recording(3, 30, 1), first, NETWORK, nullcontext, Settings()) as leaving:
            async for _ in leaving:
                break
            staying = asyncio.create_task(stay())
            await asyncio.sleep(0.1)
            assert not staying.done()  # it waits for the other, whose spikes nobody takes
        assert len(await staying) == 30


async def test_jobs_and_a_batch_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="2 jobs and a batch of 3: choose one"):
        await reports("torch:cpu", several(), jobs=2, batch=3)


async def test_a_device_that_computes_one_recording_at_a_time_says_so() -> None:
    with pytest.raises(Unsupported, match="run them as jobs"):
        await reports("cpu:", several(), batch=2)


async def test_jobs_are_independent_copies() -> None:
    single = await reports("cpu:", several())
    jobs = await reports("torch:cpu?dtype=float64", several(), jobs=2)
    assert all(same(a, b) for a, b in zip(single, jobs, strict=True))


async def test_two_sessions_on_one_device_do_not_touch_each_other() -> None:
    sources = several((40, 40))
    single = await reports("cpu:", several((40, 40)))
    async with asyncio.timeout(TIMEOUT_S), nrt.open("torch:cpu") as one, nrt.open("torch:cpu") as two:
        await one.deploy(NETWORK)
        await two.deploy(NETWORK)
        made = await asyncio.gather(one.run(sources[0]), two.run(sources[1]))
    assert [r.counts for r in made] == [r.counts for r in single]


async def test_torch_computes_with_the_threads_of_the_session_and_gets_its_own_back() -> None:
    before = torch.get_num_threads()
    async with nrt.open("torch:cpu?threads=3"):
        seen = await asyncio.to_thread(torch.get_num_threads)
    assert seen == 3
    assert torch.get_num_threads() == before


async def test_a_placement_says_what_memory_it_takes_and_what_is_dense() -> None:
    async with nrt.open("torch:cpu") as session:
        text = str(await session.deploy(NETWORK))
    assert "float32" in text
    assert "MiB of memory" in text


def huge() -> Network:
    """10^10 neurons: 40 GB for each number that they keep."""
    shape = (1, 100_000, 100_000)
    return Network(
        (Population("input", shape), Population("wide", shape, neuron())),
        (Projection("input", "wide", (Conv(np.ones((1, 1, 1, 1))),)),),
        ("input",),
        ("wide",),
        encoding=nrt.Encoding(polarity="merge"),
        name="huge",
    )


async def test_a_network_larger_than_the_memory_is_refused_with_both_numbers_before_any_is_taken() -> None:
    async with nrt.open("torch:cpu") as session:
        with pytest.raises(DoesNotFit, match=r"bytes of memory needs .*, the device has .*'wide'") as caught:
            await session.deploy(huge())
    (violation,) = caught.value.violations
    assert violation.need > 1e11 > violation.have > 0


async def test_a_batch_larger_than_the_memory_is_refused() -> None:
    async with nrt.open("torch:cpu") as session:
        await session.deploy(NETWORK)
        with pytest.raises(DoesNotFit, match="recordings side by side, run fewer"):
            await session.device.side_by_side(10**9)


def test_memory_is_what_the_system_says_or_unlimited_where_it_does_not(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 4096 kB\nMemAvailable:    2048 kB\n")
    assert memory.free_memory(meminfo) == 2048 * 1024
    meminfo.write_text("nonsense\n")
    assert memory.free_memory(meminfo) == 2**62
    assert memory.free_memory(tmp_path / "absent") == 2**62


def test_what_torch_raises_without_memory_becomes_an_error_that_says_what_to_do() -> None:
    expected = pytest.raises(DeviceError, match=r"torch:cpu: out of memory: .*smaller batch")
    with expected as caught, translated("torch:cpu"):
        torch.empty(2**60)
    assert not isinstance(caught.value, DeviceLost)


async def test_a_run_that_runs_out_of_memory_ends_with_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(TIMEOUT_S), nrt.open("torch:cpu") as session:
        await session.deploy(NETWORK)
        calls, zeros = iter(range(20)), torch.zeros

        def exhausted(*arguments: Any, **options: Any) -> Tensor:
            if next(calls, None) is None:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return zeros(*arguments, **options)

        run = session.stream(recording(1, 60, 1))
        with pytest.raises(
            DeviceError, match=r"out of memory: CUDA out of memory\. Tried to allocate 2\.00 GiB"
        ):
            async with run:
                monkeypatch.setattr(torch, "zeros", exhausted)
                async for _ in run:
                    pass
        monkeypatch.undo()
        assert "out of memory" in run.report.error
        assert 0 < run.report.counters.steps < 60
        assert (await session.run(recording(1, 60, 1))).counters.steps == 60


async def test_a_batch_that_runs_out_of_memory_says_so_in_every_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with asyncio.timeout(TIMEOUT_S), nrt.open("torch:cpu") as session:
        await session.deploy(NETWORK)

        def exhausted(*arguments: Any, **options: Any) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        monkeypatch.setattr(torch, "searchsorted", exhausted)
        made = await session.run_all(several((20, 20)), batch=2)
        monkeypatch.undo()
        assert all("DeviceError: torch:cpu: out of memory" in report.error for report in made)
        again = await session.run_all(several((20, 20)), batch=2)
    assert [report.counters.steps for report in again] == [20, 20]


@pytest.mark.parametrize("name", ["AcceleratorError", "CUDARuntimeError", "CUDADriverError"])
def test_a_gpu_that_goes_away_is_lost(name: str) -> None:
    """The names are those of torch (2.8 and later) and CuPy."""
    kind = type(name, (RuntimeError,), {})
    expected = pytest.raises(DeviceLost, match="cuda:0: the GPU failed: unspecified launch failure")
    with expected, translated("cuda:0"):
        raise kind("unspecified launch failure\nmore lines")


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match="a mistake"), translated("cuda:0"):
        raise RuntimeError("a mistake")


@pytest.mark.parametrize("place", ["tpu", "cuda:99"])
async def test_a_device_that_torch_does_not_have_is_not_found(place: str) -> None:
    with pytest.raises(NotFound, match=f"torch:{place}: torch has no such device"):
        async with nrt.open(f"torch:{place}"):
            pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("span=0", "span is 0"),
        ("threads=0", "threads is 0"),
        ("projections=both", "none of measured, sparse, dense"),
    ],
)
def test_options_that_cannot_be_are_refused(options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        nrt.open(f"torch:cpu?{options}")


def test_listing_devices_says_what_gpus_there_are_and_imports_neither_torch_nor_cupy() -> None:
    code = (
        "import sys; from nrt.cli.show import show_registry; show_registry(True);"
        "assert 'torch' not in sys.modules and 'cupy' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    status = {row["scheme"]: row["status"] for row in json.loads(done.stdout)["devices"]}
    assert status["torch:"] == "ready"
    assert status["cuda:"].startswith(("no GPU: ", "ready: cuda:0 ", "cuda:0 "))

"""The kernels on a GPU. Skipped where there is none: these tests were written without one, and have never run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    pytest.skip("no GPU that torch can use", allow_module_level=True)
if find_spec("cupy") is None:
    pytest.skip("CuPy is not installed", allow_module_level=True)

from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.gpu.cuda_ops import cuda_ops
from nrt_sim.gpu.cuda_tables import Addition
from nrt_sim.gpu.parallel import parallel, sliding
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Projections, Simulation
from nrt_sim.reference import ReferenceEngine
from tests.equal import START, STEPS, assert_same, everything
from tests.unit.sim.networks import random_events, random_network

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
SEEDS = range(12)


def simulate(
    seed: int,
    exact: bool,
    batch: int = 1,
    span: int = 1,
    projections: Projections = "sparse",
    addition: Addition = "sorted",
) -> Simulation:
    network = random_network(seed, exact=exact, short=exact)
    layout = lay_out(network, everything(network), np.dtype("float32"))
    return Simulation(layout, cuda_ops(torch.device("cuda", 0), addition), batch, span, projections)


@pytest.mark.parametrize("addition", ["sorted", "atomic"])
@pytest.mark.parametrize("projections", ["sparse", "dense"])
@pytest.mark.parametrize("span", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_gpu_equals_the_reference_on_random_networks(
    seed: int, span: int, projections: Projections, addition: Addition
) -> None:
    """So many steps that passes run as they are, are captured, and are replayed, in both slabs."""
    steps = 40 * STEPS
    gpu = simulate(seed, True, 1, span, projections, addition)
    network = gpu.layout.network
    events = random_events(network, seed, steps, START)
    reference = ReferenceEngine(network, everything(network))
    assert_same(reference.run(events, START, steps), gpu.run([events], [START], steps)[0])
    assert gpu.counters() == reference.counters()
    gpu.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_sorted_additions_give_the_same_bits_twice(seed: int) -> None:
    gpu = simulate(seed, False)
    events = random_events(gpu.layout.network, seed, STEPS, START)
    first = gpu.run([events], [START], STEPS)[0]
    gpu.reset()
    second = gpu.run([events], [START], STEPS)[0]
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    gpu.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_recordings_side_by_side_on_a_gpu_do_not_touch_each_other(seed: int) -> None:
    gpu = simulate(seed, True, batch=3)
    network = gpu.layout.network
    events = random_events(network, seed, STEPS, START)
    inputs = [events, events[:0], events[len(events) // 2 :]]
    made = gpu.run(inputs, [START] * 3, STEPS)
    for k, records in enumerate(inputs):
        alone = ReferenceEngine(network, everything(network))
        assert_same(alone.run(records, START, STEPS), made[k])
        assert gpu.counters(k) == alone.counters()
    gpu.close()


def test_two_simulations_share_one_gpu() -> None:
    several = [simulate(seed, True) for seed in (1, 2)]
    for gpu, seed in zip(several, (1, 2), strict=True):
        network = gpu.layout.network
        events = random_events(network, seed, STEPS, START)
        expected = CpuEngine(network, everything(network)).run(events, START, STEPS)
        assert_same(expected, gpu.run([events], [START], STEPS)[0])
    for gpu in several:
        gpu.close()


def test_parallel_spiking_neurons_on_a_gpu_fire_as_on_a_cpu() -> None:
    whole = torch.randint(-8, 9, (8, 8 + 1000), generator=torch.Generator().manual_seed(1)).float()
    weight, x = whole[:, :8], whole[:, 8:]
    bias, taps, past = whole[:, 0], whole[0, :3], whole[:2, 8:]
    spikes = parallel(weight.cuda(), bias.cuda(), x.cuda())
    assert torch.equal(spikes.cpu(), parallel(weight, bias, x))
    spikes = sliding(taps.cuda(), 0.5, x.cuda(), past.cuda())
    assert torch.equal(spikes.cpu(), sliding(taps, 0.5, x, past))


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
def test_compute_sanitizer_finds_nothing(tool: str) -> None:
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        pytest.skip("compute-sanitizer is not installed")
    root = Path(__file__).parents[3]
    wanted = (
        f"{Path(__file__).relative_to(root)}::test_recordings_side_by_side_on_a_gpu_do_not_touch_each_other"
    )
    command = [
        sanitizer,
        "--tool",
        tool,
        "--error-exitcode",
        "9",
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        wanted,
    ]
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]

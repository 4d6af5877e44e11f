"""NeuroBench's metrics of one model, by its own package and by nrt: the same network and data through both.

`NRT_NEUROBENCH` names a Python interpreter with neurobench, snntorch, nir and nirtorch; the test skips without it. The
figures of a run, which `pytest -s` prints, are in docs/compare.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt.compare import Workload, compare
from nrt.network import Network
from nrt.packet import EVENT, Packet
from nrt.testing.stimulus import Script

pytestmark = pytest.mark.timeout(300)

STEPS, SAMPLES, DT = 60, 3, 100
"""DT: µs, snnTorch's own in its NIR files."""

PEER = """
import json, sys, warnings
warnings.simplefilter("ignore")
import nir, numpy as np, snntorch as snn, torch
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
from neurobench.models import SNNTorchModel
from snntorch.export_nir import export_to_nir

folder = sys.argv[1]
data = torch.tensor(np.load(folder + "/data.npy"))
torch.manual_seed(5)
leaky = dict(reset_mechanism="zero", reset_delay=False, init_hidden=True)

class Net(torch.nn.Sequential):
    def forward(self, x):
        return super().forward(x)

net = Net(
    torch.nn.Conv2d(2, 5, 3, stride=2, padding=1), snn.Leaky(beta=0.9, **leaky),
    torch.nn.Conv2d(5, 6, 3, groups=1), snn.Leaky(beta=0.8, **leaky),
    torch.nn.Flatten(), torch.nn.Linear(6 * 3 * 3, 7), snn.Leaky(beta=0.95, output=True, **leaky),
)
with torch.no_grad():
    for layer in (net[0], net[2], net[5]):
        layer.weight.mul_(6.0)
        layer.weight[torch.rand_like(layer.weight) < 0.3] = 0.0

nodes = {"input": nir.Input({"input": np.array([2, 10, 10])})}
shapes = [(5, 5, 5), (6, 3, 3), (7,)]
def conv(layer, shape):
    return nir.Conv2d(input_shape=shape, weight=layer.weight.detach().numpy(), stride=layer.stride,
                      padding=layer.padding, dilation=layer.dilation, groups=layer.groups,
                      bias=layer.bias.detach().numpy())
def lif(layer, shape):
    tau = 1e-4 / (1 - float(layer.beta))
    ones = np.ones(shape)
    return nir.LIF(tau=tau * ones, r=tau / 1e-4 * ones, v_leak=0 * ones, v_threshold=float(layer.threshold) * ones)
nodes |= {
    "conv1": conv(net[0], (10, 10)), "lif1": lif(net[1], shapes[0]),
    "conv2": conv(net[2], (5, 5)), "lif2": lif(net[3], shapes[1]),
    "flat": nir.Flatten({"input": np.array([6, 3, 3])}, start_dim=0, end_dim=-1),
    "fc": nir.Affine(net[5].weight.detach().numpy(), net[5].bias.detach().numpy()),
    "lif3": lif(net[6], shapes[2]), "output": nir.Output({"output": np.array([7])}),
}
names = list(nodes)
nir.write(folder + "/model.nir", nir.NIRGraph(nodes, list(zip(names[:-1], names[1:]))))

model = SNNTorchModel(net)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data, torch.zeros(len(data))), batch_size=1)
bench = Benchmark(model, loader, [], [], [
    [Footprint, ConnectionSparsity, ParameterCount], [ActivationSparsity, SynapticOperations]])
buffers = sum(b.numel() * b.element_size() for b in net.buffers())
result = bench.run(quiet=True)
print(json.dumps({**{k: v for k, v in result.items()}, "buffers": buffers}, default=float))
"""


def stimulus() -> NDArray[np.float32]:
    """Input values, [samples, steps, 2, 10, 10]; the last sample has steps with counts above 1."""
    random = np.random.default_rng(7)
    values = (random.random((SAMPLES, STEPS, 2, 10, 10)) < 0.08).astype(np.float32)
    values[-1, ::7] *= random.integers(1, 4, values[-1, ::7].shape)
    return values


def packets(values: NDArray[np.float32]) -> list[Packet]:
    """One sample as events: a pixel's value is how many it sends in a step."""
    step, p, y, x = (np.repeat(k, values[values > 0].astype(int)) for k in np.nonzero(values))
    events = np.zeros(len(step), EVENT)
    events["t"], events["p"], events["y"], events["x"] = step * DT, p, y, x
    return [Packet(events, 0, STEPS * DT, 0)]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    python = os.environ.get("NRT_NEUROBENCH")
    if python is None:
        pytest.skip("NRT_NEUROBENCH names no Python that has neurobench")
    folder = tmp_path_factory.mktemp("neurobench")
    np.save(folder / "data.npy", stimulus())
    done = subprocess.run(
        [python, "-c", PEER, str(folder)], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return folder / "model.nir", result


@pytest.fixture(scope="module")
def ours(theirs: tuple[Path, dict[str, Any]]) -> Workload:
    network = Network.load(theirs[0], like="snntorch")
    sources = [Script(packets(sample), shape=(2, 10, 10)) for sample in stimulus()]
    result = asyncio.run(asyncio.wait_for(compare(network, sources, ["cpu:"]), 60))
    assert not result.failed, result
    workload = result.devices[0].workload
    assert workload is not None
    print("neurobench", theirs[1], "nrt", workload, sep="\n")
    return workload


def test_synaptic_operations_equal_neurobench(theirs: tuple[Path, dict[str, Any]], ours: Workload) -> None:
    operations = theirs[1]["SynapticOperations"]
    assert operations["Effective_MACs"] > 0
    assert operations["Effective_ACs"] > 0
    assert ours.dense == pytest.approx(operations["Dense"], rel=1e-12)
    assert ours.macs == pytest.approx(operations["Effective_MACs"], rel=1e-12)
    assert ours.acs == pytest.approx(operations["Effective_ACs"], rel=1e-12)


def test_sparsity_equals_neurobench(theirs: tuple[Path, dict[str, Any]], ours: Workload) -> None:
    assert ours.connection_sparsity == theirs[1]["ConnectionSparsity"]
    assert ours.activation_sparsity == pytest.approx(theirs[1]["ActivationSparsity"], rel=1e-9)


def test_footprint_is_neurobenchs_without_the_frameworks_own_buffers(
    theirs: tuple[Path, dict[str, Any]], ours: Workload
) -> None:
    assert ours.footprint == theirs[1]["Footprint"] - theirs[1]["buffers"]
    assert ours.footprint == 4 * theirs[1]["ParameterCount"]

"""The bench beside peers: what it prints, what it says of peers that are not there; net (a) as `cpu:` has it."""

from __future__ import annotations

import dataclasses
import sys
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nrt.errors import ConfigError, NotFound
from nrt.network import Dense, Network, Population, Projection, neuron
from nrt.packet import SPIKE
from nrt.profile import Energy
from nrt.registry import Uri
from nrt_sim.bench import DT, Case, cases
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.gpu import bench
from nrt_sim.gpu.bench import Peer, Row, table
from nrt_sim.gpu.cuda_device import CudaDevice
from nrt_sim.gpu.memory import least_bytes
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Simulation
from nrt_sim.gpu.torch_engine import TorchEngine
from nrt_sim.gpu.torch_ops import torch_ops
from nrt_sim.gpu.traffic import Traffic

ROW = Row("a", 2000, 16, 20.0, 226.0, 4e8, 4e7, 2e7, True, {"in → out": "dense"})


def one_synapse() -> Case:
    """Three neurons with a synapse each, and four spikes."""
    network = Network(
        (Population("in", (3,)), Population("out", (3,), neuron(decay=0.95, threshold=1.0))),
        (Projection("in", "out", (Dense(np.eye(3)),)),),
        ("in",),
        ("out",),
    )
    records = np.zeros(4, SPIKE)
    records["t"], records["n"], records["v"] = np.arange(4) * DT, [0, 1, 1, 2], 1
    return Case("b", 1.0, network, records, 4)


def test_the_table_has_the_ratio_to_each_peer_and_names_one_with_other_counts() -> None:
    peers = (Peer("spikingjelly 2.0.0", 47.0, 2.35, True), Peer("snntorch 1.0.0", 50.0, 2.5, False))
    text = table([Row("b", 14, 1, 0.3, 45.0, 1e6, 1e6, 2e4, False, {}, peers), ROW])
    assert "spikingjelly 2.0.0 47.000 ms (2.35 x)" in text
    assert "2.50 x, OTHER COUNTS" in text
    assert "NO" in text
    assert "mJ" not in text
    metered = dataclasses.replace(ROW, energy=(Energy(0.0123, "measured", "a meter", "GPU"),))
    assert "net a, 2000, batch 16, each step: 12.3 mJ measured, GPU (a meter)" in table([metered])
    assert "1.000" in text  # 2 · 10^7 synops in 20 ms


def test_a_device_that_is_no_gpu_simulator_is_refused() -> None:
    with pytest.raises(ConfigError, match="cpu: is no GPU simulator"):
        bench.measure("cpu:", 2, None, nets=[one_synapse()])


def test_a_peer_that_is_not_installed_is_a_note_and_the_rest_is_measured() -> None:
    if find_spec("spikingjelly") or find_spec("snntorch"):
        pytest.skip("a peer is installed here")
    rows, notes = bench.measure("torch:cpu", 2, sys.executable, repeat=1, nets=[one_synapse()])
    assert [(row.batch, row.equal, row.synops) for row in rows] == [(1, True, 3.0), (2, True, 6.0)]
    absent = "did not run: PackageNotFoundError: No package metadata was found for"
    assert notes == [f"{name} {absent} {name}" for name in ("spikingjelly", "snntorch")]


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be started: No such file"):
        bench.measure("torch:cpu", 2, str(tmp_path / "python"), repeat=1, nets=[one_synapse()])


def test_operators_and_their_bytes_are_counted_and_views_are_free() -> None:
    a, b = torch.zeros(100), torch.zeros(100)
    with Traffic() as traffic:
        (a + b).view(10, 10).t()
    assert (traffic.operators, traffic.moved) == (1, 1200)


def test_the_least_that_a_step_moves_is_every_state_twice_and_every_weight_once() -> None:
    layout = lay_out(one_synapse().network, ("out",), np.dtype("float32"))
    assert least_bytes(layout, 2, 5.0, 1.0) == 16 * 6 + 2 * 3 * 2 * 4 + 9 * 4
    assert least_bytes(layout, 1, 0.0, 0.0) == 2 * 3 * 4 + 9 * 4


def test_launches_on_a_gpu_are_counted_without_one() -> None:
    case = one_synapse()
    layout = lay_out(case.network, ("out",), np.dtype("float32"))
    simulation = Simulation(layout, torch_ops(), 2)
    device = CudaDevice(Uri.parse("cuda:0"))
    launches, moved = device.traffic(
        simulation, lambda: simulation.run([case.records] * 2, [0, 0], case.steps)
    )
    assert launches >= 4 * case.steps  # at least encode, project, advance and collect
    assert moved >= 2 * case.steps * least_bytes(layout, 1, 0, 0) / 2


def test_net_a_has_the_output_counts_of_the_cpu_engine() -> None:
    """The drawn net (a) of `nrt bench engine`, 20 steps at 2000 events per ms.

    Sums are rounded in another order, so of the spikes inside one in a thousand may differ; the outputs' may not.
    """
    case = next(islice(cases(None), 1, None))
    steps = 20
    records = case.records[: int(case.bounds[steps])]
    watched = tuple(p.name for p in case.network.populations[1:])
    expected = CpuEngine(case.network, watched).run(records, 0, steps)
    seen = TorchEngine(case.network, watched).run(records, 0, steps)
    for name in watched[:-1]:
        assert len(seen[name]) == pytest.approx(len(expected[name]), rel=1e-3)
    assert np.array_equal(np.bincount(seen["dense5"]["n"]), np.bincount(expected["dense5"]["n"]))
    assert len(expected["dense5"]) > 0

"""Published NIR networks: they load whatever version wrote them, and compute what torch computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.network import Network, load
from nrt.packet import EVENT, SPIKE, Records
from tests.engines import ENGINES, engine

Tensor = Any  # torch's


@pytest.fixture(scope="module")
def digit(data: Path) -> Records:
    """An N-MNIST test recording of the digit 4: five bytes an event, x, y, polarity and 23 bits of µs."""
    raw = np.fromfile(data / "events" / "tonic_sample_nmnist.bin", np.uint8).reshape(-1, 5).astype(np.int64)
    events = np.zeros(len(raw), EVENT)
    events["x"], events["y"], events["p"] = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    events["t"] = (raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]
    return events


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("like", ["nir", "sinabs", "norse", "nengo"])
def test_the_published_n_mnist_network_sees_a_four(like: str, name: str, data: Path, digit: Records) -> None:
    network = load(data / "nir" / "cnn_sinabs.nir", like=like, dt="1ms")
    spikes = engine(name, network, ["12"]).run(digit, 0, 312)["12"]
    votes = np.bincount(spikes["n"], weights=spikes["v"], minlength=10)
    assert votes.argmax() == 4
    assert votes[4] > 2 * np.delete(votes, 4).max()


@pytest.mark.parametrize("name", ENGINES)
def test_the_published_n_mnist_network_spikes_as_it_does_in_torch(
    name: str, data: Path, digit: Records
) -> None:
    path = data / "nir" / "cnn_sinabs.nir"
    first = digit[digit["t"] < 40_000]
    records = engine(name, load(path), ["1", "6", "12"]).run(first, 0, 40)
    expected = _cnn_in_torch(path, first, 40)
    for population, spikes in expected.items():
        step, neuron = np.nonzero(spikes)
        assert len(step) > 0
        assert (records[population]["t"] // 1000).tolist() == step.tolist()
        assert records[population]["n"].tolist() == neuron.tolist()


def _cnn_in_torch(path: Path, events: Records, steps: int) -> dict[str, NDArray[Any]]:
    """The same network written out in torch, float64: spikes [step, neuron] of three layers."""
    with h5py.File(path) as file:
        nodes: Any = file["node/nodes"]
        weight = {k: torch.tensor(nodes[k]["weight"][()]).double() for k in ("0", "2", "5", "9", "11")}
    frames = torch.zeros(steps, 2, 34, 34, dtype=torch.float64)
    for event in events:
        frames[int(event["t"]) // 1000, int(event["p"]), int(event["y"]), int(event["x"])] += 1
    v: dict[str, Tensor] = {}
    seen: dict[str, list[NDArray[Any]]] = {"1": [], "6": [], "12": []}

    def fire(name: str, x: Tensor) -> Tensor:
        charged = v.get(name, torch.zeros_like(x)) + x
        spikes = (charged > 1).double()
        v[name] = charged * (1 - spikes)
        if name in seen:
            seen[name].append(spikes.numpy().ravel())
        return spikes

    conv, pool = torch.nn.functional.conv2d, torch.nn.functional.avg_pool2d
    for frame in frames:
        x = fire("1", conv(frame[None], weight["0"], stride=2, padding=1))
        x = fire("3", conv(x, weight["2"], padding=1))
        x = fire("6", conv(pool(x, 2) * 4, weight["5"], padding=1))
        x = fire("10", (pool(x, 2) * 4).flatten() @ weight["9"].T)
        fire("12", x @ weight["11"].T)
    return {name: np.array(spikes) for name, spikes in seen.items()}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("variant", ["bias_zero", "nobias_subtract"])
def test_the_braille_networks_spike_as_they_do_in_torch(variant: str, name: str, data: Path) -> None:
    path = data / "nir" / f"braille_{variant}.nir"
    reset = "soft" if "subtract" in variant else "hard"
    network = load(path, like="snntorch", reset=reset)
    rng = np.random.default_rng(7)
    frames = (rng.random((200, 12)) < 0.3).astype(np.float64)
    records = engine(name, network, ["lif1.lif", "lif2"]).run(_as_spikes(frames, 100), 0, 200)
    for population, spikes in _braille_in_torch(path, frames, soft=reset == "soft").items():
        step, neuron = np.nonzero(spikes)
        assert len(step) >= 20
        assert (records[population]["t"] // 100).tolist() == step.tolist()
        assert records[population]["n"].tolist() == neuron.tolist()


def _as_spikes(frames: NDArray[np.float64], dt: int) -> Records:
    step, n = np.nonzero(frames)
    spikes = np.zeros(len(step), SPIKE)
    spikes["t"], spikes["n"], spikes["v"] = step * dt, n, frames[step, n]
    return spikes


def _braille_in_torch(path: Path, frames: NDArray[np.float64], soft: bool) -> dict[str, NDArray[Any]]:
    """The recurrent network as its authors trained it: i = αi + x, v = βv + i; the loop is a step late."""
    with h5py.File(path) as file:
        groups: Any = file["node/nodes"]
        nodes = {
            k: {n: torch.tensor(g[n][()]).double() for n in g if n != "type"}
            for k, g in groups.items()
            if k not in ("input", "output")
        }

    def linear(name: str, x: Tensor) -> Tensor:
        y = nodes[name]["weight"] @ x
        return y + nodes[name]["bias"] if "bias" in nodes[name] else y

    class Cuba:
        def __init__(self, name: str) -> None:
            p = nodes[name]
            self.alpha, self.beta = 1 - 1e-4 / p["tau_syn"], 1 - 1e-4 / p["tau_mem"]
            self.w, self.r = p["w_in"] * 1e-4 / p["tau_syn"], p["r"] * 1e-4 / p["tau_mem"]
            self.theta = p["v_threshold"]
            self.i = self.v = torch.zeros_like(self.theta)

        def __call__(self, x: Tensor) -> Tensor:
            self.i = self.alpha * self.i + self.w * x
            self.v = self.beta * self.v + self.r * self.i
            spikes = (self.v > self.theta).double()
            self.v = self.v - spikes * self.theta if soft else self.v * (1 - spikes)
            return spikes

    hidden, out = Cuba("lif1.lif"), Cuba("lif2")
    back = torch.zeros_like(hidden.theta)
    seen: dict[str, list[NDArray[Any]]] = {"lif1.lif": [], "lif2": []}
    for frame in frames:
        back = hidden(linear("fc1", torch.tensor(frame)) + linear("lif1.w_rec", back))
        seen["lif1.lif"].append(back.numpy())
        seen["lif2"].append(out(linear("fc2", back)).numpy())
    return {name: np.array(spikes) for name, spikes in seen.items()}


@pytest.mark.parametrize("variant", ["bias_zero", "nobias_subtract"])
def test_a_nested_braille_network_is_its_flat_twin(variant: str, data: Path) -> None:
    flat = load(data / "nir" / f"braille_{variant}.nir", dt=100)
    nested = load(data / "nir" / f"braille_{variant}_subgraph.nir", dt=100)
    assert nested.notes == ("the edges name 'lif1.lif', which is no node; read as 'lif1.lif1'",)
    assert [p.name for p in nested.populations] == ["input", "lif1.lif1", "lif2"]
    assert _numbers(nested) == _numbers(flat)


def _numbers(network: Network) -> list[tuple[int, list[bytes], bytes]]:
    """Every number of the projections, without the names."""
    return [
        (
            p.delay,
            [getattr(o, "weight", np.zeros(0)).tobytes() for o in p.operators],
            b"" if p.bias is None else p.bias.tobytes(),
        )
        for p in network.projections
    ]


def test_forward_euler_with_too_long_a_step_names_the_node_and_the_longest(data: Path) -> None:
    path = data / "nir" / "braille_bias_zero.nir"
    with pytest.raises(ConfigError, match=r"lif1\.lif: .*dt 1000 µs is unstable .*choose dt at most 222 µs"):
        load(path)
    assert load(path, integration="exact").semantics.dt == 1000
    assert load(path, dt="200us").semantics.dt == 200


def test_a_network_whose_leak_drives_it_fires_without_input(data: Path) -> None:
    """two_lif_neurons.nir: v_leak 1.2 over a threshold of 1."""
    network = load(data / "nir" / "two_lif_neurons.nir", dt=100)
    spikes = engine("reference", network, ["lif1"]).run(np.empty(0, SPIKE), 0, 1000)["lif1"]
    # v grows to 1.2 (1 - (1 - 0.01)^k): above 1 first for k = 179
    assert (np.diff(spikes["t"]) == 179 * 100).all()
    assert spikes["t"][0] == 179 * 100 - 1

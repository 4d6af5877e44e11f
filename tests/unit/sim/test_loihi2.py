"""`loihi2+sim:` against a plain transcription of lava's published equations, layer by layer and step by step.

The transcription below is dense numpy, written from lava-nc 0.10's models (lif, dense, conv) and lava-dl's netx: no
code of the simulator is in it. The networks come from files written as lava-dl writes them.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt import registry
from nrt.errors import ConfigError, DoesNotFit, Unsupported
from nrt.network import Conv, Dense, Network, Pool, Population, Projection, Scale, load
from nrt.network.neuron import neuron
from nrt.network.operators import array
from nrt.network.semantics import Semantics
from nrt.packet import SPIKE, Packet, Records
from nrt.profile.model import modelled
from nrt_sim.chips.loihi2.engine import LoihiEngine
from nrt_sim.chips.loihi2.fit import fit
from nrt_sim.reference import ReferenceEngine
from tests.netx_files import cuba, write_net

Ints = NDArray[np.int64]
STEPS = 60
DT = 1000


class Lif:
    """PyLifModelBitAcc, for one layer; iDecay and vDecay as netx passes them on (du + 1, dv)."""

    def __init__(self, shape: tuple[int, ...], params: dict[str, Any], bias: Any = 0) -> None:
        self.u = np.zeros(shape, np.int64)
        self.v = np.zeros(shape, np.int64)
        self.params = params
        self.bias = np.asarray(bias, np.int64)

    def step(self, a: Ints) -> Ints:
        limit = 2**23
        u = np.sign(self.u) * (np.abs(self.u) * (4096 - self.params["iDecay"]) // 4096) + a * 64
        wrapped = np.where(u > limit, u - 2 * limit, u)
        self.u = np.where(wrapped <= -limit, u + 2 * limit, wrapped)
        v = np.sign(self.v) * (np.abs(self.v) * (4096 - self.params["vDecay"]) // 4096)
        self.v = np.clip(v + self.u + self.bias * 64, -limit + 1, limit - 1)
        spikes = self.v > self.params["vThMant"] * 64
        self.v[spikes] = 0
        fired: Ints = spikes.astype(np.int64)
        return fired


def correlate(x: Ints, weight: Ints, stride: int, padding: int, dilation: int = 1, groups: int = 1) -> Ints:
    """What lava's convolution with the doubly flipped kernel amounts to, by the definition."""
    outputs, within, kh, kw = weight.shape
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height = (padded.shape[1] - dilation * (kh - 1) - 1) // stride + 1
    width = (padded.shape[2] - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((outputs, height, width), np.int64)
    for o, i, j in np.ndindex(y.shape):
        first = o // (outputs // groups) * within
        for c, ky, kx in np.ndindex(within, kh, kw):
            at = padded[first + c, i * stride + ky * dilation, j * stride + kx * dilation]
            y[o, i, j] += weight[o, c, ky, kx] * at
    return y


def even(rng: np.random.Generator, shape: tuple[int, ...], most: int = 120) -> Ints:
    """Weights as slayer quantises them: even, of both signs."""
    weights: Ints = rng.integers(-most // 2, most // 2 + 1, shape) * 2
    return weights


def raster(rng: np.random.Generator, size: int, rate: float = 0.2) -> NDArray[np.bool_]:
    return rng.random((STEPS, size)) < rate


def records(spikes: NDArray[Any]) -> Records:
    """SPIKE records of a raster [steps, neurons]; its values are the payloads."""
    t, n = np.nonzero(spikes)
    out = np.zeros(len(t), SPIKE)
    out["t"], out["n"], out["v"] = t * DT, n, spikes[t, n]
    return out


def run_states(network: Network, spikes: NDArray[Any]) -> dict[str, list[tuple[Ints, Ints, Ints]]]:
    """u, v and spikes of every population with neurons, step by step."""
    names = [p.name for p in network.populations if p.neuron is not None]
    engine = LoihiEngine(fit(network), names)
    inputs = records(spikes)
    seen: dict[str, list[tuple[Ints, Ints, Ints]]] = {name: [] for name in names}
    for k in range(len(spikes)):
        out = engine.run(inputs[inputs["t"] == k * DT], k * DT, 1)
        for name in names:
            fired = np.zeros(network[name].size, np.int64)
            fired[out[name]["n"]] = 1
            seen[name].append((*engine.state(name), fired))
    return seen


def assert_same(seen: list[tuple[Ints, Ints, Ints]], expected: list[tuple[Ints, Ints, Ints]]) -> None:
    for what, k in (("u", 0), ("v", 1), ("spikes", 2)):
        ours = np.array([step[k] for step in seen])
        theirs = np.array([step[k].ravel() for step in expected])
        np.testing.assert_array_equal(ours, theirs, err_msg=what)


def test_a_stack_of_lava_dl_has_lavas_state_in_every_layer_and_step(tmp_path: Path) -> None:
    """Convolution with stride, padding and axonal delays, pool, dense with biases and per-neuron decays."""
    rng = np.random.default_rng(1)
    kernel, pooled, matrix = even(rng, (4, 2, 3, 3)), 62, even(rng, (5, 36))
    delays = np.array([0, 2, 5, 2])
    bias = rng.integers(-20, 20, 5)
    first = cuba(90, current=np.array([4096, 1024, 700, 2048]), voltage=300)
    second, third = cuba(50, 2000, 64), cuba(np.array([70, 90, 120, 80, 100]), 900, 200)
    shape = {"stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1}
    path = write_net(
        tmp_path / "stack.net",
        [
            {"type": "input", "shape": [2, 12, 12]},
            {"type": "conv", "shape": [4, 6, 6], **shape, "weight": kernel[..., None],
             "neuron": first, "delay": delays + 0.4},
            {"type": "pool", "shape": [4, 3, 3], "kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0],
             "dilation": [1, 1], "weight": np.full((1, 1, 2, 2), pooled), "neuron": second},
            {"type": "flatten", "shape": [36, 1, 1]},
            {"type": "dense", "shape": [5], "weight": matrix.astype(np.float32), "bias": bias, "neuron": third},
        ],
    )  # fmt: skip
    spikes = raster(rng, 2 * 12 * 12)

    seen = run_states(load(path), spikes)

    channels = np.array([4096, 1024, 700, 2048])[:, None, None]
    a, b = Lif((4, 6, 6), first | {"iDecay": channels}), Lif((4, 3, 3), second)
    c = Lif((5,), third, bias)
    expected: dict[str, list[tuple[Ints, Ints, Ints]]] = {"conv1": [], "pool2": [], "dense4": []}
    past_a, past_b, before = (
        [np.zeros((4, 6, 6), np.int64)] * 8,
        np.zeros((4, 3, 3), np.int64),
        np.zeros((2, 12, 12)),
    )
    for k in range(STEPS):
        arrived = np.stack([past_a[delays[ch]][ch] for ch in range(4)])
        sa = a.step(correlate(before.astype(np.int64), kernel, 2, 1))
        sb = b.step(arrived.reshape(4, 3, 2, 3, 2).sum(axis=(2, 4)) * pooled)
        sc = c.step(matrix @ past_b.ravel())
        for name, cell, fired in (("conv1", a, sa), ("pool2", b, sb), ("dense4", c, sc)):
            expected[name].append((cell.u.copy(), cell.v.copy(), fired))
        past_a, past_b, before = [sa, *past_a[:7]], sb, spikes[k].reshape(2, 12, 12)
    for name, layers in expected.items():
        assert sum(int(step[2].sum()) for step in layers) > 10
        assert_same(seen[name], layers)


def test_grouped_and_dilated_kernels_are_lavas(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kernel, params = even(rng, (6, 2, 3, 3), 250), cuba(200, 3000, 100)
    path = write_net(
        tmp_path / "groups.net",
        [
            {"type": "input", "shape": [4, 9, 9]},
            {"type": "conv", "shape": [6, 5, 5], "stride": 1, "padding": 0, "dilation": 2, "groups": 2,
             "weight": kernel, "neuron": params},
        ],
    )  # fmt: skip
    spikes = raster(rng, 4 * 81)

    seen = run_states(load(path), spikes)

    cell, before, expected = Lif((6, 5, 5), params), np.zeros((4, 9, 9), np.int64), []
    for k in range(STEPS):
        fired = cell.step(correlate(before, kernel, 1, 0, 2, 2))
        expected.append((cell.u.copy(), cell.v.copy(), fired))
        before = spikes[k].reshape(4, 9, 9).astype(np.int64)
    assert_same(seen["conv1"], expected)


@pytest.mark.parametrize("delayed", [False, True])
def test_recurrent_layers_and_synaptic_delays_are_lavas(tmp_path: Path, delayed: bool) -> None:
    rng = np.random.default_rng(3)
    weight, recurrent, params = even(rng, (8, 6), 200), even(rng, (8, 8), 60), cuba(150, 800, 100)
    delay = rng.integers(0, 6, (8, 6)) if delayed else np.zeros((8, 6), np.int64)
    layer = {"type": "dense_rec", "shape": [8], "weight": weight, "weight_rec": recurrent, "neuron": params}
    path = write_net(tmp_path / "loop.net", [layer | ({"delay": delay} if delayed else {})])
    spikes = raster(rng, 6)

    seen = run_states(load(path), spikes)

    cell, expected, fired = Lif((8,), params), [], np.zeros(8, np.int64)
    past = np.zeros((8, 6), np.int64)
    for k in range(STEPS):
        old = np.stack([past[delay[:, i], i] for i in range(6)], axis=1)  # [8, 6]: each synapse's own past
        fired = cell.step((weight * old).sum(axis=1) + recurrent @ fired)
        expected.append((cell.u.copy(), cell.v.copy(), fired))
        past = np.vstack([spikes[k].astype(np.int64), past[:-1]])
    assert_same(seen["dense0"], expected)
    assert sum(int(step[2].sum()) for step in expected) > 10


def test_the_input_layers_neurons_take_their_input_as_a_bias_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    params = cuba(25, 4096, 1024)
    path = write_net(
        tmp_path / "input.net",
        [
            {"type": "input", "shape": [1, 4, 4], "weight": np.array([[36.0]]), "bias": np.array([[7.0]]),
             "neuron": params},
            {"type": "flatten", "shape": [16, 1, 1]},
            {"type": "dense", "shape": [3], "weight": even(rng, (3, 16)), "neuron": params},
        ],
    )  # fmt: skip
    values = rng.integers(-2, 3, (STEPS, 16))

    seen = run_states(load(path), values)

    cell, expected = Lif((16,), params), []
    for k in range(STEPS):
        cell.bias = 36 * values[k] + 7
        fired = cell.step(np.zeros(16, np.int64))
        expected.append((cell.v.copy(), fired))
    np.testing.assert_array_equal([v for _, v, _ in seen["input0"]], [v for v, _ in expected])
    np.testing.assert_array_equal([s for *_, s in seen["input0"]], [s for _, s in expected])


def test_the_recipe_of_the_page_shows_every_layer_and_takes_any_bias_as_input(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    params = cuba(25, 4096, 1024)
    kernel = even(rng, (4, 3, 3, 3), 20)
    path = write_net(
        tmp_path / "network.net",
        [
            {"type": "input", "shape": [3, 8, 8], "weight": np.array([[36.0]]), "bias": np.array([[34.0]]),
             "neuron": params},
            {"type": "conv", "shape": [4, 3, 3], "weight": kernel, "stride": [2, 2], "padding": [0, 0],
             "dilation": [1, 1], "groups": 1, "neuron": params},
        ],
    )  # fmt: skip
    bias = rng.integers(-30, 90, (3, 8, 8))
    page = (Path(__file__).parents[3] / "docs" / "loihi2.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    scope: dict[str, Any] = {"path": path, "bias": bias, "steps": 16}
    exec(code, scope)

    source, target = Lif((3, 8, 8), params, bias), Lif((4, 3, 3), params)
    before = np.zeros((3, 8, 8), np.int64)
    expected: dict[str, list[tuple[Ints, Ints, Ints]]] = {"input0": [], "conv1": []}
    for _ in range(16):
        arriving = correlate(before, kernel, 2, 0)
        before = source.step(np.zeros((3, 8, 8), np.int64))
        expected["input0"].append((source.u.copy(), source.v.copy(), before))
        fired = target.step(arriving)
        expected["conv1"].append((target.u.copy(), target.v.copy(), fired))
    assert list(scope["layers"]) == ["input0", "conv1"]
    for name, states in scope["layers"].items():
        assert_same(states, expected[name])
    assert sum(int(step[2].sum()) for step in expected["conv1"]) > 10


def test_a_layer_is_cleared_alone_while_spikes_to_it_are_under_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    params, weight, bias = cuba(60, 1024, 128), even(rng, (5, 6)), even(rng, (5,))
    path = write_net(
        tmp_path / "clear.net",
        [{"type": "dense", "shape": [5], "weight": weight, "bias": bias, "neuron": params}],
    )
    network, spikes = load(path), raster(rng, 6, 0.5)
    engine, inputs = LoihiEngine(fit(network), ["dense0"]), records(spikes)

    cell, before = Lif((5,), params, bias), np.zeros(6, np.int64)
    for k in range(STEPS):
        engine.run(inputs[inputs["t"] == k * DT], k * DT, 1)
        cell.step(weight @ before)
        before = spikes[k].astype(np.int64)
        if k % 17 == 0:
            engine.clear("dense0")
            cell.u[:] = cell.v[:] = 0
        u, v = engine.state("dense0")
        np.testing.assert_array_equal(u, cell.u)
        np.testing.assert_array_equal(v, cell.v)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_states_wrap_saturate_and_truncate_as_in_lava(seed: int) -> None:
    """Payloads and weights so large that currents wrap around and membranes saturate."""
    rng = np.random.default_rng(seed)
    params = {"iDecay": int(rng.integers(0, 4097)), "vDecay": int(rng.integers(0, 4097))}
    params["vThMant"] = int(rng.integers(1000, 131072))
    weight = even(rng, (4, 3), 254)
    synapse = Projection("in", "out", (Dense(weight.astype(np.float64)),), delay=1)
    cell = neuron(
        decay=1 - params["vDecay"] / 4096, synapse_decay=1 - params["iDecay"] / 4096,
        threshold=float(params["vThMant"]), fire=">",
    )  # fmt: skip
    populations = (Population("in", (3,)), Population("out", (4,), cell))
    network = Network(populations, (synapse,), ("in",), ("out",), Semantics(dt=DT))
    payloads = np.where(rng.random((STEPS, 3)) < 0.3, rng.integers(-300, 301, (STEPS, 3)), 0)

    seen = run_states(network, payloads)["out"]

    model, before = Lif((4,), params), np.zeros(3, np.int64)
    for k in range(STEPS):
        fired = model.step(weight @ before)
        before = payloads[k]
        for ours, theirs in zip(seen[k], (model.u, model.v, fired), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=f"step {k}")


def integrators(seed: int) -> Network:
    """Integrate-and-fire layers of whole weights, each fed by some of those before it, one with itself."""
    rng = np.random.default_rng(seed)
    populations = [Population("in", (2, 6, 6))]
    cell = neuron(threshold=float(rng.integers(2, 9)), fire=">" if rng.random() < 0.5 else ">=")
    populations += [Population(f"l{k}", (4,), cell) for k in range(4)]
    projections = [
        Projection(
            "in",
            "l0",
            (Pool((2, 2), (2, 2)), Conv(array(even(rng, (1, 2, 2, 2), 6))), Scale(np.asarray(2.0))),
        ),
        Projection("in", "l2", (Dense(array(rng.integers(-3, 4, (4, 72)))),), delay=int(rng.integers(0, 3))),
    ]
    for k in range(3):
        projections.append(Projection(f"l{k}", f"l{k + 1}", (Dense(array(rng.integers(-4, 9, (4, 4)))),)))
    projections.append(Projection("l0", "l3", (), delay=int(rng.integers(0, 3))))
    projections.append(Projection("l1", "l1", (Dense(array(rng.integers(-4, 5, (4, 4)))),), delay=2))
    return Network(tuple(populations), tuple(projections), ("in",), ("l3",), Semantics(dt=DT))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_whole_integrators_fire_as_the_reference_does_later_by_their_level(seed: int) -> None:
    network = integrators(seed)
    spikes = records(raster(np.random.default_rng(seed), 72, 0.05))
    names = [p.name for p in network.populations if p.neuron is not None]
    program = fit(network)
    assert [program.remarks[name] for name in names] == ["exact"] * 4

    ours = LoihiEngine(program, names).run(spikes, 0, STEPS + 8)
    theirs = ReferenceEngine(network, names).run(spikes, 0, STEPS + 8)

    for name in names:
        late = program.level[name] * DT
        kept = theirs[name][theirs[name]["t"] < (STEPS + 8) * DT - late]
        assert (ours[name]["t"] - late).tolist() == kept["t"].tolist()
        assert ours[name]["n"].tolist() == kept["n"].tolist()


CHANNELS = np.array([1.0, 2.0])[:, None, None] * np.ones((2, 4, 4))
CHAINS = {
    "average pool": (Pool((2, 2), (2, 2), kind="average"), Dense(np.arange(-8, 16.0).reshape(3, 8) * 4)),
    "factor by channel, then a kernel": (
        Scale(CHANNELS),
        Conv(np.arange(1, 25.0).reshape(3, 2, 2, 2), (4, 4)),
    ),
    "factor by input, then a matrix": (Scale(np.arange(32.0).reshape(2, 4, 4)), Dense(np.eye(3, 32, 5) * 3)),
    "two matrices": (Dense(np.eye(5, 32, 3)), Dense(np.arange(15.0).reshape(3, 5))),
    "matrix, then a factor by output": (Dense(np.ones((3, 32))), Scale(np.array([1.0, 2.0, 3.0]))),
    "mask, then a matrix": (Scale((CHANNELS > 1).astype(float)), Dense(np.ones((3, 32)) * 2)),
    "kernel, then a pool": (Conv(np.ones((3, 2, 3, 3))), Pool((2, 2), (2, 2))),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
@pytest.mark.parametrize("each", [False, True])
def test_factors_on_the_way_are_folded_into_the_weights(chain: Any, each: bool) -> None:
    shape = (3, 1, 1) if isinstance(chain[0], Conv) or isinstance(chain[-1], Conv) else (3,)
    gain = np.array([1.0, 2.0, 1.0]).reshape(shape) if each and not isinstance(chain[-1], Pool) else 2.0
    cell = neuron(gain=gain, threshold=np.array([17.0, 40.0, 9.0]).reshape(shape), fire=">")
    network = Network(
        (Population("in", (2, 4, 4)), Population("out", shape, cell)),
        (Projection("in", "out", chain, delay=1),), ("in",), ("out",), Semantics(dt=DT),
    )  # fmt: skip
    spikes = records(raster(np.random.default_rng(7), 32, 0.1))

    program = fit(network)
    engine, reference = LoihiEngine(program, ["out"]), ReferenceEngine(network, ["out"])
    ours, theirs = (e.run(spikes, 0, STEPS)["out"] for e in (engine, reference))

    assert program.remarks["out"] == "exact"
    assert len(theirs) > 5
    assert ours.tolist() == theirs.tolist()
    assert engine.counters().synops == reference.counters().synops


def test_rounding_is_small_and_stated() -> None:
    rng = np.random.default_rng(5)
    weight = rng.normal(0, 0.3, (20, 30))
    cell = neuron(decay=0.9, gain=0.1, synapse_decay=0.8, synapse_gain=1.5, threshold=0.7, fire=">")
    synapse = Projection("in", "out", (Dense(weight),), bias=np.full(20, 0.05))
    network = Network(
        (Population("in", (30,)), Population("out", (20,), cell)),
        (synapse,),
        ("in",),
        ("out",),
        Semantics(dt=DT),
    )
    spikes = records(raster(rng, 30))

    program = fit(network)
    ours = LoihiEngine(program, ["out", "out.v"]).run(spikes, 0, STEPS)
    theirs = ReferenceEngine(network, ["out", "out.v"]).run(spikes, 0, STEPS)

    assert "weights off by at most" in program.remarks["out"]
    assert "decay" in program.remarks["out"]
    assert "an axon that spikes in every step" in program.remarks["out"]
    assert abs(len(ours["out"]) - len(theirs["out"])) <= 0.05 * len(theirs["out"])
    assert len(theirs["out"]) > 50


def test_everything_that_does_not_fit_is_said_at_once() -> None:
    cell = neuron(threshold=-1.0, fire=">")
    other = neuron(threshold=1e6, drive=9e5, fire=">")
    far = Projection("a", "b", (), delay=70)
    network = Network(
        (Population("in", (2,)), Population("a", (2,), cell), Population("b", (2,), other)),
        (Projection("in", "a", (Dense(np.ones((2, 2))),)), far),
        ("in",), ("b",), Semantics(dt=DT),
    )  # fmt: skip

    with pytest.raises(DoesNotFit) as caught:
        fit(network)

    found = {(v.layer, v.limit) for v in caught.value.violations}
    assert found == {("a", "threshold"), ("b", "threshold"), ("b", "bias"), ("a → b", "delay")}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (neuron(reset="soft"), "its reset is soft"),
        (neuron(spikes="count"), "its spikes are 'count'"),
        (neuron(v_min=-1.0), "lower bound"),
        (neuron(decay=1.5), "grows or alternates"),
        (neuron(timing="delayed"), "delayed"),
    ],
)
def test_neurons_that_are_no_cuba_lif_are_refused_by_name(cell: Any, reason: str) -> None:
    network = Network(
        (Population("in", (2,)), Population("odd", (2,), cell)), (Projection("in", "odd", (), 1),),
        ("in",), ("odd",), Semantics(dt=DT),
    )  # fmt: skip
    with pytest.raises(Unsupported, match=f"odd: .*{reason}"):
        fit(network)


def test_a_convolution_straight_into_another_is_refused() -> None:
    operators = (Conv(np.ones((1, 1, 2, 2))), Conv(np.ones((1, 1, 2, 2))))
    network = Network(
        (Population("in", (1, 4, 4)), Population("out", (1, 2, 2), neuron())),
        (Projection("in", "out", operators, 1),), ("in",), ("out",), Semantics(dt=DT),
    )  # fmt: skip
    with pytest.raises(Unsupported, match="no neurons between"):
        fit(network)


def test_the_membrane_of_a_neuron_with_a_reset_value_is_told_in_the_networks_units() -> None:
    cell = neuron(threshold=4.0, v_reset=-3.0, v0=-3.0, fire=">")
    network = Network(
        (Population("in", (1,)), Population("out", (1,), cell)),
        (Projection("in", "out", (Dense(np.full((1, 1), 2.0)),), 1),),
        ("in",), ("out",), Semantics(dt=DT),
    )  # fmt: skip
    spikes = records(np.ones((12, 1), np.int64))
    ours = LoihiEngine(fit(network), ["out.v"]).run(spikes, 0, 12)["out.v"]["v"]
    theirs = ReferenceEngine(network, ["out.v"]).run(spikes, 0, 12)["out.v"]["v"]
    assert ours.tolist() == theirs.tolist()


async def test_the_device_runs_resets_and_forks(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    path = write_net(
        tmp_path / "small.net",
        [{"type": "dense", "shape": [4], "weight": even(rng, (4, 10), 250), "neuron": cuba(60, 2048, 256)}],
        sampling=2.0,
    )
    network = load(path)
    assert network.semantics.dt == 2 * DT
    spikes = raster(rng, 10)
    data = records(spikes)
    data["t"] *= 2
    packet = Packet(data, 0, STEPS * 2 * DT, 0)

    async def run(device: Any) -> list[tuple[int, int]]:
        await device.send(packet)
        await device.finish()
        return [
            (int(t), int(n))
            for p in [p async for p in device.spikes()]
            for t, n in zip(p.data["t"], p.data["n"], strict=True)
        ]

    device = registry.device("loihi2+sim:")
    async with asyncio.timeout(60):
        await device.open()
        try:
            placement = await device.deploy(network)
            assert "exact" in str(placement)
            assert "not tried on a chip" in str(placement)
            first = await run(device)
            energy, whole = modelled(network, device.counters(), device.tables)
            synops = sum(device.counters().synops.values())
            await device.reset()
            assert await run(device) == first
            other = await device.fork()
            assert await run(other) == first
            await other.close()
        finally:
            await device.close()
    assert len(first) > 10
    assert synops == int(spikes[:-1].sum()) * 4
    assert energy.kind == "modelled"
    assert energy.joules == pytest.approx(synops * 23.6e-12)
    assert whole.joules > energy.joules


@pytest.mark.parametrize("uri", ["loihi2:", "loihi2+usb:", "loihi2+sim:0"])
def test_only_the_simulation_can_be_opened(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"write loihi2\+sim:"):
        registry.device(uri)

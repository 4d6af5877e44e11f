"""Presets against the frameworks themselves: what their own import of a NIR graph computes, spike for spike.

Each part runs where its framework is installed; docs/semantics.md has the versions that were checked. The
frameworks compute in float32: the random weights keep membranes away from thresholds by far more than that.
rockpool is left out because importing it imports samna, whose stub runs pip.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt.network.lower import from_nir
from nrt.packet import SPIKE
from nrt_sim.reference import ReferenceEngine

nir: Any = pytest.importorskip("nir")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.parametrize("seed", [1, 2])]

STEPS, INPUTS, NEURONS, DT = 400, 6, 64, 1e-4
Array = NDArray[np.float64]


def _drive(seed: int) -> tuple[Array, Array, Array]:
    """Input spikes [step, input], weights and biases."""
    rng = np.random.default_rng(seed)
    weights, bias = rng.normal(size=(NEURONS, INPUTS)), rng.normal(size=NEURONS) * 0.1
    return (rng.random((STEPS, INPUTS)) < 0.3).astype(np.float64), weights, bias


def _graph(kind: str, seed: int, **values: float) -> Any:
    """input → fc → n → output, with one `kind` of neuron."""
    _, weights, bias = _drive(seed)
    made = getattr(nir, kind)(**{k: np.full(NEURONS, v) for k, v in values.items()})
    return nir.NIRGraph(
        nodes={
            "input": nir.Input(np.array([INPUTS])),
            "fc": nir.Affine(weights.astype(np.float32), bias.astype(np.float32)),
            "n": made,
            "output": nir.Output(np.array([NEURONS])),
        },
        edges=[("input", "fc"), ("fc", "n"), ("n", "output")],
    )


def _ours(graph: Any, seed: int, like: str, **choices: Any) -> Array:
    frames, _, _ = _drive(seed)
    step, n = np.nonzero(frames)
    inputs = np.zeros(len(step), SPIKE)
    inputs["t"], inputs["n"], inputs["v"] = step * 100, n, 1
    network = from_nir(graph, like=like, dt=100, **choices)
    records = ReferenceEngine(network, ["n"]).run(inputs, 0, STEPS)["n"]
    out = np.zeros((STEPS, NEURONS))
    out[records["t"] // 100, records["n"]] = records["v"]
    return out


def _stepped(model: Callable[..., Any], seed: int) -> Array:
    """A torch module that takes one step and its state."""
    torch: Any = pytest.importorskip("torch")
    frames, _, _ = _drive(seed)
    state, rows = None, []
    for frame in frames:
        out = model(torch.tensor(frame).float()[None], state)
        out, state = out if isinstance(out, tuple) else (out, None)
        out = out[0] if isinstance(out, tuple) else out
        rows.append(out.detach().numpy().ravel())
    return np.array(rows)


def _equal(theirs: Array, ours: Array) -> None:
    assert theirs.sum() > 1000
    np.testing.assert_array_equal(theirs, ours)


LIF = {"tau": 0.002, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.1}
IF = {"r": 1.0, "v_threshold": 1.0}
CUBA = {"tau_mem": 0.002, "tau_syn": 0.001, "r": 20.0, "v_leak": 0.0, "w_in": 10.0, "v_threshold": 3.0}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("LIF", LIF | {"r": 3.0}),
        ("LIF", LIF | {"v_leak": 0.05}),
        ("IF", IF | {"r": 2.0}),
        ("CubaLIF", CUBA | {"r": 1.5, "w_in": 2.0, "v_threshold": 0.1}),
    ],
)
def test_norse(kind: str, values: dict[str, float], seed: int) -> None:
    norse: Any = pytest.importorskip("norse.torch")
    logging.disable(logging.WARNING)
    try:
        model = norse.from_nir(_graph(kind, seed, **values), dt=DT)
    finally:
        logging.disable(logging.NOTSET)
    _equal(_stepped(model, seed), _ours(_graph(kind, seed, **values), seed, "norse"))


@pytest.mark.parametrize(
    ("kind", "values"), [("LIF", LIF), ("LIF", LIF | {"r": 20.0, "v_threshold": 1.0}), ("CubaLIF", CUBA)]
)
def test_snntorch(kind: str, values: dict[str, float], seed: int) -> None:
    snntorch: Any = pytest.importorskip("snntorch.import_nir")
    model = snntorch.import_from_nir(_graph(kind, seed, **values))
    _equal(_stepped(model, seed), _ours(_graph(kind, seed, **values), seed, "snntorch"))


@pytest.mark.parametrize(
    ("kind", "values"),
    [("IF", IF), ("IF", IF | {"v_threshold": 0.25}), ("LIF", LIF | {"tau": 20.0, "v_threshold": 1.5})],
)
def test_sinabs(kind: str, values: dict[str, float], seed: int) -> None:
    torch: Any = pytest.importorskip("torch")
    sinabs: Any = pytest.importorskip("sinabs.nir")
    model = sinabs.from_nir(_graph(kind, seed, **values), batch_size=1)
    with torch.no_grad():
        out = model(torch.tensor(_drive(seed)[0]).float())
    theirs = (out[0] if isinstance(out, tuple) else out).numpy().reshape(STEPS, NEURONS)
    _equal(theirs, _ours(_graph(kind, seed, **values), seed, "sinabs"))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("IF", IF | {"r": 1e4, "v_reset": 0.0}),
        ("LIF", LIF | {"v_reset": 0.0}),
        ("LIF", LIF | {"r": 20.0, "v_threshold": 1.0, "v_leak": -0.25, "v_reset": -0.25}),
        ("CubaLIF", CUBA | {"v_reset": 0.0}),
    ],
)
def test_spikingjelly(kind: str, values: dict[str, float], seed: int) -> None:
    if tuple(int(part) for part in nir.version.split(".")[:3]) < (1, 0, 7):
        pytest.skip("SpikingJelly's import needs nir 1.0.7")
    exchange: Any = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    model = exchange.import_from_nir(_graph(kind, seed, **values), dt=DT)
    _equal(_stepped(model, seed), _ours(_graph(kind, seed, **values), seed, "spikingjelly"))


STEPPED = {"tau": 20.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}


@pytest.mark.parametrize(
    ("kind", "values"), [("LIF", STEPPED), ("LIF", STEPPED | {"r": 4.0, "v_threshold": 2.0}), ("IF", IF)]
)
def test_spyx(kind: str, values: dict[str, float], seed: int) -> None:
    theirs = _spyx(_graph(kind, seed, **values), seed)
    _equal(theirs, _ours(_graph(kind, seed, **values), seed, "spyx"))


def test_spyx_resets_a_cubalif_before_the_leak(seed: int) -> None:
    values = {"tau_mem": 20.0, "tau_syn": 10.0, "r": 1.0, "v_leak": 0.0, "w_in": 1.0, "v_threshold": 3.0}
    theirs = _spyx(_graph("CubaLIF", seed, **values), seed)
    ours = _ours(_graph("CubaLIF", seed, **values), seed, "spyx", timing="immediate")
    _equal(theirs[1:], ours[:-1])


def _spyx(graph: Any, seed: int) -> Array:
    spyx: Any = pytest.importorskip("spyx.nir")
    frames = _drive(seed)[0].astype(np.float32)
    _, out = spyx.from_nir(graph, frames[:, None], dt=1)
    return np.asarray(out, np.float64).reshape(STEPS, NEURONS)


@pytest.mark.parametrize("values", [LIF, {"tau": 0.01, "r": 3.0, "v_leak": 0.0, "v_threshold": 0.05}])
def test_nengo(values: dict[str, float], seed: int) -> None:
    """nengo has no import; the neuron is set up as the NIR paper's notebook does."""
    nengo: Any = pytest.importorskip("nengo")
    frames, weights, bias = _drive(seed)
    currents: Array = frames @ weights.T + bias

    def current(t: float) -> Array:
        now: Array = currents[min(STEPS - 1, round(t / DT) - 1)]
        return now

    with nengo.Network() as model:
        drive = nengo.Node(current)
        start = {"voltage": nengo.dists.Choice([0])}
        cells = nengo.Ensemble(
            NEURONS,
            1,
            neuron_type=nengo.LIF(tau_rc=values["tau"], tau_ref=0, initial_state=start),
            gain=np.full(NEURONS, values["r"] / values["v_threshold"]),
            bias=np.zeros(NEURONS),
        )
        nengo.Connection(drive, cells.neurons, synapse=None)
        probe = nengo.Probe(cells.neurons, "output")
    with nengo.Simulator(model, dt=DT, progress_bar=False) as simulator:
        simulator.run_steps(STEPS)
    theirs = (simulator.data[probe] > 0).astype(np.float64)
    _equal(theirs, _ours(_graph("LIF", seed, **values), seed, "nengo"))

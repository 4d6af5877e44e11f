"""The reference engine against numbers worked out by hand, and against torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nrt.errors import ConfigError, Unsupported
from nrt.network import (
    Conv,
    Dense,
    Encoding,
    Network,
    Neuron,
    Pool,
    Population,
    Projection,
    Scale,
    Semantics,
    neuron,
)
from nrt.network.operators import array
from nrt.packet import EVENT, MEMBRANE, SPIKE, Records
from nrt_sim.reference import ReferenceEngine
from tests.engines import ENGINES, engine

DT = 1000


def network(populations: Sequence[Population], projections: Sequence[Projection], **rest: Any) -> Network:
    """A network whose first population is the input and whose last is the output."""
    return Network(
        tuple(populations), tuple(projections), (populations[0].name,), (populations[-1].name,), **rest
    )


def one(cell: Neuron, weight: float = 1.0, **projection: Any) -> Network:
    """One neuron behind one input."""
    into = Projection("in", "n", (Dense(array(np.array([[weight]]))),), **projection)
    return network([Population("in", (1,)), Population("n", (1,), cell)], [into])


def graded(values: Sequence[float], dt: int = DT) -> Records:
    """SPIKE records that give neuron 0 these inputs, step by step; nothing where 0."""
    step = np.flatnonzero(values)
    records = np.zeros(len(step), SPIKE)
    records["t"], records["v"] = step * dt, np.asarray(values)[step]
    return records


def run(made: Network, inputs: Sequence[float], name: str = "reference") -> tuple[list[int], list[float]]:
    """Payload of neuron n's spike and its membrane, for every step."""
    records = engine(name, made, ["n", "n.v"]).run(graded(inputs), 0, len(inputs))
    payload = np.zeros(len(inputs), np.int64)
    payload[records["n"]["t"] // DT] = records["n"]["v"]
    return payload.tolist(), records["n.v"]["v"].tolist()


CASES = {
    "hard": (neuron(threshold=3.0, v_reset=0.5), [2, 2, 2, 2], [0, 1, 0, 1], [2, 0.5, 2.5, 0.5]),
    "strict": (neuron(threshold=4.0, fire=">"), [2, 2, 1], [0, 0, 1], [2, 4, 0]),
    "not strict": (neuron(threshold=4.0), [2, 2, 1], [0, 1, 0], [2, 0, 1]),
    "soft": (neuron(threshold=3.0, reset="soft"), [2, 2, 3, 0], [0, 1, 1, 0], [2, 1, 1, 1]),
    "no reset": (neuron(threshold=3.0, reset="none"), [4, 0], [1, 1], [4, 4]),
    "leak, gain and drive": (
        neuron(decay=0.5, gain=0.25, drive=1.0, threshold=9.0),
        [4, 8],
        [0, 0],
        [2, 4],
    ),
    "synapse": (
        neuron(decay=0.5, synapse_decay=0.5, synapse_gain=2.0, threshold=9.0),
        [1, 0, 0],
        [0, 0, 0],
        [2, 2, 1.5],
    ),
    "start": (neuron(v0=2.0, threshold=3.0), [0, 1], [0, 1], [2, 0]),
    "floor": (neuron(v_min=-1.0, threshold=3.0), [-5, 2], [0, 0], [-1, 1]),
    "signed": (
        neuron(threshold=2.0, spikes="signed", reset="soft"),
        [3, -4, -1],
        [1, -1, -1],
        [1, -1, 0],
    ),
    "count": (neuron(threshold=2.0, spikes="count", reset="soft"), [7, -9, 9], [3, 0, 0], [1, -8, 1]),
    "count, capped": (
        neuron(threshold=2.0, spikes="count", reset="soft", max_spikes=2),
        [7, 0],
        [2, 1],
        [3, 1],
    ),
    "count, hard": (neuron(threshold=2.0, spikes="count"), [7, 1], [3, 0], [0, 1]),
    "count, strict": (
        neuron(threshold=2.0, spikes="count", reset="soft", fire=">"),
        [2, 2],
        [0, 2],
        [2, 0],
    ),
    "round": (
        neuron(threshold=2.0, spikes="round", reset="soft", max_spikes=4),
        [1, 2, 20, -30],
        [0, 2, 4, 0],
        [1, -1, 11, -19],
    ),  # 1/2 rounds to 0, 3/2 to 2
    "graded": (
        neuron(decay=0.75, threshold=2.0, spikes="graded", reset="soft"),
        [1, 3, 1],
        [0, 3, 0],
        [1, 0.75, 1.5625],
    ),
    "silent": (neuron(decay=0.5, spikes="none"), [4, 2], [0, 0], [4, 4]),
    "soft, delayed": (
        neuron(decay=0.5, threshold=2.0, reset="soft", timing="delayed"),
        [4, 4, 0],
        [1, 1, 0],
        [4, 4, 0],
    ),
    "hard, delayed": (
        neuron(decay=0.5, threshold=2.0, v_reset=1.0, timing="delayed"),
        [4, 1, 0],
        [1, 0, 0],
        [4, 1.5, 0.75],
    ),
    "soft, fire-first": (
        neuron(decay=0.5, threshold=2.0, reset="soft", timing="fire-first"),
        [4, 4, 0],
        [0, 1, 1],
        [4, 4, 0],
    ),
    "hard, fire-first": (
        neuron(decay=0.5, threshold=2.0, v_reset=1.0, timing="fire-first"),
        [4, 1, 0],
        [0, 1, 0],
        [4, 1.5, 0.75],
    ),
    "floor, delayed": (
        neuron(threshold=2.0, reset="soft", timing="delayed", v_min=-1.0),
        [2, -5, 1],
        [1, 0, 0],
        [2, -1, 0],
    ),
}


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_a_neuron_follows_its_equations(case: str, name: str) -> None:
    cell, inputs, payload, membrane = CASES[case]
    if not cell.fires:
        records = engine(name, one(cell), ["n"]).run(graded(inputs), 0, len(inputs))["n"]
        assert records.dtype == MEMBRANE
        assert records["v"].tolist() == membrane
        return
    assert run(one(cell), inputs, name) == (payload, membrane)


@pytest.mark.parametrize("name", ENGINES)
def test_parameters_may_differ_from_neuron_to_neuron(name: str) -> None:
    cell = neuron(decay=np.array([1.0, 0.5]), threshold=np.array([3.0, 9.0]), v_reset=np.array([1.0, 0.0]))
    made = network(
        [Population("in", (1,)), Population("n", (2,), cell)],
        [Projection("in", "n", (Dense(array(np.ones((2, 1)))),))],
    )
    records = engine(name, made, ["n", "n.v"]).run(graded([2, 2]), 0, 2)
    assert records["n"]["n"].tolist() == [0]
    assert records["n.v"]["v"].tolist() == [2, 2, 1, 3]


@pytest.mark.parametrize("name", ENGINES)
def test_a_delay_moves_the_effect_by_whole_steps(name: str) -> None:
    made = one(neuron(threshold=1.0), delay=3)
    assert run(made, [1, 0, 0, 0, 0], name)[0] == [0, 0, 0, 1, 0]


@pytest.mark.parametrize("name", ENGINES)
def test_a_bias_arrives_in_every_step(name: str) -> None:
    made = one(neuron(threshold=3.0), bias=array(np.array([1.0])))
    assert run(made, [0, 0, 0, 0], name)[0] == [0, 0, 1, 0]


@pytest.mark.parametrize("name", ENGINES)
def test_a_loop_acts_one_step_later(name: str) -> None:
    made = one(neuron(threshold=1.0, decay=0.0))
    back = Projection("n", "n", (Scale(array(np.array(1.0))),), delay=1)
    made = replace(made, projections=(*made.projections, back))
    assert run(made, [0, 1, 0, 0], name)[0] == [0, 1, 1, 1]


@pytest.mark.parametrize("name", ENGINES)
def test_a_silent_populations_membrane_is_what_the_next_one_gets(name: str) -> None:
    made = network(
        [
            Population("in", (1,)),
            Population("li", (1,), neuron(decay=0.5, spikes="none")),
            Population("n", (1,), neuron(threshold=9.0)),
        ],
        [
            Projection("in", "li", ()),
            Projection("li", "n", (Scale(array(np.array(2.0))),)),
            Projection("li", "n", (), delay=1),
        ],
    )
    assert run(made, [4, 0, 0], name)[1] == [8, 0, 4]  # v = 8, then 8 + 4 + 4 ≥ 9 resets, then 2 + 2
    records = engine(name, made, ["li"]).run(graded([4, 0, 0]), 0, 3)["li"]
    assert records["v"].tolist() == [4, 2, 1]


@pytest.mark.parametrize("name", ENGINES)
def test_records_come_in_order_of_step_then_neuron_with_the_last_microsecond_of_the_step(name: str) -> None:
    cell = neuron(threshold=1.0)
    made = network([Population("in", (3,)), Population("n", (3,), cell)], [Projection("in", "n", ())])
    spikes = np.zeros(4, SPIKE)
    spikes["t"], spikes["n"], spikes["v"] = [5000, 5001, 5999, 6000], [2, 0, 1, 1], 1
    out = engine(name, made, ["n"]).run(spikes, 5000, 2)["n"]
    assert out["t"].tolist() == [5999, 5999, 5999, 6999]
    assert out["n"].tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(("values", "expected"), [("count", [3.0, 1.0]), ("binary", [1.0, 1.0])])
def test_events_of_one_step_are_counted_or_merged(values: Any, expected: list[float], name: str) -> None:
    made = network(
        [Population("in", (2, 2, 2)), Population("n", (8,), neuron(threshold=9.0))],
        [Projection("in", "n", ())],
        encoding=Encoding(values=values, crop=(0, 0, 3, 2)),
    )
    events = np.zeros(6, EVENT)
    events["x"], events["y"], events["p"] = [1, 1, 1, 0, 2, 9], [0, 0, 0, 1, 0, 0], [1, 1, 1, 0, 0, 0]
    built = engine(name, made, ["n.v"])
    membrane = built.run(events, 0, 1)["n.v"]["v"]
    assert membrane[[5, 2]].tolist() == expected
    assert membrane.sum() == sum(expected)
    counted = built.counters()
    assert (counted.steps, counted.events, counted.outside, counted.cropped) == (1, 4, 1, 1)


@pytest.mark.parametrize("name", ENGINES)
def test_synaptic_operations_are_the_synapses_that_each_spike_reaches(name: str) -> None:
    made = network(
        [
            Population("in", (1, 4, 4)),
            Population("n", (2, 4, 4), neuron(threshold=1.0)),
            Population("m", (3,), neuron(threshold=99.0)),
        ],
        [
            Projection("in", "n", (Conv(array(np.ones((2, 1, 3, 3))), padding=(1, 1)),)),
            Projection("n", "m", (Pool((2, 2), (2, 2)), Dense(array(np.ones((3, 8)))))),
        ],
    )
    spikes = np.zeros(3, SPIKE)
    spikes["n"], spikes["v"] = [0, 5, 5], [1, 2, -1]  # a corner, and a pixel that gets 2 - 1
    built = engine(name, made, ["n"])
    fired = built.run(spikes, 0, 1)["n"]
    counted = built.counters()
    assert counted.synops == {"in → n": 2 * 4 + 2 * 9, "n → m": 3 * len(fired)}
    assert counted.spikes == {"n": len(fired), "m": 0}
    built.reset()
    assert (built.counters().steps, built.counters().synops["in → n"]) == (0, 0)


def test_inputs_that_cancel_within_a_step_cost_nothing() -> None:
    spikes = np.zeros(2, SPIKE)
    spikes["v"] = [1, -1]
    built = ReferenceEngine(one(neuron()), ["n"])
    built.run(spikes, 0, 1)
    assert built.counters().synops == {"in → n": 0}


@pytest.mark.parametrize("name", ENGINES)
def test_many_short_runs_are_one_long_run(name: str) -> None:
    made, inputs = _random_network(5), _random_spikes(5, 40)
    whole = engine(name, made, ["a", "b", "b.v"]).run(inputs, 0, 40)
    pieces = engine(name, made, ["a", "b", "b.v"])
    parts = []
    for start, steps in [(0, 1), (1, 0), (1, 17), (18, 22)]:
        span = inputs[(inputs["t"] >= start * DT) & (inputs["t"] < (start + steps) * DT)]
        parts.append(pieces.run(span, start * DT, steps))
    for watched, records in whole.items():
        np.testing.assert_array_equal(np.concatenate([p[watched] for p in parts]), records)


@pytest.mark.parametrize("name", ENGINES)
def test_reset_and_fork_start_from_the_beginning(name: str) -> None:
    made, inputs = _random_network(6), _random_spikes(6, 30)
    built = engine(name, made, ["b"])
    first = built.run(inputs, 0, 30)["b"]
    forked = built.fork()
    assert len(first) > 10
    np.testing.assert_array_equal(forked.run(inputs, 0, 30)["b"], first)
    built.reset()
    np.testing.assert_array_equal(built.run(inputs, 0, 30)["b"], first)


def test_events_outside_the_run_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match="outside of the 1 steps from 0"):
        ReferenceEngine(one(neuron()), ["n"]).run(graded([0, 1]), 0, 1)


def test_unknown_populations_to_watch_are_named() -> None:
    with pytest.raises(ConfigError, match="no population 'm' to watch; there is in, n"):
        ReferenceEngine(one(neuron()), ["m"])


def test_two_inputs_are_refused() -> None:
    made = Network(
        (Population("x", (1,)), Population("y", (1,)), Population("n", (1,), neuron())),
        (Projection("x", "n", ()), Projection("y", "n", ())),
        ("x", "y"),
        ("n",),
    )
    with pytest.raises(Unsupported, match="exactly one input"):
        ReferenceEngine(made, ["n"])


def _random_network(seed: int) -> Network:
    """Conv, pool, dense, a loop and delays, all numbers dyadic: arithmetic without rounding."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> NDArray[np.float64]:
        return array(rng.integers(-8, 9, shape) / 8)

    return network(
        [
            Population("in", (2, 6, 5)),
            Population("a", (4, 3, 3), neuron(decay=0.75, threshold=1.0, reset="soft", fire=">")),
            Population("b", (7,), neuron(synapse_decay=0.5, threshold=1.25, v_reset=-0.5)),
        ],
        [
            Projection("in", "a", (Conv(weights(4, 1, 3, 2), (2, 2), (1, 1), (1, 1), 2),)),
            Projection("a", "b", (Pool((2, 2), (1, 1)), Dense(weights(7, 16))), bias=weights(7)),
            Projection("b", "b", (Dense(weights(7, 7)),), delay=1),
            Projection("b", "a", (Dense(weights(36, 7)), Scale(weights(36))), delay=2),
        ],
        semantics=Semantics(dt=DT),
    )


def _random_spikes(seed: int, steps: int) -> Records:
    rng = np.random.default_rng(seed)
    spikes = np.zeros(12 * steps, SPIKE)
    spikes["t"] = np.sort(rng.integers(0, steps * DT, len(spikes)))
    spikes["n"], spikes["v"] = rng.integers(0, 60, len(spikes)), 1
    return spikes


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("seed", range(4))
def test_a_network_of_everything_spikes_as_it_does_in_torch(seed: int, name: str) -> None:
    made, inputs, steps = _random_network(seed), _random_spikes(seed, 40), 40
    records = engine(name, made, ["a", "b"]).run(inputs, 0, steps)
    for population, spikes in _in_torch(made, inputs, steps).items():
        step, n = np.nonzero(spikes)
        assert len(step) > 10
        assert (records[population]["t"] // DT).tolist() == step.tolist()
        assert records[population]["n"].tolist() == n.tolist()


def _in_torch(made: Network, inputs: Records, steps: int) -> dict[str, NDArray[Any]]:
    """`_random_network` written out in torch."""
    functional = torch.nn.functional
    w = [
        [torch.tensor(getattr(o, "weight", getattr(o, "factor", 0))) for o in p.operators]
        for p in made.projections
    ]
    frames = torch.zeros(steps, 60, dtype=torch.float64)
    for record in inputs:
        frames[int(record["t"]) // DT, int(record["n"])] += 1
    bias = torch.tensor(made.projections[1].bias)
    va, vb = torch.zeros(36, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
    ib, b1, b2 = torch.zeros_like(vb), torch.zeros_like(vb), torch.zeros_like(vb)
    seen: dict[str, list[NDArray[Any]]] = {"a": [], "b": []}
    for frame in frames:
        forward = functional.conv2d(frame.view(1, 2, 6, 5), w[0][0], stride=2, padding=1, groups=2)
        va = 0.75 * va + forward.flatten() + w[3][1] * (w[3][0] @ b2)
        a = (va > 1.0).double()
        va = va - a
        pooled = functional.avg_pool2d(a.view(1, 4, 3, 3), 2, 1) * 4
        ib = 0.5 * ib + w[1][1] @ pooled.flatten() + bias + w[2][0] @ b1
        vb = vb + ib
        b = (vb >= 1.25).double()
        vb = torch.where(b > 0, -0.5, vb)
        b1, b2 = b, b1
        seen["a"].append(a.numpy())
        seen["b"].append(b.numpy())
    return {name: np.array(spikes) for name, spikes in seen.items()}

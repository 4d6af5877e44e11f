"""Gathering equals scattering: the same records, whatever the density, and which of the two is taken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.network import Conv, Dense, Network, Neuron, Operator, Pool, Population, Projection, Scale, neuron
from nrt.network.semantics import Semantics
from nrt.packet import SPIKE, Records
from nrt_sim.cpu.dense import Choice
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.reference import ReferenceEngine
from tests.unit.sim.networks import DT, seeds

STEPS = 4
densities = st.sampled_from([0.0, 0.02, 0.3, 0.7, 1.0])
WAYS: tuple[Choice, ...] = ("measured", "always", "never")


def _grid(random: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return np.round(random.normal(0.1, 0.7, shape) * 16) / 16


def _cell(random: np.random.Generator) -> Neuron:
    """A neuron of each kind that treats its input differently: lazy, dense, and one that does not fire."""
    return [
        neuron(decay=0.5, threshold=1.0, reset="hard"),
        neuron(decay=0.5, threshold=1.0, spikes="count", reset="soft", max_spikes=3),
        neuron(decay=0.5, spikes="none", reset="none", threshold=1.0),
    ][random.integers(0, 3)]


def _layered(seed: int) -> Network:
    """An input, a convolution (perhaps after a pool), and a matrix (perhaps after one), either perhaps late."""
    random = np.random.default_rng(seed)
    channels, height, width = (int(n) for n in random.integers((1, 2, 2), (5, 12, 12)))
    outputs = int(random.choice([16, 32, 48, 8]))
    kernel = [int(k) for k in random.integers(1, 4, 2)]
    conv = Conv(
        _grid(random, outputs, channels, *kernel),
        stride=(int(random.integers(1, 4)), int(random.integers(1, 4))),
        padding=(int(random.integers(0, 4)), int(random.integers(0, 4))),
        dilation=(int(random.integers(1, 3)), int(random.integers(1, 3))),
    )
    first: tuple[Operator, ...] = (conv,)
    if random.random() < 0.4 and min(height, width) > 3:
        first = (Pool((2, 2), (2, 2)), conv)
    if random.random() < 0.3:
        first = (Scale(np.asarray(0.5)), *first)
    middle: tuple[int, ...] = (channels, height, width)
    for operator in first:
        middle = operator.shape(middle)
    if min(middle) < 1:
        return _layered(seed + 1)
    second: tuple[Operator, ...] = ()
    arriving = middle
    if random.random() < 0.5 and min(middle[1:]) > 1:
        second = (Pool((2, 2), (2, 2)),)
        arriving = second[0].shape(middle)
    outs = int(random.choice([3, 16, 40, 130]))
    second = (*second, Dense(_grid(random, outs, int(np.prod(arriving)))))
    return Network(
        (
            Population("in", (channels, height, width)),
            Population("middle", middle, _cell(random)),
            Population("out", (outs,), _cell(random)),
        ),
        (
            Projection("in", "middle", first, int(random.integers(0, 3)) if random.random() < 0.3 else 0),
            Projection("middle", "out", second, int(random.integers(0, 3)) if random.random() < 0.3 else 0),
            Projection("out", "out", (Dense(_grid(random, outs, outs)),), 1),
        ),
        ("in",),
        ("out",),
        Semantics(dt=DT),
    )


def _spikes(network: Network, seed: int, density: float) -> Records:
    """In every step, each input with the probability `density`, with a payload of -1 … 3."""
    random = np.random.default_rng(seed)
    step, n = np.nonzero(random.random((STEPS, network.populations[0].size)) < density)
    records = np.zeros(len(step), SPIKE)
    records["t"], records["n"], records["v"] = step * DT, n, random.choice([-1, 1, 2, 3], len(step))
    return records


def _run(engine: CpuEngine | ReferenceEngine, spikes: Records) -> Mapping[str, Records]:
    return engine.run(spikes, 0, STEPS)


@given(seeds, densities)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_equal_the_reference_at_any_density_where_sums_are_exact(seed: int, density: float) -> None:
    network = _layered(seed)
    watched = ("in", "middle", "out", "middle.v", "out.v")
    spikes = _spikes(network, seed, density)
    reference = ReferenceEngine(network, watched)
    expected = _run(reference, spikes)
    for way in WAYS:
        engine = CpuEngine(network, watched, "float64", way)
        seen = _run(engine, spikes)
        for name in watched:
            np.testing.assert_array_equal(seen[name], expected[name], f"{way} {name}")
        assert engine.counters() == reference.counters()


@given(seeds)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_in_float32_membranes_of_both_ways_agree_to_rounding(seed: int) -> None:
    random = np.random.default_rng(seed)
    network = _layer((3, 9, 7), Conv(random.normal(0, 1, (32, 3, 3, 3)), padding=(1, 1)), threshold=1e9)
    spikes = _spikes(network, seed, 0.8)
    one, other = (CpuEngine(network, ("out.v",), dense=way).run(spikes, 0, STEPS) for way in WAYS[1:])
    np.testing.assert_allclose(one["out.v"]["v"], other["out.v"]["v"], 1e-4, 1e-4)


def _layer(shape: tuple[int, int, int], *operators: Operator, threshold: float = 1.0) -> Network:
    """An input and one layer, whose neurons are lazy."""
    arriving: tuple[int, ...] = shape
    for operator in operators:
        arriving = operator.shape(arriving)
    cell = neuron(decay=0.5, threshold=threshold)
    return Network(
        (Population("in", shape), Population("out", arriving, cell)),
        (Projection("in", "out", operators),),
        ("in",),
        ("out",),
        Semantics(dt=DT),
    )


def _gathered(network: Network, density: float, way: Choice) -> int:
    """Steps of STEPS in which the only projection was gathered."""
    engine = CpuEngine(network, (), dense=way)
    _run(engine, _spikes(network, 0, density))
    return sum(engine.dense_steps.values())


CONV = Conv(np.ones((32, 8, 3, 3)), padding=(1, 1))


def test_a_convolution_is_scattered_for_few_spikes_and_gathered_for_many() -> None:
    network = _layer((8, 16, 16), CONV)
    assert _gathered(network, 0.05, "measured") == 0
    assert _gathered(network, 1.0, "measured") == STEPS
    assert _gathered(network, 0.05, "always") == STEPS
    assert _gathered(network, 1.0, "never") == 0


def test_a_matrix_is_gathered_only_where_neurons_share_rows_of_it() -> None:
    assert _gathered(_layer((8, 8, 8), Dense(np.ones((16, 512)))), 1.0, "measured") == 0
    pooled = _layer((8, 8, 8), Pool((2, 2), (2, 2)), Dense(np.ones((16, 128))))
    assert _gathered(pooled, 1.0, "measured") == STEPS


def test_steps_without_spikes_are_never_gathered() -> None:
    assert _gathered(_layer((8, 16, 16), CONV), 0.0, "always") == 0


@pytest.mark.parametrize(
    "operator",
    [
        Conv(np.ones((12, 8, 3, 3))),
        Conv(np.ones((32, 4, 3, 3)), groups=2),
        Conv(np.full((32, 8, 3, 3), np.inf)),
        Scale(np.asarray(2.0)),
    ],
    ids=["channels", "groups", "infinite", "pairs"],
)
def test_what_cannot_be_gathered_is_scattered_at_any_density(operator: Operator) -> None:
    assert _gathered(_layer((8, 16, 16), operator), 1.0, "always") == 0


def test_the_count_of_dense_steps_begins_anew_at_a_reset() -> None:
    network = _layer((8, 16, 16), CONV)
    engine = CpuEngine(network, ())
    _run(engine, _spikes(network, 0, 1.0))
    assert engine.dense_steps == {"in → out": STEPS}
    engine.reset()
    assert engine.dense_steps == {"in → out": 0}

"""Networks as tinyODIN's integers: what is exact, what it costs, what cannot be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.errors import DoesNotFit, Unsupported
from nrt.network import Dense, Encoding, Network, Neuron, Population, Projection, Semantics, neuron
from nrt.network.operators import Conv, Pool, array
from nrt.testing.stimulus import small
from nrt_drivers.tinyodin.chip import NEURON, PAIR, UNITS
from nrt_drivers.tinyodin.lower import lower
from nrt_drivers.tinyodin.quantise import Layer, fit


def single(
    weight: NDArray[np.float64], cell: Neuron, *, delay: int = 0, bias: NDArray[np.float64] | None = None
) -> Network:
    """Inputs straight into one population."""
    outputs, inputs = weight.shape
    return Network(
        (Population("input", (1, 1, inputs)), Population("cells", (outputs,), cell)),
        (Projection("input", "cells", (Dense(array(weight)),), delay, bias),),
        ("input",),
        ("cells",),
        Semantics(),
        Encoding(polarity="merge"),
    )


def layer(weights: object, threshold: float = 10.0, leak: float = 0.0, *, fires_at: bool = True) -> Layer:
    w = np.atleast_2d(np.asarray(weights, np.float64))
    one = np.ones(len(w))
    return Layer("x", w, threshold * one, leak * one, 0 * one, fires_at)


# ----------------------------------------------------------------------------------------------------- quantising


@given(
    st.lists(st.integers(-8, 7), min_size=1, max_size=20).filter(any),
    st.integers(1, 200),
    st.integers(0, 100),
    st.sampled_from([1.0, 0.25, 0.1, 1 / 3, 7.7, 1e-4, 1e5]),
    st.booleans(),
)
def test_what_the_chip_can_represent_is_represented_exactly(
    weights: list[int], threshold: int, leak: int, unit: float, fires_at: bool
) -> None:
    """In whatever unit the network is written: the membrane is the same number of the chip's units."""
    fitted = fit(layer(np.array(weights) * unit, threshold * unit, leak * unit, fires_at=fires_at))
    ratio = fitted.scale[0] * unit
    assert (fitted.error, fitted.leak_error) == (0.0, 0.0)
    assert fitted.weights[0] == pytest.approx(np.array(weights) * ratio)
    assert fitted.leak[0] == pytest.approx(leak * ratio)
    assert fitted.threshold[0] == next(m for m in range(1, 2048) if _fires(m, ratio, threshold, fires_at))


def _fires(membrane: int, ratio: float, threshold: int, fires_at: bool) -> bool:
    v = membrane / ratio
    if abs(v - threshold) < 1e-6:
        return fires_at
    return v > threshold


@given(
    st.lists(st.floats(-5, 5, allow_nan=False), min_size=2, max_size=40).filter(
        lambda w: max(map(abs, w)) > 1e-3
    ),
    st.floats(0.5, 100),
    st.floats(0, 1),
)
def test_errors_are_as_stated_and_everything_fits_the_memories(
    weights: list[float], threshold: float, leak: float
) -> None:
    fitted = fit(layer(weights, threshold, leak))
    assert int(fitted.weights.min()) >= -8
    assert int(fitted.weights.max()) <= 7
    assert 1 <= int(fitted.threshold[0]) <= 2047
    assert 0 <= int(fitted.leak[0]) <= 127
    off = np.abs(fitted.weights[0] / fitted.scale[0] - np.array(weights)).max()
    assert off == pytest.approx(fitted.error, abs=1e-6)
    best = max(map(abs, weights)) / 7 / 2  # rounding at the plainest scale, largest weight to 7
    assert np.sqrt(np.mean((fitted.weights[0] / fitted.scale[0] - weights) ** 2)) <= best * 1.0001 or leak


def test_each_neuron_has_the_scale_that_suits_it() -> None:
    fitted = fit(layer([[0.1, 0.2, 0.7], [100.0, -800.0, 0.0]], 5.0))
    assert fitted.weights.tolist() == [[1, 2, 7], [1, -8, 0]]
    assert fitted.error == 0.0


def test_small_weights_beside_a_large_one_are_reported_when_they_vanish() -> None:
    fitted = fit(layer([[0.01, 0.02, 7.0], [0.001, -1.0, 0.0]], 5.0))
    assert fitted.vanished == 3
    assert fitted.silenced == 1
    assert "rounded to 0" in str(fitted)
    assert "can no longer fire" in str(fitted)


# ----------------------------------------------------------------------------------------------------- memories


def test_neurons_come_first_then_inputs_then_the_unit_for_biases() -> None:
    network = single(np.eye(3, 5), neuron(threshold=4.0), bias=array(np.array([1.0, 0.0, -1.0])))
    program = lower(network)
    assert program.first == {"cells": 0, "input": 3}
    assert (program.bias, program.last, program.sources) == (8, 2, 9)
    assert program.weights[3:8, :3].tolist() == np.eye(5, 3).tolist()
    assert program.weights[8, :3].tolist() == [1, 0, -1]
    assert not program.loop
    fields = NEURON.unpack(program.neurons[:4].astype(np.uint32))
    assert fields["thr"].tolist() == [4, 4, 4, 2047]
    assert fields["neur_disable"].tolist() == [0, 0, 0, 1]


def test_the_bytes_of_the_synapse_memory_hold_two_neurons_each() -> None:
    program = lower(single(np.array([[3.0], [-2.0], [7.0]]), neuron(threshold=9.0)))
    pairs = PAIR.unpack(program.pairs[3].astype(np.uint8))
    expected = program.layers[0].weights[:, 3].tolist()
    assert expected == [3, -2, 7]
    assert [int(pairs["even"][0]), int(pairs["odd"][0]), int(pairs["even"][1])] == expected
    assert int(pairs["odd"][1]) == 0


def test_a_convolution_and_a_pool_become_synapses() -> None:
    kernel = array(np.arange(1.0, 5.0).reshape(1, 1, 2, 2))
    network = Network(
        (Population("input", (1, 4, 4)), Population("cells", (1, 3, 3), neuron(threshold=9.0))),
        (Projection("input", "cells", (Conv(kernel),)),),
        ("input",),
        ("cells",),
        Semantics(),
        Encoding(polarity="merge"),
    )
    program = lower(network)
    into = program.weights[9:25, 4].reshape(4, 4)  # of the middle neuron
    assert into.tolist() == [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]
    pooled = dataclasses.replace(
        network,
        populations=(network.populations[0], Population("cells", (1, 2, 2), neuron(threshold=9.0))),
        projections=(Projection("input", "cells", (Pool((2, 2), (2, 2)),)),),
    )
    assert lower(pooled).weights[4:20, 0].reshape(4, 4).tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0] * 4,
        [0] * 4,
    ]


def test_layers_and_loops_close_the_chips_loop_and_their_delays_are_named() -> None:
    program = lower(small())
    assert program.loop
    network = small()
    (dense,) = network.projections[1].operators
    assert isinstance(dense, Dense)
    assert program.weights[:6, 6:10].T.tolist() == dense.weight.tolist()
    looped = dataclasses.replace(
        network,
        projections=(
            *network.projections,
            Projection("output", "output", (Dense(array(np.eye(4))),), delay=1),
        ),
    )
    assert any("output → output: acts within the step" in note for note in lower(looped).notes)


def test_a_constant_drain_above_zero_is_the_chips_leak_exactly() -> None:
    cell = neuron(threshold=10.0, drive=-2.0, v_min=0.0)
    program = lower(single(np.array([[3.0, 7.0]]), cell))
    fields = NEURON.unpack(program.neurons[:1].astype(np.uint32))
    assert (int(fields["leak_str"][0]), int(fields["thr"][0])) == (2, 12)
    assert str(program.layers[0]) == "exact"
    assert program.bias == -1


def test_an_exponential_leak_becomes_constant_with_its_error_stated_or_is_refused() -> None:
    network = single(np.array([[3.0, 7.0]]), neuron(threshold=40.0, decay=0.9))
    program = lower(network)
    assert int(NEURON.unpack(program.neurons[:1].astype(np.uint32))["leak_str"][0]) == 2
    assert any("off by up to 5.00% of the threshold" in note for note in program.notes)
    assert not any(layer.leak.any() for layer in lower(network, "none").layers)
    with pytest.raises(Unsupported, match="decays, and leak=refuse"):
        lower(network, "refuse")


def test_the_placement_says_where_everything_went_and_what_it_cost() -> None:
    text = str(lower(single(np.array([[0.3, 0.71]]), neuron(threshold=1.0))).placement("tinyodin+emu:"))
    assert "addresses 1 to 2" in text
    assert "weights off by at most" in text
    assert "one after the other" in text


# ----------------------------------------------------------------------------------------------------- limits


def test_every_limit_that_is_exceeded_is_named_at_once() -> None:
    weights = np.zeros((200, 100))
    weights[:, 0] = 1e-4
    with pytest.raises(DoesNotFit) as caught:
        lower(single(weights, neuron(threshold=1.0, drive=-0.5, v_min=0.0)))
    found = {(v.layer, v.limit): (v.need, v.have) for v in caught.value.violations}
    assert found["network", "addresses"] == (300, 256)
    threshold, leak = (
        found["cells", f"{what} in units of its largest weight"] for what in ("threshold", "leak")
    )
    assert threshold == pytest.approx((15_000, 2047))
    assert leak == pytest.approx((5_000, 127))
    assert all(v.hint for v in caught.value.violations)


def test_exactly_all_addresses_fit_and_one_more_does_not() -> None:
    assert lower(single(np.ones((56, 200)), neuron(threshold=4.0))).sources == UNITS
    with pytest.raises(DoesNotFit, match="needs 257, the device has 256"):
        lower(single(np.ones((56, 201)), neuron(threshold=4.0)))


def test_a_network_that_is_far_too_large_is_refused_before_its_matrices_are_made() -> None:
    network = Network(
        (Population("input", (1, 4096, 4096)), Population("cells", (1, 4096, 4096), neuron())),
        (Projection("input", "cells", (Pool((1, 1), (1, 1)),)),),
        ("input",),
        ("cells",),
    )
    with pytest.raises(DoesNotFit, match="addresses"):
        lower(network)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (neuron(synapse_decay=0.5), "synaptic current"),
        (neuron(spikes="none", reset="none"), "membrane that is its output"),
        (neuron(spikes="count"), "'count' spikes"),
        (neuron(reset="soft"), "resets to zero"),
        (neuron(v_reset=0.5), "v_reset"),
        (neuron(timing="delayed"), "timing"),
        (neuron(threshold=0.0), "not positive"),
        (neuron(decay=1.5), "decay above 1"),
    ],
)
def test_neurons_that_the_chip_has_not_are_refused_with_the_reason(cell: Neuron, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason) as caught:
        lower(single(np.ones((2, 2)), cell))
    assert caught.value.node == "cells"


def test_delays_are_refused() -> None:
    with pytest.raises(Unsupported, match="no delays"):
        lower(single(np.ones((2, 2)), neuron(), delay=3))

"""Networks as layers: what a core would compute for one event is what the network computes for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.errors import Unsupported
from nrt.network import Network
from nrt.network.network import Population, Projection
from nrt.network.neuron import Neuron, neuron
from nrt.network.operators import Conv, Dense, Operator, Pool, Scale, array
from nrt_drivers.speck.chip import Layer
from nrt_drivers.speck.lower import Lowered, lower
from tests.unit.drivers.speck_networks import chain, conv, dense, fire


def synapses(layer: Layer, feature: int, y: int, x: int) -> NDArray[np.int64]:
    """What one event at (feature, y, x) adds to every neuron of a layer, by the chip's address arithmetic: the
    neuron at (fy, fx) sees it through the weight at (y + py - sy·fy, x + px - sx·fx)."""
    added = np.zeros(layer.outputs, np.int64)
    size = layer.kernel.shape[2]
    for fy in range(layer.outputs[1]):
        for fx in range(layer.outputs[2]):
            ky = y + layer.padding[0] - layer.stride[0] * fy
            kx = x + layer.padding[1] - layer.stride[1] * fx
            if 0 <= ky < size and 0 <= kx < size:
                added[:, fy, fx] = layer.kernel[:, feature, ky, kx]
    return added


def whole(shape: tuple[int, ...], seed: int) -> NDArray[np.float64]:
    return array(np.random.default_rng(seed).integers(-128, 128, shape))


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, int, int], tuple[Operator, ...]]:
    seed = draw(st.integers(0, 2**16))
    channels, height, width = draw(st.sampled_from([2, 4])), draw(st.integers(3, 9)), draw(st.integers(3, 9))
    operators: list[Operator] = []
    shape = (channels, height, width)
    if draw(st.booleans()):
        height, width = 2 * draw(st.integers(2, 4)), 2 * draw(st.integers(2, 4))
        shape = (channels, height, width)
        operators.append(Pool((2, 2), (2, 2)))
        height, width = height // 2, width // 2
    if draw(st.booleans()):
        outputs = draw(st.integers(1, 4))
        operators.append(Dense(whole((outputs, channels * height * width), seed)))
    else:
        groups = draw(st.sampled_from([1, 2]))
        size = draw(st.sampled_from([(1, 1), (3, 3), (2, 2), (3, 1), (1, 3)]))
        weight = whole((2 * groups, channels // groups, *size), seed)
        operators.append(
            Conv(
                weight,
                stride=(draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2]))),
                padding=(draw(st.integers(0, 2)), draw(st.integers(0, 2))),
                dilation=draw(st.sampled_from([(1, 1), (2, 2)])),
                groups=groups,
            )
        )
    return shape, tuple(operators)


@settings(max_examples=150)
@given(chains())
def test_one_event_adds_what_the_networks_operators_say(
    case: tuple[tuple[int, int, int], tuple[Operator, ...]],
) -> None:
    shape, operators = case
    out: tuple[int, ...] = shape
    for operator in operators:
        out = operator.shape(out)
    if 0 in out:
        return
    lowered = lower(chain(shape, ("layer", operators, fire(128.0))))
    (layer,) = lowered.layers
    if lowered.violations:
        assert all("square" in v.hint for v in lowered.violations)
        return
    (entry,) = lowered.entries
    for feature in range(shape[0]):
        for y, x in ((0, 0), (shape[1] - 1, 0), (shape[1] // 2, shape[2] - 1)):
            value = np.zeros(shape)
            value[feature, y, x] = 1
            for operator in lowered.network.projections[0].operators:
                value = operator.apply(value)
            added = synapses(layer, feature, y // entry.pooling, x // entry.pooling)
            assert np.array_equal(added.reshape(value.shape), value)


def test_two_projections_into_one_population_become_one_kernel_side_by_side() -> None:
    network = Network(
        (
            Population("input", (2, 8, 8)),
            Population("a", (3, 8, 8), fire()),
            Population("b", (4, 8, 8), fire()),
            Population("sum", (5, 8, 8), fire()),
        ),
        (
            Projection("input", "a", (conv(3, 2, padding=1),)),
            Projection("input", "b", (conv(4, 2, padding=1),)),
            Projection("a", "sum", (conv(5, 3, weight=0.5, padding=1),)),
            Projection("b", "sum", (conv(5, 4, weight=-1.0, padding=1),)),
        ),
        ("input",),
        ("sum",),
    )
    lowered = lower(network)
    a, b, total = lowered.layers
    assert total.inputs == (7, 8, 8)
    assert (a.links[0].shift, b.links[0].shift) == (0, 3)
    assert np.all(total.kernel[:, :3] > 0)
    assert np.all(total.kernel[:, 3:] < 0)
    assert [link.target for link in lowered.entries] == ["a", "b"]


def one(cells: Neuron) -> Network:
    return chain((1, 4, 4), ("cells", [conv(2, 1, padding=1)], cells))


def lowered_layer(cells: Neuron) -> Layer:
    return lower(one(cells)).layers[0]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (neuron(decay=0.9), "leak=none"),
        (neuron(decay=0.9), "leak=linear"),
        (neuron(synapse_decay=0.5), "CubaLIF"),
        (neuron(spikes="none"), "does not fire"),
        (neuron(spikes="signed"), "signed"),
        (neuron(spikes="graded", reset="soft"), "graded"),
        (neuron(reset="none"), "does not reset"),
        (neuron(v_reset=0.5), "resets to 0"),
        (neuron(threshold=np.linspace(1, 2, 32).reshape(2, 4, 4)), "neuron to neuron"),
        (neuron(threshold=-1.0), "above 0"),
        (neuron(gain=np.linspace(1, 2, 32).reshape(2, 4, 4)), "one number per layer"),
    ],
)
def test_neurons_that_no_core_has_are_refused_with_the_way_out(cells: Neuron, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason) as caught:
        lower(one(cells))
    assert "cells" in caught.value.node


def test_recurrence_is_refused_and_delays_forward_are_dropped_with_a_note() -> None:
    network = one(fire())
    loop = Projection("cells", "cells", (conv(2, 2, padding=1),), delay=1)
    with pytest.raises(Unsupported, match="recurrent"):
        lower(dataclasses.replace(network, projections=(*network.projections, loop)))
    slow = dataclasses.replace(network.projections[0], delay=3)
    assert "3 step(s)" in " ".join(lower(dataclasses.replace(network, projections=(slow,))).notes)


@pytest.mark.parametrize(
    "operators",
    [
        [conv(2, 1), conv(2, 2)],
        [conv(2, 1), Pool((2, 2), (2, 2))],
        [Pool((2, 1), (2, 1)), conv(2, 1)],
        [Pool((2, 2), (1, 1)), conv(2, 1)],
        [Scale(array(np.arange(64).reshape(1, 8, 8))), conv(2, 1)],
    ],
)
def test_chains_that_one_core_cannot_do_are_refused(operators: list[Operator]) -> None:
    with pytest.raises(Unsupported):
        lower(chain((1, 8, 8), ("cells", operators, fire())))


def test_pools_multiply_and_average_pools_put_their_share_into_the_weights() -> None:
    pools: list[Operator] = [
        Pool((2, 2), (2, 2), kind="average"),
        Pool((2, 2), (2, 2), kind="sum"),
        dense(3, 4, weight=2.0),
    ]
    lowered = lower(chain((1, 8, 8), ("cells", pools, fire())))
    assert lowered.entries[0].pooling == 4
    (layer,) = lowered.layers
    assert layer.threshold / layer.kernel[0, 0, 0, 0] == pytest.approx(2.0, abs=0.02)


def test_a_layer_without_weights_copies_each_feature() -> None:
    (layer,) = lower(chain((3, 8, 8), ("cells", [Pool((2, 2), (2, 2))], fire()))).layers
    assert np.array_equal(layer.kernel[:, :, 0, 0] > 0, np.eye(3, dtype=bool))


def test_the_chip_fires_at_the_threshold_and_a_network_that_fires_above_it_needs_one_more() -> None:
    at = lowered_layer(neuron(threshold=2.0, fire=">="))
    above = lowered_layer(neuron(threshold=2.0, fire=">"))
    assert above.threshold == at.threshold + 1


def test_resets_bounds_and_starts_are_the_neurons() -> None:
    hard = lowered_layer(neuron(threshold=1.0, v_min=-0.5, v0=0.25))
    assert hard.to_zero
    assert hard.floor / hard.threshold == pytest.approx(-0.5, abs=0.02)
    assert hard.initial / hard.threshold == pytest.approx(0.25, abs=0.02)
    soft = lowered_layer(neuron(threshold=1.0, reset="soft"))
    assert not soft.to_zero
    assert soft.floor == -32_768


def test_a_lower_bound_of_zero_becomes_minus_one_because_of_the_erratum() -> None:
    lowered = lower(one(neuron(v_min=0.0)))
    assert lowered.layers[0].floor == -1
    assert any("erratum" in note for note in lowered.notes)


def driven(bias: float, tick: int = 0) -> Lowered:
    return lower(
        chain((1, 4, 4), ("cells", [conv(2, 1, padding=1)], fire()), bias={"cells": bias}), tick=tick
    )


def test_biases_act_at_the_slow_clock_once_per_time_step_unless_told_otherwise() -> None:
    assert lower(one(fire())).tick == 0
    step, slow = driven(0.5), driven(0.5, tick=10_000)
    assert (step.tick, slow.tick) == (1_000, 10_000)
    for lowered, expected in ((step, 0.5), (slow, 5.0)):
        (layer,) = lowered.layers
        assert layer.bias is not None
        assert layer.bias / layer.threshold == pytest.approx(expected, abs=0.02)
        assert any("slow clock" in note for note in lowered.notes)


def test_a_bias_that_differs_within_a_feature_is_refused() -> None:
    network = one(fire())
    bias = array(np.arange(32).reshape(2, 4, 4))
    projection = dataclasses.replace(network.projections[0], bias=bias)
    with pytest.raises(Unsupported, match="each feature"):
        lower(dataclasses.replace(network, projections=(projection,)))


def test_asked_for_a_leak_is_left_out_or_made_linear_and_the_placement_says_so() -> None:
    network = one(neuron(decay=0.9))
    without, linear = lower(network, leak="none"), lower(network, leak="linear")
    assert without.layers[0].bias is None
    assert without.layers[0].floor == -without.layers[0].threshold
    (layer,) = linear.layers
    assert layer.bias is not None
    assert np.all(layer.bias < 0)
    assert layer.floor == -layer.threshold
    for lowered in (without, linear):
        assert any(note.startswith("asked for: cells") for note in lowered.notes)

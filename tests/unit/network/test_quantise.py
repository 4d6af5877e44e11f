"""Quantisers: what they keep exactly, what they lose, and that they say so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nrt.errors import Unsupported
from nrt.network import Network
from nrt.network.encoding import Encoding
from nrt.network.network import Population, Projection
from nrt.network.neuron import Neuron, neuron
from nrt.network.operators import Conv, Dense, Operator, Pool, Scale, array
from nrt.network.quantise import at_tick, folded, in_units, integers, leaky, linear_leak, without_leak
from nrt.network.rounding import Widths
from nrt.network.semantics import Semantics
from nrt.packet import SPIKE
from nrt_sim.reference import ReferenceEngine


def layer(weight: object, cells: Neuron, bias: object = None) -> Network:
    """One dense layer."""
    matrix = np.atleast_2d(np.asarray(weight, np.float64))
    return Network(
        (Population("input", (matrix.shape[1],)), Population("cells", (matrix.shape[0],), cells)),
        (
            Projection(
                "input",
                "cells",
                (Dense(array(matrix)),),
                bias=None if bias is None else array(np.asarray(bias)),
            ),
        ),
        ("input",),
        ("cells",),
        Semantics(),
        Encoding(polarity="merge"),
    )


def weights(network: Network, index: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    operator = network.projections[index].operators[-1]
    assert isinstance(operator, Dense | Conv)
    return operator.weight


def cells(network: Network) -> Neuron:
    found = network["cells"].neuron
    assert found is not None
    return found


def test_the_scale_is_that_of_the_vendors_formula() -> None:
    """sinabs, discretize.py: 127 / largest where the positive side is the wider one, -128 / least otherwise."""
    assert integers(layer([0.5123, -0.3077], neuron())).layers[0].scale == pytest.approx(127 / 0.5123)
    assert integers(layer([0.5123, -0.9077], neuron())).layers[0].scale == pytest.approx(128 / 0.9077)
    assert integers(layer([0.0012345], neuron(threshold=1.0))).layers[0].scale == pytest.approx(32_767.0)


@given(
    arrays(np.float64, (4, 6), elements=st.floats(-3, 3)),
    st.floats(0.01, 10),
    st.sampled_from(["hard", "soft"]),
    st.sampled_from([">", ">="]),
)
def test_everything_is_whole_fits_its_bits_and_is_off_by_half_a_unit_at_most(
    matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]], threshold: float, reset: str, fire: str
) -> None:
    made = neuron(threshold=threshold, v0=threshold / 3)
    made = dataclasses.replace(made, reset=reset, fire=fire)  # type: ignore[arg-type]  # drawn from their values
    quantised = integers(layer(matrix, made))
    whole, after = weights(quantised.network), cells(quantised.network)
    (rounding,) = quantised.layers
    assert np.array_equal(whole, np.round(whole))
    assert whole.min() >= -128
    assert whole.max() <= 127
    assert 1 <= float(after.threshold) <= 32_767
    assert after.fire == ">="
    assert rounding.weight_max <= 0.5 / rounding.scale * (1 + 1e-9)
    assert np.abs(whole / rounding.scale - matrix).max() == pytest.approx(rounding.weight_max)


@given(arrays(np.int64, (4, 6), elements=st.integers(-128, 127)), st.integers(1, 32_767))
def test_what_is_whole_and_fits_loses_nothing(
    matrix: np.ndarray[tuple[int, ...], np.dtype[np.int64]], threshold: int
) -> None:
    (rounding,) = integers(layer(matrix * 0.25, neuron(threshold=threshold * 0.25))).layers
    assert rounding.weight_max < 1e-12 * max(1, abs(matrix).max())
    assert rounding.threshold < 1e-12


def test_the_first_whole_number_above_a_threshold_fires_where_the_float_one_did() -> None:
    matrix = [1.0, 0.0113]  # scale 127: no whole multiples of anything that fits
    for fire, expected in ((">=", 127), (">", 128)):
        made = dataclasses.replace(neuron(threshold=1.0), fire=fire)  # type: ignore[arg-type]
        assert float(cells(integers(layer(matrix, made)).network).threshold) == expected


def test_a_layer_that_rounding_silences_is_named() -> None:
    all_lost = integers(layer([1e-6, -1e-6], neuron(threshold=1.0))).layers[0]
    assert any("silenced: every weight" in w for w in all_lost.warnings)
    positive_lost = integers(layer([1e-6, -1.0], neuron(threshold=1.0))).layers[0]
    assert any("every positive weight" in w for w in positive_lost.warnings)
    most_lost = integers(layer([1e-6, 1e-6, 1e-6, 1.0], neuron(threshold=1.0))).layers[0]
    assert any("3 of 4 weights round to 0" in w for w in most_lost.warnings)
    assert integers(layer([0.5, 1.0], neuron(threshold=1.0))).layers[0].warnings == ()


def test_a_threshold_that_leaves_no_room_above_it_saturates_and_leaves_weight_bits_unused() -> None:
    (rounding,) = integers(layer([0.004, 0.0037], neuron(threshold=1000.0))).layers
    assert rounding.unused == 7
    (near,) = integers(layer([100.0, 33.3], neuron(threshold=32_767.0))).layers
    assert any("saturates" in w for w in near.warnings)


def test_a_weight_of_more_than_twice_the_threshold_is_pointed_out_where_the_reset_subtracts() -> None:
    soft = integers(layer([2.5, 0.1], neuron(threshold=1.0, reset="soft"))).layers[0]
    assert any("twice the threshold" in w for w in soft.warnings)
    assert not integers(layer([2.5, 0.1], neuron(threshold=1.0))).layers[0].warnings


def test_a_bias_that_rounds_to_nothing_is_pointed_out_and_a_slower_tick_saves_it() -> None:
    network = folded(layer([1.0, 0.31], neuron(), bias=[0.001]))
    assert any("slower clock" in w for w in integers(network).layers[0].warnings)
    assert not integers(at_tick(network, 100_000)).layers[0].warnings


def test_other_widths_are_other_bounds() -> None:
    quantised = integers(layer([0.5123, -0.3077], neuron()), Widths(weight=4, state=12))
    assert weights(quantised.network).tolist() == [[7.0, -4.0]]


@pytest.mark.parametrize(("width", "weight", "unused"), [(8, 120, 0), (12, 250, 3), (16, 250, 7)])
def test_bits_that_a_large_threshold_leaves_unused_are_counted_at_any_width(
    width: int, weight: int, unused: int
) -> None:
    """32767 / 130.3 is 251, and 250 the next of which 130.3 times is whole: eight bits besides the sign."""
    quantised = integers(layer([1.0], neuron(threshold=130.3)), Widths(weight=width, state=16))
    assert weights(quantised.network).tolist() == [[weight]]
    assert quantised.layers[0].unused == unused


def pooled(kind: str) -> Network:
    operators: tuple[Operator, ...] = (
        Pool((2, 2), (2, 2), kind=kind),  # type: ignore[arg-type]
        Scale(array(np.asarray(0.5))),
        Dense(array(np.random.default_rng(1).normal(size=(3, 8)))),
    )
    return Network(
        (
            Population("input", (2, 4, 4)),
            Population("cells", (3,), neuron(gain=2.0, threshold=0.8, drive=0.05)),
        ),
        (Projection("input", "cells", operators, bias=array(np.asarray([0.1, 0.2, -0.1]))),),
        ("input",),
        ("cells",),
    )


@pytest.mark.parametrize("kind", ["sum", "average"])
def test_folding_changes_no_spike(kind: str) -> None:
    network = pooled(kind)
    inputs = np.zeros(400, SPIKE)
    inputs["t"] = np.sort(np.random.default_rng(2).integers(0, 100_000, 400))
    inputs["n"] = np.random.default_rng(3).integers(0, 32, 400)
    inputs["v"] = 1
    before, after = (
        ReferenceEngine(each, ("cells",)).run(inputs, 0, 100)["cells"] for each in (network, folded(network))
    )
    assert len(before) > 50
    assert np.array_equal(before, after)
    assert all(not isinstance(o, Scale) for p in folded(network).projections for o in p.operators)
    assert folded(network).projections[0].bias is None


def test_without_its_leak_a_neuron_keeps_what_it_got_but_not_below_minus_its_threshold() -> None:
    network = layer([1.0], neuron(decay=0.9, threshold=2.0, drive=0.3))
    assert leaky(network) == ("cells",)
    after = cells(without_leak(network))
    assert (float(after.decay), float(after.drive)) == (1.0, 0.0)
    assert after.v_min is not None
    assert float(after.v_min) == -2.0
    assert leaky(without_leak(network)) == ()


def test_a_linear_leak_takes_what_the_exponential_one_takes_of_half_the_threshold() -> None:
    network = layer([1.0], neuron(decay=0.9, threshold=2.0))
    after = cells(linear_leak(network))
    exponential_loss_at_half = 1.0 - 0.9 * 1.0
    assert float(after.drive) == pytest.approx(-exponential_loss_at_half)


def test_a_tick_cannot_be_changed_while_a_decay_depends_on_it() -> None:
    with pytest.raises(Unsupported, match="decay"):
        at_tick(layer([1.0], neuron(decay=0.9)), 100)


def ran(network: Network, count: int = 600) -> object:
    """The spikes of `cells` for random input, with several spikes of a neuron in one step."""
    random = np.random.default_rng(5)
    inputs = np.zeros(count, SPIKE)
    inputs["t"] = np.sort(random.integers(0, 100_000, count))
    inputs["n"] = random.integers(0, network["input"].size, count)
    inputs["v"] = 1
    return ReferenceEngine(network, ("cells",)).run(inputs, 0, 100)["cells"].tolist()


@pytest.mark.parametrize("kind", ["sum", "average"])
def test_a_pool_without_weights_gets_its_scale_too(kind: str) -> None:
    """Thresholds times 127 beside a weight that stayed 1 would silence the layer."""
    pool = Pool((2, 2), (2, 2), kind=kind)  # type: ignore[arg-type]
    network = Network(
        (Population("input", (1, 4, 4)), Population("cells", (1, 2, 2), neuron(threshold=1.0))),
        (Projection("input", "cells", (pool,)),),
        ("input",),
        ("cells",),
    )
    whole = integers(folded(network)).network
    assert ran(whole)
    assert ran(whole) == ran(network)


def test_in_units_of_the_whole_network_the_spikes_stay_the_same() -> None:
    """Powers of two scale floats exactly, so that not even a tie is decided otherwise."""
    matrix = np.random.default_rng(1).normal(size=(6, 8))
    network = layer(matrix, neuron(decay=0.9, drive=0.01, threshold=0.7, v_min=-0.5), np.full(6, 0.02))
    assert ran(network)
    assert ran(in_units(network, {"cells": 64.0})) == ran(network)


def test_two_maps_with_weights_in_a_row_are_refused_since_they_have_one_scale() -> None:
    first, second = (Dense(array(np.eye(2) * 0.3)) for _ in range(2))
    network = Network(
        (Population("input", (2,)), Population("cells", (2,), neuron())),
        (Projection("input", "cells", (first, second)),),
        ("input",),
        ("cells",),
    )
    with pytest.raises(Unsupported, match="input → cells: two maps with weights"):
        integers(network)

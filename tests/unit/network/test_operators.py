from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.errors import ConfigError
from nrt.network.operators import Conv, Dense, Operator, Pool, Scale, array, fan


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, int, int]]:
    """A convolution and a shape that it can take."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups, per_in, per_out = (draw(st.integers(1, 2)) for _ in range(3))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    height, width = (dilation[k] * (kernel[k] - 1) + 1 + draw(st.integers(0, 5)) for k in (0, 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weight = array(rng.integers(-8, 9, (groups * per_out, per_in, *kernel)).astype(np.float64))
    return Conv(weight, stride, padding, dilation, groups), (groups * per_in, height, width)


@settings(max_examples=80, deadline=None)
@given(convolutions(), st.integers(0, 2**32))
def test_a_convolution_is_torchs(made: tuple[Conv, tuple[int, int, int]], seed: int) -> None:
    conv, shape = made
    x = np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)
    expected = torch.nn.functional.conv2d(
        torch.tensor(x)[None],
        torch.tensor(conv.weight),
        None,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
    )[0]
    np.testing.assert_array_equal(conv.apply(array(x)), expected.numpy())
    assert conv.shape(shape) == tuple(expected.shape)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(0, 2**32),
)
def test_an_average_pool_counts_its_padding_as_torch_does(
    kernel: tuple[int, int], stride: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    padding = (int(rng.integers(kernel[0] // 2 + 1)), int(rng.integers(kernel[1] // 2 + 1)))
    x = rng.integers(0, 9, (2, 6, 7)).astype(np.float64)
    pool = Pool(kernel, stride, padding, "average")
    expected = torch.nn.functional.avg_pool2d(torch.tensor(x), kernel, stride, padding)
    np.testing.assert_allclose(pool.apply(array(x)), expected.numpy(), rtol=1e-14)
    summed = Pool(kernel, stride, padding, "sum").apply(array(x))
    np.testing.assert_allclose(summed, expected.numpy() * kernel[0] * kernel[1], rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_the_fan_of_a_convolution_is_the_number_of_outputs_that_a_spike_changes(
    made: tuple[Conv, tuple[int, int, int]],
) -> None:
    conv, shape = made
    ones = Conv(array(np.ones_like(conv.weight)), conv.stride, conv.padding, conv.dilation, conv.groups)
    assert fan([conv], shape).tolist() == _reached([ones], shape).tolist()


def test_the_fan_of_a_chain_multiplies_and_stops_at_zeros() -> None:
    mask = np.ones((1, 4, 4))
    mask[0, 0, 0] = 0
    chain: list[Operator] = [Scale(array(mask)), Pool((2, 2), (2, 2)), Dense(array(np.zeros((3, 4))))]
    expected = np.full((1, 4, 4), 3)
    expected[0, 0, 0] = 0
    assert fan(chain, (1, 4, 4)).tolist() == expected.tolist()


def test_overlapping_windows_count_once_each_and_gaps_count_nothing() -> None:
    assert fan([Pool((1, 3), (1, 2))], (1, 1, 6)).tolist() == [[[1, 1, 2, 1, 1, 0]]]


def _reached(
    operators: list[Operator], shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """For each input element, the sum of what one spike adds at the end, if every weight is one."""
    counts = np.zeros(shape, np.int64)
    for index in np.ndindex(*shape):
        x = np.zeros(shape)
        x[index] = 1
        for operator in operators:
            x = operator.apply(x)
        counts[index] = x.sum()
    return counts


@pytest.mark.parametrize(
    ("operator", "shape", "sentence"),
    [
        (Dense(array(np.ones((2, 3)))), (4,), r"dense weight of shape \(2, 3\) cannot take \(4,\)"),
        (Conv(array(np.ones((2, 3, 1, 1)))), (2, 4, 4), "kernel of shape .* in 1 group"),
        (Conv(array(np.ones((2, 3, 1, 1)))), (4, 4), "kernel of shape"),
        (Pool((2, 2), (0, 1)), (2, 4, 4), "a window of 2 with stride 0"),
        (Pool((2, 2), (1, 1)), (4,), "a pool cannot take"),
        (Scale(array(np.ones(3))), (2,), "a scale of shape"),
    ],
)
def test_an_operator_refuses_a_shape_that_it_cannot_take(
    operator: Operator, shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        operator.shape(shape)


@pytest.mark.parametrize("operator", [Conv(array(np.ones((4, 2, 5, 2))), (3, 1)), Pool((5, 5), (3, 3))])
def test_a_window_with_no_place_gives_nothing_and_costs_nothing(operator: Operator) -> None:
    out = operator.apply(array(np.ones((2, 1, 4))))
    assert out.size == 0
    assert out.shape == operator.shape((2, 1, 4))
    assert fan([operator], (2, 1, 4)).tolist() == np.zeros((2, 1, 4)).tolist()


def test_same_padding_is_torchs_even_where_it_is_uneven() -> None:
    from nrt.network.lower import from_nir
    from tests.nir_graphs import chain, conv2d, lif

    rng = np.random.default_rng(0)
    for kernel, dilation in [((3, 3), 1), ((2, 4), 1), ((4, 2), 3), ((5, 2), 2)]:
        weight = rng.integers(-4, 5, (2, 3, *kernel)).astype(np.float64)
        node = conv2d(weight, (9, 8), padding="same", dilation=dilation)
        made = chain(node, lif((2, 9, 8)), inputs=(3, 9, 8), outputs=(2, 9, 8), check=False)
        (operator,) = from_nir(made).projections[0].operators
        x = rng.integers(-4, 5, (3, 9, 8)).astype(np.float64)
        with torch.no_grad():
            layer = torch.nn.functional.pad(torch.tensor(x)[None], _same(kernel, dilation))
            expected = torch.nn.functional.conv2d(layer, torch.tensor(weight), dilation=dilation)[0]
        np.testing.assert_array_equal(operator.apply(array(x)), expected.numpy())


def _same(kernel: tuple[int, int], dilation: int) -> list[int]:
    """torch's borders for padding "same": left, right, top, bottom; the odd zero comes last."""
    totals = [dilation * (k - 1) for k in reversed(kernel)]
    return [side for total in totals for side in (total // 2, total - total // 2)]

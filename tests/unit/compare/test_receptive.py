from __future__ import annotations

from math import prod

import numpy as np
import pytest

from nrt.compare.receptive import receptive_field
from nrt.network import Conv, Dense, Pool, Projection, Scale
from nrt.network.operators import Operator, array

RANDOM = np.random.default_rng(4)
SOURCE = (4, 6, 5)


def conv(outputs: int, inputs: int, **options: tuple[int, int] | int) -> Conv:
    weight = RANDOM.integers(-3, 4, (outputs, inputs, 3, 2)) / 4
    return Conv(array(weight), **options)  # type: ignore[arg-type]


CHAINS: dict[str, tuple[Operator, ...]] = {
    "a convolution": (conv(3, 4),),
    "with stride, padding and dilation": (conv(3, 4, stride=(2, 1), padding=(2, 1), dilation=(1, 2)),),
    "in groups": (conv(6, 2, groups=2),),
    "a sum pool before a convolution": (Pool((2, 2), (2, 2)), conv(2, 4, padding=(1, 1))),
    "an average pool with padding": (Pool((3, 2), (2, 2), (1, 1), "average"),),
    "a scale with zeros": (Scale(array(RANDOM.integers(0, 3, SOURCE) / 2)), conv(2, 4)),
    "dense after a convolution": (conv(2, 4), Dense(array(RANDOM.integers(-1, 2, (7, 2 * 4 * 4)) / 8))),
    "nothing": (),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_receptive_field_is_a_row_of_the_matrix(name: str) -> None:
    projection = Projection("a", "b", CHAINS[name])
    matrix = projection.matrix(SOURCE)
    for neuron in range(len(matrix)):
        sources, weights = receptive_field(projection, SOURCE, neuron)
        row = np.zeros(prod(SOURCE))
        row[sources] = weights
        np.testing.assert_allclose(row, matrix[neuron], atol=1e-12)
        assert np.all(weights != 0)
        assert np.all(np.diff(sources) > 0)

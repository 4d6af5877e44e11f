from __future__ import annotations

import numpy as np

from nrt.network import Conv, Dense, Projection
from nrt.network.operators import array


def test_a_projections_matrix_gives_what_its_operators_give() -> None:
    rng = np.random.default_rng(3)
    chain = (
        Conv(array(rng.normal(size=(3, 2, 3, 3))), stride=(2, 1), padding=(1, 0)),
        Dense(array(rng.normal(size=(7, 36)))),
    )
    projection = Projection("a", "b", chain)
    x = rng.normal(size=(2, 5, 6))
    expected = chain[1].apply(chain[0].apply(x))
    matrix = projection.matrix((2, 5, 6))
    assert matrix.shape == (7, 60)
    np.testing.assert_allclose(matrix @ x.reshape(-1), expected)

"""Every linear node of NIR, through a file and a readout, against what torch computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nrt.network import load
from nrt.packet import SPIKE
from tests.engines import ENGINES, engine
from tests.nir_graphs import chain, conv2d, written

RNG = np.random.default_rng(11)
F: Any = torch.nn.functional
Function = Callable[[Any], Any]


def whole(*shape: int) -> NDArray[np.float64]:
    """Small whole numbers, so that every order of summation gives the same."""
    return RNG.integers(-4, 5, shape).astype(np.float64)


def tensor(values: NDArray[np.float64]) -> Any:
    return torch.tensor(values)


def conv1d(length: int, **options: Any) -> tuple[Any, Function]:
    weight, bias = whole(4, 2, 3), whole(4)
    given: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | options
    node = nir.Conv1d(input_shape=length, weight=weight, bias=bias, **given)
    return node, lambda x: F.conv1d(x[None], tensor(weight), tensor(bias), **given)[0]


def conv(*size: int, groups: int = 1, **options: Any) -> tuple[Any, Function]:
    weight, bias = whole(4, 4 // groups, 3, 2), whole(4)
    node = conv2d(weight, (size[0], size[1]), bias=bias, groups=groups, **options)
    return node, lambda x: F.conv2d(x[None], tensor(weight), tensor(bias), groups=groups, **options)[0]


def pool(kind: Any, scale: int) -> tuple[Any, Function]:
    node = kind(kernel_size=np.array([2, 4]), stride=np.array([2, 2]), padding=np.array([1, 2]))
    return node, lambda x: F.avg_pool2d(x, (2, 4), (2, 2), (1, 2)) * scale


def affine() -> tuple[Any, Function]:
    weight, bias = whole(3, 5), whole(3)
    return nir.Affine(weight, bias), lambda x: tensor(weight) @ x + tensor(bias)


def scale() -> tuple[Any, Function]:
    factor = whole(5)
    return nir.Scale(factor), lambda x: x * tensor(factor)


CASES: dict[str, tuple[tuple[int, ...], tuple[Any, Function]]] = {
    "affine": ((5,), affine()),
    "scale": ((5,), scale()),
    "conv1d": ((2, 9), conv1d(9)),
    "conv1d with everything": ((4, 12), conv1d(12, stride=2, padding=3, dilation=2, groups=2)),
    "conv1d same": ((2, 9), conv1d(9, padding="same")),
    "conv1d valid": ((2, 9), conv1d(9, padding="valid")),
    "conv2d": ((4, 6, 7), conv(6, 7)),
    "conv2d in groups": ((4, 6, 7), conv(6, 7, groups=2)),
    "conv2d depthwise": ((4, 6, 7), conv(6, 7, groups=4, padding=(2, 0))),
    "conv2d with everything": ((4, 9, 8), conv(9, 8, stride=(2, 1), padding=(1, 2), dilation=(2, 3))),
    "conv2d same, uneven": ((4, 6, 7), conv(6, 7, padding="same")),
    "sum pool": ((2, 6, 8), pool(nir.SumPool2d, 8)),
    "average pool": ((2, 6, 8), pool(nir.AvgPool2d, 1)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_a_linear_node_computes_what_torch_does(case: str, name: str, tmp_path: Path) -> None:
    shape, (node, function) = CASES[case]
    x = whole(*shape)
    expected = function(tensor(x)).numpy()
    made = chain(node, inputs=shape, outputs=expected.shape, check=False)
    network = load(written(made, tmp_path))
    n = np.flatnonzero(x)
    inputs = np.zeros(len(n), SPIKE)
    inputs["n"], inputs["v"] = n, x.ravel()[n]
    membrane = engine(name, network, ["output"]).run(inputs, 0, 1)["output"]
    assert membrane["n"].tolist() == list(range(expected.size))
    assert membrane["v"].tolist() == expected.ravel().tolist()

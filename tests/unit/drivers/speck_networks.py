"""Networks and layers for the tests of the Speck driver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nrt.network import Network
from nrt.network.encoding import Encoding
from nrt.network.network import Population, Projection
from nrt.network.neuron import Neuron, neuron
from nrt.network.operators import Conv, Dense, Operator, array
from nrt.network.semantics import Semantics
from nrt_drivers.speck.chip import Layer


def chain(
    shape: tuple[int, ...],
    *stages: tuple[str, Sequence[Operator], Neuron],
    encoding: Encoding | None = None,
    bias: dict[str, float] | None = None,
) -> Network:
    """Populations one after the other; each stage is its name, the operators into it and its neurons."""
    populations = [Population("input", shape)]
    projections: list[Projection] = []
    for name, operators, cells in stages:
        out = populations[-1].shape
        for operator in operators:
            out = operator.shape(out)
        drive = None if bias is None or name not in bias else array(np.full(out, bias[name]))
        populations.append(Population(name, out, cells))
        projections.append(Projection(populations[-2].name, name, tuple(operators), bias=drive))
    return Network(
        tuple(populations),
        tuple(projections),
        ("input",),
        (populations[-1].name,),
        Semantics(),
        encoding or Encoding(polarity="merge" if len(shape) < 3 or shape[0] == 1 else "split"),
        name="test",
    )


def conv(outputs: int, inputs: int, size: int = 3, *, weight: float = 1.0, padding: int = 0) -> Conv:
    """A convolution with equal weights."""
    return Conv(array(np.full((outputs, inputs, size, size), weight)), padding=(padding, padding))


def dense(outputs: int, inputs: int, weight: float = 1.0) -> Dense:
    """A dense matrix with equal weights."""
    return Dense(array(np.full((outputs, inputs), weight)))


def fire(threshold: float = 1.0) -> Neuron:
    """Integrate and fire, reset to zero."""
    return neuron(threshold=threshold)


def layer(
    name: str = "layer",
    *,
    inputs: tuple[int, int, int] = (2, 16, 16),
    outputs: tuple[int, int, int] = (4, 16, 16),
    kernel: int = 3,
    bias: bool = False,
) -> Layer:
    """A layer that fits every core, unless told otherwise."""
    return Layer(
        name=name,
        inputs=inputs,
        outputs=outputs,
        kernel=np.ones((outputs[0], inputs[0], kernel, kernel), np.int64),
        stride=(1, 1),
        padding=(1, 1),
        bias=np.ones(outputs[0], np.int64) if bias else None,
        threshold=100,
        floor=-100,
        to_zero=True,
        initial=0,
        links=(),
    )

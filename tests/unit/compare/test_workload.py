from __future__ import annotations

from math import prod

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt.compare.train import Train
from nrt.compare.workload import WorkloadTally
from nrt.network import Conv, Dense, Network, Pool, Population, Projection, neuron
from nrt.network.operators import Operator, array

RANDOM = np.random.default_rng(8)
STEPS, SHAPE = 12, (2, 6, 6)


def sparse(*shape: int) -> NDArray[np.float64]:
    weight = RANDOM.integers(-4, 5, shape) / 4
    weight[RANDOM.random(shape) < 0.4] = 0
    return array(weight)


def layer(*operators: Operator, delay: int = 0, bias: bool = False) -> Network:
    shape = SHAPE
    for operator in operators:
        shape = operator.shape(shape)  # type: ignore[assignment]
    added = array(np.ones(shape)) if bias else None
    return Network(
        (Population("input", SHAPE), Population("out", shape, neuron())),
        (Projection("input", "out", operators, delay, added),),
        ("input",),
        ("out",),
    )


def drawn(*, most: int = 1) -> tuple[NDArray[np.float64], Train]:
    """Input values of every step, and the train of them."""
    values = (RANDOM.random((STEPS, *SHAPE)) < 0.2) * RANDOM.integers(1, most + 1, (STEPS, *SHAPE))
    values[3] = 0
    step, n = np.nonzero(values.reshape(STEPS, -1))
    count = values.reshape(STEPS, -1)[step, n]
    return values.astype(np.float64), Train.build(n, step * 100, count, prod(SHAPE), STEPS, 100)


def binarised(operator: Operator, *, ones: bool) -> Operator:
    """NeuroBench's copy of a layer: its weights that are not zero, or all of them, as ones."""
    assert isinstance(operator, Dense | Conv)
    weight = np.ones_like(operator.weight) if ones else (operator.weight != 0).astype(float)
    if isinstance(operator, Dense):
        return Dense(weight)
    return Conv(weight, operator.stride, operator.padding, operator.dilation, operator.groups)


def counted(operators: tuple[Operator, ...], values: NDArray[np.float64]) -> tuple[int, int, int]:
    """MACs, ACs and dense operations as NeuroBench counts them: the layer run on its binarised input."""
    macs = acs = dense = 0
    for x in values:
        for operator in operators:
            if isinstance(operator, Dense | Conv):
                count = round(float(binarised(operator, ones=False).apply((x != 0).astype(float)).sum()))
                dense += round(float(binarised(operator, ones=True).apply(np.ones_like(x)).sum()))
                if np.isin(x, (-1, 0, 1)).all():
                    acs += count
                else:
                    macs += count
            x = operator.apply(x)
    return macs, acs, dense


CHAINS: dict[str, tuple[Operator, ...]] = {
    "dense": (Dense(sparse(5, prod(SHAPE))),),
    "convolution": (Conv(sparse(4, 2, 3, 3), stride=(2, 1), padding=(1, 2)),),
    "dilated, in groups": (Conv(sparse(4, 1, 2, 2), dilation=(2, 2), groups=2),),
    "sum pool, then convolution": (Pool((2, 2), (2, 2)), Conv(sparse(3, 2, 2, 2))),
    "average pool, then dense": (Pool((3, 3), (3, 3), kind="average"), Dense(sparse(4, 8))),
    "two dense layers": (Dense(sparse(6, prod(SHAPE))), Dense(sparse(3, 6))),
}


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("name", CHAINS)
def test_operations_are_those_of_the_layer_run_on_binarised_input(name: str, most: int) -> None:
    values, train = drawn(most=most)
    tally = WorkloadTally(layer(*CHAINS[name]))
    tally.add({}, {"input": train}, STEPS)
    found = tally.result()
    assert found is not None
    assert (found.macs, found.acs, found.dense) == counted(CHAINS[name], values)


def test_a_delayed_spike_that_arrives_after_the_end_costs_nothing() -> None:
    operators = CHAINS["dense"]
    values, train = drawn()
    tally = WorkloadTally(layer(*operators, delay=2))
    tally.add({}, {"input": train}, STEPS)
    found = tally.result()
    assert found is not None
    assert found.acs == counted(operators, values[:-2])[1]


def test_an_event_by_event_chip_accumulates_every_spike_by_itself() -> None:
    operators = CHAINS["convolution"]
    values, train = drawn(most=3)
    tally = WorkloadTally(layer(*operators), clocked=False)
    tally.add({}, {"input": train}, STEPS)
    found = tally.result()
    assert found is not None
    once = [np.where(values >= k, 1.0, 0.0) for k in (1, 2, 3)]
    assert (found.macs, found.acs) == (0, sum(counted(operators, each)[1] for each in once))


def test_a_convolutions_bias_counts_once_per_channel_and_zeros_make_it_sparse() -> None:
    operator = CHAINS["convolution"][0]
    assert isinstance(operator, Conv)
    tally = WorkloadTally(layer(operator, bias=True))
    tally.add({}, {"input": drawn()[1]}, STEPS)
    found = tally.result()
    assert found is not None
    assert found.footprint == 4 * (operator.weight.size + 4)
    assert found.connection_sparsity == round(float(np.mean(operator.weight == 0)), 4)


def test_activation_sparsity_is_the_share_of_silent_neurons_and_steps() -> None:
    network = layer(Dense(sparse(5, prod(SHAPE))))
    t = np.array([0, 10, 300], np.int64)
    fired = Train.build(np.array([1, 1, 4]), t, np.ones(3, np.int64), 5, STEPS, 100)
    tally = WorkloadTally(network)
    tally.add({"out": fired}, {"input": drawn()[1]}, STEPS)
    found = tally.result()
    assert found is not None
    assert found.activation_sparsity == 1 - 2 / (5 * STEPS)
    assert found.seen

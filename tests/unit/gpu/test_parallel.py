"""Parallel spiking neurons: the matrix form, what a mask may see, and the sliding form as a network that streams."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nrt.errors import ConfigError
from nrt.network import Conv, Network, Population
from nrt.network.semantics import Semantics
from nrt.packet import SPIKE
from nrt_sim.gpu.parallel import mask, parallel, sliding, sliding_layer
from tests.engines import ENGINES, engine

DT, STEPS, NEURONS = 100, 12, 16
TAPS = np.array([0.5, 0.0, -0.25, 1.0])
BIAS = -0.75


def test_spikes_are_where_the_weighted_steps_and_the_bias_reach_zero() -> None:
    """Worked by hand: h = (1 - 0.5, 2 + 1 - 3, -1)."""
    weight = torch.tensor([[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    x = torch.tensor([[1.0], [1.0], [0.0]])
    assert parallel(weight, torch.tensor([-0.5, -3.0, -1.0]), x).tolist() == [[1.0], [1.0], [0.0]]


def test_other_numbers_of_steps_than_were_learned_are_refused() -> None:
    with pytest.raises(ConfigError, match="learned for 3 steps cannot take 2"):
        parallel(torch.zeros(3, 3), torch.zeros(3), torch.zeros(2, 1))


def test_a_mask_shows_a_step_itself_and_those_just_before_it() -> None:
    seen = mask(torch.ones(4, 4), 2)
    assert seen.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_sliding_is_masked_with_the_same_weights_in_every_step() -> None:
    x = torch.randint(-3, 4, (STEPS, NEURONS), generator=torch.Generator().manual_seed(2)).float()
    taps = torch.tensor(TAPS, dtype=torch.float32)
    banded = sum(torch.diag(torch.full((STEPS - k,), float(taps[-1 - k])), -k) for k in range(len(TAPS)))
    assert isinstance(banded, torch.Tensor)
    expected = parallel(banded, torch.full((STEPS,), BIAS), x)
    assert torch.equal(sliding(taps, BIAS, x), expected)
    assert 0 < expected.mean() < 1


def test_a_sliding_layer_goes_on_from_what_it_saw() -> None:
    x = torch.randint(-3, 4, (STEPS, NEURONS), generator=torch.Generator().manual_seed(3)).float()
    taps = torch.tensor(TAPS, dtype=torch.float32)
    parts = [sliding(taps, BIAS, x[:5]), sliding(taps, BIAS, x[5:], x[5 - len(TAPS) + 1 : 5])]
    assert torch.equal(torch.cat(parts), sliding(taps, BIAS, x))


@pytest.mark.parametrize("name", ENGINES)
def test_a_sliding_layer_streams_on_every_device_as_its_parallel_form_computes(name: str) -> None:
    kernel = np.array([[[[0.5, 1.0, -0.5]]], [[[1.0, 0.25, 0.0]]]])
    conv = Conv(kernel, padding=(0, 1))
    cell, projections = sliding_layer("in", "out", (conv,), TAPS, BIAS)
    network = Network(
        (Population("in", (1, 1, NEURONS)), Population("out", (2, 1, NEURONS), cell)),
        projections,
        ("in",),
        ("out",),
        Semantics(dt=DT),
    )
    random = np.random.default_rng(4)
    spikes = (random.random((STEPS, NEURONS)) < 0.4).astype(np.float32)
    step, place = np.nonzero(spikes)
    records = np.zeros(len(step), SPIKE)
    records["t"], records["n"], records["v"] = step * DT, place, 1
    seen = engine(name, network, ("out",)).run(records, 0, STEPS)["out"]
    raster = np.zeros((STEPS, 2 * NEURONS), np.float32)
    raster[(seen["t"] + 1) // DT - 1, seen["n"]] = 1
    x = torch.nn.functional.conv2d(
        torch.from_numpy(spikes)[:, None, None], torch.tensor(kernel, dtype=torch.float32), padding=(0, 1)
    )
    expected = sliding(torch.tensor(TAPS, dtype=torch.float32), BIAS, x.reshape(STEPS, -1))
    np.testing.assert_array_equal(raster, expected.numpy())
    assert 0 < raster.mean() < 1

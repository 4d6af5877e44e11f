"""Parallel spiking neurons: the matrix form, masks, the sliding form as a network that streams, and kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt.errors import ConfigError
from nrt.network import Conv, Network, Population
from nrt.network.semantics import Semantics
from nrt.packet import SPIKE
from nrt_sim.gpu.cuda_pass import Launcher
from nrt_sim.gpu.kernels import STEPS as COMPILED_STEPS
from nrt_sim.gpu.kernels import TAPS as COMPILED_TAPS
from nrt_sim.gpu.kernels import Kernel
from nrt_sim.gpu.parallel import mask, parallel, sliding, sliding_layer
from nrt_sim.gpu.traffic import Traffic
from tests.engines import ENGINES, engine
from tests.unit.gpu.kernel_shim import built, needs_compiler

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


class Counted:
    """A launcher that remembers what it launched through the shim, whose threads take turns in some order."""

    def __init__(self, order: int = 0) -> None:
        self.launched: list[str] = []
        self._shim: Launcher = built().in_order(order)

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        self.launched.append(kernel.instance(option))
        self._shim.launch(kernel, option, arguments, grid)


def _dyadic(*shape: int) -> Tensor:
    """Numbers of few bits: their sums are exact in whatever order."""
    return torch.randint(-24, 25, shape, generator=torch.Generator().manual_seed(sum(shape))).float() / 16


@needs_compiler
@pytest.mark.parametrize("steps", COMPILED_STEPS)
def test_the_kernel_fires_where_the_weighted_steps_reach_zero(steps: int) -> None:
    """PSN: H = W X + B, S = H >= 0 (Fang et al., NeurIPS 2023, equations 7 and 8)."""
    weight, bias, x = _dyadic(steps, steps), _dyadic(steps), _dyadic(steps, 7, 91)
    launcher = Counted(3)
    spikes = parallel(weight.t(), bias, x.transpose(1, 2), launcher)
    assert launcher.launched == [f"parallel<{steps}>"]
    h = torch.einsum("ts,snm->tmn", weight.t().double(), x.double()) + bias.double()[:, None, None]
    assert torch.equal(spikes, (h >= 0).float())
    assert 0.2 < spikes.mean() < 0.8


@needs_compiler
@pytest.mark.parametrize("taps", COMPILED_TAPS)
def test_the_sliding_kernel_sees_the_steps_before_also_across_calls(taps: int) -> None:
    """Sliding PSN: H[t] = sum of W[i] X[t - k + 1 + i] + b (the same paper, equation 11)."""
    weight, x, launcher = _dyadic(taps), _dyadic(12, 33), Counted()
    padded = torch.cat([torch.zeros(taps - 1, 33), x])
    seen = [padded[begin : begin + taps - 1] for begin in (0, 5, 6)]
    parts = [x[:5], x[5:6], x[6:]]
    spikes = torch.cat(
        [sliding(weight, -0.25, part, past, launcher) for part, past in zip(parts, seen, strict=True)]
    )
    assert launcher.launched == [f"sliding<{taps}>"] * 3
    assert torch.equal(padded[taps - 1 :], x), "what was seen before is the caller's"
    h = sum(weight[k] * padded[k : k + 12] for k in range(taps)) - 0.25
    assert isinstance(h, Tensor)
    assert torch.equal(spikes, (h >= 0).float())
    assert 0.1 < spikes.mean() < 0.9


@needs_compiler
def test_torch_computes_what_no_kernel_was_compiled_for() -> None:
    launcher = Counted()
    x = _dyadic(5, 3)
    assert torch.equal(parallel(torch.eye(5), torch.zeros(5), x, launcher), (x >= 0).float())
    assert torch.equal(sliding(torch.ones(1), 0.0, x, launcher=launcher), (x >= 0).float())
    double = _dyadic(4, 3).double()
    weight, bias = torch.eye(4).double(), torch.zeros(4).double()
    assert torch.equal(parallel(weight, bias, double, launcher), (double >= 0).double())
    assert parallel(torch.eye(4), torch.zeros(4), _dyadic(4, 0), launcher).shape == (4, 0)
    assert launcher.launched == []


def test_a_kernel_saves_what_torch_moves_between_its_operators() -> None:
    """The figures that `nrt_sim.gpu.cuda_parallel` says, against the 8 bytes and one launch of a kernel."""
    x = torch.zeros(8, 10_000)
    weight, bias = torch.eye(8), torch.zeros(8)
    with Traffic() as matrix:
        parallel(weight, bias, x)
    assert matrix.operators == 3
    assert matrix.moved / x.numel() == pytest.approx(18, rel=0.01)
    long = torch.zeros(1000, 100)
    for count in (2, 4):
        taps, past = torch.zeros(count), torch.zeros(count - 1, 100)
        with Traffic() as slid:
            sliding(taps, 0.0, long, past)
        assert slid.operators == 4 + 2 * count
        assert slid.moved / long.numel() == pytest.approx(22 + 20 * count, rel=0.01)

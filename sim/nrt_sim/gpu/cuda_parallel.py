"""The kernels of parallel spiking neurons: `nrt_sim.gpu.parallel` on a GPU, float32.

A kernel reads every input and writes every spike once: 8 bytes per neuron and step, in one launch. torch's operators
move 18 in three launches for a matrix (the product 8, the comparison 5, the conversion 5), and 22 + 20 K in 4 + 2 K
launches for K taps (joining 8, the bias 4, a product and a sum of 20 per tap, then the same 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from nrt_sim.gpu.cuda_layer import Fields, address, arguments
from nrt_sim.gpu.cuda_pass import Launcher
from nrt_sim.gpu.cuda_tables import BLOCKS
from nrt_sim.gpu.kernels import STEPS as STEPS
from nrt_sim.gpu.kernels import TAPS as TAPS
from nrt_sim.gpu.kernels import kernel


def launcher_of(x: Tensor) -> Launcher | None:
    """What launches kernels where `x` lies; None on a CPU, and without CuPy."""
    return _launcher(x.device) if x.is_cuda and find_spec("cupy") is not None else None


@cache
def _launcher(device: torch.device) -> Launcher:
    from nrt_sim.gpu.cuda_launch import CupyLauncher

    return CupyLauncher(device)


def takes(x: Tensor, option: int, options: Sequence[int]) -> bool:
    """Whether there is a kernel for `x` with that many steps or taps."""
    return option in options and x.dtype == torch.float32 and 0 < x[:1].numel() < 2**31


def parallel(launcher: Launcher, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """`nrt_sim.gpu.parallel.parallel` of as many steps as `takes`."""
    return _launched(launcher, "parallel", len(x), x, weight=weight.contiguous(), bias=bias.contiguous())


def sliding(launcher: Launcher, taps: Tensor, bias: float, x: Tensor, past: Tensor) -> Tensor:
    """`nrt_sim.gpu.parallel.sliding` of as many taps as `takes`; `past` stays as it is."""
    offset = torch.full((1,), bias, dtype=x.dtype, device=x.device)
    seen = past.clone(memory_format=torch.contiguous_format)  # the kernel leaves the latest inputs there
    return _launched(launcher, "sliding", len(taps), x, weight=taps.contiguous(), bias=offset, past=seen)


def _launched(launcher: Launcher, name: str, option: int, x: Tensor, **given: Tensor) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    launched, neurons = kernel(name), x[0].numel()
    fields: Fields = {field: address(tensor) for field, tensor in given.items()}
    made = arguments(name, x=address(x), out=address(out), neurons=neurons, steps=len(x), **fields)
    launcher.launch(launched, (option,), made, (min(4 * BLOCKS, -(-neurons // launched.threads)), 1))
    return out

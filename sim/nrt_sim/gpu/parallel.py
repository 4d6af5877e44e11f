"""The parallel spiking neurons: without a reset, a neuron's steps need not wait for each other.

W. Fang et al., Parallel Spiking Neurons with High Efficiency and Ability to Learn Long-term Dependencies, NeurIPS 2023.
With x [steps, neurons] the input of a layer and s = 1 where h ≥ 0, else 0:

```
parallel   h = W x + b            W [steps, steps], b [steps]: learned for so many steps, and only for those
masked     the same with W lower triangular and of limited order, so that h[t] sees x[t - order + 1 … t]
sliding    h[t] = Σ_k w[k] x[t - K + 1 + k] + b      K taps, the same for every step
```

The first two need all steps of a recording: they are for whole data sets, as one matrix product per layer. The sliding
neuron also streams: `sliding_layer` says it in populations and projections, which every device runs. Its parallel
form computes a whole recording at once and gives the same spikes.

On a GPU both forms are one kernel (`cuda_parallel`) for the numbers of steps and taps it is compiled for. torch's
operators compute the others, float64, and everything on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt.errors import ConfigError
from nrt.network import Neuron, Operator, Projection, Scale, neuron
from nrt.network.operators import array
from nrt_sim.gpu import cuda_parallel
from nrt_sim.gpu.cuda_pass import Launcher


def parallel(weight: Tensor, bias: Tensor, x: Tensor, launcher: Launcher | None = None) -> Tensor:
    """Spikes [steps, …] of x [steps, …]; weight: [steps, steps], bias: [steps]. Raises ConfigError for other steps.

    launcher: what launches the kernel; by default CuPy does where x is on a GPU
    """
    steps = len(x)
    if weight.shape != (steps, steps) or bias.shape != (steps,):
        raise ConfigError(
            f"parallel neurons learned for {weight.shape[0]} steps cannot take {steps}; their weights are per step"
        )
    launcher = launcher or cuda_parallel.launcher_of(x)
    if launcher is not None and cuda_parallel.takes(x, steps, cuda_parallel.STEPS):
        return cuda_parallel.parallel(launcher, weight, bias, x)
    h = torch.addmm(bias[:, None], weight, x.reshape(steps, -1))
    return (h >= 0).to(x.dtype).view(x.shape)


def mask(weight: Tensor, order: int) -> Tensor:
    """The weights [steps, steps] of masked neurons: each step sees itself and the `order` - 1 before it."""
    return weight.tril().triu(1 - order)


def sliding(
    taps: Tensor, bias: float, x: Tensor, past: Tensor | None = None, launcher: Launcher | None = None
) -> Tensor:
    """Spikes [steps, …] of x [steps, …]; taps: [K], the last for the present; past: the K - 1 inputs before.

    launcher: as in `parallel`
    """
    count = len(taps)
    before = torch.zeros((count - 1, *x.shape[1:]), dtype=x.dtype, device=x.device) if past is None else past
    launcher = launcher or cuda_parallel.launcher_of(x)
    if launcher is not None and cuda_parallel.takes(x, count, cuda_parallel.TAPS):
        return cuda_parallel.sliding(launcher, taps, bias, x, before)
    seen = torch.cat([before, x])
    h = torch.full(x.shape, bias, dtype=x.dtype, device=x.device)
    for k in range(count):
        h += taps[k] * seen[k : k + len(x)]
    return (h >= 0).to(x.dtype)


def sliding_layer(
    source: str, target: str, operators: Sequence[Operator], taps: NDArray[np.float64], bias: float
) -> tuple[Neuron, tuple[Projection, ...]]:
    """A layer of sliding neurons for any device: its neuron, and a projection per tap, the older the later.

    operators: from the source to what x is. The neuron forgets at once: decay 0, no reset, a threshold at -bias.
    """
    cell = neuron(decay=0.0, threshold=-bias, reset="none", fire=">=")
    projections = tuple(
        Projection(source, target, (*operators, Scale(array(np.asarray(taps[len(taps) - 1 - delay])))), delay)
        for delay in range(len(taps))
        if taps[len(taps) - 1 - delay] != 0
    )
    return cell, projections

"""The arithmetic of one time step on Loihi, compiled: neurons, and spikes scattered through their synapses.

```
u ← wrap(sgn(u)·((|u|·(4096 − du)) >> 12) + (a << 6))          a: what the synapses added up one step ago
v ← clip(sgn(v)·((|v|·(4096 − dv)) >> 12) + u + bias)
spike where v > (vth << 6); v ← 0 there
```

du and dv are the decays in effect (of 4096), so lava's registers plus their offset bits. u wraps around at ±2²³,
v saturates at ±(2²³ − 1). Facts: lava-nc 0.10, lava/proc/lif/models.py (PyLifModelBitAcc).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrt.jit import inline, jit

Ints = NDArray[np.int64]


class Width(NamedTuple):
    """Numbers of the fixed point that the spec gives: 12 and 6 places, 2²³, ± the membrane's bound."""

    decay_shift: int
    activation_shift: int
    half: int
    low: int
    high: int


@inline
def _decayed(x: int, kept: int, shift: int) -> int:
    """x · kept >> shift, rounded towards zero."""
    return (x * kept) >> shift if x >= 0 else -((-x * kept) >> shift)


@inline
def _wrapped(u: int, half: int) -> int:
    """u within 24 bits. Exactly +2²³ stays, exactly −2²³ becomes +2²³, as in lava's model."""
    if u > half:
        return u - 2 * half
    return u + 2 * half if u <= -half else u


@jit
def update(
    a: Ints,
    u: Ints,
    v: Ints,
    kept_u: Ints,
    kept_v: Ints,
    bias: Ints,
    threshold: Ints,
    fires: bool,
    width: Width,
    fired: Ints,
) -> int:
    """One step of a population. Writes the neurons that fired to `fired`, in order, and returns how many.

    a: activations, set to 0 · kept: 4096 minus the decay · bias, threshold: in units of v
    """
    count = 0
    for n in range(len(v)):
        u[n] = _wrapped(
            _decayed(u[n], kept_u[n], width.decay_shift) + (a[n] << width.activation_shift), width.half
        )
        a[n] = 0
        x = _decayed(v[n], kept_v[n], width.decay_shift) + u[n] + bias[n]
        x = min(max(x, width.low), width.high)
        if fires and x > threshold[n]:
            x = 0
            fired[count] = n
            count += 1
        v[n] = x
    return count


@jit
def dense(neurons: Ints, payloads: Ints, weights: NDArray[np.int32], out: Ints) -> None:
    """out += what the spikes are worth to every target. weights: [source, target]"""
    for k in range(len(neurons)):
        row, payload = weights[neurons[k]], payloads[k]
        for target in range(len(row)):
            out[target] += row[target] * payload


@jit
def convolve(
    neurons: Ints,
    payloads: Ints,
    weights: NDArray[np.int32],
    inputs: tuple[int, int, int],
    outputs: tuple[int, int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    out: Ints,
) -> None:
    """out += what the spikes are worth in a cross-correlation. weights: [outputs, inputs / groups, kh, kw]"""
    _, rows, columns = inputs
    channels, height, width = outputs
    per_group, within = channels // groups, weights.shape[1]
    for k in range(len(neurons)):
        n, payload = neurons[k], payloads[k]
        channel, y, x = n // (rows * columns), n // columns % rows, n % columns
        group = channel // within
        for ky in range(weights.shape[2]):
            top = y + padding[0] - ky * dilation[0]
            if top < 0 or top % stride[0] or top // stride[0] >= height:
                continue
            for kx in range(weights.shape[3]):
                left = x + padding[1] - kx * dilation[1]
                if left < 0 or left % stride[1] or left // stride[1] >= width:
                    continue
                at = top // stride[0] * width + left // stride[1]
                for o in range(group * per_group, (group + 1) * per_group):
                    out[o * height * width + at] += weights[o, channel - group * within, ky, kx] * payload

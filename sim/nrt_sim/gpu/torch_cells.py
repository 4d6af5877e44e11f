"""A layer's neurons with torch operators: `dense` of `nrt_sim.cpu.fire`, operation for operation.

Each operator rounds once and none is fused with another, so that membranes agree bit for bit with the CPU engine's
where the currents do. Planes larger than a processor's cache are advanced recording by recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as f
from numpy.typing import NDArray
from torch import Tensor

from nrt.network import Neuron
from nrt.network.neuron import Reset, Spikes, Timing
from nrt_sim.gpu.layout import Layer
from nrt_sim.gpu.ops import SILENT
from nrt_sim.gpu.plan import in_places

CACHED: Final = 2**17
"""Elements of state that stay in a core's cache between the operators of a step."""

Parameter = Tensor | float


class Cells:
    """State of one layer: membranes v, synaptic currents i, the spikes before (for delayed resets); [batch, size]."""

    def __init__(self, layer: Layer, batch: int, device: torch.device, dtype: torch.dtype) -> None:
        assert layer.neuron is not None
        self._p = _parameters(layer, layer.neuron, device, dtype)
        shape = (batch, layer.size)
        self.v = torch.empty(shape, dtype=dtype, device=device)
        self._i = torch.empty(shape, dtype=dtype, device=device) if self._p.synapse else None
        delayed = layer.neuron.timing == "delayed"
        self._s = torch.empty(shape, dtype=dtype, device=device) if delayed else None
        self.reset(list(range(batch)))

    def reset(self, recordings: list[int]) -> None:
        """Those recordings' state as at the start."""
        self.v[recordings] = torch.zeros_like(self.v[0]) + self._p.v0
        for state in (self._i, self._s):
            if state is not None:
                state[recordings] = 0

    def advance(self, current: Tensor | None, output: Tensor) -> None:
        """One step. current: [batch, size], overwritten, or None for nothing; output: [batch, size], written."""
        batch, size = output.shape
        x = torch.zeros_like(output) if current is None else current
        together = max(1, CACHED // size)
        if together >= batch:
            self._advance(slice(None), x, output)
            return
        for a in range(0, batch, together):
            some = slice(a, a + together)
            self._advance(some, x[some], output[some])

    def _advance(self, some: slice, x: Tensor, output: Tensor) -> None:
        p, v = self._p, self.v[some]
        x = self._synaptic(some, x)
        if p.timing == "immediate":
            _charge(p, v, x)
            _floor(p, v)
            _fire_and_reset(p, v, output)
        elif p.timing == "delayed":
            assert self._s is not None
            _late(p, v, x, self._s[some])
            _spikes(p, v, output)
            self._s[some] = output
        else:
            _spikes(p, v, output)
            _late(p, v, x, output)
        f.hardshrink(v, p.silent, out=v)
        if p.spikes == "none":
            output.copy_(v)

    def _synaptic(self, some: slice, x: Tensor) -> Tensor:
        """The current that charges the membrane."""
        p = self._p
        if not _is(p.bias, 0.0):
            x += p.bias
        if self._i is None:
            return x
        i = self._i[some]
        i *= p.synapse_decay
        i += x * p.synapse_gain
        f.hardshrink(i, p.silent, out=i)
        return i


@dataclass(frozen=True, slots=True, eq=False)
class _Parameters:
    """A layer's parameters on the device: a number for all of it, or [size] in place order."""

    bias: Parameter
    decay: Parameter
    gain: Parameter
    drive: Parameter
    threshold: Parameter
    v_reset: Parameter
    v0: Parameter
    v_min: Parameter | None
    synapse: bool
    synapse_decay: Parameter
    synapse_gain: Parameter
    most: float
    silent: float
    strict: bool
    spikes: Spikes
    reset: Reset
    timing: Timing


def _parameters(layer: Layer, neuron: Neuron, device: torch.device, dtype: torch.dtype) -> _Parameters:
    def on_device(value: NDArray[Any] | None, otherwise: float = 0.0) -> Parameter:
        if value is None:
            return otherwise
        if value.ndim == 0:
            return float(torch.tensor(float(value), dtype=dtype))  # rounded as on the device
        return torch.tensor(in_places(value.reshape(-1), layer.volume), dtype=dtype, device=device)

    largest = 2.0**31 - (128 if dtype == torch.float32 else 1)
    bias = torch.tensor(layer.bias, dtype=dtype, device=device)
    return _Parameters(
        bias=float(bias) if bias.ndim == 0 else bias,
        decay=on_device(neuron.decay),
        gain=on_device(neuron.gain),
        drive=on_device(neuron.drive),
        threshold=on_device(neuron.threshold),
        v_reset=on_device(neuron.v_reset),
        v0=on_device(neuron.v0),
        v_min=None if neuron.v_min is None else on_device(neuron.v_min),
        synapse=neuron.synapse_decay is not None,
        synapse_decay=on_device(neuron.synapse_decay),
        synapse_gain=on_device(neuron.synapse_gain, 1.0),
        most=largest if neuron.spikes == "graded" else float(neuron.max_spikes),
        silent=_below(SILENT, dtype),
        strict=neuron.fire == ">",
        spikes=neuron.spikes,
        reset=neuron.reset,
        timing=neuron.timing,
    )


def _below(value: float, dtype: torch.dtype) -> float:
    """The number before `value`: hardshrink keeps what is above its bound, a silent state is below 1e-30."""
    return float(torch.nextafter(torch.tensor(value, dtype=dtype), torch.tensor(0.0, dtype=dtype)))


def _is(value: Parameter, number: float) -> bool:
    return not isinstance(value, Tensor) and value == number


def _charge(p: _Parameters, v: Tensor, x: Tensor) -> None:
    """v ← decay · v + gain · x + drive."""
    if not _is(p.decay, 1.0):
        v *= p.decay
    v += x if _is(p.gain, 1.0) else x * p.gain
    if not _is(p.drive, 0.0):
        v += p.drive


def _floor(p: _Parameters, v: Tensor) -> None:
    if p.v_min is not None:
        torch.clamp(v, min=p.v_min, out=v)


def _fire_and_reset(p: _Parameters, v: Tensor, output: Tensor) -> None:
    _spikes(p, v, output)
    _reset(p, v, output)


def _late(p: _Parameters, v: Tensor, x: Tensor, before: Tensor) -> None:
    """Charge, with the reset of the spikes before: hard ones before the leak, soft ones after it."""
    if p.reset == "hard":
        _reset(p, v, before)
    _charge(p, v, x)
    if p.reset == "soft":
        _reset(p, v, before)
    _floor(p, v)


def _reset(p: _Parameters, v: Tensor, s: Tensor) -> None:
    """What the spikes s leave of v. Products with zeros and ones are exact, so they replace slow selections."""
    if p.reset == "hard":
        fired = s if p.spikes == "binary" else torch.ne(s, 0.0, out=torch.empty_like(s))
        v.addcmul_(v, fired, value=-1)
        if isinstance(p.v_reset, Tensor):
            v.addcmul_(fired, p.v_reset)
        elif p.v_reset != 0.0:
            v.add_(fired, alpha=p.v_reset)
    elif p.reset == "soft":
        v -= s if p.spikes == "graded" else s * p.threshold


def _over(p: _Parameters, v: Tensor, output: Tensor) -> Tensor:
    """One where v fires, else zero; numbers, since torch compares into bools eight times slower."""
    compare = torch.gt if p.strict else torch.ge
    return compare(v, p.threshold, out=output)


def _spikes(p: _Parameters, v: Tensor, output: Tensor) -> None:
    """`fired` of `nrt_sim.reference` into `output`."""
    match p.spikes:
        case "binary":
            _over(p, v, output)
        case "signed":
            _over(p, v, output)
            output -= _over(p, -v, torch.empty_like(v))
        case "count":
            _over(p, v, output)
            output *= (v / p.threshold).floor_().clamp_(0.0, p.most)
        case "round":
            torch.round((v / p.threshold).clamp_(0.0, p.most), out=output)
        case "graded":
            _over(p, v, output)
            output *= v.trunc().clamp_(-p.most, p.most)
        case "none":
            output.zero_()

"""A layer in the memory of a device: its neurons' state, what it put out, and the structures that name them to kernels.

What a layer put out stands as a plane, as a list, or both. With a span of 1 these are rings of `depth + 1` steps, and a
kernel finds the slot of a step by the number of the step, which lies on the device. With a longer span it is a window:
the `depth` steps before the pass, then those of the pass; after a pass the last `depth` move to the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt.network import Neuron
from nrt.network.neuron import FireTest, Reset, Spikes
from nrt_sim.gpu.kernels import ITEMS, kernel, structure
from nrt_sim.gpu.layout import Layer
from nrt_sim.gpu.plan import in_places

_RESETS: Final[dict[Reset, int]] = {"hard": 0, "soft": 1, "none": 2}
_SPIKES: Final = get_args(Spikes)
_STRICT: Final[dict[FireTest, int]] = {">=": 0, ">": 1}
_MOST_GRADED: Final = 2.0**31 - 128
"""The largest payload that is a float32 and that 32 bits hold, as in `nrt_sim.cpu.plan`."""

Fields = dict[str, Any]
"""Of a structure: numbers, or the fields of a structure inside of it."""


def arguments(name: str, **fields: Any) -> NDArray[np.void]:
    """The structure that the kernel `name` takes; what is not given is zero, or null."""
    made = np.zeros((), structure(name))
    _fill(made, fields)
    return made


def _fill(to: NDArray[np.void], fields: Fields) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            _fill(to[name], value)  # a view
        else:
            to[name] = value


def address(tensor: Tensor | None) -> int:
    """Of its first element; 0, which is null, without a tensor."""
    return 0 if tensor is None else tensor.data_ptr()


class Neurons:
    """State of a layer's neurons: v, i (with a synapse), s (with delayed resets); float32[batch, size].

    fields: the structure Neuron · state: of `Advance` and `Steps`, the pointers to the state
    """

    def __init__(self, layer: Layer, neuron: Neuron, batch: int, device: torch.device) -> None:
        shape = (batch, layer.size)
        self._kept: list[Tensor] = []
        self.v = torch.empty(shape, device=device)
        self.i = torch.zeros(shape, device=device) if neuron.synapse_decay is not None else None
        self.s = torch.zeros(shape, device=device) if neuron.timing == "delayed" else None
        start = np.broadcast_to(_flat(neuron.v0, layer), layer.size)
        self._start = torch.tensor(start, dtype=torch.float32, device=device)
        self.fields = self._fields(layer, neuron, device)
        self.state: Fields = {"v": address(self.v), "i": address(self.i), "s": address(self.s)}
        self.reset(range(batch))

    def _fields(self, layer: Layer, neuron: Neuron, device: torch.device) -> Fields:
        zero = np.zeros(())
        values = {
            "decay": neuron.decay,
            "gain": neuron.gain,
            "drive": neuron.drive,
            "threshold": neuron.threshold,
            "v_reset": neuron.v_reset,
            "v_min": zero if neuron.v_min is None else neuron.v_min,
            "synapse_decay": zero if neuron.synapse_decay is None else neuron.synapse_decay,
            "synapse_gain": zero if neuron.synapse_gain is None else neuron.synapse_gain,
        }
        fields: Fields = {
            name: self._parameter(_flat(value, layer), device) for name, value in values.items()
        }
        return fields | {
            "bias": self._parameter(layer.bias, device),
            "most": np.float32(_MOST_GRADED if neuron.spikes == "graded" else neuron.max_spikes),
            "spikes": _SPIKES.index(neuron.spikes),
            "reset": _RESETS[neuron.reset],
            "strict": _STRICT[neuron.fire],
            "floored": int(neuron.v_min is not None),
            "synapse": int(neuron.synapse_decay is not None),
        }

    def _parameter(self, value: NDArray[Any], device: torch.device) -> Fields:
        """The structure Parameter: one number, or the address of one for every place."""
        if value.ndim == 0:
            return {"all": np.float32(value)}
        self._kept.append(torch.tensor(value, dtype=torch.float32, device=device))
        return {"each": address(self._kept[-1])}

    def reset(self, recordings: Sequence[int]) -> None:
        rows = list(recordings)
        self.v[rows] = self._start
        for state in (self.i, self.s):
            if state is not None:
                state[rows] = 0


def _flat(value: NDArray[Any], layer: Layer) -> NDArray[Any]:
    """A parameter as one number, or as one for every place."""
    return in_places(value.reshape(-1), layer.volume) if value.ndim else value


class Compaction:
    """What an ordered compaction of `tiles` blocks keeps between launches; the structure Scan."""

    def __init__(self, tiles: int, device: torch.device) -> None:
        self._words = torch.zeros(tiles + 1, dtype=torch.int64, device=device)
        self.tiles = tiles
        self.fields: Fields = {
            "status": address(self._words),
            "tickets": address(self._words[tiles:]),
            "tiles": tiles,
        }


class Listed:
    """Room for a list of each of the last `slots` steps; the structure List."""

    def __init__(self, capacity: int, slots: int, unit: bool, device: torch.device) -> None:
        self._ids = torch.zeros((slots, capacity), dtype=torch.int32, device=device)
        self._values = None if unit else torch.zeros((slots, capacity), device=device)
        self._counts = torch.zeros(slots, dtype=torch.int32, device=device)
        self.capacity, self.slots = capacity, slots

    def fields(self, delay: int = 0) -> Fields:
        """As it was `delay` steps ago."""
        return {
            "ids": address(self._ids),
            "values": address(self._values),
            "counts": address(self._counts),
            "capacity": self.capacity,
            "slots": self.slots,
            "delay": delay,
        }

    def rebuild(self, planes: Tensor) -> None:
        """Lists what stands in `planes`, [slots, capacity]."""
        for slot, plane in enumerate(planes):
            ids = plane.nonzero().view(-1)
            self._ids[slot, : len(ids)] = ids.to(torch.int32)
            if self._values is not None:
                self._values[slot, : len(ids)] = plane[ids]
            self._counts[slot] = len(ids)


class LayerMemory:
    """A layer's state and output; see the module.

    lanes: recordings times the steps of a pass · current: [span, batch, size], what arrives · plane: the ring, or the
    window · listed: the ring of lists, with a span of 1; `lists` has those of a window by delay
    """

    def __init__(self, layer: Layer, batch: int, span: int, device: torch.device) -> None:
        self.layer, self.batch, self.span, self.device = layer, batch, span, device
        self.neurons = None if layer.neuron is None else Neurons(layer, layer.neuron, batch, device)
        self.slots = 1 if span > 1 else layer.depth + 1
        self.capacity = batch * layer.size
        self.current = torch.zeros((span, batch, layer.size), device=device) if self.neurons else None
        ringed = span > 1 or layer.planes or layer.neuron is None
        shape = (layer.depth + span, batch, layer.size)
        self.plane = torch.zeros(shape, device=device) if ringed else None
        self.listed = None if span > 1 else Listed(self.capacity, self.slots, layer.unit, device)
        self.scan = Compaction(batch * _tiles(layer.size, "advance", ITEMS), device)
        self._lists: dict[int, tuple[Listed, dict[int, Compaction]]] = {}

    def reset(self, recordings: Sequence[int]) -> None:
        """Those recordings were never computed."""
        rows = list(recordings)
        if self.neurons is not None:
            self.neurons.reset(rows)
        if self.plane is not None:
            self.plane[:, rows] = 0
            if self.listed is not None and self.slots > 1:
                self.listed.rebuild(self.plane.view(self.slots, -1))

    def window(self, delay: int, steps: int) -> Tensor:
        """What was put out `delay` steps before each step of a pass, [steps, batch, size]. Only of a window."""
        assert self.plane is not None
        begin = self.layer.depth - delay
        return self.plane[begin : begin + steps]

    def window_list(self, delay: int, steps: int) -> tuple[Listed, Compaction]:
        """Where `window(delay, steps)` is listed."""
        if delay not in self._lists:
            self._lists[delay] = (Listed(self.span * self.capacity, 1, self.layer.unit, self.device), {})
        listed, scans = self._lists[delay]
        if steps not in scans:
            scans[steps] = Compaction(_tiles(steps * self.capacity, "compact", ITEMS), self.device)
        return listed, scans[steps]

    def move(self, steps: int) -> None:
        """After a pass of so many steps, in a window: the last `depth` steps come to stand before the next pass."""
        depth = self.layer.depth
        if depth and self.plane is not None:
            self.plane[:depth] = self.plane[steps : steps + depth].clone()


def _tiles(elements: int, name: str, share: int) -> int:
    """Blocks of a kernel whose threads take `share` elements each."""
    return -(-elements // (kernel(name).threads * share))


def touched_tiles(elements: int) -> int:
    """Blocks of `compact` where a thread takes a word of bits."""
    return _tiles(elements, "compact", 32)

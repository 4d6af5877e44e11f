"""How a network lies in device memory: layers, routes, and the tables that a scatter reads.

**Places.** Neurons lie in row, column, channel order (H, W, C): `place = (y · W + x) · C + c`, so that what a spike
adds to a pixel, or to a row of a kernel, is one run of consecutive numbers, and a plane is torch's channels_last. The
outside counts neurons in C, H, W order (`n`); `Layer.neuron_at` translates. For flat populations the two are the same.
Every array over neurons in this module is in place order. Several recordings side by side make the first axis.

**Ways.** A route (a projection of the network) is computed sparse, spike by spike through its `table`, or dense,
operator by operator on whole planes. Routes that are no single scatter have no table and are always dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt.network import Encoding, Network, Neuron
from nrt.network.operators import Operator

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[Any]
Volume = tuple[int, int, int]
"""Channels, height, width."""


@dataclass(frozen=True, slots=True, eq=False)
class RowTable:
    """A matrix: a spike at place p adds weight[row[p]] to the whole target.

    row: int32[source], -1 where a spike reaches nothing · weight: [rows, target]
    """

    row: Ints
    weight: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PairTable:
    """Neuron to neuron (identity, scale, pool): a spike at place p adds weight[p] to target[p].

    target: int32[source], -1 where a spike reaches nothing · weight: [source]
    """

    target: Ints
    weight: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PatchTable:
    """A kernel: a spike adds a block of weights around a pixel.

    For a spike at pixel q = y · W + x, channel c, and every j, i, g it adds
    weight[phase[q], c, j, i, g] to the target's pixel (top[q] + j, left[q] + i), channel shift[c] + g, where that
    pixel is inside the target.

    phase: int32[H · W], -1 where a spike reaches nothing (several phases where the kernel has a stride)
    top, left: int32[H · W], may be negative · shift: int32[C], not zero only with groups
    weight: [phases, C, rows, columns, channels of one group of the target]
    """

    phase: Ints
    top: Ints
    left: Ints
    shift: Ints
    weight: Floats


Table = RowTable | PairTable | PatchTable


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population. `neuron` is None for the input.

    neuron_at: int32[size], the n of every place · volume: how its places are seen; size: neurons
    bias: [size] or [] (one number for all): the sum of the biases of the routes that end here
    planes: whether a route that may be dense needs the plane of what it put out
    depth: longest delay of a route that starts here, in steps; outputs of that many steps are kept
    unit: every output that is not zero is one, so lists carry no values
    """

    index: int
    name: str
    volume: Volume
    neuron: Neuron | None
    neuron_at: Ints
    bias: Floats
    depth: int
    planes: bool
    unit: bool

    @property
    def size(self) -> int:
        return int(self.neuron_at.size)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A projection: what layer `source` put out `delay` steps ago, through `operators`, into layer `target`.

    table: None where only the dense way exists
    fan: int64[source], synapses of each place, or int64[] where all have the same number
    """

    index: int
    name: str
    source: int
    target: int
    delay: int
    operators: tuple[Operator, ...]
    table: Table | None
    fan: Longs


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """Somebody wants the spikes of `layer`, or (`membrane`) its membranes after every step."""

    name: str
    layer: int
    membrane: bool


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A network laid out. Layers stand in the order in which a step computes them; the input's index is `input`.

    loops: whether some route leads backwards, so that steps must be computed one after the other
    dtype: of weights and state
    """

    network: Network
    layers: tuple[Layer, ...]
    routes: tuple[Route, ...]
    watches: tuple[Watch, ...]
    input: int
    encoding: Encoding
    loops: bool
    dtype: np.dtype[np.floating[Any]]

    def into(self, layer: int) -> list[Route]:
        """The routes that end at `layer`, in the order of the network."""
        return [route for route in self.routes if route.target == layer]

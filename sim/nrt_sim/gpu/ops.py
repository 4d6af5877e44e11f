"""Ops: what a device must be able to do with a layout. `TorchOps` fills it with torch, `CudaOps` with kernels.

An Ops object holds all state of one engine on its device: membranes, currents, what every layer put out in the last
steps, counts, and the buffers that carry events in and spikes out. The engine hands it chunks of steps and a program:

```
load(chunk)                  one copy to the device: 16-byte words and where each step begins
run(program, steps)          the steps of the chunk; no answer is waited for
fetch() -> Fetched           one wait: what was watched, and the counts
```
Two chunks may be under way: the next may be loaded and run before the one before is fetched; `fetch` answers in order.

A program is the order of one pass: `Encode`, then for every layer its `Project`s and its `Advance`, then `Collect`s.
It is a tuple of frozen values, so a device may record what it launches for a program once and replay it (a CUDA
graph): a pass therefore uses nothing that changes from step to step but what lies on the device.

A pass computes `span` steps. With span 1 (streaming, and all networks with loops) a pass is a step. With more, each
instruction computes all its steps before the next one begins (layer by layer, for throughput); the last pass of a
chunk may be shorter. Either way the results are the same, up to the rounding of sums.

**Arithmetic.** All state is float32 (`Layout.dtype`). The neuron is `dense` of `nrt_sim.cpu.fire`, operation for
operation and each rounded on its own (no fused multiply-add), so that membranes agree bit for bit where the input
currents do:

```
i = current + bias
i = silenced(synapse_decay · i_before + synapse_gain · i)        with a synapse
v = (decay · v + gain · i) + drive                                  left to right
s, v: fire and reset by `nrt.network.neuron`, with v / threshold a true division
v = silenced(v)
```
silenced(x) is 0 where |x| < float32(1e-30), else x. Sums of inputs (scatter, convolution, matrix) may be taken in any
order and fused: they are exact where 24 bits hold them. An element counts as a spike where s ≠ 0; a layer that does not
fire puts out v.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nrt_sim.gpu.layout import Layout, Route

SILENT: Final = 1e-30
"""A state of smaller magnitude is zero, as in `nrt_sim.cpu.fire.dense`."""

Way = Literal["sparse", "dense"]


@dataclass(frozen=True, slots=True)
class Encode:
    """Events of the step into the input layer: its plane [batch, size] of counts (or ones), and its list.

    EVENT words by `Layout.encoding`, exactly as `Encoding.index`; SPIKE words add their v at neuron n. Counts
    events, outside and cropped of every recording.
    """


@dataclass(frozen=True, slots=True)
class Project:
    """What `route`'s source put out `delay` steps ago, added to its target's current, by `way`.

    first: the current holds nothing of this step yet: whatever it holds is replaced
    Counts the route's synaptic operations: `fan` of every element that is not zero, per recording.
    """

    route: int
    way: Way
    first: bool


@dataclass(frozen=True, slots=True)
class Advance:
    """One step of a layer's neurons: from its current (nothing where no route ends there) to what it puts out.

    fed: whether a `Project` filled the current. Counts the spikes of every recording.
    """

    layer: int
    fed: bool


@dataclass(frozen=True, slots=True)
class Collect:
    """What watch number `watch` saw in the step goes to the chunk's output."""

    watch: int


Instruction = Encode | Project | Advance | Collect
Program = tuple[Instruction, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Events of `steps` steps of every recording.

    words: uint64[n, 2], EVENT or (spikes) SPIKE records as `nrt.packet.words` gives them, recording after recording
    bounds: int32[batch, steps + 1]: step k of recording b has words[bounds[b, k] : bounds[b, k + 1]]
    """

    words: NDArray[np.uint64]
    bounds: NDArray[np.int32]
    spikes: bool

    @property
    def steps(self) -> int:
        return int(self.bounds.shape[1]) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts since the last reset of each recording.

    The counts are those at the end of the chunk that they came with.

    encoded: int64[3, batch]: events, outside, cropped · spikes: int64[layers, batch] (elements that are not zero,
    whatever they are) · synops: int64[routes, batch]
    """

    encoded: NDArray[np.int64]
    spikes: NDArray[np.int64]
    synops: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """What the chunk's steps gave. Arrays belong to the caller.

    spikes: per watch, None for a membrane, else int32[m, 4] of (step in the chunk, recording, place, payload):
    the elements that are not zero, payload cut to a whole number that 32 bits hold, in any order
    membranes: per watch, None for spikes, else [steps, batch, size] of the layout's dtype
    """

    spikes: tuple[NDArray[np.int32] | None, ...]
    membranes: tuple[NDArray[np.float32] | NDArray[np.float64] | None, ...]
    tally: Tally


class Ops(ABC):
    """A layout with its state on one device; see the module. One thread at a time may use it.

    batch: recordings side by side · span: steps of one pass, 1 where the layout has loops
    room: most steps of one chunk; every watch has room for all it can see in them
    """

    def __init__(self, layout: Layout, batch: int, span: int, room: int) -> None:
        self.layout, self.batch, self.span, self.room = layout, batch, span, room

    @abstractmethod
    def reset(self, recordings: Sequence[int] | None = None) -> None:
        """Membranes to v0, all else and the counts to zero: of those recordings, or of all."""

    @abstractmethod
    def sparse_below(self, route: Route) -> float:
        """Share of the source's elements that are not zero below which the sparse way is faster here; 0 for never.

        Measured on this kind of device; says where the figure comes from. Routes without a table are never asked.
        """

    @abstractmethod
    def load(self, chunk: Chunk) -> None:
        """Copies a chunk of at most `room` steps to the device; the arrays may be reused as soon as it returns."""

    @abstractmethod
    def run(self, program: Program, steps: int) -> None:
        """Computes the loaded chunk's steps. Waits for nothing."""

    @abstractmethod
    def fetch(self) -> Fetched:
        """Waits for the oldest chunk that was run and not fetched, and returns what it gave.

        Without such a chunk it returns empty arrays and the counts as they are.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives the device's memory back; may be called twice."""


MakeOps = Callable[[Layout, int, int, int], Ops]
"""Makes Ops for a layout, a batch, a span and a room."""

"""CudaOps: a layout on a GPU, its state in torch tensors, its arithmetic in the kernels of `kernels`.

A program is prepared once per number of steps, as launches whose arguments never change (`cuda_pass`). On a GPU a pass
runs kernel by kernel the first time (libraries find their workspace), is captured as a CUDA graph the second time, and
is replayed from then on. The same class runs on a CPU with the kernels that g++ compiled (`shim`): so it is tested.

Two chunks may be under way: `load` of the next may come before `fetch` of the one before, which it then returns. Each
has a slab of its own, copied on a stream of its own, and so passes of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

import torch

from nrt.errors import Unsupported
from nrt_sim.gpu.cuda_layer import Compaction, LayerMemory, touched_tiles
from nrt_sim.gpu.cuda_pass import Launcher, Machine, Pass, Play
from nrt_sim.gpu.cuda_slab import Slab, Tallies
from nrt_sim.gpu.cuda_tables import Addition, Ways
from nrt_sim.gpu.layout import Layout, PairTable, Route, RowTable
from nrt_sim.gpu.ops import Chunk, Fetched, MakeOps, Ops, Program

Capture = Callable[[Play], Play]
"""Records what a function launches, and gives a function that launches it again."""
Key = tuple[int, Program, int, int]
"""Slab and program of a pass, its steps, and how many passes one after the other."""

TOGETHER: Final = 8
"""Steps that one graph computes where a chunk has as many: what is left of it is computed step by step."""


class CudaOps(Ops):
    """`Ops` with kernels; see the module. capture: None launches kernel by kernel."""

    def __init__(
        self,
        layout: Layout,
        batch: int,
        span: int,
        room: int,
        ways: Ways,
        launcher: Launcher,
        capture: Capture | None = None,
    ) -> None:
        super().__init__(layout, batch, span, room)
        _check_sizes(layout, batch * span)
        self.device = device = ways.device
        self._capture = capture
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        with self._here():
            self._machine = _machine(batch, span, ways, launcher)
            self._slabs = [Slab(layout, batch, room, device) for _ in range(2)]
        self._plays: dict[Key, Play] = {}
        self._captured: set[Key] = set()
        self._program: Program = ()
        self._turn, self._step = 0, 0
        self._waiting: deque[Slab] = deque()

    @property
    def tallies(self) -> Tallies:
        """The counts on the device."""
        return self._machine.tallies

    def _here(self) -> ExitStack:
        """Inference, on this engine's own stream: sessions on one GPU do not wait for each other."""
        stack = ExitStack()
        stack.enter_context(torch.inference_mode())
        if self._stream is not None:
            stack.enter_context(torch.cuda.stream(self._stream))
        return stack

    def reset(self, recordings: Sequence[int] | None = None) -> None:
        some = list(range(self.batch)) if recordings is None else list(recordings)
        self._waiting.clear()
        with self._here():
            for memory in self._machine.layers:
                memory.reset(some)
            self._machine.tallies.reset(some)

    def sparse_below(self, route: Route) -> float:
        """Counted, not measured: where both ways cost as much (docs/gpu.md, "Sparse or dense")."""
        match route.table:
            case RowTable():
                return 1 / (self.batch * self.span)
            case PairTable():
                return 0.5
            case _:
                return 0.1

    def load(self, chunk: Chunk) -> None:
        self._turn ^= 1
        slab = self._slabs[self._turn]
        with self._here():
            if slab.load(chunk, self._step):  # its addresses have changed
                self._plays = {key: play for key, play in self._plays.items() if key[0] != self._turn}
                self._captured = {key for key in self._captured if key[0] != self._turn}
        self._step += chunk.steps
        self._waiting.append(slab)

    def run(self, program: Program, steps: int) -> None:
        with self._here():
            self._switch(program)
            while steps > 0:
                times = TOGETHER if self.span == 1 and steps >= TOGETHER else 1
                now = min(steps, self.span)
                self._pass((self._turn, program, now, times))
                steps -= now * times
            self._slabs[self._turn].answer(self._machine.tallies)

    def _switch(self, program: Program) -> None:
        """Another program may count on currents, and on a plane of the input, that begin at zero."""
        if program == self._program:
            return
        self._program = program
        for memory in self._machine.layers:
            if memory.current is not None:
                memory.current.zero_()
        events = self._machine.layers[self.layout.input]
        if events.slots == 1 and self.span == 1 and events.plane is not None:
            events.plane.zero_()

    def _pass(self, key: Key) -> None:
        turn, program, steps, times = key
        if key not in self._plays:
            made = Pass(self._machine, self._slabs[turn], program, steps)
            self._plays[key] = partial(made.play, times)
        elif self._capture is not None and key not in self._captured:
            self._captured.add(key)
            self._plays[key] = self._capture(self._plays[key])
        self._plays[key]()

    def fetch(self) -> Fetched:
        """What the oldest chunk gave that was not fetched yet; without one, the counts as they are."""
        with self._here():
            if not self._waiting:
                self._slabs[self._turn].nothing(self._machine.tallies)
                return self._slabs[self._turn].fetch(self._machine.tallies)
            return self._waiting.popleft().fetch(self._machine.tallies)

    def close(self) -> None:
        """Nothing on the device is referred to any more."""
        self._plays.clear()
        self._waiting.clear()
        self._slabs.clear()
        self._machine.layers.clear()


def cuda_ops(device: torch.device, addition: Addition = "sorted") -> MakeOps:
    """Makes CudaOps on a GPU, which share the weights of a layout. Raises MissingDependency without CuPy."""
    from nrt_sim.gpu.cuda_launch import CupyLauncher, capture

    return made_with(CupyLauncher(device), device, addition, capture)


def made_with(
    launcher: Launcher, device: torch.device, addition: Addition, capture: Capture | None = None
) -> Callable[[Layout, int, int, int], CudaOps]:
    """Makes CudaOps that launch by `launcher`."""
    known: list[Ways] = []

    def make(layout: Layout, batch: int, span: int, room: int) -> CudaOps:
        ways = next((ways for ways in known if ways.layout is layout), None)
        if ways is None:
            ways = Ways(layout, device, addition)
            known.append(ways)
        return CudaOps(layout, batch, span, room, ways, launcher, capture)

    return make


def _machine(batch: int, span: int, ways: Ways, launcher: Launcher) -> Machine:
    layout, device = ways.layout, ways.device
    size = batch * layout.layers[layout.input].size
    return Machine(
        layout, batch, span, device, launcher,
        [LayerMemory(layer, batch, span, device) for layer in layout.layers], ways,
        Tallies(layout, batch, device), torch.zeros(-(-size // 32), dtype=torch.int32, device=device),
        Compaction(touched_tiles(size), device),
    )  # fmt: skip


def _check_sizes(layout: Layout, lanes: int) -> None:
    """Raises Unsupported where a number of a neuron in a pass takes more than 31 bits."""
    for layer in layout.layers:
        if lanes * layer.size >= 2**31:
            raise Unsupported(
                layer.name, f"{lanes} lanes of {layer.size} neurons are more than 2^31 at a time"
            )

"""One pass of a program as launches whose arguments never change: what a CUDA graph records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt_sim.gpu.cuda_layer import Compaction, Fields, LayerMemory, Listed, address, arguments
from nrt_sim.gpu.cuda_slab import Slab, Tallies
from nrt_sim.gpu.cuda_tables import BLOCKS, WARP, DeviceTable, Ways, projection_fields
from nrt_sim.gpu.kernels import Kernel, encoding_option, kernel, neuron_option
from nrt_sim.gpu.layout import Layout, Route
from nrt_sim.gpu.ops import Advance, Collect, Encode, Program, Project

FEW: Final = 16
"""Blocks of kernels that mostly have little to do."""
_WHOLE_SENSOR: Final = (0, 0, 2**16, 2**16)

Play = Callable[[], None]


class Launcher(Protocol):
    """Launches kernels: on a GPU, or through the shim."""

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        """In the order of the current stream; waits for nothing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """All that the launches of any pass name: a layout's memory on a device, and who launches.

    touched: a bit per place of the input
    """

    layout: Layout
    batch: int
    span: int
    device: torch.device
    launcher: Launcher
    layers: list[LayerMemory]
    ways: Ways
    tallies: Tallies
    touched: Tensor
    touched_scan: Compaction


class Pass:
    """`steps` steps of a program on the chunk in `slab`; `play` launches them."""

    def __init__(self, machine: Machine, slab: Slab, program: Program, steps: int) -> None:
        self._machine, self._slab, self._program, self._steps = machine, slab, program, steps
        self._lanes = steps * machine.batch
        self._plays: list[Play] = []
        self._listed: set[tuple[int, int]] = set()
        self._kept: list[Tensor] = []
        self._traces: dict[int, Tensor] = {}
        for what in program:
            match what:
                case Encode():
                    self._encode()
                case Project():
                    self._project(what)
                case Advance():
                    self._advance(what)
                case Collect():
                    self._collect(what)
        self._end()

    def play(self, times: int = 1) -> None:
        """Launches the pass, so many times: nothing in it says which it is."""
        for _ in range(times):
            for play in self._plays:
                play()

    def _launch(self, name: str, grid: tuple[int, int], option: tuple[int, ...] = (), **fields: Any) -> None:
        made = arguments(name, **fields)
        launched, launcher = kernel(name), self._machine.launcher
        self._plays.append(partial(launcher.launch, launched, option, made, grid))

    def _torch(self, operation: Callable[[], object]) -> None:
        """An operation of torch's, whose result is not needed."""

        def play() -> None:
            operation()

        self._plays.append(play)

    @property
    def _spanned(self) -> bool:
        return self._machine.span > 1

    @property
    def _chunk(self) -> int:
        return self._slab.chunk

    def _encode(self) -> None:
        machine = self._machine
        layout, batch = machine.layout, machine.batch
        memory = machine.layers[layout.input]
        assert memory.plane is not None
        channels, height, width = memory.layer.volume
        left, top, crop_width, crop_height = layout.encoding.crop or _WHOLE_SENSOR
        plane = memory.window(0, self._steps) if self._spanned else memory.plane
        kept = self._spanned or self._keeps_plane(layout.input)
        if self._spanned:
            self._torch(plane.zero_)
        elif kept:
            assert memory.listed is not None
            forgotten: Fields = {
                "plane": address(plane),
                "list": memory.listed.fields(),
                "chunk": self._chunk,
            }
            self._launch("forget", (FEW, 1), **forgotten)
        self._launch(
            "encode",
            (BLOCKS if self._lanes == 1 else FEW, self._lanes),
            encoding_option(layout.encoding),
            chunk=self._chunk, bounds=self._slab.bounds, words=self._slab.words, plane=address(plane),
            touched=0 if self._spanned else address(machine.touched),
            encoded=machine.tallies.encoded_at, slots=memory.slots, capacity=memory.capacity,
            size=memory.layer.size, batch=batch, left=left, top=top, crop_width=crop_width,
            crop_height=crop_height, pool=layout.encoding.pool, swap=int(layout.encoding.swap),
            channels=channels, height=height, width=width,
        )  # fmt: skip
        if self._spanned:
            self._list_window(layout.input, 0, counted=True)
            return
        assert memory.listed is not None
        self._launch(
            "compact", (machine.touched_scan.tiles, 1), (1,), plane=address(plane), touched=address(machine.touched),
            list=memory.listed.fields(), scan=machine.touched_scan.fields, chunk=self._chunk,
            spikes=machine.tallies.spikes_at(layout.input), size=memory.layer.size, batch=batch,
            ids=memory.capacity, clear=int(not kept),
        )  # fmt: skip

    def _keeps_plane(self, layer: int) -> bool:
        """Whether a plane of what a layer put out is needed: by a dense route, or for steps that come later."""
        routes = self._machine.layout.routes
        dense = any(
            isinstance(what, Project) and what.way == "dense" and routes[what.route].source == layer
            for what in self._program
        )
        return dense or self._machine.layers[layer].slots > 1

    def _keeps_list(self, layer: int) -> bool:
        """The same of a list: by a sparse route, by who watches, or for steps that come later."""
        routes, watches = self._machine.layout.routes, self._machine.layout.watches
        sparse = any(
            isinstance(what, Project) and what.way == "sparse" and routes[what.route].source == layer
            for what in self._program
        )
        watched = any(watch.layer == layer and not watch.membrane for watch in watches)
        return sparse or watched or self._machine.layers[layer].slots > 1

    def _list_window(self, layer: int, delay: int, counted: bool = False) -> Listed:
        """Lists what a layer put out `delay` steps before each step of the pass; once in a pass."""
        machine = self._machine
        memory = machine.layers[layer]
        listed, scan = memory.window_list(delay, self._steps)
        if (layer, delay) in self._listed:
            return listed
        self._listed.add((layer, delay))
        self._launch(
            "compact", (scan.tiles, 1), (0,), plane=address(memory.window(delay, self._steps)),
            list=listed.fields(), scan=scan.fields, chunk=self._chunk,
            spikes=machine.tallies.spikes_at(layer) if counted else 0, size=memory.layer.size, batch=machine.batch,
            ids=self._steps * memory.capacity,
        )  # fmt: skip
        return listed

    def _project(self, what: Project) -> None:
        machine = self._machine
        route = machine.layout.routes[what.route]
        source, target = machine.layers[route.source], machine.layers[route.target]
        synops = machine.tallies.synops_at(route.index)
        if what.way == "dense":
            self._project_dense(what, route, source, target, synops)
            return
        table = machine.ways.table(route)
        if self._spanned:
            spikes = self._list_window(route.source, route.delay).fields()
            if what.first and not table.ordered and target.current is not None:
                self._torch(target.current[: self._steps].zero_)
        else:
            assert source.listed is not None
            spikes = source.listed.fields(route.delay)
        self._launch(
            table.kernel, (table.blocks(self._lanes), 1), list=spikes, chunk=self._chunk, synops=synops,
            first=int(what.first), **projection_fields(table, source, target, self._lanes),
            **self._shared(table),
        )  # fmt: skip

    def _shared(self, table: DeviceTable) -> Fields:
        """Room for what blocks that share the spikes of a matrix tell each other."""
        if table.kernel != "rows_sorted":
            return {}
        units, splits = table.units(self._lanes), table.splits
        partial = torch.empty((units, splits, WARP), device=self._machine.device)
        finished = torch.zeros(units, dtype=torch.int32, device=self._machine.device)
        self._kept += [partial, finished]
        return {"partial": address(partial), "finished": address(finished), "splits": splits}

    def _project_dense(
        self, what: Project, route: Route, source: LayerMemory, target: LayerMemory, synops: int
    ) -> None:
        machine = self._machine
        apply, fan = machine.ways.dense(route)
        assert source.plane is not None
        assert target.current is not None
        planes = source.window(route.delay, self._steps) if self._spanned else source.plane
        copy: Tensor | None = None
        if source.slots > 1:  # which plane it is, only the device knows
            copy = torch.empty((1, machine.batch, source.layer.size), device=machine.device)
            self._kept.append(copy)
        self._launch(
            "count", (BLOCKS, 1), plane=address(planes), copy=address(copy), chunk=self._chunk, synops=synops,
            slots=source.slots, capacity=source.capacity, delay=0 if self._spanned else route.delay,
            size=source.layer.size, batch=machine.batch, ids=self._steps * source.capacity, **fan,
        )  # fmt: skip
        arriving = (planes if copy is None else copy).reshape(self._lanes, source.layer.size)
        current = target.current[: self._steps].view(self._lanes, target.layer.size)
        first = what.first

        def add() -> None:
            made = apply(arriving)
            current.copy_(made) if first else current.add_(made)

        self._plays.append(add)

    def _advance(self, what: Advance) -> None:
        machine = self._machine
        memory = machine.layers[what.layer]
        neuron, neurons = memory.layer.neuron, memory.neurons
        assert neuron is not None
        assert neurons is not None
        shared: Fields = {
            "neuron": neurons.fields,
            "current": address(memory.current) if what.fed else 0,
            "spikes": machine.tallies.spikes_at(what.layer),
            "size": memory.layer.size,
            "batch": machine.batch,
            **neurons.state,
        }
        if self._spanned:
            self._launch(
                "steps", (-(-memory.layer.size // kernel("steps").threads), machine.batch), neuron_option(neuron),
                plane=address(memory.window(0, self._steps)), membranes=self._trace(what.layer),
                steps=self._steps, **shared,
            )  # fmt: skip
            return
        assert memory.listed is not None
        fields = memory.listed.fields()
        if not self._keeps_list(what.layer):
            fields["ids"] = 0
        self._launch(
            "advance", (memory.scan.tiles, 1), neuron_option(neuron), list=fields, scan=memory.scan.fields,
            plane=address(memory.plane) if self._keeps_plane(what.layer) else 0, chunk=self._chunk,
            clear=int(self._begins_at_zero(what.layer)), **shared,
        )  # fmt: skip

    def _begins_at_zero(self, layer: int) -> bool:
        """Whether what arrives first at a layer is added to what must be nothing."""
        for what in self._program:
            if isinstance(what, Project) and self._machine.layout.routes[what.route].target == layer:
                route = self._machine.layout.routes[what.route]
                return what.way == "sparse" and not self._machine.ways.table(route).ordered
        return False

    def _trace(self, layer: int) -> int:
        """Where the membranes of every step of a pass go; 0 where nobody watches them."""
        if not any(watch.membrane and watch.layer == layer for watch in self._machine.layout.watches):
            return 0
        memory = self._machine.layers[layer]
        trace = torch.empty(
            (self._steps, self._machine.batch, memory.layer.size), device=self._machine.device
        )
        self._traces[layer] = trace
        return address(trace)

    def _collect(self, what: Collect) -> None:
        machine = self._machine
        watch = machine.layout.watches[what.watch]
        memory = machine.layers[watch.layer]
        to = self._slab.watched[what.watch]
        shared: Fields = {
            "chunk": self._chunk, "size": memory.layer.size, "batch": machine.batch, "lanes": self._lanes,
        }  # fmt: skip
        if watch.membrane:
            assert memory.neurons is not None
            membranes = self._traces[watch.layer] if self._spanned else memory.neurons.v
            grid = (min(BLOCKS, -(-membranes.numel() // kernel("collect_membranes").threads)), 1)
            self._launch(
                "collect_membranes", grid, membranes=address(membranes), traces=address(to.rows), **shared
            )
            return
        listed = self._list_window(watch.layer, 0) if self._spanned else memory.listed
        assert listed is not None
        self._launch(
            "collect_spikes", (FEW, 1), list=listed.fields(), spikes=address(to.rows),
            written=address(to.written), finished=address(to.finished), room=len(to.rows), **shared,
        )  # fmt: skip

    def _end(self) -> None:
        if self._spanned:
            for memory in self._machine.layers:
                self._plays.append(partial(memory.move, self._steps))
        self._launch("tick", (1, 1), chunk=self._chunk, span=self._steps)

"""The sparse way: a route's table on the device, and the launch that adds a list of spikes through it.

Two ways to add: "sorted" gives each target cell to one thread, which adds its spikes in the order of the list, so that
the same input gives the same bits every time; "atomic" lets many threads add to a cell, in no order. Which is faster
depends on how many spikes meet in a cell; neither was ever measured on a GPU.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nrt_sim.gpu.cuda_layer import Fields, LayerMemory, address
from nrt_sim.gpu.kernels import CELLS
from nrt_sim.gpu.layout import Layer, Layout, PairTable, PatchTable, Route, RowTable, Table
from nrt_sim.gpu.torch_dense import Apply, dense_way

Addition = Literal["sorted", "atomic"]

BLOCKS: Final = 264
"""Of a kernel that shares a list of unknown length: two for every multiprocessor of an H100."""
WARP: Final = 32
SHARE: Final = 2048
"""Source neurons for which another block helps with the rows of a matrix."""
MOST_SPLITS: Final = 64


class Ways:
    """Both ways of the routes of a layout, with their weights on the device; shared by all that run the layout."""

    def __init__(self, layout: Layout, device: torch.device, addition: Addition) -> None:
        self.layout, self.device = layout, device
        self._addition: Addition = addition
        self._tables: dict[int, DeviceTable] = {}
        self._dense: dict[int, tuple[Apply, Fields]] = {}
        self._kept: list[Tensor] = []

    def table(self, route: Route) -> DeviceTable:
        """The sparse way. Only of a route that has a table."""
        if route.index not in self._tables:
            source, target = self.layout.layers[route.source], self.layout.layers[route.target]
            self._tables[route.index] = DeviceTable(route, source, target, self._addition, self.device)
            self._settle()
        return self._tables[route.index]

    def dense(self, route: Route) -> tuple[Apply, Fields]:
        """The dense way, and the fields of `Count` that say its synapses."""
        if route.index not in self._dense:
            apply = dense_way(self.layout, route, self.device, torch.float32)
            fan: Fields = {"ways": 0}
            if route.fan.ndim:
                self._kept.append(torch.tensor(route.fan, dtype=torch.int32, device=self.device))
                fan["fan"] = address(self._kept[-1])
            else:
                fan["ways"] = int(route.fan)
            self._dense[route.index] = (apply, fan)
            self._settle()
        return self._dense[route.index]

    def _settle(self) -> None:
        """Other engines read the weights on other streams: they must have arrived."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()


class DeviceTable:
    """A route's table in device memory: which kernel, its fields, and the blocks for a number of lanes.

    ordered: whether it adds in the order of the list (a sum is then written, not added to what was there before)
    """

    def __init__(
        self, route: Route, source: Layer, target: Layer, way: Addition, device: torch.device
    ) -> None:
        self._kept: list[Tensor] = []
        self._device = device
        self._target = target
        assert route.table is not None
        self.ordered = way == "sorted" and not _one_to_one(route.table)
        suffix = "sorted" if self.ordered else "atomic"
        self.kernel = f"{_NAMES[type(route.table)]}_{suffix}"
        self.fields: Fields = {"size": source.size, **self._fan(route.fan)}
        match route.table:
            case RowTable():
                self.fields |= self._rows(route.table)
            case PairTable():
                self.fields |= self._pairs(route.table, target.size)
            case PatchTable():
                self.fields |= self._patch(route.table, source, target)

    @property
    def splits(self) -> int:
        """Blocks that share the spikes of 32 outputs of a matrix: several where there may be many spikes."""
        many = -(-int(self.fields["size"]) // SHARE)
        return min(MOST_SPLITS, many) if self.kernel == "rows_sorted" else 1

    def units(self, lanes: int) -> int:
        """32 outputs of one lane each."""
        return lanes * -(-self._target.size // WARP)

    def blocks(self, lanes: int) -> int:
        """How many blocks to launch."""
        if not self.ordered:
            return BLOCKS
        if self.kernel == "rows_sorted":
            return self.units(lanes) * self.splits
        if self.kernel == "pairs_sorted":
            return min(4 * BLOCKS, -(-self.units(lanes) // 8))
        _, height, width = self._target.volume
        return lanes * height * -(-width * self._target.volume[0] // CELLS)

    def _put(self, values: NDArray[Any]) -> int:
        """Copies an array to the device, and gives its address."""
        kind = torch.float32 if values.dtype.kind == "f" else torch.int32
        self._kept.append(torch.tensor(np.ascontiguousarray(values), dtype=kind, device=self._device))
        return address(self._kept[-1])

    def _fan(self, fan: NDArray[np.int64]) -> Fields:
        return {"fan": self._put(fan)} if fan.ndim else {"ways": int(fan)}

    def _rows(self, table: RowTable) -> Fields:
        outputs = table.weight.shape[1]
        return {"row": self._put(table.row), "weight": self._put(table.weight), "outputs": outputs}

    def _pairs(self, table: PairTable, outputs: int) -> Fields:
        begin, end = _reach(table.target // WARP, table.target >= 0, -(-outputs // WARP))
        return {
            "target": self._put(table.target),
            "weight": self._put(table.weight),
            "reach_begin": self._put(begin),
            "reach_end": self._put(end),
            "outputs": outputs,
        }

    def _patch(self, table: PatchTable, source: Layer, target: Layer) -> Fields:
        outputs, height, width = target.volume
        _, _, rows, columns, group = table.weight.shape
        reached = np.concatenate([table.top + j for j in range(rows)])
        inside = np.tile(table.phase >= 0, rows) & (reached >= 0) & (reached < height)
        begin, end = _reach(reached, inside, height, len(table.top))
        return {
            "phase": self._put(table.phase),
            "top": self._put(table.top),
            "left": self._put(table.left),
            "shift": self._put(table.shift),
            "weight": self._put(table.weight),
            "reach_begin": self._put(begin),
            "reach_end": self._put(end),
            "channels": source.volume[0],
            "rows": rows,
            "columns": columns,
            "group": group,
            "height": height,
            "width": width,
            "outputs": outputs,
        }


_NAMES: Final[dict[type[Table], str]] = {RowTable: "rows", PairTable: "pairs", PatchTable: "patch"}


def _one_to_one(table: Table) -> bool:
    """Whether no two places have the same target, so that the order of additions does not matter."""
    if not isinstance(table, PairTable):
        return False
    reached = table.target[table.target >= 0]
    return len(np.unique(reached)) == len(reached)


def _reach(
    tile: NDArray[np.int32], inside: NDArray[np.bool_], tiles: int, period: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every tile of a target, the range of sources of which some reach it; element k is of source k % period."""
    source = np.arange(len(tile)) % (period or len(tile))
    begin, end = np.full(tiles, len(tile), np.int64), np.zeros(tiles, np.int64)
    np.minimum.at(begin, tile[inside], source[inside])
    np.maximum.at(end, tile[inside], source[inside] + 1)
    return np.minimum(begin, end), end


def projection_fields(table: DeviceTable, source: LayerMemory, target: LayerMemory, lanes: int) -> Fields:
    """What does not change from program to program: the table, the target's current, and the sizes."""
    return table.fields | {"current": address(target.current), "lanes": lanes, "batch": source.batch}

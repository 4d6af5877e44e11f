"""Lays a network out for a GPU: places, tables and counts of synapses; see `nrt_sim.gpu.layout`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, Unsupported
from nrt.network import Network, Population, Projection
from nrt.network.encoding import volume
from nrt.network.operators import Operator, fan
from nrt_sim.cpu.stage import Pairs, Patch, Rows, Stage, cut
from nrt_sim.gpu.layout import (
    Ints,
    Layer,
    Layout,
    Longs,
    PairTable,
    PatchTable,
    Route,
    RowTable,
    Table,
    Volume,
    Watch,
)

LARGEST_TABLE = 2**31
"""Weights of one table; places and offsets are 32-bit numbers on the device."""


def lay_out(network: Network, watched: Sequence[str], dtype: np.dtype[np.floating[Any]]) -> Layout:
    """Lays out `network`. Raises ConfigError for a name that cannot be watched, Unsupported."""
    if len(network.inputs) != 1:
        raise Unsupported(", ".join(network.inputs), "events can go to exactly one input population")
    index = {p.name: k for k, p in enumerate(network.populations)}
    for population in network.populations:
        if population.size == 0:
            raise Unsupported(population.name, "a population without neurons")
        if population.neuron is None and population.name != network.inputs[0]:
            raise Unsupported(population.name, "a population without neurons' equations that is no input")
    watches = tuple(_watch(network, index, name) for name in watched)
    seen = [_seen(network, p) for p in network.populations]
    routes = tuple(_route(network, k, p, index, seen, dtype) for k, p in enumerate(network.projections))
    layers = tuple(_layer(network, k, seen[k], routes, dtype) for k in range(len(seen)))
    loops = any(route.source >= route.target for route in routes)
    return Layout(
        network, layers, routes, watches, index[network.inputs[0]], network.encoding, loops, np.dtype(dtype)
    )


def places(seen: Volume) -> Longs:
    """The place of every neuron n; int64[size]."""
    channels, height, width = seen
    at = np.arange(prod(seen)).reshape(height, width, channels)
    return np.ascontiguousarray(at.transpose(2, 0, 1)).reshape(-1)


def in_places(values: NDArray[Any], seen: Volume) -> NDArray[Any]:
    """Values of all neurons, in C, H, W order along the last axis, in place order."""
    folded = values.reshape(*values.shape[:-1], *seen)
    return np.ascontiguousarray(np.moveaxis(folded, -3, -1)).reshape(values.shape)


def _seen(network: Network, population: Population) -> Volume:
    """A flat population that a plane arrives at is seen as that plane."""
    shape = population.shape
    for projection in network.into(population.name):
        arriving = network[projection.source].shape
        for operator in projection.operators:
            arriving = operator.shape(arriving)
        if len(shape) < 3 and len(arriving) == 3:
            shape = arriving
    return volume(shape)


def _watch(network: Network, index: dict[str, int], name: str) -> Watch:
    if name in index:
        neuron = network[name].neuron
        return Watch(name, index[name], neuron is not None and not neuron.fires)
    owner = name.removesuffix(".v")
    if owner == name or owner not in index or network[owner].neuron is None:
        raise ConfigError(f"no population '{name}' to watch; there is {', '.join(sorted(index))}")
    return Watch(name, index[owner], True)


def _layer(
    network: Network,
    k: int,
    seen: Volume,
    routes: Sequence[Route],
    dtype: np.dtype[np.floating[Any]],
) -> Layer:
    population = network.populations[k]
    neuron = population.neuron
    size = population.size
    zero: NDArray[Any] = np.zeros(())
    bias = sum((p.bias for p in network.into(population.name) if p.bias is not None), zero)
    leaving = [route for route in routes if route.source == k]
    neuron_at = np.empty(size, np.int32)
    neuron_at[places(seen)] = np.arange(size)
    return Layer(
        k,
        population.name,
        seen,
        neuron,
        neuron_at,
        (in_places(bias.reshape(-1), seen) if bias.ndim else bias).astype(dtype),
        max((route.delay for route in leaving), default=0),
        bool(leaving),
        neuron is not None and neuron.spikes == "binary",
    )


def _route(
    network: Network,
    k: int,
    projection: Projection,
    index: dict[str, int],
    seen: Sequence[Volume],
    dtype: np.dtype[np.floating[Any]],
) -> Route:
    source, target = index[projection.source], index[projection.target]
    shape = network.populations[source].shape
    ways = in_places(fan(projection.operators, shape).reshape(-1), seen[source])
    return Route(
        k,
        f"{projection.source} → {projection.target}",
        source,
        target,
        projection.delay,
        projection.operators,
        _table(projection.operators, seen[source], seen[target], dtype),
        np.asarray(ways[0]) if bool(np.all(ways == ways[0])) else ways,
    )


def _table(
    operators: Sequence[Operator], source: Volume, target: Volume, dtype: np.dtype[np.floating[Any]]
) -> Table | None:
    """The route as one scatter, or None where it takes several."""
    stages = cut(operators, source)
    if len(stages) != 1:
        return None
    made = _single(stages[0], source, target, dtype)
    return made if made is None or made.weight.size < LARGEST_TABLE else None


def _single(stage: Stage, source: Volume, target: Volume, dtype: np.dtype[np.floating[Any]]) -> Table | None:
    if isinstance(stage, Pairs):
        reached = in_places(stage.target.reshape(-1), source)
        onward = np.where(reached >= 0, places(target)[reached], -1)
        return PairTable(_int32(onward), in_places(stage.weight.reshape(-1), source).astype(dtype))
    if isinstance(stage, Rows):
        return _rows(stage, target, dtype)
    if stage.outputs != target:
        return None
    return _patch(stage, dtype)


def _rows(stage: Rows, target: Volume, dtype: np.dtype[np.floating[Any]]) -> RowTable:
    phases, channels, outputs = stage.weight.shape
    pixel = stage.phase.reshape(-1)[:, None]
    row = np.where(pixel >= 0, pixel * channels + np.arange(channels), -1)
    weight = in_places(stage.weight.reshape(phases * channels, outputs), target)
    return RowTable(_int32(row.reshape(-1)), weight.astype(dtype))


def _patch(stage: Patch, dtype: np.dtype[np.floating[Any]]) -> PatchTable:
    phases, channels, rows, segments, run = stage.weight.shape
    group = run // (stage.columns // segments)
    weight = stage.weight.reshape(phases, channels, rows, stage.columns, group)
    return PatchTable(
        _int32(stage.phase.reshape(-1)),
        _int32(stage.top.reshape(-1)),
        _int32(stage.left.reshape(-1)),
        _int32(stage.shift.reshape(-1)),
        np.ascontiguousarray(weight, dtype),
    )


def _int32(values: NDArray[Any]) -> Ints:
    return np.ascontiguousarray(values, np.int32)

"""The shape of every signal in a flat NIR graph, found by following the edges from the Input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from nrt.errors import ConfigError, Unsupported
from nrt.network.discretise import is_neuron, own_shape
from nrt.network.graph import Flat
from nrt.network.nodes import MAX_SIZE, Linear, Shape, declared_shape, is_linear, linear


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """outputs: the shape of what each node gives; linear: what each linear node does to what arrives, and in
    which shape that is."""

    outputs: Mapping[str, Shape]
    arriving: Mapping[str, Shape]
    linear: Mapping[str, Linear]


def shapes(flat: Flat) -> Shapes:
    """Infers and checks every shape. Raises ConfigError where the graph contradicts itself."""
    one_dimensional = bool(flat.of_type("Conv1d"))
    found: dict[str, Shape] = {}
    done: dict[str, Linear] = {}
    into: dict[str, Shape] = {}
    own = {n: own_shape(n, node) for n, node in flat.nodes.items() if is_neuron(node)}
    own = {n: None if s is None else _upright(s, one_dimensional) for n, s in own.items()}
    for name in flat.of_type("Input"):
        found[name] = _upright(declared_shape(name, flat.nodes[name]), one_dimensional)
    waiting = [name for name in flat.nodes if name not in found]
    while waiting:
        before = len(found)
        for name in waiting:
            arriving = next((found[p] for p in flat.into[name] if p in found), None)
            if arriving is None:
                continue
            if is_linear(flat.nodes[name]):
                into[name] = arriving
                done[name] = linear(name, flat.nodes[name], arriving)
                found[name] = done[name].shape
            else:
                found[name] = _population(name, own.get(name), arriving)
        if len(found) == before:  # a loop, or neurons that nothing drives: their own shape must do
            loose = next(
                (n for n in waiting if own.get(n) is not None), next((n for n in waiting if n in own), None)
            )
            if loose is None:
                raise ConfigError(
                    f"nothing arrives at '{waiting[0]}' from the Input; check the graph's edges"
                )
            found[loose] = own[loose] or (1,)
        waiting = [n for n in waiting if n not in found]
    total = sum(prod(shape) for shape in found.values())
    if total > MAX_SIZE:
        raise Unsupported(
            max(found, key=lambda n: prod(found[n])), f"{total} elements are too large a network"
        )
    _check(flat, found)
    return Shapes(found, into, done)


def _upright(shape: Shape, one_dimensional: bool) -> Shape:
    """(C, L) as (C, 1, L) in a network of one-dimensional convolutions."""
    return (shape[0], 1, shape[1]) if one_dimensional and len(shape) == 2 else shape


def _population(name: str, own: Shape | None, arriving: Shape) -> Shape:
    """A population's shape: its parameters', unless they stand for more neurons than they have numbers."""
    if own is None:
        return arriving
    if prod(own) == prod(arriving):
        return own
    try:
        if np.broadcast_shapes(own, arriving) == arriving:
            return arriving
    except ValueError:
        pass
    raise ConfigError(f"{name}: its parameters have shape {own}, what arrives has shape {arriving}")


def _check(flat: Flat, found: Mapping[str, Shape]) -> None:
    """What joins at a node must have one shape; ones in it do not count."""
    for name, sources in flat.into.items():
        arriving = [(s, found[s]) for s in sources]
        kinds: set[tuple[int, ...]]
        if is_neuron(flat.nodes[name]):
            arriving.append((name, found[name]))
            kinds = {(prod(shape),) for _, shape in arriving}
        else:
            kinds = {tuple(d for d in shape if d != 1) for _, shape in arriving}
        if len(kinds) > 1:
            listed = ", ".join(f"{shape} from '{source}'" for source, shape in arriving if source != name)
            raise ConfigError(f"{name}: what arrives differs in shape ({listed}; {name} has {found[name]})")

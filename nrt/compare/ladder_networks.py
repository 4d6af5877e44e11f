"""Changes between two rungs, taken by themselves: in one layer only, or in another network.

Rungs that are networks have the same populations and projections in the same units (`Device.rungs`). So what one
changes in a layer is a list of numbers and choices, and can be made in any network of the same make: in the float one
(the rung alone), or in one layer of the rung before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nrt.network import Network, Neuron, Projection
from nrt.network.operators import Operator

T = TypeVar("T")


def alike(first: Network, second: Network) -> bool:
    """Whether the two differ in numbers and choices only."""
    populations = [
        [(p.name, p.shape, p.neuron is None) for p in each.populations] for each in (first, second)
    ]
    projections = [[_make(p) for p in each.projections] for each in (first, second)]
    return (
        populations[0] == populations[1]
        and projections[0] == projections[1]
        and first.semantics.dt == second.semantics.dt
        and first.encoding == second.encoding
    )


def _make(projection: Projection) -> tuple[object, ...]:
    return (projection.source, projection.target, *(type(o) for o in projection.operators))


def altered(before: Network, after: Network) -> tuple[str, ...]:
    """The populations that `after` changes, neurons or what leads into them, in order."""
    return tuple(
        p.name
        for p in before.populations
        if p.neuron is not None
        and (
            not _equal(p.neuron, after[p.name].neuron)
            or not all(_equal(a, b) for a, b in zip(before.into(p.name), after.into(p.name), strict=True))
        )
    )


def changed(base: Network, before: Network, after: Network, layers: Collection[str] | None = None) -> Network:
    """`base` with what `after` changes against `before`, in `layers` only; None for all. All three are alike."""
    chosen = {p.name for p in base.populations} if layers is None else set(layers)
    populations = tuple(
        p
        if p.neuron is None or p.name not in chosen
        else dataclasses.replace(p, neuron=_neuron(p.neuron, before[p.name].neuron, after[p.name].neuron))
        for p in base.populations
    )
    projections = tuple(
        _projection(p, a, b) if p.target in chosen else p
        for p, a, b in zip(base.projections, before.projections, after.projections, strict=True)
    )
    return dataclasses.replace(base, populations=populations, projections=projections)


def _neuron(base: Neuron, before: Neuron | None, after: Neuron | None) -> Neuron:
    assert before is not None
    assert after is not None
    return _fields(base, before, after)


def _projection(base: Projection, before: Projection, after: Projection) -> Projection:
    operators = tuple(
        _operator(o, a, b) for o, a, b in zip(base.operators, before.operators, after.operators, strict=True)
    )
    bias = _moved(base.bias, before.bias, after.bias)
    delay = after.delay if after.delay != before.delay else base.delay
    return dataclasses.replace(base, operators=operators, bias=bias, delay=delay)


def _operator(base: Operator, before: Operator, after: Operator) -> Operator:
    return _fields(base, before, after)


def _fields(base: T, before: T, after: T) -> T:
    """A frozen dataclass with every field of `base` moved as from `before` to `after`."""
    own: Any = base
    names = [field.name for field in dataclasses.fields(own)]
    values = {n: _moved(getattr(base, n), getattr(before, n), getattr(after, n)) for n in names}
    made: T = dataclasses.replace(own, **values)
    return made


def _moved(base: Any, before: Any, after: Any) -> Any:
    """A field of `base`: numbers move by as much as they did, choices become what they became."""
    if _equal(before, after):
        return base
    if base is None and before is not None:
        return None  # `before` and `after` bound or bias what `base` leaves alone
    if not (
        isinstance(base, np.ndarray) and isinstance(before, np.ndarray) and isinstance(after, np.ndarray)
    ):
        return after
    if _equal(base, before):
        return after
    moved: NDArray[np.float64] = np.asarray(base + (after - before))
    moved.flags.writeable = False
    return moved


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        same = (
            first.shape == second.shape or not first.ndim or not second.ndim
        )  # one number for all is as good
        return same and bool(np.all(first == second))
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if dataclasses.is_dataclass(first) and type(first) is type(second):
        return all(_equal(getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first))
    return type(first) is type(second) and bool(first == second)

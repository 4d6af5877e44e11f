"""Network: populations and projections in frozen arrays, the one form that every device takes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from nrt.errors import ConfigError
from nrt.network.encoding import Encoding
from nrt.network.neuron import Neuron
from nrt.network.operators import Array, Operator
from nrt.network.semantics import Semantics

if TYPE_CHECKING:
    from nrt.network.nir import NIRGraph


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Neurons of one kind. `neuron` is None for an input: its spikes are the events it is sent."""

    name: str
    shape: tuple[int, ...]
    neuron: Neuron | None = None

    @property
    def size(self) -> int:
        """Number of neurons; a spike's n counts them in C, H, W order."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Spikes of `source` (or the membrane of one that does not fire), through `operators` in order, plus `bias`.

    delay: steps between a spike and its effect; 0 acts within the step
    bias:  None, or what the target receives in every step, spikes or not; shape of the target
    """

    source: str
    target: str
    operators: tuple[Operator, ...]
    delay: int = 0
    bias: Array | None = None

    def matrix(self, source: tuple[int, ...]) -> Array:
        """Its weights as one matrix, float64[target, source], for a source population of shape `source`.

        For chips with a crossbar: every operator is applied to every source neuron alone.
        """
        columns = np.eye(prod(source)).reshape(-1, *source)
        for operator in self.operators:
            columns = np.stack([operator.apply(column) for column in columns])
        return columns.reshape(len(columns), -1).T


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Network:
    """A lowered network: populations in the order in which a step computes them.

    Projections without delay run forward in that order, so one pass over the populations is one step.
    notes: what the lowering had to repair or assume, one sentence each.
    loaded: the file that it was read from and how, as texts that `nrt.reading.Reading` takes; empty for one made
            otherwise. No part of what it computes, nor of its hash.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    semantics: Semantics = field(default_factory=Semantics)
    encoding: Encoding = field(default_factory=Encoding)
    notes: tuple[str, ...] = ()
    name: str = "network"
    loaded: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        order = {p.name: k for k, p in enumerate(self.populations)}
        if len(order) != len(self.populations):
            raise ConfigError(f"{self.name}: two populations have the same name")
        if self.semantics.dt < 1:
            raise ConfigError(f"{self.name}: dt is {self.semantics.dt} µs; it must be at least 1")
        for name in (*self.inputs, *self.outputs):
            if name not in order:
                raise ConfigError(f"{self.name}: no population '{name}'; there is {', '.join(order)}")
        for population in self.populations:
            if population.neuron is not None:
                population.neuron.check(population.name, population.shape)
            elif population.name not in self.inputs:
                raise ConfigError(
                    f"{self.name}: population '{population.name}' has no neuron and is no input"
                )
        for projection in self.projections:
            self._check_projection(projection, order)

    def _check_projection(self, projection: Projection, order: dict[str, int]) -> None:
        label = f"{projection.source} → {projection.target}"
        for name in (projection.source, projection.target):
            if name not in order:
                raise ConfigError(f"{label}: no population '{name}'; there is {', '.join(order)}")
        if projection.delay < 0 or (
            projection.delay == 0 and order[projection.source] >= order[projection.target]
        ):
            raise ConfigError(
                f"{label}: a projection backwards or onto itself needs a delay of at least one step"
            )
        shape = self[projection.source].shape
        for operator in projection.operators:
            shape = operator.shape(shape)
        target = self[projection.target]
        if prod(shape) != target.size:
            raise ConfigError(f"{label}: arrives with shape {shape}, the target has {target.shape}")
        if projection.bias is not None and projection.bias.shape != target.shape:
            raise ConfigError(
                f"{label}: bias of shape {projection.bias.shape} for a target of {target.shape}"
            )

    @classmethod
    def load(
        cls,
        path: str | Path,
        like: str | None = None,
        dt: int | str | None = None,
        encoding: Encoding | None = None,
        **overrides: object,
    ) -> Network:
        """The network in a NIR file; see `nrt.network.lower.load`."""
        from nrt.network.lower import load  # h5py is loaded only when a file is read

        return load(path, like, dt, encoding, **overrides)

    @classmethod
    def from_nir(
        cls,
        graph: NIRGraph,
        like: str | None = None,
        dt: int | str | None = None,
        encoding: Encoding | None = None,
        **overrides: object,
    ) -> Network:
        """The network in an object of the nir package; see `nrt.network.lower.from_nir`."""
        from nrt.network.lower import from_nir

        return from_nir(graph, like, dt, encoding, **overrides)

    def __getitem__(self, name: str) -> Population:
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    def into(self, target: str) -> Sequence[Projection]:
        """The projections that end at `target`, in order."""
        return [p for p in self.projections if p.target == target]

    @property
    def neurons(self) -> int:
        """Neurons that compute, over all populations but the inputs."""
        return sum(p.size for p in self.populations if p.neuron is not None)

    @property
    def parameters(self) -> int:
        """Weights and biases, as stored (a shared kernel counts once)."""
        return sum(
            sum(np.size(getattr(o, "weight", ())) for o in p.operators)
            + (0 if p.bias is None else p.bias.size)
            for p in self.projections
        )

    @property
    def hash(self) -> str:
        """SHA-256 over every number and choice: equal networks compute equal spikes."""
        if self not in _hashes:
            _hashes[self] = self._digest()
        return _hashes[self]

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for part in (
            self.populations,
            self.projections,
            self.inputs,
            self.outputs,
            self.semantics,
            self.encoding,
        ):
            _feed(digest, part)
        return digest.hexdigest()


_hashes: WeakKeyDictionary[Network, str] = WeakKeyDictionary()
"""Of networks that were asked for theirs: every run is, and large ones take long. Nothing in a network changes."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def _feed(digest: _Digest, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(repr((value.shape, value.dtype.str)).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        digest.update(type(value).__name__.encode())
        for item in fields(value):
            _feed(digest, getattr(value, item.name))
    elif isinstance(value, tuple):
        digest.update(b"(%d" % len(value))
        for item in value:
            _feed(digest, item)
    else:
        digest.update(repr(value).encode())

"""Reads NIR files, of every version so far, into plain nodes and edges.

A NIR file is HDF5: a string `version` and a group `node`. A node is a group with a string `type` and one
dataset per parameter; a graph is a node of type NIRGraph with a group `nodes` and a table of pairs of names,
`edges`. Versions differ in which parameters are there (v_reset since 1.0.6, input_shape, metadata), in
scalars against pairs, and in how strings are stored. What is missing is left to the lowering to judge:
here nothing is guessed.

We read the file ourselves and not through the nir package; docs/decisions/0001 says why, and `nrt.network.hdf5`
what a damaged or hostile file can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from nrt.errors import ConfigError
from nrt.network.hdf5 import Reader, Value, plain, read_with, text

_DEPTH: Final = 16
_NODES: Final = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One NIR node as the file has it: its type and its parameters, numbers or strings."""

    type: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A NIRGraph as the file has it; nodes may be graphs."""

    nodes: Mapping[str, Node | Graph]
    edges: tuple[tuple[str, str], ...]
    version: str = ""


class NIRGraph(Protocol):
    """What is asked of an object of the nir package: its own dictionary form."""

    def to_dict(self) -> dict[str, Any]:
        """The node as nested dictionaries, as nir writes them to a file."""
        ...


def read(path: str | Path) -> Graph:
    """The graph in the NIR file at `path`. Raises NotFound, or ConfigError for what is no NIR file."""
    return read_with(path, "NIR", lambda reader, root: _Reader(reader).file(root))


def from_object(graph: NIRGraph) -> Graph:
    """The same from an object of the nir package, which is not imported for it."""
    return _from_dict("the graph", graph.to_dict(), 0)


class _Reader:
    """Makes nodes of groups, as many as a network can have."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.path = reader.path
        self.nodes_left = _NODES

    def file(self, file: Any) -> Graph:
        root = self.reader.group(file, "node", "the file")
        if root is None:
            raise ConfigError(f"{self.path} is no NIR file: it has no group 'node'")
        top = self._node("the file", root, 0)
        if isinstance(top, Node):
            raise ConfigError(f"{self.path} holds a single {top.type} node and no graph")
        version = self.reader.dataset(file, "version", "the file")
        return Graph(top.nodes, top.edges, version if isinstance(version, str) else "")

    def _node(self, name: str, group: Any, depth: int) -> Node | Graph:
        self.nodes_left -= 1
        if depth > _DEPTH or self.nodes_left < 0:
            raise ConfigError(f"{self.path}: the graphs in '{name}' are nested in themselves or too deeply")
        values = self.reader.values(group, name)
        kind = values.pop("type", None)
        if not isinstance(kind, str):
            raise ConfigError(f"{self.path}: node '{name}' has no type")
        if kind != "NIRGraph":
            return Node(kind, values)
        members = self.reader.group(group, "nodes", name)
        if members is None:
            raise ConfigError(f"{self.path}: graph '{name}' has no nodes")
        nodes: dict[str, Node | Graph] = {}
        for key in members:
            member = self.reader.group(members, key, name)
            if member is None:
                raise ConfigError(f"{self.path}: node '{key}' is not a group")
            nodes[key] = self._node(key, member, depth + 1)
        return Graph(nodes, _pairs(name, values.get("edges")))


def _pairs(name: str, edges: object) -> tuple[tuple[str, str], ...]:
    """Edges from a table of names, or a list of pairs."""
    if edges is None or np.size(np.asarray(edges, object)) == 0:
        return ()
    table = np.asarray(edges, object)
    if table.ndim != 2 or table.shape[1] != 2:
        raise ConfigError(f"the edges of '{name}' are no pairs of names")
    return tuple((text(name, a), text(name, b)) for a, b in table)


def _from_dict(name: str, data: Mapping[str, Any], depth: int) -> Graph:
    if depth > _DEPTH:
        raise ConfigError(f"the graphs in '{name}' are nested in themselves or too deeply")
    if data.get("type") != "NIRGraph":
        raise ConfigError(f"{name} is a {data.get('type')} node and no graph")
    nodes: dict[str, Node | Graph] = {}
    for key, item in dict(data.get("nodes", {})).items():
        if item.get("type") == "NIRGraph":
            nodes[key] = _from_dict(key, item, depth + 1)
        else:
            values = {
                k: plain(f"'{key}.{k}'", v)
                for k, v in item.items()
                if k not in ("type", "metadata") and v is not None and not isinstance(v, Mapping)
            }
            nodes[key] = Node(str(item.get("type")), values)
    return Graph(nodes, _pairs(name, list(data.get("edges", ()))))

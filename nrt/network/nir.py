"""Reads NIR files, of every version so far, into plain nodes and edges.

A NIR file is HDF5: a string `version` and a group `node`. A node is a group with a string `type` and one
dataset per parameter; a graph is a node of type NIRGraph with a group `nodes` and a table of pairs of names,
`edges`. Versions differ in which parameters are there (v_reset since 1.0.6, input_shape, metadata), in
scalars against pairs, and in how strings are stored. What is missing is left to the lowering to judge:
here nothing is guessed.

We read the file ourselves, with pyfive, and not through the nir package; docs/decisions/0001 says why. A
damaged or hostile file gives a ConfigError, and never makes us allocate more than the file warrants: a dataset
may be at most as much larger than the file as deflate can compress, and links are refused.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyfive as _pyfive
from numpy.typing import NDArray

from nrt.errors import ConfigError, NotFound

pyfive: Any = _pyfive  # what leaves this module has types

Value = NDArray[Any] | str

_DEFLATE: Final = 1100  # deflate compresses by at most 1032:1
_SPARE: Final = 1 << 20
_BUDGET: Final = (256 << 20, 100)  # bytes that all datasets together may take: a constant, and times the file
_DEPTH: Final = 16
_NODES: Final = 100_000
_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_END_AT: Final = {0: 40, 1: 44, 2: 28, 3: 28}
"""Where a superblock of each version has the length of the file (HDF5 file format specification, II.A)."""


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
    path = Path(path)
    if not path.is_file():
        raise NotFound(str(path), f"there is no file {path}")
    try:
        content = path.read_bytes()  # pyfive opens a path again by itself, and may leave it open
        _check_whole(path, content)
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            return _Reader(path).file(pyfive.File(io.BytesIO(content)))
    except ConfigError:
        raise
    except Exception as error:  # pyfive trusts what it parses: a damaged file may raise anything
        what = f"{type(error).__name__} {error}".rstrip()
        raise ConfigError(f"{path} is damaged, or uses more of HDF5 than NIR does: {what}") from error


def _check_whole(path: Path, content: bytes) -> None:
    """Raises ConfigError unless the superblock is HDF5's and the file as long as it says."""
    if not content.startswith(_SIGNATURE):
        raise ConfigError(f"{path} is no NIR file: it is not HDF5")
    at = _END_AT.get(content[8]) if len(content) > 8 else None
    end = int.from_bytes(content[at : at + 8], "little") if at is not None else None
    if end is None or end > len(content):
        raise ConfigError(f"{path} is damaged: it says it has {end} bytes and has {len(content)}")


def from_object(graph: NIRGraph) -> Graph:
    """The same from an object of the nir package, which is not imported for it."""
    return _from_dict("the graph", graph.to_dict(), 0)


class _Reader:
    """Reads one file and keeps account of the memory it asks for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.left = _BUDGET[0] + _BUDGET[1] * self.size
        self.nodes_left = _NODES

    def file(self, file: Any) -> Graph:
        root = self._member(file, "node", "the file")
        if not isinstance(root, pyfive.Group):
            raise ConfigError(f"{self.path} is no NIR file: it has no group 'node'")
        version = self._member(file, "version", "the file")
        top = self._node("the file", root, 0)
        if isinstance(top, Node):
            raise ConfigError(f"{self.path} holds a single {top.type} node and no graph")
        text = self._value("version", version) if isinstance(version, pyfive.Dataset) else ""
        return Graph(top.nodes, top.edges, text if isinstance(text, str) else "")

    def _node(self, name: str, group: Any, depth: int) -> Node | Graph:
        self.nodes_left -= 1
        if depth > _DEPTH or self.nodes_left < 0:
            raise ConfigError(f"{self.path}: the graphs in '{name}' are nested in themselves or too deeply")
        values: dict[str, Value] = {}
        for key in group:
            member = self._member(group, key, name)
            if (
                isinstance(member, pyfive.Dataset)
                and (value := self._value(f"{name}.{key}", member)) is not None
            ):
                values[key] = value
        kind = values.pop("type", None)
        if not isinstance(kind, str):
            raise ConfigError(f"{self.path}: node '{name}' has no type")
        if kind != "NIRGraph":
            return Node(kind, values)
        members = self._member(group, "nodes", name)
        if not isinstance(members, pyfive.Group):
            raise ConfigError(f"{self.path}: graph '{name}' has no nodes")
        nodes: dict[str, Node | Graph] = {}
        for key in members:
            member = self._member(members, key, name)
            if not isinstance(member, pyfive.Group):
                raise ConfigError(f"{self.path}: node '{key}' is not a group")
            nodes[key] = self._node(key, member, depth + 1)
        return Graph(nodes, _pairs(name, values.get("edges")))

    def _member(self, group: Any, key: str, name: str) -> Any:
        """The member of that name, None if there is none; links are refused."""
        if key not in group:
            return None
        if isinstance(group._links[key], str):
            raise ConfigError(f"{self.path}: '{key}' in '{name}' is a link; NIR files contain none")
        return group[key]

    def _value(self, name: str, dataset: Any) -> Value | None:
        if dataset.shape is None:
            return None  # HDF5's empty dataset: nir's None
        asked = prod(map(int, dataset.shape)) * int(dataset.dtype.itemsize)
        if asked > _SPARE + _DEFLATE * self.size or asked > self.left:
            raise ConfigError(
                f"{self.path}: '{name}' claims shape {dataset.shape} in a file of {self.size} bytes"
            )
        self.left -= asked
        return _plain(f"{self.path}: '{name}'", dataset[()])


def _plain(name: str, value: Any) -> Value:
    """Bytes and strings as str, tables of them as arrays of str objects, numbers as arrays."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        texts = [_text(name, v) for v in array.ravel()]
        if array.shape == ():
            return texts[0]
        out = np.empty(array.size, object)
        out[:] = texts
        return out.reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise ConfigError(f"{name} holds {array.dtype}, neither numbers nor text")
    return array


def _text(name: str, value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    raise ConfigError(f"{name} holds {type(value).__name__} objects, neither numbers nor text")


def _pairs(name: str, edges: object) -> tuple[tuple[str, str], ...]:
    """Edges from a table of names, or a list of pairs."""
    if edges is None or np.size(np.asarray(edges, object)) == 0:
        return ()
    table = np.asarray(edges, object)
    if table.ndim != 2 or table.shape[1] != 2:
        raise ConfigError(f"the edges of '{name}' are no pairs of names")
    return tuple((_text(name, a), _text(name, b)) for a, b in table)


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
                k: _plain(f"'{key}.{k}'", v)
                for k, v in item.items()
                if k not in ("type", "metadata") and v is not None and not isinstance(v, Mapping)
            }
            nodes[key] = Node(str(item.get("type")), values)
    return Graph(nodes, _pairs(name, list(data.get("edges", ()))))

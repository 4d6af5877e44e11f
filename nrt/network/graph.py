"""A NIR graph made flat: subgraphs inlined under dotted names, edges checked, one known broken form repaired.

A subgraph's Input and Output become nodes that pass on what they get, so `lif1` with the nodes `input`,
`lif` and `output` turns into `lif1.input → lif1.lif → lif1.output`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nrt.errors import ConfigError, Unsupported
from nrt.network.nir import Graph, Node

Edge = tuple[str, str]

PASS = "Pass"
"""Type of the node that an inlined Input or Output becomes."""


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """Nodes by name and the edges between them, in an order that does not depend on the file's.

    notes: what had to be repaired
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    notes: tuple[str, ...]
    into: Mapping[str, Sequence[str]] = field(init=False)
    out_of: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        into: dict[str, list[str]] = {name: [] for name in self.nodes}
        out_of: dict[str, list[str]] = {name: [] for name in self.nodes}
        for a, b in self.edges:
            out_of[a].append(b)
            into[b].append(a)
        object.__setattr__(self, "into", into)
        object.__setattr__(self, "out_of", out_of)

    def of_type(self, kind: str) -> list[str]:
        """Names of the nodes of that type."""
        return [name for name, node in self.nodes.items() if node.type == kind]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names as people do: 2 before 10."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((1, int(p), "") if p.isdecimal() and p.isascii() else (0, 0, p) for p in parts)


def flatten(graph: Graph) -> Flat:
    """`graph` without subgraphs. Raises ConfigError, Unsupported."""
    nodes: dict[str, Node] = {}
    notes: list[str] = []
    edges = _inline(graph, "", nodes, notes)
    ordered = {name: nodes[name] for name in sorted(nodes, key=natural)}
    unique = sorted(set(edges), key=lambda e: (natural(e[0]), natural(e[1])))
    if len(unique) < len(edges):
        notes.append(f"{len(edges) - len(unique)} edge(s) given twice were taken once")
    return Flat(ordered, tuple(unique), tuple(notes))


def _inline(graph: Graph, prefix: str, nodes: dict[str, Node], notes: list[str]) -> list[Edge]:
    """Adds the nodes of `graph` to `nodes`, their names prefixed; returns the edges among them."""
    edges: list[Edge] = []
    for name, node in graph.nodes.items():
        full = prefix + name
        if isinstance(node, Graph):
            edges += _inline(node, full + ".", nodes, notes)
            continue
        if full in nodes:
            raise ConfigError(f"two nodes are named '{full}' once subgraphs are inlined; rename one")
        inner = prefix and node.type in ("Input", "Output")
        nodes[full] = Node(PASS, node.values) if inner else node
    for a, b in _repaired(graph, prefix, notes):
        edges.append((_end(graph, prefix, a, "Output"), _end(graph, prefix, b, "Input")))
    return edges


def _end(graph: Graph, prefix: str, name: str, port: str) -> str:
    """The flat node that an edge means by `name`: for a subgraph, its only Input or Output."""
    node = graph.nodes[name]
    if not isinstance(node, Graph):
        return prefix + name
    ports = [k for k, n in node.nodes.items() if isinstance(n, Node) and n.type == port]
    if len(ports) != 1:
        raise Unsupported(
            prefix + name, f"a subgraph with {len(ports)} {port} nodes; edges to it need exactly one"
        )
    return f"{prefix}{name}.{ports[0]}"


def _repaired(graph: Graph, prefix: str, notes: list[str]) -> list[Edge]:
    """The edges of `graph`, with an end that is no node renamed where exactly one node can be meant.

    The published braille subgraphs name `lif` where the node is `lif1`.
    """
    ends = {end for edge in graph.edges for end in edge}
    unknown = sorted(ends - set(graph.nodes))
    unused = [name for name in graph.nodes if name not in ends]
    if not unknown:
        return list(graph.edges)
    if len(unknown) > 1 or len(unused) != 1:
        raise ConfigError(
            f"an edge names '{prefix}{unknown[0]}', which is no node; "
            f"there is {', '.join(prefix + n for n in graph.nodes)}"
        )
    wrong, right = unknown[0], unused[0]
    notes.append(f"the edges name '{prefix}{wrong}', which is no node; read as '{prefix}{right}'")
    return [(right if a == wrong else a, right if b == wrong else b) for a, b in graph.edges]

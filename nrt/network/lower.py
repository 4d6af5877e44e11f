"""Lowering: a NIR graph becomes populations and projections, once, for every device.

Nodes with state or threshold become populations, in an order that follows the signal. Every path of linear
nodes from one of them to the next becomes a projection: the chain of its operators, the sum of its delays.
What the biases on the way amount to at the end is constant in time; it is computed here, once for each
population, and goes with the first projection into it. Paths that join add up at the population, because
everything between populations is linear.

An Output names the population that feeds it. Where linear nodes feed it, a readout stands there: a
population without state or spikes, whose membrane is what arrives in the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from nrt.clock import readable
from nrt.errors import ConfigError, Unsupported
from nrt.network.discretise import discretised, has_time_constant, is_neuron, readout
from nrt.network.encoding import Encoding, volume
from nrt.network.graph import Flat, flatten
from nrt.network.network import Network, Population, Projection
from nrt.network.netx import is_netx, load_netx
from nrt.network.nir import Graph, NIRGraph, from_object, read
from nrt.network.nodes import Shape, is_linear
from nrt.network.operators import Array, Conv, Operator, Pool, Scale, array
from nrt.network.order import Link, closing, ordered
from nrt.network.presets import semantics
from nrt.network.semantics import Semantics
from nrt.network.shapes import Shapes, shapes

_MAX_PATHS: Final = 4096
_MAX_DELAYS: Final = 64


def load(
    path: str | Path,
    like: str | None = None,
    dt: int | str | None = None,
    encoding: Encoding | None = None,
    **overrides: object,
) -> Network:
    """The network in a NIR file, or in one of lava-dl's (`nrt.network.netx`), which leaves nothing to choose but dt.

    like: the preset (`nrt.network.presets`) that says what the file means; "nir" if None
    dt:   µs per step, or text such as "1ms"; the preset's if None
    encoding: how events become input; by the number of input channels if None
    overrides: fields of Semantics, such as reset="soft"

    Raises NotFound, ConfigError (a bad file, a contradiction), Unsupported (a node that cannot be done).
    """
    path = Path(path)
    if is_netx(path):
        if like is not None or overrides:
            raise ConfigError(
                f"{path} is a lava-dl file and says itself what it means; leave out like and set"
            )
        network = load_netx(path, dt, encoding)
    else:
        network = _lowered(path.stem, read(path), like, dt, encoding, overrides)
    return replace(network, loaded=_told(path, like, dt, encoding, overrides))


def _told(
    path: Path,
    like: str | None,
    dt: int | str | None,
    encoding: Encoding | None,
    overrides: Mapping[str, object],
) -> dict[str, Any]:
    """What `load` was told, as texts."""
    chosen = (
        {} if encoding is None else {field.name: getattr(encoding, field.name) for field in fields(encoding)}
    )
    return {
        "path": str(path.absolute()),
        "like": like,
        "dt": f"{dt}us" if isinstance(dt, int) else dt,
        "semantics": {name: str(value) for name, value in overrides.items()},
        "encoding": {
            name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            for name, value in chosen.items()
            if value is not None
        },
    }


def from_nir(
    graph: NIRGraph,
    like: str | None = None,
    dt: int | str | None = None,
    encoding: Encoding | None = None,
    **overrides: object,
) -> Network:
    """The network in an object of the nir package; otherwise as `load`."""
    return _lowered("network", from_object(graph), like, dt, encoding, overrides)


def _lowered(
    name: str,
    graph: Graph,
    like: str | None,
    dt: int | str | None,
    encoding: Encoding | None,
    overrides: Mapping[str, object],
) -> Network:
    chosen = semantics(like, dt, overrides)
    flat = flatten(graph)
    _check_types(flat)
    lowering = _Lowering(flat, shapes(flat), chosen, list(flat.notes))
    if dt is None and "dt" not in overrides and _depends_on_dt(flat, chosen):
        lowering.notes.append(f"the file says nothing of dt; {readable(chosen.dt)} is taken")
    if chosen.name == "spyx" and flat.of_type("CubaLIF"):
        lowering.notes.append(
            "spyx subtracts a CubaLIF's threshold before the leak, here it is after it; "
            "timing=immediate gives its spikes one step early"
        )
    with np.errstate(all="ignore"):  # what is not finite is refused by name, as a parameter or a weight
        network = lowering.network(name)
    return replace(network, encoding=encoding or _default_encoding(network))


def _check_types(flat: Flat) -> None:
    for name, node in flat.nodes.items():
        if not (is_linear(node) or is_neuron(node) or node.type == "Input"):
            raise Unsupported(name, f"nodes of type {node.type} are unknown here")
    inputs, outputs = flat.of_type("Input"), flat.of_type("Output")
    if len(inputs) != 1:
        raise Unsupported(
            inputs[-1] if inputs else "input",
            f"the graph has {len(inputs)} Input nodes ({', '.join(inputs) or 'none'}); it needs exactly one",
        )
    if not outputs:
        raise ConfigError("the graph has no Output node")
    for a, b in flat.edges:
        if flat.nodes[b].type == "Input" or flat.nodes[a].type == "Output":
            raise ConfigError(f"the edge from '{a}' to '{b}' runs into an Input or out of an Output")


def _depends_on_dt(flat: Flat, chosen: Semantics) -> bool:
    if flat.of_type("Delay"):
        return True
    if chosen.if_input == "current" and (flat.of_type("IF") or flat.of_type("I")):
        return True
    return chosen.tau == "seconds" and any(has_time_constant(node) for node in flat.nodes.values())


def _default_encoding(network: Network) -> Encoding:
    """Both polarities as two channels, or merged into one, whichever the input has."""
    channels = volume(network[network.inputs[0]].shape)[0]
    return Encoding(polarity="merge" if channels == 1 else "split")


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """A way from a population through linear nodes; `shape` is the signal's at its end."""

    source: str
    end: str
    operators: tuple[Operator, ...]
    shape: Shape
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Lowering:
    """One graph on its way to a Network; `notes` collects what had to be assumed."""

    flat: Flat
    shapes: Shapes
    semantics: Semantics
    notes: list[str]

    def network(self, name: str) -> Network:
        constants = self._constants()
        paths = self._paths()
        self._note_unreached(paths)
        aliases = self._aliases(paths, constants)
        paths = [p for p in paths if p.end not in aliases]
        links = [Link(p.source, p.end, p.delay) for p in paths]
        names = [n for n in self.flat.nodes if self._is_population(n) and n not in aliases]
        names.sort(key=lambda n: self.flat.nodes[n].type != "Input")  # stable: the Input first
        back = closing(names, links)
        order = ordered(names, links, back)
        place = {n: k for k, n in enumerate(order)}
        paths.sort(key=lambda p: (place[p.end], place[p.source], p.delay))
        return Network(
            populations=tuple(self._population(n) for n in order),
            projections=tuple(self._projections(paths, back, constants)),
            inputs=tuple(self.flat.of_type("Input")),
            outputs=tuple(dict.fromkeys(aliases.get(n, n) for n in self.flat.of_type("Output"))),
            semantics=self.semantics,
            notes=tuple(self.notes),
            name=name,
        )

    def _is_population(self, name: str) -> bool:
        node = self.flat.nodes[name]
        return is_neuron(node) or node.type in ("Input", "Output")

    def _population(self, name: str) -> Population:
        node, shape = self.flat.nodes[name], self.shapes.outputs[name]
        if node.type == "Input":
            return Population(name, shape)
        if node.type == "Output":
            return Population(name, shape, readout())
        return Population(name, shape, discretised(name, node, shape, self.semantics))

    def _constants(self) -> dict[str, Array]:
        """What the biases amount to behind each linear node and before each population, where anything."""
        names = [n for n in self.flat.nodes if n in self.shapes.linear and not self._is_population(n)]
        constants: dict[str, Array] = {}
        for name in _upstream_first(self.flat, names):
            node = self.shapes.linear[name]
            total = self._joined(name, constants)
            if total is not None:
                for operator in node.operators:
                    total = operator.apply(total)
                total = total.reshape(node.shape)
            if node.bias is not None and bool(np.any(node.bias)):
                total = node.bias if total is None else total + node.bias
            if total is not None:
                constants[name] = total
        for name in self.flat.nodes:
            if self._is_population(name) and (total := self._joined(name, constants)) is not None:
                constants[name] = array(total.reshape(self.shapes.outputs[name]))
        return constants

    def _joined(self, name: str, constants: Mapping[str, Array]) -> Array | None:
        """The sum of the constants that arrive at `name`, in the shape in which its first input does."""
        sources = self.flat.into[name]
        arriving = [constants[s] for s in sources if s in constants and not self._is_population(s)]
        if not arriving:
            return None
        shape = self.shapes.outputs[sources[0]]
        return sum((a.reshape(shape) for a in arriving[1:]), arriving[0].reshape(shape))

    def _paths(self) -> list[_Path]:
        """Every path from one population to the next."""
        found: list[_Path] = []
        for source in self.flat.nodes:
            if not self._is_population(source):
                continue
            stack = [_Path(source, n, (), self.shapes.outputs[source]) for n in self.flat.out_of[source]]
            while stack:
                path = stack.pop()
                if self._is_population(path.end):
                    found.append(path)
                else:
                    stack += self._onward(path)
                if len(found) + len(stack) > _MAX_PATHS:
                    raise Unsupported(source, f"more than {_MAX_PATHS} paths of linear nodes in this network")
        return found

    def _onward(self, path: _Path) -> Iterator[_Path]:
        """The path through its last node, to each node behind that."""
        successors = self.flat.out_of[path.end]
        if not successors:
            self._note(f"'{path.end}' leads nowhere and is left out")
        for behind in self._through(path):
            for successor in successors:
                yield replace(behind, end=successor)

    def _through(self, path: _Path) -> list[_Path]:
        node = self.shapes.linear[path.end]
        operators, shape = path.operators, path.shape
        for operator in node.operators:
            if isinstance(operator, Scale) and operator.factor.size > 1:
                operator = Scale(array(operator.factor.reshape(shape)))
            if isinstance(operator, Conv | Pool) and shape != self.shapes.arriving[path.end]:
                raise Unsupported(path.end, f"a signal of {shape} is reshaped on its way to a window")
            operators, shape = (*operators, operator), operator.shape(shape)
        behind = replace(path, operators=operators, shape=shape)
        return [behind] if node.delays is None else self._delayed(behind, node.delays)

    def _delayed(self, path: _Path, seconds: Array) -> list[_Path]:
        """The path split by delay: one for each number of steps, that lets through what waits so long."""
        exact = seconds * 1e6 / self.semantics.dt
        if float(exact.max()) > 2**20:
            raise Unsupported(path.end, f"a delay of {float(seconds.max()):g} s is more than 2^20 steps")
        steps = np.rint(exact)
        error = float(np.max(np.abs(exact - steps))) * self.semantics.dt
        if error > 1e-3:
            self._note(f"{path.end}: delays are rounded to whole steps, by up to {error:.3g} µs")
        lengths = np.unique(steps)
        if lengths.size > _MAX_DELAYS:
            raise Unsupported(
                path.end, f"{lengths.size} different delays, at most {_MAX_DELAYS} are possible"
            )
        if lengths.size == 1:
            return [replace(path, delay=path.delay + int(lengths[0]))]
        split: list[_Path] = []
        for length in lengths:
            mask = Scale(array((steps == length).reshape(path.shape)))
            delay = path.delay + int(length)
            split.append(replace(path, operators=(*path.operators, mask), delay=delay))
        return split

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _note_unreached(self, paths: list[_Path]) -> None:
        """Populations that no signal from the Input reaches: legal, since v_leak may drive them."""
        reached = set(self.flat.of_type("Input"))
        while grown := {p.end for p in paths if p.source in reached} - reached:
            reached |= grown
        for name in self.flat.nodes:
            if self._is_population(name) and name not in reached:
                self._note(f"nothing reaches '{name}' from the Input")

    def _aliases(self, paths: list[_Path], constants: Mapping[str, Array]) -> dict[str, str]:
        """The Outputs that are just another name of the one population of neurons that feeds them."""
        aliases: dict[str, str] = {}
        for name in self.flat.of_type("Output"):
            self._check_output(name)
            feeding = [p for p in paths if p.end == name]
            plain = len(feeding) == 1 and not feeding[0].operators and not feeding[0].delay
            if plain and name not in constants and is_neuron(self.flat.nodes[feeding[0].source]):
                aliases[name] = feeding[0].source
        return aliases

    def _check_output(self, name: str) -> None:
        declared, found = self.flat.nodes[name].values.get("shape"), self.shapes.outputs[name]
        if declared is None or isinstance(declared, str):
            return
        if int(np.prod(declared, dtype=np.float64)) != prod(found):
            self._note(
                f"{name} declares shape {declared.tolist()}; what arrives has {found}, and that is taken"
            )

    def _projections(
        self, paths: list[_Path], back: set[tuple[str, str]], constants: Mapping[str, Array]
    ) -> Iterator[Projection]:
        given: set[str] = set()
        for path in paths:
            bias = None if path.end in given else constants.get(path.end)
            given.add(path.end)
            yield Projection(path.source, path.end, path.operators, self._steps(path, back), bias)

    def _steps(self, path: _Path, back: set[tuple[str, str]]) -> int:
        between = is_neuron(self.flat.nodes[path.source]) and is_neuron(self.flat.nodes[path.end])
        if self.semantics.propagation == "next" and between:
            return path.delay + 1
        return max(path.delay, 1) if (path.source, path.end) in back else path.delay


def _upstream_first(flat: Flat, names: list[str]) -> list[str]:
    """Linear nodes, each after those that feed it. Raises ConfigError for a loop that no neuron is part of."""
    inside = set(names)
    missing = {n: sum(s in inside for s in flat.into[n]) for n in names}
    ready = [n for n in names if not missing[n]]
    for name in ready:  # grows while it runs
        for successor in flat.out_of[name]:
            if successor in inside:
                missing[successor] -= 1
                if not missing[successor]:
                    ready.append(successor)
    if len(ready) < len(names):
        loop = next(n for n in names if missing[n])
        raise ConfigError(f"{loop}: linear nodes form a loop without a neuron; it has no order in time")
    return ready

"""The layers of a lava-dl file as they stand there: types, shapes, numbers, and the neurons' parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, Unsupported
from nrt.network.hdf5 import Reader, Value
from nrt.network.nodes import MAX_SIZE
from nrt.network.operators import Pair

_LAYERS: Final = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One layer as the file has it; `where` names it in messages."""

    where: str
    kind: str
    values: Mapping[str, Value]
    neuron: Mapping[str, Value] | None

    def numbers(self, key: str, default: float | None = None) -> NDArray[np.float64]:
        return numbers(self.where, self.values, key, default)

    def pair(self, key: str, default: int) -> Pair:
        values = self.numbers(key, default).ravel()
        if values.size not in (1, 2) or bool(np.any(values != np.round(values))) or abs(values).max() > 2**20:
            raise ConfigError(f"{self.where}: {key} is no pair of whole numbers")
        whole = values.astype(int).tolist()
        return (whole[0], whole[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        values = self.numbers("shape").ravel()
        if not 1 <= values.size <= 3 or bool(np.any((values < 1) | (values != np.round(values)))):
            raise ConfigError(f"{self.where}: shape {values.tolist()} is none")
        shape = tuple(int(v) for v in values)
        if prod(shape) > MAX_SIZE:
            raise ConfigError(f"{self.where}: shape {shape} is larger than any network here may be")
        return shape


def read_layers(reader: Reader, root: Any) -> tuple[list[Layer], int]:
    """The layers in order, and the step in µs."""
    top = reader.group(root, "layer", "the file")
    if top is None:
        raise ConfigError(f"{reader.path} is no lava-dl file: it has no group 'layer'")
    count = len(top)
    if not 0 < count <= _LAYERS:
        raise ConfigError(f"{reader.path}: {count} layers")
    layers: list[Layer] = []
    for number in range(count):
        where = f"layer {number}"
        group = reader.group(top, str(number), "layer")
        if group is None:
            raise ConfigError(f"{reader.path}: there are {count} layers, but no {where}")
        values = reader.values(group, where)
        cell = reader.group(group, "neuron", where)
        inner = reader.group(group, "weight", where)
        if inner is not None:
            raise Unsupported(where, "complex weights; resonate-and-fire neurons are not among those here")
        layers.append(
            Layer(
                where,
                first_text(where, values, "type"),
                values,
                cell and reader.values(cell, f"{where}.neuron"),
            )
        )
    simulation = reader.group(root, "simulation", "the file")
    sampling = reader.dataset(simulation, "Ts", "simulation") if simulation is not None else None
    return layers, _step(sampling)


def _step(sampling: Value | None) -> int:
    """Ts of the file in µs; 1 ms where it says nothing that could be one."""
    if sampling is None or isinstance(sampling, str) or np.size(sampling) != 1:
        return 1000
    return max(round(float(np.asarray(sampling).ravel()[0]) * 1000), 1)


def first_text(where: str, values: Mapping[str, Value], key: str) -> str:
    """A text, or the first of a table of them, as the writer stores them."""
    value = values.get(key)
    if isinstance(value, np.ndarray) and value.size and isinstance(value.flat[0], str):
        value = str(value.flat[0])
    if not isinstance(value, str):
        raise ConfigError(f"{where} has no {key}")
    return value.rstrip("\x00")


def numbers(where: str, values: Mapping[str, Value], key: str, default: float | None) -> NDArray[np.float64]:
    """Finite numbers of any shape. Raises ConfigError where they are missing and there is no default."""
    value = values.get(key)
    if value is None:
        if default is None:
            raise ConfigError(f"{where} has no {key}")
        return np.asarray(default, np.float64)
    if isinstance(value, str) or value.dtype.kind not in "fiub":
        raise ConfigError(f"{where}: {key} is text, it should be numbers")
    numbers = value.astype(np.float64)
    if not numbers.size or not bool(np.all(np.isfinite(numbers))):
        raise ConfigError(f"{where}: {key} is empty or not finite")
    return numbers


def each(where: str, key: str, values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """One number, one per channel, or one per neuron, as a parameter of a population of `shape`."""
    if values.size == 1:
        return np.reshape(values, ())
    if values.size == prod(shape):
        return np.reshape(values, shape)
    if values.size == shape[0]:
        spread: NDArray[np.float64] = np.broadcast_to(values.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        return spread
    raise ConfigError(f"{where}: {key} has shape {values.shape}, the layer {shape}")

"""A network as bytes and back, for a device that is used from afar. No pickle: nothing that came is ever executed.

    length u4 of the description · description, JSON · the arrays, one after the other

The description is the network's dataclasses by name, from a closed list; an array stands in it as its type, shape and
place. The network's hash goes along, and what was read must have the same.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, NrtError
from nrt.network import Encoding, Network, Semantics
from nrt.network.network import Population, Projection
from nrt.network.neuron import Neuron
from nrt.network.operators import Conv, Dense, Pool, Scale

_KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (Network, Population, Projection, Neuron, Dense, Conv, Pool, Scale, Semantics, Encoding)
}
_TYPES: Final = ("<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "|u1", "|b1")
_LENGTH: Final = struct.Struct("<I")
LARGEST: Final = 64 << 20
"""Bytes of a network that a node takes from afar."""


def pack(network: Network) -> bytes:
    """The network as bytes. Raises ConfigError if it is larger than a node takes."""
    arrays: list[NDArray[Any]] = []
    described = json.dumps({"hash": network.hash, "network": _describe(network, arrays)}).encode()
    data = b"".join([_LENGTH.pack(len(described)), described, *(each.tobytes() for each in arrays)])
    if len(data) > LARGEST:
        raise ConfigError(
            f"{network.name} has {len(data):,} bytes; a device used from afar takes {LARGEST:,}"
        )
    return data


def unpack(data: bytes) -> Network:
    """The network in `data`. Raises ConfigError for anything else."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        described = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        network = _build(described["network"], memoryview(data)[_LENGTH.size + length :])
        if isinstance(network, Network) and network.hash == described["hash"]:
            return network
    except NrtError:
        raise
    except Exception as error:  # dataclasses and numpy raise anything for parts that do not fit
        raise ConfigError(f"these bytes are no network: {type(error).__name__}: {error}") from error
    raise ConfigError("these bytes are no network, or one that was changed on the way")


def _describe(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {
            "array": value.dtype.str,
            "shape": list(value.shape),
            "at": sum(a.nbytes for a in arrays[:-1]),
        }
    if dataclasses.is_dataclass(value):
        parts = {
            each.name: _describe(getattr(value, each.name), arrays) for each in dataclasses.fields(value)
        }
        return {"is": type(value).__name__, **parts}
    if isinstance(value, tuple):
        return {"tuple": [_describe(each, arrays) for each in value]}
    if isinstance(value, Mapping):
        return {"mapping": {str(name): _describe(each, arrays) for name, each in value.items()}}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _build(value: Any, data: memoryview) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _array(value, data)
    if "tuple" in value:
        return tuple(_build(each, data) for each in value["tuple"])
    if "mapping" in value:
        return {name: _build(each, data) for name, each in value["mapping"].items()}
    kind = _KINDS[value["is"]]
    return kind(**{name: _build(part, data) for name, part in value.items() if name != "is"})


def _array(value: Mapping[str, Any], data: memoryview) -> NDArray[Any]:
    if value["array"] not in _TYPES or len(value["shape"]) > 8:
        raise ConfigError(f"an array of type {str(value['array'])[:20]} is not part of a network")
    shape = tuple(int(each) for each in value["shape"])
    at = int(value["at"])
    if min((at, *shape)) < 0:
        raise ConfigError("an array of negative size")
    array = np.frombuffer(data, value["array"], math.prod(shape), at).reshape(shape).copy()
    array.flags.writeable = False
    return array

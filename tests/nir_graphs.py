"""NIR graphs for tests, and the one way in which tests write them to a file: the nir package itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir as nir_package
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

nir: Any = nir_package  # its annotations are narrower than what it takes


def chain(*nodes: Any, inputs: tuple[int, ...], outputs: tuple[int, ...], check: bool = True) -> Any:
    """A graph of `nodes` in a row between an Input and an Output, named a, b, c, …"""
    named = {chr(97 + k): node for k, node in enumerate(nodes)}
    ends = {"input": source(*inputs), "output": sink(*outputs)}
    row = ["input", *named, "output"]
    return graph(ends | named, list(pairwise(row)), check=check)


def source(*shape: int) -> Any:
    """An Input of that shape."""
    return nir.Input(np.array(shape))


def sink(*shape: int) -> Any:
    """An Output of that shape."""
    return nir.Output(np.array(shape))


def graph(nodes: dict[str, Any], edges: list[tuple[str, str]], check: bool = True) -> Any:
    """A NIRGraph; `check` off where nir 1.0.8's own shape check is wrong."""
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=check)


def written(graph: Any, folder: Path) -> Path:
    """The graph in a file, as the nir package writes it; uncompressed, or it cannot write single numbers."""
    path = folder / "network.nir"
    nir.write(path, graph, compression=None)
    return path


def lif(shape: tuple[int, ...] = (1,), **values: float) -> Any:
    """A LIF of `shape`: tau 10 ms, r 1, v_leak 0, threshold 1, v_reset 0, unless given."""
    given = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | values
    return nir.LIF(**{k: np.full(shape, v) for k, v in given.items()})


def cuba(shape: tuple[int, ...] = (1,), **values: float) -> Any:
    """A CubaLIF of `shape`: tau_mem 10 ms, tau_syn 5 ms, everything else as in `lif`."""
    given = {"tau_mem": 0.01, "tau_syn": 0.005, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nir.CubaLIF(**{k: np.full(shape, v) for k, v in (given | {"w_in": 1.0} | values).items()})


def integrator(shape: tuple[int, ...] = (1,), threshold: float = 1.0) -> Any:
    """An IF of `shape` with r 1."""
    return nir.IF(r=np.ones(shape), v_threshold=np.full(shape, threshold), v_reset=np.zeros(shape))


def conv2d(weight: Array, shape: tuple[int, int] | None, **options: Any) -> Any:
    """A Conv2d without bias; stride 1, padding 0, dilation 1, one group, unless given."""
    given: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    bias = options.pop("bias", np.zeros(len(weight)))
    return nir.Conv2d(input_shape=shape, weight=weight, bias=bias, **(given | options))

"""Packages of a tiny network, for tests: its one output passes on what its input gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nrt.daemon.models.golden import make, recorded
from nrt.daemon.models.package import Package
from nrt.packet import EVENT, Records
from nrt.reading import Reading
from tests.nir_graphs import chain, lif, written


def network_file(folder: Path, threshold: float = 0.5) -> Path:
    """A NIR file: one neuron per pixel and polarity of a 2x2 sensor."""
    return written(
        chain(lif((2, 2, 2), tau=0.001, v_threshold=threshold), inputs=(2, 2, 2), outputs=(2, 2, 2)), folder
    )


def events(count: int = 40) -> Records:
    """Events all over a 2x2 sensor in 100 ms."""
    random = np.random.default_rng(1)
    out = np.zeros(count, EVENT)
    out["t"] = np.sort(random.integers(0, 100_000, count))
    for name in ("x", "y", "p"):
        out[name] = random.integers(0, 2, count)
    return out


async def package(folder: Path, version: int = 1, threshold: float = 0.5) -> Package:
    """Not signed."""
    given = recorded(events(), (2, 2, 2), 0, 100_000)
    file = network_file(folder, threshold)
    return await make(file, Reading(dt="1ms"), given, name="echo", version=version)

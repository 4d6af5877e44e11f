"""Compiles the kernels of every format, by writing and reading a few events of each."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from nrt.formats.table import FORMATS, create, open
from nrt.packet import EVENT

_SHAPES = {"nmnist": (2, 34, 34), "aedat2": (2, 128, 128)}


def warm() -> None:
    """Leaves every kernel compiled, in this process and in numba's cache on disk."""
    events = np.zeros(64, EVENT)
    events["t"] = np.arange(64) * 100
    slab = np.zeros(4096, EVENT)
    with tempfile.TemporaryDirectory(prefix="nrt-warm-") as folder:
        for row in FORMATS:
            path = Path(folder) / (row.name + row.suffix)
            with create(path, row.name, _SHAPES.get(row.name, (2, 240, 320))) as writer:
                writer.write(events)
            with open(path) as recording:
                while recording.read(slab):
                    pass

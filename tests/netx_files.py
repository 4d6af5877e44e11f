"""Writes lava-dl's exchange files, dataset for dataset as slayer/block/base.py's export_hdf5 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def cuba(threshold: Any = 64, current: Any = 1024, voltage: Any = 128, **more: Any) -> dict[str, Any]:
    """The `neuron` group of a CUBA block (slayer/neuron/cuba.py, device_params)."""
    return {
        "type": "CUBA",
        "iDecay": current,
        "vDecay": voltage,
        "vThMant": threshold,
        "refDelay": 1,
        "gradedSpike": False,
    } | more


def write_net(path: Path, layers: Sequence[Mapping[str, Any]], sampling: float | None = None) -> Path:
    """A file of these layers; `type` is a table of one text of ten bytes, as slayer writes it."""
    with h5py.File(path, "w") as file:
        top = file.create_group("layer")
        for number, layer in enumerate(layers):
            group = top.create_group(str(number))
            for key, value in layer.items():
                if key == "type":
                    group.create_dataset("type", (1,), "S10", [str(value).encode("ascii", "ignore")])
                elif key == "neuron":
                    for name, parameter in value.items():
                        group.create_dataset(f"neuron/{name}", data=parameter)
                else:
                    group.create_dataset(key, data=np.asarray(value))
        if sampling is not None:
            file.create_dataset("simulation/Ts", data=sampling)
    return path

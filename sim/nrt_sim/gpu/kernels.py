"""The kernels' text, and what can be launched: names, template options, blocks, structures.

A kernel takes one structure by value. Its numpy dtype is read from the text itself (`structures`), so that there is one
definition of it; numpy's aligned records lie in memory as C's structures do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from nrt.network import Encoding, Neuron
from nrt.network.encoding import Polarity
from nrt.network.neuron import Timing

FOLDER: Final = Path(__file__).with_name("kernels")
OPTIONS: Final = ("--std=c++17", "--fmad=false")
"""Of NVRTC. Multiply-adds are fused where the text says fmaf, and nowhere else."""
ITEMS: Final = 2
"""Consecutive neurons of one thread in `advance` and in `compact` of a plane; as in common.cuh."""
CELLS: Final = 4096
"""Cells of one row of a target that a block of `patch_sorted` keeps; as in patch.cu."""
STEPS: Final = (4, 8, 16, 32)
"""Numbers of steps that `parallel` is compiled for."""
TAPS: Final = (2, 3, 4, 8)
"""Lengths of memory that `sliding` is compiled for."""

_STRUCT = re.compile(r"^struct (\w+) \{(.*?)^\};", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(?:const )?(\w+) ([^;()]+);", re.MULTILINE)
_SCALARS = {"int": "<i4", "u32": "<u4", "float": "<f4", "i64": "<i8", "u64": "<u8"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A __global__ function: its file, the structure that it takes, threads of a block, and its template options."""

    name: str
    file: str
    structure: str
    threads: int
    options: tuple[tuple[int, ...], ...] = ((),)

    def instance(self, option: tuple[int, ...] = ()) -> str:
        """Its name in C++ with those template arguments."""
        return f"{self.name}<{', '.join(map(str, option))}>" if option else self.name


def neuron_option(neuron: Neuron) -> tuple[int, int]:
    """Template arguments of `advance` and `steps`: kind (plain spikes, with a payload, none) and timing."""
    kind = 2 if not neuron.fires else int(neuron.spikes != "binary")
    return kind, get_args(Timing).index(neuron.timing if neuron.fires else "immediate")


def encoding_option(encoding: Encoding) -> tuple[int, int]:
    """Template arguments of `encode`."""
    return get_args(Polarity).index(encoding.polarity), int(encoding.values == "binary")


_NEURONS = (*product(range(2), range(len(get_args(Timing)))), (2, 0))

KERNELS: Final = (
    Kernel("encode", "encode.cu", "Encode", 256, tuple(product(range(4), range(2)))),
    Kernel("compact", "compact.cu", "Compact", 256, ((0,), (1,))),
    Kernel("forget", "compact.cu", "Compact", 256),
    Kernel("advance", "advance.cu", "Advance", 512, _NEURONS),
    Kernel("steps", "steps.cu", "Steps", 256, _NEURONS),
    Kernel("parallel", "parallel.cu", "Parallel", 256, tuple((n,) for n in STEPS)),
    Kernel("sliding", "parallel.cu", "Parallel", 256, tuple((n,) for n in TAPS)),
    Kernel("count", "count.cu", "Count", 256),
    Kernel("rows_sorted", "rows.cu", "Rows", 512),
    Kernel("rows_atomic", "rows.cu", "Rows", 256),
    Kernel("patch_sorted", "patch.cu", "Patch", 128),
    Kernel("patch_atomic", "patch.cu", "Patch", 256),
    Kernel("pairs_sorted", "pairs.cu", "Pairs", 256),
    Kernel("pairs_atomic", "pairs.cu", "Pairs", 256),
    Kernel("collect_spikes", "collect.cu", "Collect", 256),
    Kernel("collect_membranes", "collect.cu", "Collect", 256),
    Kernel("tick", "collect.cu", "Collect", 32),
)
FILES: Final = tuple(dict.fromkeys(kernel.file for kernel in KERNELS))


def kernel(name: str) -> Kernel:
    """The kernel of that name."""
    return next(k for k in KERNELS if k.name == name)


@cache
def text(file: str) -> str:
    """A file's text with what it stands on in front; line numbers in messages are those of the files."""
    parts = ("common.cuh", "neuron.cuh", file)
    return "".join(f'#line 1 "{part}"\n{(FOLDER / part).read_text(encoding="utf-8")}' for part in parts)


@cache
def structures(file: str) -> dict[str, np.dtype[np.void]]:
    """The structures of a file and of what it stands on."""
    found: dict[str, np.dtype[np.void]] = {}
    for name, body in _STRUCT.findall(text(file)):
        fields = [field for kind, names in _FIELD.findall(body) for field in _fields(kind, names, found)]
        found[name] = np.dtype(fields, align=True)
    return found


def _fields(kind: str, names: str, known: dict[str, np.dtype[np.void]]) -> Iterable[tuple[str, Any]]:
    for name in map(str.strip, names.split(",")):
        if name.startswith("*"):
            yield name[1:], "<u8"
        else:
            yield name, known[kind] if kind in known else np.dtype(_SCALARS[kind])


def structure(name: str) -> np.dtype[np.void]:
    """The dtype of what the kernel of that name takes."""
    launched = kernel(name)
    return structures(launched.file)[launched.structure]

"""The kernels' text compiled by g++ and run on the CPU: how they are checked where there is no GPU. Not for speed.

See kernels/shim.h for how threads, warps and blocks take turns, and what is refused. `build` compiles all kernels with
all template options into one library.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import MissingDependency, NrtError
from nrt_sim.gpu.kernels import FOLDER, KERNELS, Kernel, structures

FORWARD: Final = 0
_FLAGS: Final = ("-std=c++17", "-O1", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-fPIC", "-shared", "-w")


class KernelFault(NrtError):
    """A kernel did what CUDA leaves undefined."""


@dataclass(frozen=True, slots=True)
class Shim:
    """A built library. order: in which blocks, warps and lanes take turns (forward, backward, or a seed)."""

    library: Any
    order: int = FORWARD

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        """Runs a kernel to its end. Pointers in `arguments` are addresses of this process. Raises KernelFault."""
        function = getattr(self.library, _symbol(kernel, option))
        fault = function(arguments.ctypes.data, grid[0], grid[1], kernel.threads, self.order)
        if fault is not None:
            raise KernelFault(f"{kernel.instance(option)}: {fault.decode()}")

    def in_order(self, order: int) -> Shim:
        """The same library, with other turns."""
        return Shim(self.library, order)


def build(folder: Path, kernels: Sequence[Kernel] = KERNELS, source: str | None = None) -> Shim:
    """Compiles some kernels in `folder`, from their own text or from `source`. Raises MissingDependency, NrtError."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise MissingDependency("running kernels on the CPU", "g++", "test")
    text = folder / "kernels.cpp"
    text.write_text((source or kernel_text(kernels)) + _wrappers(kernels), encoding="utf-8")
    library = folder / "kernels.so"
    command = [compiler, *_FLAGS, "-I", str(FOLDER), str(text), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NrtError(f"g++ refused the kernels:\n{done.stderr[:4000]}")
    loaded = ctypes.CDLL(str(library))
    for kernel in kernels:
        for option in kernel.options:
            function = getattr(loaded, _symbol(kernel, option))
            function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_uint]
            function.restype = ctypes.c_char_p
    return Shim(loaded)


def kernel_text(kernels: Sequence[Kernel] = KERNELS) -> str:
    """The text of some kernels, as g++ reads it."""
    parts = ["common.cuh", "neuron.cuh", *dict.fromkeys(kernel.file for kernel in kernels)]
    return '#include "shim.h"\n' + "".join(
        f'#line 1 "{part}"\n{(FOLDER / part).read_text(encoding="utf-8")}' for part in parts
    )


def sizes(shim: Shim) -> dict[str, tuple[int, int]]:
    """Bytes of every structure, as the compiler and as `structures` have it."""
    names = {kernel.structure: structures(kernel.file)[kernel.structure].itemsize for kernel in KERNELS}
    return {
        name: (ctypes.c_int.in_dll(shim.library, f"sizeof_{name}").value, size)
        for name, size in names.items()
    }


def _symbol(kernel: Kernel, option: tuple[int, ...]) -> str:
    return "_".join(["launch", kernel.name, *map(str, option)])


def _wrappers(kernels: Sequence[Kernel]) -> str:
    """A function per kernel and template option that can be called from outside, and the size of every structure."""
    lines = ['\nextern "C" {\n']
    for kernel in kernels:
        for option in kernel.options:
            call = f"{kernel.instance(option)}(*(const {kernel.structure} *)b)"
            lines.append(
                f"const char *{_symbol(kernel, option)}(const void *a, int x, int y, int threads, unsigned order) {{\n"
                f"    return shim::launch([](const void *b) {{ {call}; }}, a, x, y, threads, order);\n}}\n"
            )
    lines += [
        f"int sizeof_{name} = sizeof({name});\n" for name in dict.fromkeys(k.structure for k in kernels)
    ]
    return "".join([*lines, "}\n"])

"""Launching kernels on a GPU: compiled by CuPy at first use, in the order of torch's current stream, into CUDA graphs.

torch owns memory, streams and graphs; CuPy compiles (it keeps what it compiled on disk, per GPU) and launches. It is
imported when a GPU is opened. Never run on a GPU by who wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nrt.errors import MissingDependency
from nrt_sim.gpu.kernels import OPTIONS, Kernel, text

Play = Callable[[], None]


class CupyLauncher:
    """`Launcher` of `nrt_sim.gpu.cuda_pass` on a GPU. Raises MissingDependency without CuPy."""

    def __init__(self, device: torch.device) -> None:
        try:
            import cupy
        except ModuleNotFoundError as error:
            raise MissingDependency("cuda:", "cupy", "gpu-cuda13") from error
        self._cupy: Any = cupy
        self._index: int = device.index
        self._functions: dict[str, Any] = {}

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        stream = torch.cuda.current_stream(self._index).cuda_stream
        with self._cupy.cuda.Device(self._index), self._cupy.cuda.ExternalStream(stream, self._index):
            # a numpy array of one element is passed by value
            self._function(kernel, option)(grid, (kernel.threads,), (arguments,))

    def _function(self, kernel: Kernel, option: tuple[int, ...]) -> Any:
        """The compiled kernel, for the current GPU."""
        name = kernel.instance(option)
        if name not in self._functions:
            module = self._cupy.RawModule(code=text(kernel.file), options=OPTIONS, name_expressions=(name,))
            self._functions[name] = module.get_function(name)
        return self._functions[name]


def capture(play: Play) -> Play:
    """What `play` launches on the current stream, as a CUDA graph: one launch instead of many."""
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        play()
    return graph.replay

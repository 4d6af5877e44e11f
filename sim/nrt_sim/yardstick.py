"""Yardsticks: specialised C++ engines for two nets, built and run next to nrt's.

The folder holds `gen.py` (writes weights and events; needs torch), `ev2.cpp` (net a) and `b_ev.cpp` (net b). They are
built in a scratch folder with g++, without contraction of multiply-adds, and called through ctypes.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.packet import Records

FILES: Final = ("gen.py", "ev2.cpp", "b_ev.cpp")
DECAY: Final = 0.95
SHORTEST: Final = 4096
"""Powers of the decay that the C++ is given."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The built engines in `folder`, with what the generator wrote there."""

    folder: Path

    @classmethod
    @contextmanager
    def built(cls, source: Path, scratch: Path | None) -> Generator[Self]:
        """Generates and compiles in `scratch`, or reuses what is there; in a temporary folder without one."""
        missing = [name for name in FILES if not (source / name).is_file()]
        if missing:
            raise ConfigError(f"{source} has no {', '.join(missing)}: it is no folder of yardsticks")
        if scratch is None:
            with TemporaryDirectory(prefix="nrt-bench-") as folder:
                yield cls(_build(source, Path(folder)))
        else:
            scratch.mkdir(parents=True, exist_ok=True)
            yield cls(_build(source, scratch))

    def weights(self, net: str) -> dict[str, NDArray[Any]]:
        """The weight matrices and kernels of net "a" or "b", float64."""
        with np.load(self.folder / f"net_{net}.npz") as file:
            return {name: file[name].astype(np.float64) for name in file.files if name != "x"}

    def events(self, rate: int) -> tuple[NDArray[np.int64], int]:
        """Net (a)'s events as int64[n, 4] of t, p, y, x; and the steps."""
        with np.load(self.folder / f"ev_a_{rate}.npz") as file:
            events, offsets = file["ev"].astype(np.int64), file["off"]
        step = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        return np.column_stack([step * 1000, events]), len(offsets) - 1

    def spikes(self) -> tuple[NDArray[np.int64], int]:
        """Net (b)'s input as int64[n, 2] of t and n; and the steps."""
        with np.load(self.folder / "net_b.npz") as file:
            dense = file["x"]
        step, channel = np.nonzero(dense)
        return np.column_stack([step * 1000, channel]), len(dense)

    def run(self, net: str, records: Records, bounds: NDArray[np.intp]) -> tuple[float, NDArray[np.int64]]:
        """Seconds of the C++ engine from rest, input already in its own form; and its output spike counts."""
        return self._run_a(records, bounds) if net == "a" else self._run_b(records, bounds)

    def _run_a(self, records: Records, bounds: NDArray[np.intp]) -> tuple[float, NDArray[np.int64]]:
        columns = [records["y"], records["x"], records["p"], np.ones(len(records))]
        events = np.column_stack(columns).astype(np.int32)
        counts = np.zeros(32, np.int64)
        planes = ((64, 16), (64, 32), (32, 32))
        arguments: list[NDArray[Any]] = [
            events,
            bounds.astype(np.int64),
            *_matrices(self.folder, "a"),
            *(array for size, channels in planes for array in _plane(size, channels)),
            *(np.zeros(n, np.float32) for n in (256, 11)),
            *(np.zeros((size + 2) ** 2 + 4, np.int32) for size, _ in planes),
            *(np.zeros((n, 4), np.int32) for n in (65536, 131072, 32768, 256, 11)),
            (DECAY ** np.arange(SHORTEST)).astype(np.float32),
            counts,
        ]
        seconds = self._call("ev2", len(bounds) - 1, arguments)
        return seconds, counts[10:21]

    def _run_b(self, records: Records, bounds: NDArray[np.intp]) -> tuple[float, NDArray[np.int64]]:
        counts = np.zeros(20, np.int32)
        arguments = [
            records["n"].astype(np.int32),
            bounds.astype(np.int32),
            *_matrices(self.folder, "b"),
            *(np.zeros(n, np.float32) for n in (256, 256, 20)),
            counts,
        ]
        seconds = self._call("b_ev", len(bounds) - 1, arguments)
        return seconds, counts.astype(np.int64)

    def _call(self, name: str, steps: int, arguments: list[NDArray[Any]]) -> float:
        function = ctypes.CDLL(str(self.folder / f"{name}.so")).run
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arguments]
        begin = perf_counter()
        function(steps, *pointers)
        return perf_counter() - begin


def _build(source: Path, folder: Path) -> Path:
    for name in FILES:
        if not (folder / name).exists():
            shutil.copyfile(source / name, folder / name)
    if not (folder / "net_b.npz").exists():
        _command([sys.executable, "gen.py"], folder)
    for name in ("ev2", "b_ev"):
        if not (folder / f"{name}.so").exists():
            flags = ["-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
            _command(["g++", *flags, "-o", f"{name}.so", f"{name}.cpp"], folder)
    return folder


def _command(words: list[str], folder: Path) -> None:
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ConfigError(f"the yardsticks need {words[0]}, which is not installed") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigError(f"{' '.join(words)} failed: {last}") from None


@cache
def _matrices(folder: Path, net: str) -> tuple[NDArray[np.float32], ...]:
    """The weights as the C++ reads them: outputs last, the columns of kernels without a stride flipped."""
    w = Yardstick(folder).weights(net)
    if net == "a":
        first, *others = (_last(w[name]) for name in ("w1", "w2", "w3"))
        found = [first, *(kernel[:, :, ::-1] for kernel in others), w["w4"].T, w["w5"].T]
    else:
        found = [w[name].T for name in ("w1", "r1", "w2", "r2", "w3")]
    return tuple(np.ascontiguousarray(kernel, np.float32) for kernel in found)


def _last(kernel: NDArray[Any]) -> NDArray[Any]:
    """A kernel [outputs, inputs, ky, kx] as [inputs, ky, kx, outputs]."""
    return kernel.transpose(1, 2, 3, 0)


def _plane(size: int, channels: int) -> list[NDArray[Any]]:
    """Membranes, currents and two stamps per pixel, with a border of one pixel."""
    pixels = (size + 2) ** 2
    floats = pixels * channels + 64
    return [
        np.zeros(floats, np.float32),
        np.zeros(floats, np.float32),
        np.full(pixels, -1, np.int32),
        np.full(pixels, -1, np.int32),
    ]

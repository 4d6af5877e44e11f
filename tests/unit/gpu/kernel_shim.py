"""The kernels built by g++ once for all tests of a process; tests that need them are skipped where there is no g++."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from nrt_sim.gpu.kernels import Kernel
from nrt_sim.gpu.shim import Shim, build

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@cache
def built() -> Shim:
    """All kernels."""
    return build(_folder())


def changed(kernels: tuple[Kernel, ...], source: str) -> Shim:
    """Some kernels from another text."""
    return build(_folder(), kernels, source)


def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="nrt-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)

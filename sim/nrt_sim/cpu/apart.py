"""Compiles the kernels in a process of its own where nothing is compiled yet.

Compiling takes a process to 264 MB (measured), and memory that a compiler took is not given back to the system; a
whole `nrt run` that loads the result from numba's cache on disk peaks at 206. Where the child does not work, the
kernels are compiled here as ever.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from nrt_sim.cpu import step

_CODE = "from nrt_sim.cpu.engine import warm; warm()"
_LIMIT_S = 600


def compile_apart() -> None:
    """Returns once the kernels are in the cache on disk, at once if they are there already."""
    if _is_compiled():
        return
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-c", _CODE],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LIMIT_S,
            check=False,
        )


def _is_compiled() -> bool:
    """Whether the cache has the outer kernel, from after the last change of its file: numba goes by that alone."""
    kernel: Any = step.run
    changed = Path(step.__file__).stat().st_mtime
    indices = Path(kernel.stats.cache_path).glob("step.run-*.nbi")
    return any(path.stat().st_mtime >= changed for path in indices)

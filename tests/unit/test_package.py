from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
THIRD_PARTY = ["numba", "h5py", "lz4", "zstandard", "serial", "usb", "rich", "typer", "torch", "cupy", "nir"]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_nrt_loads_numpy_alone() -> None:
    code = f"import sys, nrt; print([name for name in {THIRD_PARTY!r} if name in sys.modules])"
    assert python(code).strip() == "[]"


def test_every_name_of_the_public_interface_exists() -> None:
    python("import nrt\nfor name in nrt.__all__: getattr(nrt, name)")

"""Running the command line as a person does: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Nrt = Callable[..., subprocess.CompletedProcess[str]]


def environment() -> dict[str, str]:
    """The environment in which a checkout that is not installed can be run."""
    paths = [str(ROOT), str(ROOT / "sim"), str(ROOT / "drivers")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "120", "NO_COLOR": "1"}


@pytest.fixture
def nrt() -> Nrt:
    """`nrt("info", path)`: runs the command line; the result has returncode, stdout and stderr."""

    def run(*arguments: object, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nrt", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment(), check=False
        )

    return run

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nrt import formats
from nrt.packet import EVENT
from tests.e2e.conftest import environment

PEAK = """
import re, runpy, sys
sys.argv = ["nrt", *sys.argv[1:]]
try:
    runpy.run_module("nrt", run_name="__main__")
finally:
    status = open("/proc/self/status").read()
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024, file=sys.stderr)
"""
"""Not getrusage: its maximum has the memory of the process that started this one in it."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_on_a_large_recording_stays_under_350_mb(tmp_path: Path, data: Path) -> None:
    """120 MB of recording; the limit is the whole process's, interpreter, numba and compiler included."""
    events = np.zeros(1_000_000, EVENT)
    rng = np.random.default_rng(0)
    events["x"], events["y"] = rng.integers(0, 34, (2, len(events)))
    events["t"] = np.arange(len(events)) // 2
    path = tmp_path / "large.dat"
    with formats.create(path, "dat", (2, 34, 34)) as writer:
        for _ in range(15):
            writer.write(events)
            events["t"] += 500_000
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "run", data / "nir/cnn_sinabs.nir", "--from", path, "--json"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f'"events": {15_000_000}' in done.stdout
    assert int(done.stderr.split()[-1]) < 350
    assert os.path.getsize(path) > 100_000_000

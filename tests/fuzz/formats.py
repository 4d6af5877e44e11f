"""Coverage-guided fuzzing of every recording reader; a command of its own, not part of the tests.

    pip install atheris && python tests/fuzz/formats.py -max_total_time=600 CORPUS

CORPUS is a folder that grows; without one it starts from nothing. The first byte of an input
chooses the format, so that readers are reached that the recognition by content would not let through. Any bytes must
give events or BadRecording: another exception, a hang (-timeout) or more memory than -rss_limit_mb is a finding.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
atheris: Any = importlib.import_module("atheris")  # it has no types, and is installed only for this
sys.path[:0] = [str(ROOT), str(ROOT / "sim")]

import nrt.formats  # noqa: E402
from nrt import registry  # noqa: E402
from nrt.errors import BadRecording, Unsupported  # noqa: E402
from nrt.formats.table import FORMATS  # noqa: E402
from nrt.packet import EVENT, SPIKE  # noqa: E402


def instrument(owner: Any, module: ModuleType) -> None:
    """Coverage for what stays Python: methods and functions; kernels are compiled, and tracing would break them."""
    for name, value in list(vars(owner).items()):
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            setattr(owner, name, atheris.instrument_func(value))
        elif isinstance(value, type) and value.__module__ == module.__name__ and owner is module:
            instrument(value, module)


for found in pkgutil.iter_modules(nrt.formats.__path__, "nrt.formats."):
    member = importlib.import_module(found.name)
    instrument(member, member)

READERS = [registry.load(registry.Entry(row.reader, row.name)) for row in FORMATS]
FILE = Path(tempfile.mkdtemp(prefix="nrt-fuzz-")) / "input"
MOST = 1 << 22
"""More events than this from one input of a few KiB is a decoder that makes them up."""


def one_input(data: bytes) -> None:
    """Reads `data` to its end with the reader that its first byte chooses."""
    if len(data) < 2:
        return
    FILE.write_bytes(data[1:])
    try:
        with READERS[data[0] % len(READERS)](FILE) as recording:
            slab = np.zeros(8192, SPIKE if recording.spikes() else EVENT)
            total = 0
            while count := recording.read(slab):
                total += count
                assert total < MOST
    except (BadRecording, Unsupported):
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

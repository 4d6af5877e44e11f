"""What a reader makes of damaged files: events, then nothing or BadRecording, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nrt.errors import BadRecording
from nrt.formats.base import Recording
from nrt.packet import EVENT
from tests.unit.formats.streams import Rows, rows

Opener = Callable[[Path], Recording]


def outcome(opener: Opener, path: Path, slab: int = 4096) -> tuple[Rows, BadRecording | None]:
    """(events, damage) of a file. Any other exception than BadRecording gets out."""
    found: Rows = []
    buffer = np.zeros(slab, EVENT)
    try:
        with opener(path) as recording:
            while count := recording.read(buffer):
                found += rows(buffer[:count])
            recording.triggers()
    except BadRecording as damage:
        return found, damage
    return found, None


def check_truncations(opener: Opener, data: bytes, whole: Rows, path: Path, step: int = 1) -> None:
    """Every beginning of a file gives the first of its events."""
    for length in range(0, len(data), step):
        path.write_bytes(data[:length])
        found, _ = outcome(opener, path)
        assert found == whole[: len(found)], f"cut to {length} bytes"


def check_flips(opener: Opener, data: bytes, path: Path, bits: list[int]) -> None:
    """A file with some bits turned over gives events or BadRecording."""
    damaged = bytearray(data)
    for bit in bits:
        damaged[bit // 8 % len(data)] ^= 1 << bit % 8
    path.write_bytes(damaged)
    outcome(opener, path)

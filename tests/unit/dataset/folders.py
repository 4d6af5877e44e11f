"""Folders of small recordings."""

from __future__ import annotations

from pathlib import Path

from nrt import formats
from tests.fakes import events


def recording(path: Path, y: int = 0) -> Path:
    """Five events of a sensor of 4x4 pixels in row y, in a file of Event Stream."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with formats.create(path, "es", (2, 4, 4)) as writer:
        writer.write(events(*((1_000 * k, k % 4, y, 1) for k in range(5))))
    return path

"""Recordings made through each of our camera drivers, read by somebody else's library.

`NRT_PEERS` names a Python interpreter that has faery, aedat or dv-processing; the tests skip without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from nrt import formats
from nrt.record import FileSink, Transfer
from tests.unit.drivers.cameras import WHOLE, camera, scene
from tests.unit.formats.streams import Rows, recorded

READERS: Final[Mapping[str, str]] = {
    "faery": """
import faery, json, sys
parts = [part.tolist() for part in faery.events_stream_from_file(sys.argv[1])]
print(json.dumps([[int(t), int(x), int(y), int(p)] for part in parts for t, x, y, p in part]))
""",
    "aedat": """
import aedat, json, sys
out = []
for packet in aedat.Decoder(sys.argv[1]):
    if "events" in packet:
        out += [[int(t), int(x), int(y), int(p)] for t, x, y, p in packet["events"].tolist()]
print(json.dumps(out))
""",
    "dv_processing": """
import dv_processing, json, sys
reader, out = dv_processing.io.MonoCameraRecording(sys.argv[1]), []
while reader.isRunning():
    batch = reader.getNextEventBatch()
    if batch is not None:
        out += [[int(t), int(x), int(y), int(p)] for t, x, y, p in batch.numpy().tolist()]
print(json.dumps(out))
""",
}
SHAPES: Final[Mapping[str, tuple[int, int, int]]] = {
    "edvs": (2, 128, 128),
    "dvs128": (2, 128, 128),
    "davis240": (2, 180, 240),
}


def python_with(library: str) -> str:
    """The interpreter that has it; skips where there is none."""
    python = os.environ.get("NRT_PEERS")
    if python is None:
        pytest.skip("NRT_PEERS names no Python that has other libraries for recordings")
    if subprocess.run([python, "-c", f"import {library}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no {library}")
    return python


def read_by(library: str, python: str, path: Path) -> Rows:
    """The events as `library` reads them."""
    done = subprocess.run(
        [python, "-c", READERS[library], str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    return [(t, x, y, p) for t, x, y, p in json.loads(done.stdout)]


async def made(scheme: str, folder: Path) -> tuple[Path, Rows]:
    """A recording made through the driver, and what the camera saw."""
    plays, wanted = scene(folder, SHAPES[scheme])
    path = folder / f"{scheme}.aedat4"
    source = camera(f"{scheme}+emu:?plays={plays}&{WHOLE}")
    async with asyncio.timeout(60):
        await Transfer(source, FileSink(path), limit=500_000).run()
    return path, wanted


@pytest.mark.parametrize("library", READERS)
@pytest.mark.parametrize("scheme", SHAPES)
async def test_a_recording_is_what_the_camera_saw_whoever_reads_it(
    scheme: str, library: str, tmp_path: Path
) -> None:
    python = python_with(library)
    path, wanted = await made(scheme, tmp_path)
    with formats.open(path) as recording:
        ours = recorded(recording)
    assert [(t - ours[0][0], x, y, p) for t, x, y, p in ours] == wanted
    assert read_by(library, python, path) == ours

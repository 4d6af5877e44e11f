"""A picture of events for people far away: grey where nothing happened, white for ON, black for OFF."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from nrt.packet import EVENT, Records


def png(packets: Sequence[Records], shape: tuple[int, int, int] | None) -> str | None:
    """The events as a PNG file in base 64; None for what is no picture: spikes, or a sensor of unknown size."""
    if shape is None or any(data.dtype != EVENT for data in packets):
        return None
    _, height, width = shape
    pixels = np.full((height, width), 128, np.uint8)
    for data in packets:
        x, y = data["x"], data["y"]
        inside = (x < width) & (y < height)
        pixels[y[inside], x[inside]] = np.where(data["p"][inside] > 0, 255, 0)
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")
    file = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return base64.b64encode(file).decode("ascii")

"""Streams of events and words for the tests of the word formats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrt.formats.base import Decoder, Recording
from nrt.packet import EVENT, Records

Rows = list[tuple[int, int, int, int]]
"""Events as (t, x, y, p)."""


def rows(events: Records) -> Rows:
    return [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in events]


def events(*values: tuple[int, int, int, int]) -> Records:
    out = np.zeros(len(values), EVENT)
    for i, value in enumerate(values):
        out[i] = value
    return out


def recorded(recording: Recording, slab: int = 4096) -> Rows:
    """Everything that is left to read."""
    found: Rows = []
    buffer = np.zeros(slab, EVENT)
    while count := recording.read(buffer):
        found += rows(buffer[:count])
    return found


def decoded(decoder: Decoder, pieces: Iterable[bytes], slab: int = 4096) -> Rows:
    """What a decoder makes of bytes that arrive in pieces, whole words or not."""
    found: Rows = []
    # a guard behind the slab shows any store past its end
    memory = np.zeros(slab + 64, EVENT)
    memory["t"][slab:] = -7
    rest = b""
    for piece in pieces:
        rest += piece
        while True:
            used, count = decoder.decode(np.frombuffer(rest, np.uint8), memory[:slab])
            assert 0 <= used <= len(rest)
            assert 0 <= count <= slab
            found += rows(memory[:count])
            rest = rest[used:]
            if not count:
                break
        assert len(rest) < decoder.word
    assert set(memory["t"][slab:].tolist()) == {-7}
    return found


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def random_events(seed: int, count: int, shape: tuple[int, int, int], step: int) -> Records:
    """A stream with lone events, runs along a row and pauses, in time order.

    step: the longest usual time between groups, µs.
    """
    random = np.random.default_rng(seed)
    _, height, width = shape
    found: list[NDArray[np.void]] = []
    t, total = int(random.integers(0, 1 << 20)), 0
    while total < count:
        size = int(random.choice([1, 1, 2, 5, 20, 60]))
        group = np.zeros(size, EVENT)
        t += int(random.integers(0, step)) if random.random() < 0.7 else 0
        group["t"] = t
        group["y"] = random.integers(0, height)
        start = int(random.integers(0, max(1, width - size)))
        group["x"] = np.minimum(start + np.arange(size) * int(random.integers(1, 3)), width - 1)
        group["p"] = random.integers(0, 2)
        found.append(group)
        total += size
    joined = np.zeros(total, EVENT)
    at = 0
    for group in found:
        joined[at : at + len(group)] = group
        at += len(group)
    return joined[:count]


def write_bytes(path: Path, header: str, body: bytes) -> Path:
    path.write_bytes(header.encode() + body)
    return path

"""The recordings that decoding is measured on, made in a temporary folder from short ones.

The words of a real recording are repeated with their TIME_HIGH moved on, or its events are repeated and written by
nrt. Where the real recordings are absent, invented scenes take their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import nrt.formats.table as formats
from nrt.formats.prophesee import evt_header, read_header
from nrt.packet import EVENT, Records

SLAB: Final = 1 << 16
"""Events read at a time."""

SHAPE: Final = (2, 720, 1280)


@dataclass(frozen=True, slots=True)
class Case:
    """A recording to decode: `make(path, real, events)` writes it; real is the folder of real recordings."""

    name: str
    form: str
    suffix: str
    make: Callable[[Path, Path | None, int], None]
    peers: tuple[str, ...]


def _read_all(path: Path) -> Records:
    slab, parts = np.zeros(SLAB, EVENT), []
    with formats.open(path) as recording:
        while count := recording.read(slab):
            parts.append(slab[:count].copy())
    joined = np.zeros(sum(map(len, parts)), EVENT)
    np.concatenate([part.view(np.uint64) for part in parts], out=joined.view(np.uint64))
    return joined


def _invented(events: int, rate: float) -> Records:
    """Edges that move over the sensor: runs along rows, in time order, `rate` events per µs."""
    random = np.random.default_rng(1)
    out = np.zeros(events, EVENT)
    run = np.arange(events) // 3
    out["t"] = (run * (3 / rate)).astype(np.int64)
    out["y"] = random.integers(0, SHAPE[1], run[-1] + 1)[run]
    out["x"] = random.integers(0, SHAPE[2] - 3, run[-1] + 1)[run] + np.arange(events) % 3
    out["p"] = random.integers(0, 2, run[-1] + 1)[run]
    return out


def _scene(real: Path | None) -> Records:
    """About a million events of a sparse scene, from time 0."""
    events = _read_all(real / "faery_gen4.dat") if real else _invented(1_000_000, 0.1)
    events["t"] -= events["t"][0]
    return events


def _repeated(scene: Records, events: int) -> Iterator[Records]:
    """The scene again and again, later each time, until there are as many events."""
    span = int(scene["t"][-1]) + 10
    for _ in range(-(-events // len(scene))):
        yield scene
        scene["t"] += span


def _written(form: str, **options: str) -> Callable[[Path, Path | None, int], None]:
    def make(path: Path, real: Path | None, events: int) -> None:
        scene, shape = _scene(real), SHAPE
        if form == "aedat2":  # a DAVIS346 is the largest sensor its addresses are used for
            shape = (2, 260, 346)
            scene["x"] %= 346
            scene["y"] %= 260
        with formats.create(path, form, shape, **options) as writer:
            for part in _repeated(scene, events):
                writer.write(part)

    return make


def _tiled(
    path: Path, header: bytes, words: NDArray[np.unsignedinteger], count: int, bits: int, times: int
) -> None:
    """Repeats words with the TIME_HIGH values, the low `bits` of type 8, moved on each time.

    count: events among the words; times: events wanted.
    """
    kind = words >> bits
    words = words[int(np.argmax(kind == 8)) :]
    places = np.flatnonzero(words >> bits == 8)
    high = (words[places] & ((1 << bits) - 1)).astype(np.int64)
    span = int((high[-1] - high[0]) % (1 << bits)) + 1
    with path.open("wb") as file:
        file.write(header)
        for turn in range(-(-times // count)):
            words[places] = (8 << bits | (high + turn * span) % (1 << bits)).astype(words.dtype)
            file.write(words.data)


def _tile_file(source: str, form: str, bits: int) -> Callable[[Path, Path | None, int], None]:
    """The words of a real recording as the camera sent them; without it, of an invented scene."""

    def make(path: Path, real: Path | None, events: int) -> None:
        if real:
            original = real / source
        else:
            original = path.with_suffix(".small")
            with formats.create(original, form, SHAPE) as writer:
                writer.write(_invented(500_000, 20.0))
        header, _ = read_header(original)
        data = original.read_bytes()
        word = np.dtype("<u2" if bits == 12 else "<u4")
        body = data[header.length : len(data) - (len(data) - header.length) % word.itemsize]
        words = np.frombuffer(body, word).copy()
        _tiled(path, data[: header.length], words, len(_read_all(original)), bits, events)

    return make


def _sparse_evt3(path: Path, real: Path | None, events: int) -> None:
    """EVT3 as a camera sends it from a sparse scene: time and row before nearly every event."""
    scene = _scene(real)
    t, rows = scene["t"], np.zeros((len(scene), 4), "<u2")
    rows[:, 0] = 8 << 12 | (t >> 12 & 0xFFF)
    rows[:, 1] = 6 << 12 | (t & 0xFFF)
    rows[:, 2] = scene["y"]
    rows[:, 3] = 2 << 12 | scene["p"].astype(np.uint16) << 11 | scene["x"]
    sent = np.ones(rows.shape, bool)
    together = t[1:] == t[:-1]
    sent[1:, :2] = ~together[:, None]
    sent[1:, 2] = ~(together & (scene["y"][1:] == scene["y"][:-1]))
    _tiled(path, evt_header("3.0", "EVT3", SHAPE, {}), rows[sent], len(scene), 12, events)


_EVT3: Final = ("evutils", "expelliarmus", "evt3", "faery", "aestream")
_AEDAT4: Final = ("dv", "aedat", "faery", "evutils", "aestream")
CASES: Final = (
    Case("EVT3 dense", "evt3", ".raw", _tile_file("expelliarmus_evt3_sample.raw", "evt3", 12), _EVT3),
    Case("EVT3 sparse", "evt3", ".raw", _sparse_evt3, _EVT3),
    Case(
        "EVT2", "evt2", ".raw", _tile_file("faery_evt2.raw", "evt2", 28), ("evutils", "expelliarmus", "faery")
    ),
    Case("EVT2.1", "evt21", ".raw", _written("evt21", endianness="legacy"), ("evutils",)),
    Case("DAT", "dat", ".dat", _written("dat"), ("evutils", "expelliarmus", "faery", "evio", "aestream")),
    Case("AEDAT4 none", "aedat4", ".aedat4", _written("aedat4", compression="none"), _AEDAT4),
    Case("AEDAT4 lz4", "aedat4", ".aedat4", _written("aedat4", compression="lz4"), _AEDAT4),
    Case("AEDAT4 zstd", "aedat4", ".aedat4", _written("aedat4", compression="zstd"), _AEDAT4),
    Case("ES", "es", ".es", _written("es"), ("event_stream", "faery")),
    Case("AEDAT2", "aedat2", ".aedat", _written("aedat2"), ("evutils", "hand")),
)
"""What `nrt bench decode` measures."""

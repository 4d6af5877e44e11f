"""A recording's content as numbers and SHA-256 sums, to compare decoders, converters and copies.

The keys are those of the golden files that other projects' decoders agreed on: a sum per column, over the values
as little-endian i8, u2, u2 and u1, and one over the packed 13-byte records that most tools use. Everything is
summed while it is read, so that memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NotRequired, TypedDict

import numpy as np

from nrt.errors import ConfigError
from nrt.formats.base import Recording
from nrt.packet import EVENT, Records

_PACKED: Final = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
_COLUMNS: Final = {"t_i8le": "t", "x_u2le": "x", "y_u2le": "y", "p_u1": "p"}
_SLAB: Final = 1 << 16


class EventDigest(TypedDict):
    """n events, `on` of them ON; first, last: (t, x, y, p); non_monotonic: events earlier than their predecessor.

    What an empty recording has no value for is None.
    """

    n: int
    first: list[int] | None
    last: list[int] | None
    on: int
    t_min: int | None
    t_max: int | None
    non_monotonic: int
    x_max: int | None
    y_max: int | None
    sha256: dict[str, str]


class Digest(TypedDict):
    """ext_triggers: the number of triggers, for formats that can hold any."""

    format: str
    bytes: int
    sha256_file: str
    events: EventDigest
    ext_triggers: NotRequired[int]


class _Summary:
    """The running digest of a stream of events."""

    def __init__(self) -> None:
        self._sums = {name: hashlib.sha256() for name in _COLUMNS}
        self._packed = hashlib.sha256()
        self._records = np.empty(_SLAB, _PACKED)
        self._n = self._on = self._falls = 0
        self._first: list[int] | None = None
        self._last: list[int] | None = None
        self._low = np.iinfo(np.int64).max
        self._high = np.iinfo(np.int64).min
        self._x = self._y = 0

    def add(self, events: Records) -> None:
        """Adds at least one and at most `_SLAB` events."""
        records = self._records[: len(events)]
        for key, name in _COLUMNS.items():
            records[name] = events[name]
            self._sums[key].update(np.ascontiguousarray(events[name]).data)
        self._packed.update(records.view(np.uint8).data)
        t = events["t"]
        if self._last is not None:
            self._falls += int(t[0] < self._last[0])
        self._falls += int(np.count_nonzero(t[1:] < t[:-1]))
        self._n += len(events)
        self._on += int(np.count_nonzero(events["p"]))
        self._first = self._first or [int(value) for value in events[0]]
        self._last = [int(value) for value in events[-1]]
        self._low, self._high = min(self._low, int(t.min())), max(self._high, int(t.max()))
        self._x, self._y = max(self._x, int(events["x"].max())), max(self._y, int(events["y"].max()))

    def result(self) -> EventDigest:
        some = self._n > 0
        sums = {name: sum_.hexdigest() for name, sum_ in self._sums.items()}
        return {
            "n": self._n,
            "first": self._first,
            "last": self._last,
            "on": self._on,
            "t_min": self._low if some else None,
            "t_max": self._high if some else None,
            "non_monotonic": self._falls,
            "x_max": self._x if some else None,
            "y_max": self._y if some else None,
            "sha256": {**sums, "packed_txyp_13B": self._packed.hexdigest()},
        }


def digest(recording: Recording) -> Digest:
    """Reads the rest of a freshly opened recording of events and sums it up.

    Raises BadRecording where the file is damaged, ConfigError for a recording of spikes.
    """
    if recording.spikes():
        raise ConfigError(f"{recording.path} holds spikes; a digest is made of events")
    summary, triggers = _Summary(), 0
    slab = np.zeros(_SLAB, EVENT)
    while count := recording.read(slab):
        summary.add(slab[:count])
        triggers += len(recording.triggers())
    triggers += len(recording.triggers())
    result: Digest = {
        "format": recording.format,
        "bytes": recording.path.stat().st_size,
        "sha256_file": _file_sum(recording.path),
        "events": summary.result(),
    }
    if recording.has_triggers:
        result["ext_triggers"] = triggers
    return result


def _file_sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

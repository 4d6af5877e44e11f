"""Packets: the events or spikes of one span of time, and the promise that no more will come.

Three record types, all of 16 bytes and aligned, so that an array of n of them is also a C-contiguous
`uint64[n, 2]` without a copy (`words`):

| dtype    | fields                   | used for                                                |
|----------|--------------------------|---------------------------------------------------------|
| EVENT    | t i8 µs, x u2, y u2, p u1 | what a camera sees; p is 1 for ON                       |
| SPIKE    | t i8 µs, n u4, v i4      | what a population fires                                 |
| MEMBRANE | t i8 µs, n u4, v f4      | a membrane: of a tap, or of a readout that does not fire |

n counts a population's neurons in C, H, W order. A spike's v is its payload: 1 for a plain one, -1 for a
negative one, otherwise the number of spikes or the graded value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError


def _record(names: list[str], formats: list[str], offsets: list[int]) -> np.dtype[np.void]:
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": 16})


EVENT: Final = _record(["t", "x", "y", "p"], ["<i8", "<u2", "<u2", "u1"], [0, 8, 10, 12])
SPIKE: Final = _record(["t", "n", "v"], ["<i8", "<u4", "<i4"], [0, 8, 12])
MEMBRANE: Final = _record(["t", "n", "v"], ["<i8", "<u4", "<f4"], [0, 8, 12])

Records = NDArray[np.void]
"""An array of EVENT, SPIKE or MEMBRANE."""

_COMMON_NAMES = {"t": ("t", "timestamp", "ts"), "x": ("x",), "y": ("y",), "p": ("p", "on", "polarity", "pol")}


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """The events of [start, end) in time order, and the promise that no more will come before `end`.

    An empty packet carries time: leak, timers and clocked chips depend on it.

    data:   array of EVENT, SPIKE or MEMBRANE; treat it as read-only
    start, end: µs on the stream's own clock
    stamp:  host time (`time.monotonic_ns`) at which its last byte arrived, or was due
    lost:   events dropped just before it; counted, never silent
    origin: the source, or the population, it comes from
    begun, done: of an output packet, host ns at which the device began to work on its span and was done, where the
            device can say; 0 where it cannot
    """

    data: Records
    start: int
    end: int
    stamp: int
    lost: int = 0
    origin: str = field(default="")
    begun: int = 0
    done: int = 0

    def __len__(self) -> int:
        return len(self.data)

    def as_txyp(self) -> Records:
        """The events as the field's packed 13-byte records `(t i8, x u2, y u2, p u1)`; copies."""
        out = np.empty(len(self.data), np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")]))
        for name in ("t", "x", "y", "p"):
            out[name] = self.data[name]
        return out

    @classmethod
    def from_array(
        cls,
        array: NDArray[Any],
        *,
        start: int | None = None,
        end: int | None = None,
        stamp: int = 0,
        origin: str = "",
    ) -> Packet:
        """A packet of the events in `array`, as tonic, faery, OpenEB, dv-processing or evutils lay them out.

        array: structured, with t (timestamp, ts), x, y and p (on, polarity) under any of those names;
        signed polarities (-1, 1) become 0 and 1. Without `end` the packet ends 1 µs after its last event.
        Raises ConfigError where a column is missing or time runs backwards.
        """
        events = events_from_array(array)
        t = events["t"]
        if len(t) and bool(np.any(t[1:] < t[:-1])):
            raise ConfigError("the events are not in time order; sort them by t first")
        first, last = (int(t[0]), int(t[-1])) if len(t) else (0, -1)
        return cls(
            events, first if start is None else start, last + 1 if end is None else end, stamp, origin=origin
        )


def events_from_array(array: NDArray[Any]) -> Records:
    """`array` as EVENT records; without a copy if it has that dtype already. Raises ConfigError."""
    if array.dtype == EVENT:
        return array
    names = array.dtype.names or ()
    out = np.zeros(len(array), EVENT)
    for field_name, candidates in _COMMON_NAMES.items():
        found = next((c for c in candidates if c in names), None)
        if found is None:
            raise ConfigError(
                f"no column {' or '.join(candidates)} in an array with columns {', '.join(names) or 'none'}"
            )
        out[field_name] = array[found] if field_name != "p" else array[found] > 0
    return out


def join(arrays: Sequence[Records]) -> Records:
    """The records of `arrays` (at least one, all of one dtype) in one array.

    numpy's concatenate packs records with padding to 13 bytes; this keeps them at 16.
    """
    out = np.empty(sum(map(len, arrays)), arrays[0].dtype)
    begin = 0
    for array in arrays:
        out[begin : begin + len(array)] = array
        begin += len(array)
    return out


def words(records: Records) -> NDArray[np.uint64]:
    """The records as `uint64[n, 2]`, without a copy: word 0 is t, word 1 holds the other fields."""
    return records.view(np.uint64).reshape(len(records), 2)

"""Event words: addresses, passing time, marks and gaps, 32 bits each, in batches.

A batch is the device time before its first word, the number of words of the session before it, and the words. Each
word says how many µs it comes after the word before; `times` adds them up. Whole arrays at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import words
from nrt.bridge.messages import Message
from nrt.bridge.words import BRIDGE, MESSAGE, PAYLOAD
from nrt.errors import ConfigError

Words = NDArray[np.uint32]
Times = NDArray[np.int64]

BATCH: Final = BRIDGE.record("batch")
KINDS: Final = BRIDGE.kinds("events")
EVENT: Final = KINDS.index("event")
PAUSE: Final = KINDS.index("pause")
MARK: Final = KINDS.index("mark")
GAP: Final = KINDS.index("gap")

_EVENT: Final = BRIDGE.word("event")
_PAUSE: Final = BRIDGE.word("pause")
_MARK: Final = BRIDGE.word("mark")
_GAP: Final = BRIDGE.word("gap")

TAGS: Final = _MARK.field("tag").high + 1
"""Tags of marks wrap here."""
MARKS: Final = _MARK.pack(tag=np.arange(TAGS)).astype(np.uint32)
"""The marks of every tag."""
LONGEST_DELTA: Final = _EVENT.field("delta").high
MOST_LOST: Final = _GAP.field("lost").high


def per_message(longest: int = PAYLOAD) -> int:
    """Words that fit in one message of `longest` bytes."""
    return (longest - MESSAGE.size - BATCH.size) // 4


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The words of one message. time: device µs before the first word; index: words of the session before it."""

    time: int
    index: int
    words: Words

    def pack(self) -> bytes:
        """As the body of a message whose count is the number of words."""
        return BATCH.pack(time=self.time, index=self.index) + _EVENT.to_bytes(self.words)

    @classmethod
    def unpack(cls, message: Message) -> Batch:
        """Raises ConfigError where the body is not as long as its count says."""
        head = BATCH.integers(message.body)
        rest = message.body[BATCH.size :]
        if len(rest) != 4 * message.count:
            raise ConfigError(f"{message.label}: {len(rest)} bytes are not {message.count} event words")
        return cls(head["time"], head["index"], _EVENT.from_bytes(rest).astype(np.uint32, copy=False))

    def times(self) -> Times:
        """Device µs of each word."""
        result: Times = self.time + np.cumsum(deltas(self.words))
        return result


def deltas(events: Words) -> Times:
    """µs by which each word comes after the one before; a gap has none."""
    kinds = KINDS.classify(events)
    out = _EVENT.unpack(events)["delta"].astype(np.int64)
    out[kinds == PAUSE] = _PAUSE.unpack(events[kinds == PAUSE])["delta"]
    out[kinds == GAP] = 0
    return out


def timed(events: Words, times: Times) -> Batch:
    """The words as one batch of session index 0, each at its time; at most `LONGEST_DELTA` µs may lie between two."""
    steps = np.diff(times, prepend=times[0])
    out = events.copy()
    kinds = KINDS.classify(events)
    for kind, word in ((EVENT, _EVENT), (MARK, _MARK)):
        at = kinds == kind
        fields = word.unpack(events[at]) | {"delta": steps[at]}
        out[at] = word.pack(**fields)
    return Batch(int(times[0]), 0, out)


def addresses(events: Words) -> NDArray[np.uint16]:
    """Addresses of words that are all events."""
    return _EVENT.unpack(events)["address"].astype(np.uint16)


def tags(marks: Words) -> NDArray[np.int64]:
    """Tags of words that are all marks."""
    return _MARK.unpack(marks)["tag"].astype(np.int64)


def lost(gaps: Words) -> int:
    """Spikes that gap words report, in all."""
    return int(_GAP.unpack(gaps)["lost"].sum())


def pack_events(address: NDArray[np.integer], delta: NDArray[np.integer] | int = 0) -> Words:
    """Event words. Raises ConfigError for an address or a delta that does not fit."""
    return _EVENT.pack(address=address, delta=delta).astype(np.uint32, copy=False)


def pack_marks(tag: NDArray[np.integer] | int) -> Words:
    """Mark words; tags wrap."""
    return np.atleast_1d(MARKS[np.asarray(tag) % TAGS])


def pack_gap(count: int) -> Words:
    """One word that says that `count` spikes are missing."""
    return np.atleast_1d(_GAP.pack(lost=min(count, MOST_LOST))).astype(np.uint32, copy=False)


def index_after(index: int, count: int) -> int:
    """The index of the batch after one of `count` words."""
    return (index + count) % words.INDICES

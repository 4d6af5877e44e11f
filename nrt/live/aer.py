"""Address events in datagrams, the words of SPIF and AEStream (firmware_specs/spif.toml), read and written.

A datagram is a whole number of 32-bit words, least significant byte first. An event is one word; where its top bit is
clear, a second word with its time in µs follows, which turns over every 71.6 minutes. AEStream sends datagrams of
either kind. An event without a time counts from when it arrives.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

import nrt.spec
from nrt.packet import EVENT, Records
from nrt.spec import Spec

Words = NDArray[np.uint32]
_TURN: Final = 1 << 32


@cache
def spif() -> Spec:
    """The definition of SPIF's words, ports and limits."""
    return nrt.spec.load("spif")


class AerDecoder:
    """Datagrams in, events out; keeps the time, and what it could not read.

    torn:  bytes that were no whole event at the end of a datagram
    times: whether the last datagram that was read carried times
    """

    def __init__(self) -> None:
        self._plain, self._timed = spif().word("event"), spif().word("event_timed")
        self._time: int | None = None
        self.torn = 0
        self.times = False

    def decode(self, data: bytes, arrived: int) -> Records:
        """The events of one datagram. arrived: µs; the time of events without one."""
        whole = len(data) - len(data) % 4
        self.torn += len(data) - whole
        words = self._plain.from_bytes(data[:whole]).astype(np.uint32, copy=False)
        if bool(self._plain.matches(words).all()):
            self.times = False
            return self._events(words, np.full(len(words), arrived))
        self.times = True
        if len(words) % 2 == 0 and bool(self._timed.matches(words[::2]).all()):
            return self._events(words[::2], self._unwrapped(words[1::2]))
        return self._mixed(words, arrived)

    def decode_all(self, datagrams: list[tuple[bytes, int]]) -> list[Records]:
        """The events of each of several datagrams with their arrival, at once where all are of one kind."""
        sizes = [len(data) for data, _ in datagrams]
        if len(datagrams) < 2 or any(size % 4 for size in sizes):
            return [self.decode(*each) for each in datagrams]
        words = self._plain.from_bytes(b"".join(data for data, _ in datagrams)).astype(np.uint32, copy=False)
        counts = np.array(sizes) // 4
        if bool(self._plain.matches(words).all()):
            self.times = False
            events = self._events(words, np.repeat(np.array([at for _, at in datagrams], np.int64), counts))
        elif not any(size % 8 for size in sizes) and bool(self._timed.matches(words[::2]).all()):
            self.times, counts = True, counts // 2
            events = self._events(words[::2], self._unwrapped(words[1::2]))
        else:
            return [self.decode(*each) for each in datagrams]
        ends = np.cumsum(counts).tolist()
        return [events[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]

    def _mixed(self, words: Words, arrived: int) -> Records:
        """Events with and without times, one after the other, as nobody is known to send them."""
        timed = self._timed.matches(words).tolist()
        heads, stamps, at = [], [], 0
        while at < len(words):
            if not timed[at]:
                stamps.append(arrived)
            elif at + 1 < len(words):
                stamps.append(int(self._unwrapped(words[at + 1 : at + 2])[0]))
            else:
                self.torn += 4
                break
            heads.append(at)
            at += 2 if timed[at] else 1
        t = np.array(stamps, np.int64)
        return self._events(words[heads], t)

    def _events(self, words: Words, t: NDArray[np.int64]) -> Records:
        fields = self._plain.unpack(words)
        events = np.zeros(len(words), EVENT)
        events["t"], events["x"], events["y"] = t, fields["x"], fields["y"]
        events["p"] = fields["polarity"]
        return events

    def _unwrapped(self, raw: Words) -> NDArray[np.int64]:
        """32-bit times as they go on from the last one; less than half a turn back is a step back."""
        last = int(raw[0]) if self._time is None else self._time
        steps = (np.diff(raw, prepend=np.uint32(last % _TURN)).astype(np.uint32)).view(np.int32)
        t: NDArray[np.int64] = last + np.cumsum(steps.astype(np.int64))
        self._time = int(t[-1]) if len(t) else last
        return t


class AerEncoder:
    """Events in, datagrams out. times: whether each event carries its time; whole: events in a datagram."""

    def __init__(self, *, times: bool, whole: int) -> None:
        self._times, self._whole = times, whole
        self._word = spif().word("event_timed" if times else "event")

    def encode(self, events: Records) -> list[bytes]:
        """The datagrams of `events`. Raises ConfigError for an address that the words cannot hold."""
        words = self._word.pack(x=events["x"], y=events["y"], polarity=events["p"])
        if self._times:
            pairs = np.empty((len(words), 2), np.uint32)
            pairs[:, 0], pairs[:, 1] = words, events["t"] % _TURN
            words = pairs.reshape(-1)
        data = self._word.to_bytes(words)
        step = self._whole * (8 if self._times else 4)
        return [data[at : at + step] for at in range(0, len(data), step)]

"""Stream: a scene as a camera's bytes, no faster than its link takes them; what a full buffer loses is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from nrt.formats.base import Encoder
from nrt.packet import EVENT, Records
from nrt_sim.cameras.player import Player
from nrt_sim.serve.line import Line

TICK: Final = 1_000_000
"""ns after which what has happened is sent: cameras commit a short USB packet about as often."""
_BITS: Final = 10
"""Of a byte on a `Line`."""


class Clock:
    """A camera's µs at a host's ns: 0 at host time `zero`, `skew_ppm` too fast."""

    def __init__(self, skew_ppm: float = 0.0) -> None:
        self.zero = 0
        self._parts = round(skew_ppm * 1_000)

    def set(self, value: int, now: int) -> None:
        """It shows `value` at host time `now`."""
        self.zero = now - value * 1_000

    def time(self, now: int) -> int:
        """µs."""
        elapsed = now - self.zero
        return (elapsed + elapsed * self._parts // 1_000_000_000) // 1_000

    def after(self, begin: int, events: Records) -> None:
        """Turns times in µs since host time `begin` into the camera's, in place."""
        elapsed = begin - self.zero + events["t"] * 1_000
        events["t"] = (elapsed + elapsed * self._parts // 1_000_000_000) // 1_000


class Stream:
    """Bytes to the host: replies at once behind what waits, events when they have happened.

    rate:  bytes per second of the link
    depth: bytes that wait for the link before events are dropped
    size:  the most bytes that an event takes
    """

    def __init__(self, player: Player, clock: Clock, *, rate: float, depth: int, size: int) -> None:
        self.player, self.clock = player, clock
        self._line = Line(round(rate * _BITS))
        self._depth, self._size = depth, size
        self._encoder: Encoder | None = None
        self._next = 0
        self._dropped = 0

    @staticmethod
    def warm(encoder: Encoder) -> None:
        """Compiles what a camera that streams cannot wait for. The encoder is used up."""
        encoder.encode(np.zeros(1, EVENT), 1)

    @property
    def running(self) -> bool:
        """Whether events are sent."""
        return self._encoder is not None

    def start(self, encoder: Encoder, now: int) -> None:
        """The scene begins, in the words of `encoder`. Raises NotFound, ConfigError."""
        self.player.start()
        self._encoder, self._next = encoder, now

    def stop(self) -> None:
        """No more events; may be called twice."""
        self.player.stop()
        self._encoder = None

    def clear(self) -> None:
        """What waits is lost."""
        self._line.drain()

    def reply(self, raw: bytes, now: int) -> None:
        """Sends something that is no event."""
        self._line.push(raw, now)

    def transmit(self, now: int) -> bytes:
        """What has passed the link by `now`. Raises what the scene's source failed with."""
        if self._encoder is not None and now >= self._next:
            self._next = now + TICK
            self._line.push(self._happened(self._encoder, now), now)
        return self._line.pop(now)

    def _happened(self, encoder: Encoder, now: int) -> bytes:
        events, elapsed = self.player.take(now)
        room = max(self._depth - len(self._line), 0) // self._size
        self._dropped += max(len(events) - room, 0)
        events = events[:room]
        begin = self.player.begin
        if begin is None:
            return encoder.encode(events, self.clock.time(now)).tobytes()
        self.clock.after(begin, events)
        return encoder.encode(events, self.clock.time(begin + elapsed * 1_000)).tobytes()

    def due(self) -> int | None:
        """When there is something to send; None for never."""
        dues = [self._line.due(), self._next if self._encoder is not None else None]
        return min((each for each in dues if each is not None), default=None)

    def counters(self) -> Mapping[str, int]:
        """What did not reach the host as it happened; only what is not zero."""
        lost = {"events dropped": self._dropped} if self._dropped else {}
        return {**self.player.counters(), **lost}


class PlayingBoard:
    """A board whose line a `Stream` feeds. A subclass takes the commands, and starts and stops it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def connect(self) -> None:
        self._stream.stop()
        self._stream.clear()

    def disconnect(self) -> None:
        """Nobody listens: a real camera may go on, here the scene stops."""
        self._stream.stop()

    def receive(self, data: bytes, now: int) -> None:
        """Nothing happens: one on USB has no endpoint to write to."""

    def transmit(self, now: int) -> bytes:
        return self._stream.transmit(now)

    def due(self) -> int | None:
        return self._stream.due()

    def counters(self) -> Mapping[str, int]:
        """What was dropped or not shown; only what is not zero."""
        return self._stream.counters()

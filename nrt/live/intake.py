"""Intake: a camera's bytes or events to packets, in the thread in which they arrive.

Events are decoded into a slab that is reused when nobody refers to it any more, put in order there, and handed on as
views of it. A packet is complete when an event behind its end has come, or, in a quiet scene, when the host's clock
says that such an event would have arrived by now: `QUIET` after its end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from nrt.errors import ConfigError, StreamError
from nrt.formats.base import Decoder
from nrt.live.arrival import Arrival
from nrt.live.order import in_order, place, warm
from nrt.live.tap import Tap
from nrt.packet import EVENT, Packet, Records, words
from nrt.timeline import GAP, Order, Slabs

PPM: Final = "clock ppm"
"""The name of a counter that is none: how fast the camera's clock runs."""
LULL: Final = 250_000
"""µs without an event that leave as one empty packet, not as many: a damaged time must not cost much."""
QUIET: Final = 25_000
"""µs: what a camera, its buffers and its bus may take together; events that take longer are counted as late."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """When a packet is complete: after `span` µs (0: never), or `count` events (0: never), else with every read."""

    span: int = 1_000
    count: int = 0

    def __post_init__(self) -> None:
        if self.span < 0 or self.count < 0:
            raise ConfigError("a packet's length and number of events must not be negative")


class Intake:
    """Give it bytes (`bytes`, with a decoder) or events (`events`); it calls `out` with packets in order.

    Called from one thread. filter: what every packet's events go through, in place, before it leaves.
    begin:  host time, ns, at which it began
    resume: µs and host ns at which a stream ended that this one continues: an empty packet spans the time until
            its first event, and times go on from there
    tap:    is told of all that comes
    """

    def __init__(
        self,
        out: Callable[[Packet], None],
        *,
        cut: Cut,
        origin: str,
        decoder: Decoder | None = None,
        filter: Callable[[Records], Records] | None = None,
        begin: int = 0,
        resume: tuple[int, int] | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._out, self._cut, self._origin, self._decoder = out, cut, origin, decoder
        self._filter = filter
        self._slabs = Slabs(EVENT, keep=64)
        self._slab: Records = self._slabs.take()
        self._words = words(self._slab).view(np.int64)
        self._begin = self._end = 0  # events of the slab that no packet has yet
        self._rest = b""
        self._order = Order(GAP)
        self._resets = 0
        self._horizon: int | None = None  # where the next packet begins
        self._lost = 0
        self._latest = 0  # stamp of the last packet
        self._stamp = self._zero = begin
        self._resume, self._tap = resume, tap
        self.arrival = Arrival()
        self.gap = 0
        """µs that nobody saw between the stream that this one continues and its first event."""
        warm()
        if tap is not None:
            tap.begin(decoder, resume, begin)

    def bytes(self, data: bytes, stamp: int) -> None:
        """Bytes that arrived at host time `stamp`, ns. Raises StreamError for what cannot be of this camera."""
        assert self._decoder is not None
        if self._tap is not None:
            self._tap.bytes(data, stamp)
        self._stamp = stamp
        self._decoder.arrived((stamp - self._zero) // 1_000)
        raw = np.frombuffer(self._rest + data if self._rest else data, np.uint8)
        at, seen = 0, 0
        while True:
            self._make_room(self._decoder.reserve)
            used, written = self._decoder.decode(raw[at:], self._slab[self._end :])
            at += used
            seen += written
            if written:
                self._arrange(written)
                self._emit(stamp)
            if at == len(raw) or not (used or written):
                break
        self._rest = raw[at:].tobytes()
        complaint = self._decoder.complaint()
        if complaint is not None:
            raise StreamError(f"{self._origin}: {complaint[1]}")
        if seen:
            self._settle(stamp)
        else:  # a camera that says much, of other things than events
            self._pass(stamp)

    def events(self, events: Records, stamp: int, lost: int = 0) -> None:
        """Events that somebody else decoded. lost: how many of them were lost before these, as far as known."""
        if self._tap is not None:
            self._tap.events(events, stamp, lost)
        self._stamp = stamp
        self._lost += lost
        at = 0
        while at < len(events):
            self._make_room(1)
            count = min(len(events) - at, len(self._slab) - self._end)
            self._slab[self._end : self._end + count] = events[at : at + count]
            at += count
            self._arrange(count)
            self._emit(stamp)
        self._settle(stamp)

    def quiet(self, now: int) -> None:
        """Nothing has come for a while: lets time pass by the host's clock, ns."""
        if self._tap is not None:
            self._tap.quiet(now)
        self._pass(now)

    def _pass(self, now: int) -> None:
        """Lets the packets leave that no event can be in any more, by the host's clock."""
        if self._horizon is None or not self._cut.span:
            return
        reached = self.arrival.camera(now) - QUIET
        ended = (reached - self._horizon) // self._cut.span
        if ended > 0:
            edge = self._horizon + ended * self._cut.span
            self._leave(place(self._words, self._begin, self._end, edge), edge, now)

    def finish(self, stamp: int) -> None:
        """No more comes: what is left leaves as the last packet."""
        if self._tap is not None:
            self._tap.finish(stamp)
        if self._end > self._begin:
            self._leave(self._end, int(self._slab["t"][self._end - 1]) + 1, stamp)

    @property
    def rest(self) -> int:
        """Bytes that came and are no whole word yet."""
        return len(self._rest)

    def counters(self) -> Mapping[str, int]:
        """What was repaired, by name; only what is not zero."""
        counts = dict(self._order.counts)
        if self._decoder is not None:
            counts |= self._decoder.counters()
        ppm = self.arrival.drift_ppm
        if ppm is not None:
            counts[PPM] = round(ppm)
        return {name: count for name, count in counts.items() if count}

    def _make_room(self, places: int) -> None:
        """Goes on in another slab where this one has fewer than `places` left."""
        if len(self._slab) - self._end >= max(places, 2048):
            return
        waiting = self._slab[self._begin : self._end]
        if len(waiting) > len(self._slab) // 2:
            self._leave(self._end, self._time(self._end - 1) + 1, self._stamp)
            waiting = waiting[:0]
        slab = self._slabs.take()
        slab[: len(waiting)] = waiting
        self._slab, self._begin, self._end = slab, 0, len(waiting)
        self._words = words(slab).view(np.int64)

    def _arrange(self, written: int) -> None:
        kept = self._end - self._begin
        fresh, self._end = self._end, self._end + written
        order = self._order
        if self._resume is not None:
            self._continue(*self._resume, fresh)
        horizon = -(2**62) if self._horizon is None else self._horizon
        before = max(horizon, self._time(fresh - 1)) if kept else horizon
        if order.last is not None and in_order(
            self._words, fresh, self._end, max(order.last, before), order.shift, GAP
        ):
            order.passed(self._time(self._end - 1))
            return
        order.arrange(self._slab[self._begin : self._end], kept, horizon)
        if order.counts["resets"] != self._resets:
            self._resets = order.counts["resets"]
            self.arrival.reset()
        if self._horizon is None:
            self._horizon = self._time(self._begin)

    def _continue(self, end: int, stamp: int, first: int) -> None:
        """Another stream ended at `end` µs, host time `stamp`: lets the time until the event at `first` pass."""
        self._resume = None
        span = self._time(self._end - 1) - self._time(first)
        self.gap = max((self._stamp - stamp) // 1_000 - max(span, 0), 0)
        self._order.shift = end + self.gap - self._time(first)
        self._horizon = end
        if self.gap:
            self._leave(self._begin, end + self.gap, self._stamp)

    def _time(self, k: int) -> int:
        """That of the event at place `k` of the slab."""
        return int(self._words[k, 0])

    def _emit(self, stamp: int) -> None:
        """Lets the packets leave that are complete."""
        span, count = self._cut.span, self._cut.count
        assert self._horizon is not None
        if span:
            last = self._time(self._end - 1)
            while (edge := self._horizon + span) <= last:
                upto = place(self._words, self._begin, self._end, edge)
                if upto == self._begin and (pause := self._time(upto) - edge) > LULL:
                    edge += pause // span * span
                self._leave(upto, edge, stamp)
        elif count:
            while self._end - self._begin >= count:
                edge = self._time(self._begin + count - 1) + 1  # with all others of that µs
                self._leave(place(self._words, self._begin, self._end, edge), edge, stamp)

    def _settle(self, stamp: int) -> None:
        """At the end of a read."""
        if self._end > self._begin:
            last = self._time(self._end - 1)
            self.arrival.saw(last, stamp)
            if not self._cut.span and not self._cut.count:
                self._leave(self._end, last + 1, stamp)

    def _leave(self, upto: int, end: int, stamp: int) -> None:
        """The events up to place `upto` of the slab leave as a packet that ends at `end`."""
        assert self._horizon is not None
        data = self._slab[self._begin : upto]
        if self._filter is not None:
            data = self._filter(data)
        self._latest = max(self._latest, stamp)  # bytes that waited arrived before a silence was noticed
        packet = Packet(data, self._horizon, end, self._latest, self._lost, self._origin)
        self._begin, self._horizon, self._lost = upto, end, 0
        self._out(packet)

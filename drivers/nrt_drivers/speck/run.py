"""One run on an open, deployed board: packets in, packets out, and what was counted and measured."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nrt.clock import now
from nrt.device import Counters, Energy
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import EVENT, SPIKE, Packet, events_from_array
from nrt_drivers.speck import power
from nrt_drivers.speck.board import Arrival, Board
from nrt_drivers.speck.chip import spec
from nrt_drivers.speck.edge import Entry, Marker
from nrt_drivers.speck.feed import Feed, Input, fans
from nrt_drivers.speck.planning import Plan
from nrt_drivers.speck.settings import Settings
from nrt_drivers.speck.stream import DEPTH, START, Flight, Sent, Watched
from nrt_drivers.speck.vendor import Measurement

_LONGEST: Final = (spec().arithmetic["timestamp"].high + 1) // (2 * DEPTH)
"""µs of a packet: all that are on the board at once lie within half the range of a time stamp."""


@dataclass(frozen=True, slots=True, eq=False)
class Deployed:
    """A network on the chip, and the layers whose spikes it reports."""

    network: Network
    plan: Plan
    watched: Mapping[str, Watched]


class SpeckRun:
    """What is on the board and how far the stream has come. It begins with its first packet."""

    def __init__(self, board: Board, deployed: Deployed, settings: Settings) -> None:
        self._board, self._deployed, self._settings = board, deployed, settings
        self._marker = Marker(deployed.plan.marker)
        self.flight = Flight(deployed.watched, self._marker)
        self._feed: Feed | None = None
        self._offset = 0  # stream time minus board time, µs
        self._began = 0  # host ns of board time 0
        self._end = 0  # of the stream, so far
        self._number = START
        self._finished = False
        self._samples: list[Measurement] = []

    async def send(self, packet: Packet) -> None:
        """Waits for room; raises DeviceLost, and ConfigError for a packet that the board's clock cannot tell apart."""
        if packet.end - packet.start > _LONGEST:
            raise ConfigError(
                f"a packet of {(packet.end - packet.start) / 1e6:.0f} s; the board's clock of 32 bits allows "
                f"{_LONGEST / 1e6:.0f} s: cut it"
            )
        if packet.data.dtype not in (EVENT, SPIKE):
            packet = dataclasses.replace(packet, data=events_from_array(packet.data))
        if self._feed is None:
            self._feed = self._begin(packet.start)
        await self.flight.room()
        batch: list[Any] = []
        for following in self._feed.batches(packet):
            self._board.write(batch)
            batch = following
            await asyncio.sleep(0)  # a large packet is many slices; others may run in between
        self._end = packet.end
        self._mark(batch, packet.start, packet.end)

    def finish(self) -> None:
        """One more marker, for the spikes that the last events cause; raises DeviceLost."""
        if self._finished:
            return
        self._finished = True
        if self._feed is None:
            self.flight.end()
        else:
            self._mark([], self._end, self._end + self._settings.settle)

    def arrived(self, arrival: Arrival) -> None:
        """Takes what the reader brought. Raises DeviceTimeout where a marker is overdue or far behind."""
        self.flight.receive(arrival.rows, arrival.stamp)
        overdue = self.flight.overdue
        if overdue is not None and now() > overdue:
            raise self._board.stalled(self._settings.timeout / 1e6, "a marker")
        if self._settings.lag and self.flight.lag > self._settings.lag:
            raise self._board.behind(self.flight.lag / 1e6)

    def _begin(self, start: int) -> Feed:
        """Starts the board's clock: board time `lead` is the stream's `start`."""
        board, deployed = self._board, self._deployed
        if self._settings.power:
            board.start_power(self._settings.power)
        tick = deployed.plan.lowered.tick
        if tick:
            board.slow_clock(round(1e6 / tick))  # stopped since the reset: leaks begin with the run
        board.start_clock()
        self._offset, self._began, self._end = start - self._settings.lead, now(), start
        self.flight.begin(self._offset, self._began + self._settings.timeout * 1_000)
        board.write(self._marker.make(board.events, START, 0))
        lowered = deployed.plan.lowered
        entries = tuple(Entry.of(link, deployed.plan.core_of[link.target]) for link in lowered.entries)
        given = Input(deployed.network, lowered.input, entries, self._settings.dvs)
        return Feed(given, board.events, self._offset)

    def _mark(self, batch: list[Any], start: int, end: int) -> None:
        """The last events of a packet, and a marker that comes back when everything before stream time `end` has."""
        due = end - self._offset
        self._number += 1
        reached = self._began + due * 1_000
        begun = max(now(), reached)
        deadline = begun + self._settings.timeout * 1_000
        self.flight.launch(Sent(self._number, start, end, deadline, self._finished, reached, begun))
        self._board.write([*batch, *self._marker.make(self._board.events, self._number, due)])

    def energy(self, kind: power.Kind) -> Energy | None:
        """So far, gross, from the board's power monitor; raises DeviceLost."""
        if self._feed is None or not self._settings.power:
            return None
        self._samples += self._board.samples()
        meter = power.Meter(self._settings.power, kind, self._board.meter(kind))
        end = self._end + self._settings.settle * self._finished
        return power.energy(self._samples, meter, (end - self._offset) / 1e6)

    def counters(self) -> Counters:
        """Spikes and synaptic operations only of what is known here: the input, outputs and taps."""
        feed = self._feed
        if feed is None:
            return Counters()
        synops = dict(feed.synops)
        for projection, ways in fans(self._deployed.network, list(self._deployed.watched)):
            label = f"{projection.source} → {projection.target}"
            synops[label] = int(ways @ self.flight.counts[projection.source])
        spikes = {name: int(counts.sum()) for name, counts in self.flight.counts.items()}
        doubts = {
            "a spike was reported after its packet and went into the next": self.flight.late,
            "a report named a neuron, layer or marker that there is not": self.flight.strange,
        }
        seen = {what: count for what, count in doubts.items() if count}
        return Counters(0, feed.events, feed.outside, feed.cropped, spikes, synops, seen)

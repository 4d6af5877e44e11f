"""Tally: what a run counts of the packets that pass through it, and the report that it makes of that.

A few additions per packet, nothing per event; with `decide` or `label`, one sum per output packet more.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nrt import report
from nrt.clock import now
from nrt.device import Counters, Device
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.packet import SPIKE, Packet, Records, join
from nrt.profile import ClockMap, Decider, Decisions, Energy, Stopwatch
from nrt.report import Excerpt, Report, Settings
from nrt.source import Source

_LISTED = 10_000
"""Neurons of an output up to which a report lists what each of them fired."""


class Tally:
    """Counts one run of `network` with `settings`. Raises ConfigError for settings that it cannot answer."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self._network, self._settings = network, settings
        self._about = {"name": network.name, "hash": network.hash, "neurons": str(network.neurons)}
        self._watch = Stopwatch(settings.deadline_us)
        self._decider = _decider(network, settings)
        self._counts: dict[str, NDArray[np.float64]] = {}
        self._readout_steps: dict[str, int] = {}
        self._digests = {name: hashlib.sha256() for name in network.outputs}
        self._keepers = {name: _Keeper(settings.excerpt) for name in network.outputs if settings.excerpt}
        self._first: int | None = None
        self._last = self._cause = 0
        self._began = self._ended = 0
        self._started = ""
        self.packets = self.events = self.lost = 0
        self.counters: Counters | None = None
        self.clock: ClockMap | None = None
        self.energy: tuple[Energy, ...] = ()
        self.error = ""

    def begin(self) -> None:
        """The run begins."""
        self._began, self._started = now(), report.timestamp()

    def finish(self) -> None:
        """The run is over; the first call counts."""
        self._ended = self._ended or now()

    def sent(self, packet: Packet, host_time: int | None) -> None:
        """A packet was taken from the source; host_time: host ns of its end by the sensor's clock, where known."""
        if self._first is None:
            self._first = packet.start
            self._cause = packet.stamp
            self._decider.begin(packet.start, packet.stamp)
        self._last = packet.end
        self.packets += 1
        self.events += len(packet.data)
        self.lost += packet.lost
        self._watch.sent(packet, now(), host_time)

    def accepted(self) -> None:
        """The device took it."""
        self._watch.accepted(now())

    def received(self, packet: Packet) -> None:
        """The user took an output packet."""
        cause = self._watch.answered(packet, now())
        if cause is not None:
            self._cause = cause
        if packet.origin in self._digests:
            self._decider.took(packet, self._cause)
            if packet.origin in self._keepers:
                self._keepers[packet.origin].took(packet)
            if len(packet.data):
                self._count(packet)

    def _count(self, packet: Packet) -> None:
        name, data = packet.origin, packet.data
        size = self._network[name].size
        self._digests[name].update(np.ascontiguousarray(data).data)
        sums = np.bincount(data["n"], data["v"], minlength=size).astype(np.float64)
        if data.dtype != SPIKE:
            self._readout_steps[name] = self._readout_steps.get(name, 0) + len(data) // size
        if name in self._counts:
            self._counts[name] += sums
        else:
            self._counts[name] = sums

    def _listed(self) -> dict[str, tuple[float, ...]]:
        """Per output what each neuron fired, where they are not too many; zeros where nothing came."""
        result: dict[str, tuple[float, ...]] = {}
        for name in self._network.outputs:
            size = self._network[name].size
            if size <= _LISTED:
                sums = self._counts.get(name, np.zeros(size)) / self._readout_steps.get(name, 1)
                result[name] = tuple(sums.tolist())
        return result

    def _decisions(self) -> Decisions | None:
        found = self._decider.decisions()
        return found if found != Decisions() else None

    @property
    def stream_s(self) -> float:
        """Seconds of the stream so far."""
        return (self._last - (self._first or 0)) / 1e6

    def report(self, device: Device, source: Source, identity: Mapping[str, str]) -> Report:
        """What was measured up to now."""
        network = self._network
        ended = self._ended or now()
        return Report(
            network=self._about,
            reading=network.loaded,
            device=device.uri,
            source=identity,
            settings=self._settings,
            semantics=dataclasses.asdict(network.semantics),
            encoding=dataclasses.asdict(network.encoding),
            started=self._started,
            stream_s=self.stream_s,
            wall_s=(ended - self._began) / 1e9 if self._began else 0.0,
            packets=self.packets,
            events=self.events,
            lost=self.lost,
            source_counts=dict(source.counters()),
            counters=self.counters or device.counters(),
            counts=self._listed(),
            sizes={each.name: each.size for each in network.populations},
            excerpts=tuple(
                each.excerpt(name, network[name].size, self._first or 0)
                for name, each in self._keepers.items()
            ),
            digests={name: digest.hexdigest() for name, digest in self._digests.items()},
            latency=self._watch.latency(
                "schedule" if source.scheduled else "read",
                ended=ended,
                step=network.semantics.dt if device.clocked else 0,
                device_us=device.floor,
                clock=device.timed_by,
            ),
            decisions=self._decisions(),
            energy=self.energy,
            clock=self.clock or device.clock,
            error=self.error,
            versions=report.versions(),
            host=report.host(),
        )


class _Keeper:
    """Keeps the first `room` spikes of an output, and up to when they are all of them."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: list[Records] = []
        self._end: int | None = None
        self._full = False

    def took(self, packet: Packet) -> None:
        if self._full or packet.data.dtype != SPIKE:
            return
        self._full = len(packet.data) > self._room
        self._end = int(packet.data["t"][self._room]) if self._full else packet.end
        part = packet.data[: self._room]
        if len(part):
            self._kept.append(join([part]))  # a copy: the device may use the memory again
        self._room -= len(part)

    def excerpt(self, population: str, neurons: int, start: int) -> Excerpt:
        spikes = join(self._kept) if self._kept else np.empty(0, SPIKE)
        end = start if self._end is None else self._end
        times: list[int] = (spikes["t"] - start).tolist()
        return Excerpt(population, neurons, end - start, tuple(times), tuple(spikes["n"].tolist()))


def _decider(network: Network, settings: Settings) -> Decider:
    """Of the output that decides; without a question only the first spike of any is of interest."""
    asked = settings.decide_us is not None or settings.label is not None
    if asked and len(network.outputs) != 1:
        raise ConfigError(
            f"decide and label ask for the winner of one output; the network has {', '.join(network.outputs)}"
        )
    size = network[network.outputs[0]].size
    if settings.label is not None and not 0 <= settings.label < size:
        raise ConfigError(f"label is {settings.label}; the output's neurons are 0 to {size - 1}")
    for name in ("decide_us", "deadline_us"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name.removesuffix('_us')} is {value} µs; it must be at least 1")
    return Decider(network, settings.decide_us, settings.label, settings.deadline_us)

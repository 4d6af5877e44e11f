"""The device of `speck+samna:` (a board behind the vendor's package) and `speck+emu:` (an emulated one).

Life: `open` finds and holds the board; `deploy` lowers, checks, places and loads the network and waits until the
chip answers a read queued behind all of that; a run starts the board's stop watch at its first packet and sends
each packet's events with their times, `lead` µs ahead, then a marker (see `nrt_drivers.speck.stream`). One thread
reads the board from open to close; nothing sleeps or polls for hardware.

The chip runs in real time: a recording played faster waits in `send`. It is asynchronous: no step ends, spikes
carry the time at which they left the chip.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from nrt import registry
from nrt.clock import now
from nrt.device import Counters, Device, Energy, Placement
from nrt.errors import ConfigError, DeviceError, Unsupported
from nrt.network import Network
from nrt.packet import EVENT, SPIKE, Packet, events_from_array
from nrt.registry import Duration, Uri
from nrt.worker import Reader
from nrt_drivers.speck import edge, planning
from nrt_drivers.speck import power as metering
from nrt_drivers.speck.board import Arrival, Board
from nrt_drivers.speck.chip import cores, spec
from nrt_drivers.speck.config import Options, Preprocessing, configure, interval, preprocessing
from nrt_drivers.speck.edge import Entry, Marker
from nrt_drivers.speck.feed import Feed, Input, fans
from nrt_drivers.speck.lower import Leak
from nrt_drivers.speck.planning import Plan
from nrt_drivers.speck.stream import START, Flight, Sent, Watched
from nrt_drivers.speck.vendor import Measurement, Vendor, samna

_LEAD: Final = Duration(5_000)
_SETTLE: Final = Duration(1_000)
_TIMEOUT: Final = Duration(5_000_000)
_PATIENCE: Final = 10.0
"""s to wait at least for a chip that is being configured."""


class SpeckDevice(Device):
    """Runs a network on a Speck2f board.

    leak:       what becomes of leaky neurons: refuse, none (integrate and fire), linear (a constant per tick)
    slow_clock: Hz of the clock of biases and leaks; 0: one tick per time step
    input:      spikes: events are encoded here and go straight to the first core · dvs: pixel events go through
                the chip's DVS layer, which crops, pools and mirrors as the network's encoding says
    mirror:     x, y or xy: mirrored by the DVS layer · swap_xy: its axes swapped
    balancer:   cores drop events while they are busy, instead of stalling the chip
    decimate:   layer:n,… passes one spike in n (2, 4, 8, 16, 32, 128, 256, 512) of a layer
    lead:       µs by which events are sent ahead of the board's clock
    settle:     µs for which the last events of a run may still cause spikes
    timeout:    µs after its due time at which a marker that is not back means a stalled chip
    power:      samples of each power rail per second; 0: none
    """

    clocked: ClassVar[bool] = False
    wires: ClassVar[tuple[str, ...]] = ("emu", "samna")

    def __init__(
        self,
        uri: Uri,
        *,
        leak: Leak = "refuse",
        slow_clock: int = 0,
        input: Literal["spikes", "dvs"] = "spikes",
        mirror: Literal["none", "x", "y", "xy"] = "none",
        swap_xy: bool = False,
        balancer: bool = False,
        decimate: str = "",
        lead: Duration = _LEAD,
        settle: Duration = _SETTLE,
        timeout: Duration = _TIMEOUT,
        power: float = 100.0,
    ) -> None:
        """Raises ConfigError for options that cannot be."""
        self.uri = str(uri)
        self._uri = uri
        self._leak: Leak = leak
        self._tick = _tick(slow_clock)
        self._dvs, self._mirror, self._swap = input == "dvs", mirror, swap_xy
        self._balancer, self._decimate = balancer, _decimation(decimate)
        self._lead, self._settle, self._timeout = int(lead), int(settle), int(timeout) * 1_000
        self._power_rate = power
        spans = {"lead": self._lead, "settle": self._settle, "timeout": self._timeout}
        _check(uri, spans, self._dvs, mirror != "none" or swap_xy, power)
        self._samples: list[Measurement] = []
        self._board: Board | None = None
        self._reader: Reader[Arrival] | None = None
        self._task: asyncio.Task[None] | None = None
        self._plan: Plan | None = None
        self._network: Network | None = None
        self._watched: dict[str, Watched] = {}
        self._resets: list[list[Any]] = []
        self._answer: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._run: _Run | None = None

    # --- life

    async def open(self) -> None:
        """Raises MissingDependency, NotFound, DeviceBusy, DeviceLost."""
        if self._board is not None:
            return
        self._board = Board(self.uri, self._vendor(), self._uri.place)
        self._failure = None
        self._reader = self._board.reader()
        self._task = asyncio.create_task(self._receive(self._reader), name="nrt.speck")

    async def close(self) -> None:
        self._halt()
        self._plan = None
        task, self._task = self._task, None
        reader, self._reader = self._reader, None
        board, self._board = self._board, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if reader is not None:
            with contextlib.suppress(Exception):
                await reader.close()
        if board is not None:
            board.close()

    def _vendor(self) -> Vendor:
        if self._uri.wire == "samna":
            return samna()
        double = registry.load(registry.BOARDS["speck"])
        vendor: Vendor = double(**registry.options_for(double, self._uri))
        return vendor

    @property
    def limits(self) -> Mapping[str, float]:
        return spec().limits

    # --- deployment

    async def plan(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        plan, _ = self._planned(network, taps, membranes)
        return self._printed(plan, network)

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        plan, watched = self._planned(network, taps, membranes)
        board = self._held()
        await self._drain()
        options = Options(
            frozenset(watched),
            self._decimate,
            self._balancer,
            self._preprocessing(plan, network),
            plan.marker,
        )
        config = configure(board.vendor, plan.lowered, plan.core_of, options)
        self._plan, self._network, self._watched = plan, network, watched
        self._resets = [
            list(edge.resets(board.events, layer, core, cores()[core].neurons))
            for layer, core in ((plan.layer(name), core) for name, core in plan.core_of.items())
        ]
        board.configure(config, round(1e6 / plan.lowered.tick) if plan.lowered.tick else 0)
        await self._zero(board, plan)
        return self._printed(plan, network)

    def _planned(
        self, network: Network, taps: Sequence[str], membranes: Sequence[str]
    ) -> tuple[Plan, dict[str, Watched]]:
        """Raises DeployError and ConfigError, all of them without hardware."""
        if membranes:
            raise Unsupported(
                ", ".join(membranes), "membranes cannot be recorded: the chip's reads carry no time"
            )
        known = [p.name for p in network.populations]
        for name in (*taps, *self._decimate):
            if name not in known:
                raise ConfigError(f"{self.uri}: no population '{name}'; there is {', '.join(known)}")
        plan = planning.plan(network, leak=self._leak, tick=self._tick, spare=self._dvs)
        for name, every in self._decimate.items():
            interval(name, every)
        self._preprocessing(plan, network)
        names = dict.fromkeys((*network.outputs, *taps))
        if unspiking := [name for name in names if name not in plan.core_of]:
            raise Unsupported(unspiking[0], "is the input; only layers on cores can be watched")
        return plan, {name: Watched(plan.layer(name), plan.core_of[name]) for name in names}

    def _preprocessing(self, plan: Plan, network: Network) -> Preprocessing | None:
        if not self._dvs:
            return None
        if any(link.pooling > 1 or link.shift for link in plan.lowered.entries):
            raise Unsupported(
                "input=dvs", "a pool right behind the input; give it to the encoding, or use input=spikes"
            )
        return preprocessing(
            network.encoding,
            plan.lowered.input,
            mirror_x="x" in self._mirror,
            mirror_y="y" in self._mirror,
            swap_xy=self._swap,
        )

    def _printed(self, plan: Plan, network: Network) -> Placement:
        notes = ["events are processed one by one, with no time step; see docs/speck.md for what differs"]
        if self._decimate:
            notes.append("decimated: " + ", ".join(f"{k} passes 1 in {v}" for k, v in self._decimate.items()))
        return planning.printed(plan, self.uri, network, notes)

    # --- a run

    async def reset(self) -> None:
        plan, board = self._deployed(), self._held()
        await self._drain()
        await self._zero(board, plan)

    async def send(self, packet: Packet) -> None:
        """Raises what the board died of."""
        run = self._running()
        if packet.data.dtype not in (EVENT, SPIKE):
            packet = dataclasses.replace(packet, data=events_from_array(packet.data))
        board = self._held()
        if run.feed is None:
            run.feed = self._begin(run, board, packet.start)
        await run.flight.room()
        self._check()
        for batch in run.feed.batches(packet):
            self._guarded(board.write, batch)
            await asyncio.sleep(0)
        self._mark(run, board, packet.start, packet.end)

    async def finish(self) -> None:
        run = self._running()
        if run.finished:
            return
        run.finished = True
        if run.feed is None:
            run.flight.end()
        else:
            self._mark(run, self._held(), run.end, run.end + self._settle)

    async def spikes(self) -> AsyncIterator[Packet]:
        run = self._running()
        while (packet := await run.flight.next()) is not None:
            yield packet

    def _begin(self, run: _Run, board: Board, start: int) -> Feed:
        """Starts the board's clock: board time `lead` is the stream's `start`."""
        plan = self._deployed()
        assert self._network is not None  # set with the plan
        if self._power_rate:
            self._guarded(board.start_power, self._power_rate)
        self._guarded(board.start_clock)
        run.offset, run.began, run.end = start - self._lead, now(), start
        run.flight.begin(run.offset, run.began + self._timeout)
        self._guarded(board.write, run.marker.make(board.events, START, 0))
        entries = tuple(Entry.of(link, plan.core_of[link.target]) for link in plan.lowered.entries)
        given = Input(self._network, plan.lowered.input, entries, self._dvs)
        return Feed(given, board.events, run.offset)

    def _mark(self, run: _Run, board: Board, start: int, end: int) -> None:
        """A marker that comes back when everything before stream time `end` has."""
        due = end - run.offset
        run.number += 1
        if not run.finished:
            run.end = end
        self._guarded(board.write, run.marker.make(board.events, run.number, due))
        deadline = max(now(), run.began + due * 1_000) + self._timeout
        run.flight.launch(Sent(run.number, start, end, deadline, last=run.finished))

    async def _zero(self, board: Board, plan: Plan) -> None:
        """Every neuron of every core in use at its start, and the proof that the chip has come that far."""
        self._check()
        if self._power_rate:
            self._guarded(board.stop_power)
        self._answer = asyncio.get_running_loop().create_future()
        for batch in self._resets:
            self._guarded(board.write, batch)
        first = plan.core_of[plan.lowered.entries[0].target]
        self._guarded(board.write, [edge.probe(board.events, first)])
        patience = max(_PATIENCE, self._timeout / 1e9)
        try:
            await asyncio.wait_for(self._answer, patience)
        except TimeoutError:
            self._fail(board.stalled(patience, "the answer to a read"))
            self._check()
        finally:
            self._answer = None
        self._samples = []
        self._run = _Run(Flight(self._watched, Marker(plan.marker)), Marker(plan.marker))

    async def _drain(self) -> None:
        """Waits for what is on the board, and ends the run."""
        if self._run is not None:
            await self._run.flight.landed()
            self._halt()

    def _halt(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.flight.end(self._failure)

    # --- what arrives

    async def _receive(self, reader: Reader[Arrival]) -> None:
        try:
            async for arrival in reader.items():
                self._arrived(arrival)
        except Exception as error:
            self._fail(error)

    def _arrived(self, arrival: Arrival) -> None:
        if arrival.answers and self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        run = self._run
        if run is None:
            return
        run.flight.receive(arrival.rows, arrival.stamp)
        overdue = run.flight.overdue
        if overdue is not None and now() > overdue and self._board is not None:
            self._fail(self._board.stalled(self._timeout / 1e9, "a marker"))

    def _fail(self, error: Exception) -> None:
        """Remembers what the board died of and ends everything that waits for it."""
        self._failure = self._failure or error
        if self._run is not None:
            self._run.flight.end(self._failure)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._failure)

    def _guarded(self, call: Callable[..., object], *arguments: object) -> None:
        """A call on the board; what it dies of, the device died of."""
        try:
            call(*arguments)
        except DeviceError as error:
            self._fail(error)
            raise

    def _check(self) -> None:
        """Raises what the board died of, if it did."""
        if self._failure is not None:
            raise self._failure

    def _held(self) -> Board:
        if self._board is None:
            raise DeviceError(self.uri, "is not open")
        return self._board

    def _deployed(self) -> Plan:
        if self._plan is None:
            raise ConfigError(f"{self.uri}: no network is deployed")
        return self._plan

    def _running(self) -> _Run:
        """This run; `deploy` and `reset` make one ready."""
        self._check()
        self._deployed()
        if self._run is None:
            raise ConfigError(f"{self.uri}: reset the device before another run")
        return self._run

    # --- what was measured

    async def energy(self) -> Energy | None:
        """Of the run since the last reset, gross, from the board's power monitor; "modelled" on the emulated board."""
        run, board = self._run, self._board
        if (
            run is None
            or board is None
            or run.feed is None
            or self._failure is not None
            or not self._power_rate
        ):
            return None
        self._samples += board.samples()
        if self._uri.wire == "samna":
            meter = metering.Meter(
                self._power_rate, "measured", "power monitor of the board, ±50 µW per rail"
            )
        else:
            source = getattr(board.vendor, "energy_source", "power monitor of the emulated board")
            meter = metering.Meter(self._power_rate, "modelled", str(source))
        seconds = (run.end - run.offset + self._settle * run.finished) / 1e6
        return metering.energy(self._samples, meter, seconds)

    def counters(self) -> Counters:
        """Spikes and synaptic operations only of what the chip reports: the input, outputs and taps."""
        run = self._run
        if run is None or run.feed is None or self._network is None:
            return Counters()
        synops = dict(run.feed.synops)
        for projection, ways in fans(self._network, list(self._watched)):
            label = f"{projection.source} → {projection.target}"
            synops[label] = int(ways @ run.flight.counts[projection.source])
        spikes = {name: int(counts.sum()) for name, counts in run.flight.counts.items()}
        feed = run.feed
        return Counters(0, feed.events, feed.outside, feed.cropped, spikes, synops)


class _Run:
    """One run: what is on the board, and how far the stream has come. offset: stream minus board time, µs."""

    def __init__(self, flight: Flight, marker: Marker) -> None:
        self.flight, self.marker = flight, marker
        self.feed: Feed | None = None
        self.offset = self.began = self.end = self.number = 0
        self.finished = False


def _tick(rate: int) -> int:
    """µs between ticks at `rate` Hz, 0 for 0. Raises ConfigError where that is no whole number."""
    if rate < 0 or (rate and 1_000_000 % rate):
        raise ConfigError(
            f"slow_clock={rate}: it is in Hz and divides 1 MHz, such as 1000; 0 means the time step"
        )
    return 1_000_000 // rate if rate else 0


def _decimation(text: str) -> dict[str, int]:
    """`conv1:4,conv2:2` as numbers. Raises ConfigError."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, every = part.rpartition(":")
        if not name or not every.isdecimal():
            raise ConfigError(f"decimate={text}: write layer:n,…, as in conv1:4")
        found[name] = int(every)
    return found


def _check(uri: Uri, options: Mapping[str, int], dvs: bool, mirrored: bool, power: float) -> None:
    """Raises ConfigError for options that contradict each other or the board."""
    if "faults" in uri.options:
        raise ConfigError(
            f"{uri}: there is no wire here that could fail; the emulated board's faults are `fault=`"
        )
    for name, value in options.items():
        if value < 0:
            raise ConfigError(f"{uri}: {name} must not be negative")
    if mirrored and not dvs:
        raise ConfigError(f"{uri}: mirror and swap_xy are the DVS layer's; they need input=dvs")
    if not 0 <= power <= spec().limits["power_rate"]:
        raise ConfigError(
            f"{uri}: power={power:g}; the board samples at most {spec().limit('power_rate')} times a second"
        )

"""The device of `speck+samna:` (a board behind the vendor's package) and `speck+emu:` (an emulated one).

Life: `open` finds and holds the board; `deploy` lowers, checks, places and loads the network and waits until the
chip answers a read queued behind all of that; a run starts the board's stop watch at its first packet and sends
each packet's events with their times, `lead` ahead, then a marker (see `nrt_drivers.speck.stream`). One thread
reads the board from open to close; nothing sleeps to wait for hardware.

The chip runs in real time: a recording played faster waits in `send`. It is asynchronous: no step ends, spikes
carry the time at which they left the chip.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from nrt import registry
from nrt.device import Counters, Device, Energy, Placement, Rung
from nrt.errors import ConfigError, DeviceError, Unsupported
from nrt.network import Network
from nrt.packet import Packet
from nrt.registry import Duration, Uri
from nrt.worker import Reader
from nrt_drivers.speck import edge, planning
from nrt_drivers.speck.board import Arrival, Board
from nrt_drivers.speck.chip import cores, spec
from nrt_drivers.speck.config import Options, configure
from nrt_drivers.speck.lower import Leak
from nrt_drivers.speck.run import Deployed, SpeckRun
from nrt_drivers.speck.rungs import rungs
from nrt_drivers.speck.settings import Settings, decimation, ticks
from nrt_drivers.speck.stream import Watched
from nrt_drivers.speck.vendor import Vendor, samna

_LEAD: Final = Duration(5_000)
_SETTLE: Final = Duration(1_000)
_TIMEOUT: Final = Duration(5_000_000)
_LAG: Final = Duration(500_000)
_PATIENCE: Final = 30.0
"""s to wait at least for a chip that is being configured."""


class SpeckDevice(Device):
    """Runs a network on a Speck2f board.

    leak:       what becomes of leaky neurons: refuse, none (integrate and fire), linear (a constant per tick);
                either way their membranes do not fall below -θ
    slow_clock: Hz of the clock of biases and leaks; 0: one tick per time step
    input:      spikes: events are encoded here and go straight to the first core · dvs: pixel events go through
                the chip's DVS layer, which crops, pools and merges as the network's encoding says
    mirror:     x, y or xy: mirrored by the DVS layer · swap_xy: its axes swapped
    balancer:   cores drop events while they are busy, uncounted, instead of holding up the chip
    decimate:   layer:n,… passes one spike in n (2, 4, 8, 16, 32, 128, 256, 512) of a layer
    lead:       by how much events are sent ahead of the board's clock
    settle:     for how long the last events of a run may still cause spikes
    timeout:    how long after its due time a marker may be away before the chip counts as stalled
    lag:        by how much the chip may fall behind its input before the run ends with an error; 0: any
    power:      samples of each power rail per second; 0: none
    """

    clocked: ClassVar[bool] = False
    timed_by = "the board's stop watch, as it ran from the host's start of it"
    wires: ClassVar[tuple[str, ...]] = ("emu", "samna")
    tables: ClassVar[tuple[str, ...]] = ("speck2f", "digital45")

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
        lag: Duration = _LAG,
        power: float = 100.0,
    ) -> None:
        """Raises ConfigError for options that cannot be."""
        self.uri = str(uri)
        self._uri = uri
        self._settings = Settings(
            leak=leak,
            tick=ticks(slow_clock),
            dvs=input == "dvs",
            mirror_x="x" in mirror,
            mirror_y="y" in mirror,
            swap_xy=swap_xy,
            balancer=balancer,
            decimate=decimation(decimate),
            lead=int(lead),
            settle=int(settle),
            timeout=int(timeout),
            lag=int(lag),
            power=power,
        )
        self._settings.check(self.uri)
        self._board: Board | None = None
        self._reader: Reader[Arrival] | None = None
        self._task: asyncio.Task[None] | None = None
        self._deployed: Deployed | None = None
        self._resets: list[list[Any]] = []
        self._answer: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._run: SpeckRun | None = None

    # Life

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
        self._deployed = None
        task, self._task = self._task, None
        reader, self._reader = self._reader, None
        board, self._board = self._board, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if reader is not None:
            await reader.close()
        if board is not None:
            board.close()

    def _vendor(self) -> Vendor:
        if self._uri.wire == "samna":
            return samna()
        double = registry.board(self._uri.scheme)
        vendor: Vendor = double(**registry.options_for(double, self._uri))
        return vendor

    @property
    def limits(self) -> Mapping[str, float]:
        return spec().limits

    @property
    def floor(self) -> Mapping[str, int]:
        """Events are handed over `lead` before the board's clock reaches them."""
        return {"lead": self._settings.lead}

    # Deployment

    async def plan(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        return self._printed(self._planned(network, taps, membranes))

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        deployed = self._planned(network, taps, membranes)
        plan, board = deployed.plan, self._held()
        self._check()
        await self._drain()
        options = Options(
            watched=frozenset(deployed.watched),
            decimate=self._settings.decimate,
            balancer=self._settings.balancer,
            dvs=self._settings.preprocessing(plan, network),
            marker=plan.marker,
        )
        self._deployed = deployed
        self._resets = [
            list(edge.resets(board.events, plan.layer(name), core, cores()[core].neurons))
            for name, core in plan.core_of.items()
        ]
        with self._failing():
            board.configure(configure(board.vendor, plan.lowered, plan.core_of, options))
        await self._zero(board, deployed)
        return self._printed(deployed, [f"on {board.identity}"])

    def _planned(self, network: Network, taps: Sequence[str], membranes: Sequence[str]) -> Deployed:
        """Raises DeployError and ConfigError, all of them without hardware."""
        if membranes:
            raise Unsupported(
                ", ".join(membranes), "membranes cannot be recorded: the chip's reads carry no time"
            )
        known = [p.name for p in network.populations]
        for name in (*taps, *self._settings.decimate):
            if name not in known:
                raise ConfigError(f"{self.uri}: no population '{name}'; there is {', '.join(known)}")
        plan = planning.plan(
            network, leak=self._settings.leak, tick=self._settings.tick, spare=self._settings.dvs
        )
        self._settings.preprocessing(plan, network)
        names = tuple(dict.fromkeys((*network.outputs, *taps)))
        for name in (*names, *self._settings.decimate):
            if name not in plan.core_of:
                raise Unsupported(name, "is the input; only layers on cores can be watched or decimated")
        return Deployed(network, plan, {n: Watched(plan.layer(n), plan.core_of[n]) for n in names})

    def _printed(self, deployed: Deployed, notes: Sequence[str] = ()) -> Placement:
        notes = [
            *notes,
            "events are processed one by one, with no time step; see docs/speck.md for what differs",
        ]
        if decimate := self._settings.decimate:
            notes.append("decimated: " + ", ".join(f"{k} passes 1 in {v}" for k, v in decimate.items()))
        if self._settings.balancer:
            notes.append("cores drop events while they are busy (balancer=yes); the chip does not count them")
        return planning.printed(deployed.plan, self.uri, deployed.network, notes)

    def rungs(self, network: Network) -> Sequence[Rung]:
        return rungs(self._uri, network, self._settings)

    # A run

    async def reset(self) -> None:
        deployed, board = self._ready(), self._held()
        self._check()
        await self._drain()
        self._check()
        await self._zero(board, deployed)

    async def send(self, packet: Packet) -> None:
        """Raises what the board died of."""
        run = self._running()
        with self._failing():
            await run.send(packet)
        self._check()

    async def finish(self) -> None:
        run = self._running()
        with self._failing():
            run.finish()

    async def spikes(self) -> AsyncIterator[Packet]:
        run = self._running()
        while (packet := await run.flight.next()) is not None:
            yield packet

    async def energy(self) -> tuple[Energy, ...]:
        """Of the run since the last reset, from the board's power monitor; "modelled" on the emulated board."""
        if self._run is None or self._failure is not None:
            return ()
        with self._failing():
            figure = self._run.energy("measured" if self._uri.wire == "samna" else "modelled")
        return () if figure is None else (figure,)

    def counters(self) -> Counters:
        return Counters() if self._run is None else self._run.counters()

    async def _zero(self, board: Board, deployed: Deployed) -> None:
        """Every neuron of every core in use at its start, and the proof that the chip has come that far."""
        self._answer = asyncio.get_running_loop().create_future()
        first = deployed.plan.core_of[deployed.plan.lowered.entries[0].target]
        patience = max(_PATIENCE, self._settings.timeout / 1e6)
        with self._failing():
            if self._settings.power:
                board.stop_power()
            board.slow_clock(0)
            for batch in self._resets:
                board.write(batch)
            board.write([edge.probe(board.events, first)])
            try:
                await asyncio.wait_for(self._answer, patience)
            except TimeoutError:
                raise board.stalled(patience, "the answer to a read") from None
            finally:
                self._answer = None
            self._check()
        self._run = SpeckRun(board, deployed, self._settings)

    async def _drain(self) -> None:
        """Waits for what is on the board, and ends the run."""
        if self._run is not None:
            await self._run.flight.landed()
            self._halt()

    def _halt(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.flight.end(self._failure)

    # What arrives, and what fails

    async def _receive(self, reader: Reader[Arrival]) -> None:
        try:
            async for arrival in reader.items():
                if arrival.answers and self._answer is not None and not self._answer.done():
                    self._answer.set_result(None)
                if self._run is not None and self._failure is None:
                    self._run.arrived(arrival)
        except Exception as error:
            self._fail(error)

    @contextlib.contextmanager
    def _failing(self) -> Generator[None]:
        """What a call on the board dies of, the device has died of."""
        try:
            yield
        except DeviceError as error:
            self._fail(error)
            raise

    def _fail(self, error: Exception) -> None:
        """Remembers what the board died of and ends everything that waits for it."""
        self._failure = self._failure or error
        if self._run is not None:
            self._run.flight.end(self._failure)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)  # whoever waits looks at the failure next

    def _check(self) -> None:
        """Raises what the board died of, if it did."""
        if self._failure is not None:
            raise self._failure

    def _held(self) -> Board:
        if self._board is None:
            raise DeviceError(self.uri, "is not open")
        return self._board

    def _ready(self) -> Deployed:
        if self._deployed is None:
            raise ConfigError(f"{self.uri}: no network is deployed")
        return self._deployed

    def _running(self) -> SpeckRun:
        """This run; `deploy` and `reset` make one ready."""
        self._check()
        self._ready()
        if self._run is None:
            raise ConfigError(f"{self.uri}: reset the device before another run")
        return self._run

"""`tinyodin+serial:`, `+usb:`, `+tcp:`, `+emu:`: a tinyODIN behind an AER bridge.

The chip knows no time but its time reference events: the driver gives it one at the end of every step, so it is
clocked by the stream, as fast as packets come. `nrt_drivers.tinyodin.chip` says how its steps differ from those of a
simulation. Never tried with a chip of silicon: the driver is held to an emulated board whose chip equals recordings
of the chip's RTL.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from nrt.bridge import Bridge, Identity
from nrt.bridge.words import BRIDGE
from nrt.clock import now
from nrt.device import Counters, Device, Energy, Placement, Rung, watched
from nrt.errors import ConfigError, DeviceError, ProtocolError, Unsupported
from nrt.network import Network
from nrt.packet import EVENT, SPIKE, Packet, Records, events_from_array
from nrt.profile import ClockMap, Sync
from nrt.registry import Uri
from nrt.steps import Steps
from nrt.wire import wire
from nrt_drivers.tinyodin import load
from nrt_drivers.tinyodin.chip import CHIP
from nrt_drivers.tinyodin.lower import Leak, Program, lower
from nrt_drivers.tinyodin.replay import replay
from nrt_drivers.tinyodin.rungs import rungs
from nrt_drivers.tinyodin.stream import Decoder, Encoder, Sent, doubts, tally

DEPTH: Final = 8
"""Packets under way in the device; more wait in the source."""

POWER_PERIOD_US: Final = 10_000


class TinyOdinDevice(Device):
    """One tinyODIN. Options:

    leak:    what becomes of membranes that decay: linear (a constant of half the threshold's loss), none, refuse
    timeout: seconds after which a board that does not answer counts as gone
    """

    wires: ClassVar[tuple[str, ...]] = ("serial", "usb", "tcp", "emu")

    def __init__(self, uri: Uri, *, leak: Leak = "linear", timeout: float = 3.0) -> None:
        self.uri = str(uri)
        self._uri = uri
        self._leak: Leak = leak
        if not 0 < timeout < 1e6:
            raise ConfigError(f"{uri}: timeout is {timeout}; it must be above 0")
        self._bridge = Bridge(wire(uri, _defaults()), round(timeout * 1e9))
        self._program: Program | None = None
        self._used = False  # the chip's membranes are no longer those of the deployment
        self._run: _Run | None = None
        self._watched: tuple[str, ...] = ()
        self._sync = Sync()
        self._before: Mapping[str, int] = {}  # what the board had counted when the run began

    @property
    def limits(self) -> Mapping[str, float]:
        return CHIP.limits

    @property
    def bridge(self) -> Bridge:
        """The board itself, for what only it can do."""
        return self._bridge

    @property
    def clock(self) -> ClockMap | None:
        """The board's clock against the host's, from a burst of probes at each deployment, reset and end of a run."""
        return self._sync.map

    async def _follow_clock(self) -> ClockMap | None:
        return self._sync.add(await self._bridge.probes())

    async def open(self) -> None:
        """Opens the line and looks who is there. Raises DeviceError where it is no tinyODIN of this definition."""
        self._program, self._run, self._sync = None, None, Sync()
        identity = await self._bridge.open()
        try:
            _require_tinyodin(self.uri, identity)
        except DeviceError:
            await self._bridge.close()
            raise

    async def close(self) -> None:
        await self._stop()
        await self._bridge.close()

    async def plan(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        _watched(self.uri, network, taps, membranes)
        return lower(network, self._leak).placement(self.uri)

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        names = _watched(self.uri, network, taps, membranes)
        program = lower(network, self._leak)
        await self._halt()
        self._program, self._watched = None, names
        identity = self._bridge.identity
        memories = {
            "neurons": load.neuron_bytes(program.neurons[: program.last + 1]),
            "synapses": load.synapse_bytes(program.pairs[: program.sources]),
        }
        await load.follow(self._bridge, "deploy", _parameters(program), memories)
        await self._bridge.configure(load.stream(identity.chip_clock, program.last, loop=program.loop))
        await self._bridge.drain()
        self._program, self._used = program, False
        self._before = await self._bridge.board_counters()
        clock = await self._follow_clock()
        return program.placement(
            self.uri, (_about(identity), *([f"device clock: {clock}"] if clock is not None else []))
        )

    def rungs(self, network: Network) -> Sequence[Rung]:
        return rungs(self._uri, network, self._leak)

    async def reset(self) -> None:
        await self._halt()
        program = self._deployed()
        if self._used:
            memories = {"neurons": load.neuron_bytes(program.neurons[: program.last + 1])}
            await load.follow(self._bridge, "reset_state", _parameters(program), memories)
            self._used = False
            self._before = await self._bridge.board_counters()
            await self._follow_clock()

    async def send(self, packet: Packet) -> None:
        if packet.data.dtype not in (EVENT, SPIKE):
            packet = dataclasses.replace(packet, data=events_from_array(packet.data))
        run = self._running()
        await run.room()
        await self._begin()
        run.put(run.encoder.encode(run.steps.advance(packet)))

    async def finish(self) -> None:
        run = self._running()
        await run.room()
        span = run.steps.finish()
        if span is not None:
            run.put(run.encoder.encode(span))
        run.end()

    async def _begin(self) -> None:
        """The first packet of a run: from here on the chip's state changes, and its energy counts."""
        if not self._used and "power" in self._bridge.identity.capabilities:
            self._bridge.samples()
            await self._bridge.measure_power(POWER_PERIOD_US)
        self._used = True

    async def spikes(self) -> AsyncIterator[Packet]:
        run = self._running()
        while (sent := await run.next()) is not None:
            spikes, lost = await self._answer(run, sent)
            run.taken()
            stamp = now()
            for name in self._watched:
                data = spikes.get(name, sent.inputs)
                yield Packet(data, sent.span.start, sent.span.end, stamp, lost=lost, origin=name)
                lost = 0
        run.doubts = doubts(self._before, await self._bridge.board_counters())
        await self._follow_clock()

    async def _answer(self, run: _Run, sent: Sent) -> tuple[dict[str, Records], int]:
        """The chip's spikes of one span; waits for them. Raises ProtocolError for what cannot be."""
        try:
            while (decoded := run.decoder.decode(sent)) is None:
                run.decoder.take((await self._bridge.receive()).words)
        except ConfigError as error:
            raise ProtocolError(self.uri, 0, "the spikes of a step", str(error)) from error
        return decoded

    async def energy(self) -> tuple[Energy, ...]:
        """What the board's meter read since the run began; nothing where it has none."""
        identity = self._bridge.identity
        if not self._used or "power" not in identity.capabilities:
            return ()
        await self._bridge.measure_power(0)
        samples = self._bridge.samples()
        joules = sum(s.nanowatts for s in samples) * 1e-9 * POWER_PERIOD_US * 1e-6
        emulated = "emulated" in identity.capabilities
        figure = Energy(
            joules,
            "modelled" if emulated else "measured",
            f"{identity.board}, a constant power" if emulated else f"meter of {identity.board}",
            "board",
            seconds=len(samples) * POWER_PERIOD_US * 1e-6,
            rate_hz=1e6 / POWER_PERIOD_US,
            samples=len(samples),
        )
        return (figure,)

    async def replay(self, path: Path) -> str:
        """Plays a recording of the chip; "" if it does the same, or the first difference (`replay`)."""
        await self._halt()
        self._program = None
        return await replay(self._bridge, path)

    def counters(self) -> Counters:
        run = self._run
        if run is None:
            return Counters()
        return tally(self._deployed(), run.encoder, run.decoder, run.doubts)

    def _deployed(self) -> Program:
        if self._program is None:
            raise ConfigError(f"{self.uri}: no network is deployed")
        return self._program

    def _running(self) -> _Run:
        if self._run is None:
            self._run = _Run(self._deployed(), self._bridge)
        return self._run

    async def _stop(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            await run.stop()

    async def _halt(self) -> None:
        """Ends a run under way: the chip does what it was given, and nobody hears of it."""
        running = self._run is not None
        await self._stop()
        if running and self._used:
            await self._bridge.drain()


class _Run:
    """What is under way between `send` and `spikes`: spans in order, and room for a few.

    A task of its own hands them to the bridge: so a span is sent whole, whoever is cancelled meanwhile.
    """

    def __init__(self, program: Program, bridge: Bridge) -> None:
        self.steps = Steps(program.network.semantics.dt)
        self.encoder, self.decoder = Encoder(program), Decoder(program)
        self.doubts: Mapping[str, int] = {}
        self._bridge = bridge
        self._sent: deque[Sent] = deque()
        self._outbox: asyncio.Queue[Sent] = asyncio.Queue()
        self._ended = False
        self._change = asyncio.Event()
        self._task = asyncio.create_task(self._pass_on(), name="nrt.tinyodin send")

    async def _pass_on(self) -> None:
        with contextlib.suppress(DeviceError):  # whoever waits for the spikes is told
            while True:
                await self._bridge.send((await self._outbox.get()).words)

    async def stop(self) -> None:
        """Nothing more is sent."""
        self.end()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def room(self) -> None:
        """Waits while `DEPTH` spans are not taken."""
        while len(self._sent) >= DEPTH and not self._ended:
            await self._changed()

    def put(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._outbox.put_nowait(sent)
        self._change.set()

    async def next(self) -> Sent | None:
        """The oldest span that is not taken; waits for one. None after the last."""
        while not self._sent:
            if self._ended:
                return None
            await self._changed()
        return self._sent[0]

    def taken(self) -> None:
        self._sent.popleft()
        self._change.set()

    def end(self) -> None:
        self._ended = True
        self._change.set()

    async def _changed(self) -> None:
        self._change.clear()
        await self._change.wait()


def _defaults() -> dict[str, Any]:
    """What the protocol says of its lines: each wire takes what it has a use for."""
    usb = BRIDGE.wire("usb")
    return {
        "baud": BRIDGE.wire("serial").integers("baud")[0],
        "vendor": usb.integer("vendor"),
        "product": usb.integers("product")[0],
        "port": BRIDGE.wire("tcp").integer("port"),
    }


def _parameters(program: Program) -> dict[str, int]:
    """What the chip's procedures leave to the driver."""
    return {"aer_source": 0, "max_neuron": program.last, "open_loop": int(not program.loop)}


def _watched(uri: str, network: Network, taps: Sequence[str], membranes: Sequence[str]) -> tuple[str, ...]:
    names = watched(network, taps, membranes)
    if membranes:
        raise Unsupported(
            uri, "the chip shows its membranes only while it stands still, so not after every step"
        )
    return names


def _require_tinyodin(uri: str, identity: Identity) -> None:
    """Raises DeviceError for another chip, ProtocolError for another definition of the chip or the protocol."""
    if identity.chip != CHIP.name:
        text = f"the board '{identity.board}' ({identity.serial}) holds a chip '{identity.chip}', not {CHIP.name}"
        raise DeviceError(uri, text)
    for what, have, need in (
        ("aer_bridge", identity.bridge_hash, BRIDGE.short_hash),
        ("tinyodin", identity.chip_hash, CHIP.short_hash),
    ):
        if have != need:
            got = f"{have:#010x} in firmware {identity.firmware}: update one of the two"
            raise ProtocolError(uri, 0, f"definition {need:#010x} of {what}", got)


def _about(identity: Identity) -> str:
    board = f"board '{identity.board}' ({identity.serial}), chip at {identity.chip_clock / 1e6:g} MHz"
    if "emulated" in identity.capabilities:
        return f"{board}: emulated, held to recordings of the chip's RTL"
    return f"{board}: this driver was never tried with a real chip"

"""`mqtt://host/node/device`: a device of a node elsewhere, used like one in this machine.

For low rates of events: a few thousand packets a second at the most. Every packet is acknowledged, at most
`nrt.mqtt.link.WINDOW` are under way, and a lost message ends the session with DeviceLost: a network that has missed an
event has another state, and would answer wrongly from then on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from nrt import plain
from nrt.device import Counters, Device, Energy, Placement, watched
from nrt.errors import ConfigError
from nrt.mqtt import link, networks
from nrt.mqtt.address import Address, Login
from nrt.mqtt.link import Kind
from nrt.network import Network
from nrt.packet import EVENT, SPIKE, Packet, events_from_array
from nrt.uri import Uri

if TYPE_CHECKING:
    from nrt.remote.line import Line


@dataclass(frozen=True, slots=True)
class _About:
    """What a node says of a device that it lends."""

    clocked: bool
    limits: Mapping[str, float]
    tables: tuple[str, ...]
    dense: bool


class MqttDevice(Device):
    """A device of a node elsewhere. Counters are those of the last `energy`, which every run asks for at its end."""

    def __init__(self, uri: Uri, **login: Unpack[Login]) -> None:
        self.uri = str(uri)
        self._address = Address.of(uri, **login)
        if not self._address.name:
            raise ConfigError(f"{uri}: write {uri.scheme}://host:port/node/device")
        self._line: Line | None = None
        self._limits: Mapping[str, float] = {}
        self._populations: tuple[str, ...] = ()
        self._counters = Counters()
        self._sent = 0

    @classmethod
    def availability(cls) -> str:
        if importlib.util.find_spec("aiomqtt") is None:
            return "needs the package aiomqtt: pip install 'nrt-runtime[daemon]'"
        return "ready: a [[device]] of a daemon (nrt serve) elsewhere"

    @property
    def limits(self) -> Mapping[str, float]:
        return self._limits

    async def open(self) -> None:
        if self._line is not None:
            return
        from nrt.remote.line import Line  # needs the package for MQTT

        line = Line(self.uri, self._address)
        try:
            await line.open()
            found = await line.introduce()
        except BaseException:
            await line.close()
            raise
        self._line = line
        about = plain.decode(_About, found, self.uri)
        self._limits = about.limits
        vars(self).update(
            clocked=about.clocked, tables=about.tables, dense=about.dense
        )  # of the class elsewhere

    async def close(self) -> None:
        line, self._line = self._line, None
        self._populations = ()
        if line is not None:
            await line.goodbye()

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        names = watched(network, taps, membranes)
        placement = await self._place(self._open_line(), network, taps, membranes, plan=False)
        self._populations, self._counters, self._sent = names, Counters(), 0
        return placement

    async def plan(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        if self._line is not None:
            return await self._place(self._line, network, taps, membranes, plan=True)
        await self.open()  # what is elsewhere says what it would do
        try:
            return await self._place(self._open_line(), network, taps, membranes, plan=True)
        finally:
            await self.close()

    async def _place(
        self, line: Line, network: Network, taps: Sequence[str], membranes: Sequence[str], *, plan: bool
    ) -> Placement:
        data = await asyncio.to_thread(networks.pack, network)
        about = {"taps": list(taps), "membranes": list(membranes), "bytes": len(data), "plan": plan}
        parts = [data[at : at + link.PART] for at in range(0, len(data), link.PART)]
        found = await line.ask(Kind.DEPLOY, json.dumps(about).encode(), parts)
        return plain.decode(Placement, found, self.uri)

    async def reset(self) -> None:
        line = self._deployed_line()
        await line.ask(Kind.RESET)
        line.begin()
        self._counters, self._sent = Counters(), 0

    async def send(self, packet: Packet) -> None:
        line = self._deployed_line()
        if packet.data.dtype not in (EVENT, SPIKE):
            packet = dataclasses.replace(packet, data=events_from_array(packet.data))
        while self._sent - line.taken // len(self._populations) >= link.WINDOW:
            await line.change()
        self._sent += 1
        await line.post(Kind.PACKET, link.pack_packet(packet))

    async def finish(self) -> None:
        await self._deployed_line().post(Kind.FINISH)

    async def spikes(self) -> AsyncIterator[Packet]:
        line = self._deployed_line()
        while (packet := await line.output()) is not None:
            yield packet

    async def energy(self) -> tuple[Energy, ...]:
        found = await self._deployed_line().ask(Kind.FIGURES)
        figures = plain.decode(link.Figures, found, self.uri)
        self._counters = figures.counters
        return figures.energy

    def counters(self) -> Counters:
        return self._counters

    def _open_line(self) -> Line:
        if self._line is None:
            raise ConfigError(f"{self.uri}: it is not open")
        return self._line

    def _deployed_line(self) -> Line:
        if not self._populations:
            raise ConfigError(f"{self.uri}: no network is deployed")
        return self._open_line()

"""A node's devices, each lent to one client at a time (`nrt.mqtt.link` has the messages).

A lease ends when its client closes it or falls silent, when a message was lost, and with the node's connection to
the broker; the device is closed then, whatever it is doing. Nothing that a client sends can do more than end its own
lease.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, Final, cast

from nrt import plain, registry
from nrt.clock import now
from nrt.device import Device
from nrt.errors import ConfigError, DeviceBusy, DeviceLost, DeviceTimeout, NrtError, ProtocolError
from nrt.lease import Lease
from nrt.mqtt import link, networks
from nrt.mqtt.link import Kind, Note, Order
from nrt.mqtt.sender import Sender
from nrt.mqtt.topics import Topics, is_client

_MOST: Final = 4 * link.WINDOW + networks.LARGEST // link.PART
"""Messages of one client that wait here; a client that keeps to the rules never has so many."""

_log = logging.getLogger(__name__)


class Devices:
    """All devices of a node, while one connection to the broker lasts; `devices` are their URIs by name."""

    def __init__(
        self, devices: Mapping[str, str], topics: Topics, sender: Sender, group: asyncio.TaskGroup
    ) -> None:
        self._uris, self._topics, self._sender, self._group = devices, topics, sender, group
        self._leases: dict[str, _Lease] = {}
        self.rejected = 0
        """Messages that were none of a link, or of nobody who has a lease."""

    def take(self, name: str, client: str, payload: bytes) -> None:
        """One message from `client` to the device `name`; never waits."""
        if name not in self._uris or not is_client(client):
            self.rejected += 1
            return
        lease = self._leases.get(name)
        if lease is not None and lease.client == client and not lease.over:
            lease.take(payload)
            return
        try:
            note = Note.parse(payload, name)
        except ProtocolError:
            self.rejected += 1
            return
        if note.kind is not Kind.OPEN:
            self.rejected += 1
            self._answer(
                name, client, Kind.FAILED, {"kind": "DeviceLost", "message": "the node knows no such session"}
            )
        elif lease is not None and not lease.over:
            error = DeviceBusy(self._uris[name], "another client has it")
            self._answer(name, client, Kind.REPLY, {"to": note.number, "error": link.error_to(error)})
        else:
            self._lend(name, client, payload, lease)

    def _lend(self, name: str, client: str, payload: bytes, before: _Lease | None) -> None:
        topic = self._topics.link(name, client, "out")
        lease = _Lease(self._uris[name], client, self._sender, topic, self._group)
        self._leases[name] = lease
        lease.take(payload)

        async def serve() -> None:
            if before is not None:
                await before.ended.wait()
            await lease.serve()
            if self._leases.get(name) is lease:
                del self._leases[name]

        self._group.create_task(serve(), name=f"nrt.mqtt-device-{name}")

    def _answer(self, name: str, client: str, kind: Kind, data: Mapping[str, Any]) -> None:
        payload = Note(kind, 0, json.dumps(data).encode()).to_bytes()
        sending = self._sender.send(self._topics.link(name, client, "out"), payload)
        self._group.create_task(sending, name="nrt.mqtt-answer")


class _Over(Exception):
    """The client closed its session."""


class _Lease:
    """One client's use of one device."""

    def __init__(self, uri: str, client: str, sender: Sender, topic: str, group: asyncio.TaskGroup) -> None:
        self.client, self.over, self.ended = client, False, asyncio.Event()
        self._uri, self._sender, self._topic, self._group = uri, sender, topic, group
        self._closing: Note | None = None
        self._ponging = False
        self._order, self._numbers = Order(uri), 0
        self._inbox: deque[Note] = deque()
        self._arrived = asyncio.Event()
        self._heard = now()
        self._failure: NrtError | None = None
        self._sending: asyncio.Future[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._upload = _Upload()
        self._lease = Lease(uri, f"a client of nrt serve, {client}")

    def take(self, payload: bytes) -> None:
        """One message; never waits."""
        try:
            note = Note.parse(payload, self._uri)
            if not self._order.fresh(note):
                return
            if len(self._inbox) >= _MOST:
                raise DeviceLost(self._uri, f"the client sent more than {_MOST} messages ahead")
        except NrtError as error:
            self._failure = self._failure or error
            self._arrived.set()
            return
        self._heard = now()
        if note.kind is Kind.PING:  # answered at once, whatever the device is busy with
            if not self._ponging:
                self._ponging = True
                self._group.create_task(self._pong(), name="nrt.mqtt-pong")
            return
        if note.kind in (Kind.RESET, Kind.CLOSE):  # what waits for the device now is of no use any more
            self._inbox = deque(each for each in self._inbox if each.kind not in (Kind.PACKET, Kind.FINISH))
            if self._sending is not None:
                self._sending.cancel()
        self._inbox.append(note)
        self._arrived.set()

    async def serve(self) -> None:
        """Does what the client asks for, until it closes, fails or falls silent; then closes the device."""
        device: Device | None = None
        watching = asyncio.create_task(self._watch(), name="nrt.mqtt-watch")
        try:
            device = registry.device(self._uri)
            while True:
                await self._carry_out(device, await self._next())
        except _Over:
            pass
        except Exception as error:
            _log.warning("the session of a client with %s ended: %s", self._uri, error)
            await self._post(Kind.FAILED, link.error_to(error))
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await self._end_run()
            await self._close(device)
            self._lease.__exit__(None, None, None)
            self.over = True
            self.ended.set()
        if self._closing is not None:
            await self._reply(self._closing, {})

    async def _pong(self) -> None:
        await self._post(Kind.PONG)
        self._ponging = False

    async def _next(self) -> Note:
        while not self._inbox:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def _watch(self) -> None:
        """Notices that the client fell silent, even while the device is busy."""
        left = link.SILENCE
        while left > 0:
            await asyncio.sleep(left)
            left = link.SILENCE - (now() - self._heard) / 1e9
        self._failure = DeviceTimeout(self._uri, f"nothing was heard of the client for {link.SILENCE:g} s")
        self._inbox.clear()
        self._arrived.set()
        if self._sending is not None:
            self._sending.cancel()

    async def _carry_out(self, device: Device, note: Note) -> None:
        match note.kind:
            case Kind.PACKET:
                packet = link.unpack_packet(note.body, now(), self._uri)
                self._begin_run(device)
                await self._interruptible(device.send(packet))
            case Kind.FINISH:
                self._begin_run(device)
                await self._interruptible(device.finish())
            case Kind.PART:
                self._upload.add(note.body)
                await self._deploy(device)
            case Kind.DEPLOY:
                self._upload = _Upload(note, note.json(self._uri))
                await self._deploy(device)
            case Kind.CLOSE:
                self._closing = note
                raise _Over
            case Kind.OPEN | Kind.RESET | Kind.FIGURES:
                await self._answer(device, note)
            case _:
                raise ProtocolError(self._uri, 3, "a message to a device", note.kind.name)

    async def _answer(self, device: Device, note: Note) -> None:
        """Carries out a request; an error of nrt's goes back to the client, and the session goes on."""
        try:
            result = await self._result(device, note)
        except NrtError as error:
            await self._reply(note, error)
        else:
            await self._reply(note, result)

    async def _result(self, device: Device, note: Note) -> Mapping[str, Any]:
        if note.kind is Kind.OPEN:
            self._lease.__enter__()
            await device.open()
            return {
                "uri": device.uri,
                "clocked": device.clocked,
                "limits": dict(device.limits),
                "tables": list(device.tables),
                "dense": device.dense,
            }
        if note.kind is Kind.FIGURES:
            figures = link.Figures(await device.energy(), device.counters())
            return cast(Mapping[str, Any], plain.encode(figures))
        await self._end_run()
        await device.reset()
        return {}

    async def _deploy(self, device: Device) -> None:
        """Deploys, or plans, once the network is complete."""
        upload = self._upload
        if upload.note is None or not upload.complete:
            return
        self._upload = _Upload()
        try:
            network = await asyncio.to_thread(networks.unpack, bytes(upload.data))
            await self._end_run()
            place = device.plan if upload.plan else device.deploy
            placement = await place(network, taps=upload.taps, membranes=upload.membranes)
        except NrtError as error:
            await self._reply(upload.note, error)
        else:
            await self._reply(upload.note, cast(Mapping[str, Any], plain.encode(placement)))

    def _begin_run(self, device: Device) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(device), name="nrt.mqtt-spikes")

    async def _read(self, device: Device) -> None:
        spikes = cast(AsyncGenerator[Any, None], device.spikes())
        try:
            async for packet in spikes:
                await self._post(Kind.PACKET, link.pack_packet(packet))
            await self._post(Kind.END)
        except NrtError as error:
            await self._post(Kind.FAILED, link.error_to(error))
        finally:
            await spikes.aclose()

    async def _end_run(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled() and (error := reading.exception()) is not None:
                _log.warning("reading the spikes of %s failed: %s", self._uri, error)

    async def _interruptible(self, sending: Coroutine[Any, Any, None]) -> None:
        """Waits for the device to take a packet; a RESET or CLOSE that comes meanwhile gives that up."""
        self._sending = task = asyncio.ensure_future(sending)
        try:
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
        finally:
            task.cancel()
            self._sending = None

    async def _close(self, device: Device | None) -> None:
        try:
            if device is not None:
                await device.close()
        except NrtError as error:
            _log.warning("closing %s: %s", self._uri, error)

    async def _reply(self, note: Note, outcome: Mapping[str, Any] | NrtError) -> None:
        said = {"error": link.error_to(outcome)} if isinstance(outcome, NrtError) else {"result": outcome}
        await self._post(Kind.REPLY, {"to": note.number, **said})

    async def _post(self, kind: Kind, body: Mapping[str, Any] | bytes = b"") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def numbered() -> bytes:
            number, self._numbers = self._numbers, self._numbers + 1
            return Note(kind, number, content).to_bytes()

        await self._sender.send(self._topic, numbered)


class _Upload:
    """A network that arrives in parts."""

    def __init__(self, note: Note | None = None, data: Mapping[str, Any] | None = None) -> None:
        """Raises ConfigError for a request that is none."""
        data = data or {}
        self.note, self.data = note, bytearray()
        self.taps, self.membranes = _names(data.get("taps", [])), _names(data.get("membranes", []))
        self.plan = data.get("plan") is True
        size = data.get("bytes", 0)
        if not isinstance(size, int) or not 0 <= size <= networks.LARGEST:
            raise ConfigError(f"a network of {str(size)[:40]} bytes; at most {networks.LARGEST:,} are taken")
        self._size = size

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return len(self.data) == self._size

    def add(self, part: bytes) -> None:
        """Raises ConfigError for more than was announced."""
        if len(self.data) + len(part) > self._size:
            raise ConfigError(f"more than the {self._size} bytes of a network that were announced")
        self.data += part


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ConfigError("taps and membranes are lists of names")
    return tuple(value)

"""The client's end of a link to a device of a node: requests and their replies, and the packets that come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from nrt.clock import now
from nrt.errors import DeviceError, DeviceLost, DeviceTimeout, NrtError, ProtocolError
from nrt.mqtt import link
from nrt.mqtt.address import Address
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.failure import first_failure
from nrt.mqtt.link import Kind, Note, Order
from nrt.mqtt.sender import Sender
from nrt.mqtt.topics import Topics, new_client
from nrt.packet import Packet

_OPENING: Final = 60.0
"""Seconds until a device elsewhere must be open."""
_MISSING: Final = 5.0
"""Seconds for a node to come up that is not there."""
_AGAIN: Final = 1.0
"""Seconds after which a device is asked for again: the node may have just come up."""
_CLOSING: Final = 3.0
"""Seconds for a node to say that it has its device back."""


class Line:
    """One session with one device. What breaks it is raised by everything that is asked of it from then on."""

    def __init__(self, uri: str, address: Address) -> None:
        self._uri, self._client = uri, new_client()
        self._dialer = Dialer(address.broker)
        self._node, topics = address.node, Topics(address.node)
        self._presence, self._state, self._opened = topics.state, "", False
        self._in = topics.link(address.name, self._client, "in")
        self._out = topics.link(address.name, self._client, "out")
        self._numbers, self._order = 0, Order(uri)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._packets: deque[Packet] = deque()
        self._ended = False
        self._failure: NrtError | None = None
        self._changed = asyncio.Event()
        self._heard = now()
        self._up: asyncio.Future[Sender] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self.taken = 0
        """Packets of this run that the user has."""

    async def open(self) -> None:
        """Connects to the broker. Raises as `Dialer.connect` says."""
        self._task = asyncio.create_task(self._run(), name="nrt.mqtt-line")
        await self._up

    async def introduce(self) -> dict[str, Any]:
        """Asks for the device until the node answers; what it is. Raises what the node says against it."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[0] = answer
        self._numbers, began = 1, now()
        while not answer.done():
            self._check()
            waited = (now() - began) / 1e9
            if waited > (_OPENING if self._state == "ready" else _MISSING):
                what = f"node '{self._node}' is {self._state or 'not known to the broker'}"
                raise DeviceTimeout(self._uri, f"no answer within {waited:.0f} s; {what}")
            await (await self._up).send(self._in, Note(Kind.OPEN, 0).to_bytes())
            await asyncio.wait([answer], timeout=_AGAIN)
        self._opened = True
        return answer.result()

    async def goodbye(self) -> None:
        """Gives the device back, if there is still somebody to give it to, and closes."""
        try:
            if self._failure is None:
                await self.ask(Kind.CLOSE, within=_CLOSING)
        except NrtError:
            pass  # the node takes it back by itself
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends the connection."""
        self._fail(DeviceLost(self._uri, "it was closed"))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def ask(
        self, kind: Kind, body: bytes = b"", parts: Sequence[bytes] = (), *, within: float = 600.0
    ) -> dict[str, Any]:
        """Sends a request, and its parts; its result. Raises what the other end raised."""
        self._check()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        number = await self._send(kind, body, answer)
        try:
            for part in parts:
                await self.post(Kind.PART, part)
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            raise DeviceTimeout(self._uri, f"no answer to {kind.name} within {within:g} s") from None
        finally:
            self._pending.pop(number, None)
            answer.cancel()

    async def post(self, kind: Kind, body: bytes = b"") -> None:
        """Sends what is not answered. Raises what broke the line."""
        self._check()
        await self._send(kind, body, None)

    async def _send(self, kind: Kind, body: bytes, answer: asyncio.Future[dict[str, Any]] | None) -> int:
        given: list[int] = []

        def numbered() -> bytes:
            given.append(self._numbers)
            self._numbers += 1
            if answer is not None:
                self._pending[given[0]] = answer
            return Note(kind, given[0], body).to_bytes()

        await (await self._up).send(self._in, numbered)
        return given[0]

    def begin(self) -> None:
        """A run begins: nothing of the one before is left."""
        self._packets.clear()
        self._ended, self.taken = False, 0

    async def output(self) -> Packet | None:
        """The next packet of this run, None after the last. Raises what the device died of, after all packets."""
        while not self._packets:
            if self._ended:
                return None
            await self.change()
        self.taken += 1
        self._notify()
        return self._packets.popleft()

    async def change(self) -> None:
        """Waits until something came or was taken. Raises what broke the line."""
        self._check()
        changed = self._changed
        await changed.wait()
        self._check()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        try:
            async with first_failure():
                await self._connected()
        except NrtError as error:
            self._fail(error)
        except Exception as error:
            self._fail(DeviceError(self._uri, f"the session failed: {error!r}"))

    async def _connected(self) -> None:
        async with (
            self._dialer.connect(self._out, self._presence) as connection,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._ping(), name="nrt.mqtt-ping")
            self._up.set_result(Sender(connection, group))
            async for message in connection.messages():
                if message.topic == self._out:
                    self._take(message.payload)
                else:
                    self._look(message.payload.decode(errors="replace"))

    def _look(self, state: str) -> None:
        """What the node says of itself, or the broker of it; all sessions end with its connection."""
        if self._opened and state != "ready":
            raise DeviceLost(self._uri, f"node '{self._node}' is {state[:40]}")
        self._state = state

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(link.PING)
            if not self._opened:
                self._heard = now()
            elif (now() - self._heard) / 1e9 > link.SILENCE:
                raise DeviceLost(self._uri, f"nothing was heard of the node for {link.SILENCE:g} s")
            else:
                await self.post(Kind.PING)

    def _take(self, payload: bytes) -> None:
        note = Note.parse(payload, self._uri)
        if note.kind is Kind.FAILED:
            raise link.error_from(note.json(self._uri), self._uri)
        if not self._order.fresh(note):
            return
        self._heard = now()
        if note.kind is Kind.PACKET:
            self._packets.append(link.unpack_packet(note.body, now(), self._uri))
        elif note.kind is Kind.END:
            self._ended = True
        elif note.kind is Kind.REPLY:
            self._answered(note.json(self._uri))
        elif note.kind is not Kind.PONG:
            raise ProtocolError(self._uri, 3, "a message from a device", note.kind.name)
        self._notify()

    def _answered(self, data: Mapping[str, Any]) -> None:
        answer = self._pending.get(data.get("to", -1))
        if answer is None or answer.done():
            return
        if "error" in data:
            answer.set_exception(link.error_from(data["error"], self._uri))
        else:
            result = data.get("result")
            answer.set_result(result if isinstance(result, dict) else {})

    def _fail(self, error: NrtError) -> None:
        self._failure = self._failure or error
        waiting: list[asyncio.Future[Any]] = [*self._pending.values(), self._up]
        for answer in waiting:
            if not answer.done():
                answer.set_exception(self._failure)
        self._notify()

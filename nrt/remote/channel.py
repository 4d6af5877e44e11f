"""A connection to a broker that is made again when it is lost; what comes goes to everybody who reads it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Protocol

from nrt.clock import now
from nrt.daemon.backoff import Backoff
from nrt.errors import DeviceError, NrtError
from nrt.mqtt.address import Broker
from nrt.mqtt.connection import Connection, Message
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.topics import matches
from nrt.remote.mail import Mail


class Reader(Protocol):
    """Who takes messages, and is told when none will come any more; neither ever waits."""

    def put(self, message: Message) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Channel:
    """Use it with `async with`, which raises what the first connection fails with.

    keep: a name under which the broker keeps what comes for this client while it is away
    """

    def __init__(self, broker: Broker, uri: str, keep: str = "") -> None:
        self._uri, self._keep = uri, bool(keep)
        self._dialer = Dialer(broker, f"nrt-{keep}" if keep else "", keep=bool(keep))
        self._readers: dict[str, list[Reader]] = {}
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._first: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Channel:
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._stay_connected(self._first), name="nrt.remote")
        try:
            await self._first
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hangs up; whoever still reads is told."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._fail(DeviceError(self._uri, "it was closed"))

    def listen(self, reader: Reader, *filters: str) -> None:
        """Has `reader` take what comes on some topics, from the next connection or `subscribe` on."""
        for each in filters:
            self._readers.setdefault(each, []).append(reader)

    async def subscribe(self, *filters: str) -> None:
        """Asks the broker for topics, now if it can be reached: their retained messages come, again if need be.

        Raises DeviceError where the broker refuses.
        """
        if self._connection is not None:
            await self._connection.subscribe(*filters)

    @contextlib.asynccontextmanager
    async def reading(self, *filters: str) -> AsyncGenerator[Mail]:
        """What comes on some topics while this lasts. Raises DeviceError where the broker refuses."""
        mail = Mail(self._uri)
        self.listen(mail, *filters)
        try:
            await self.subscribe(*filters)
            yield mail
        finally:
            await self._leave(mail, filters)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Waits for a connection. Raises DeviceLost if it is lost before the broker has the message."""
        await self._connected.wait()
        if self._connection is not None:
            await self._connection.publish(topic, payload)

    async def _leave(self, reader: Reader, filters: tuple[str, ...]) -> None:
        """What nobody reads any more is not sent any more."""
        for each in filters:
            self._readers[each].remove(reader)
        gone = [each for each in filters if not self._readers[each]]
        for each in gone:
            del self._readers[each]
        if gone and self._connection is not None:
            with contextlib.suppress(DeviceError):
                await self._connection.unsubscribe(*gone)

    async def _stay_connected(self, first: asyncio.Future[None]) -> None:
        backoff = Backoff(most=15.0)
        while True:
            began = now()
            try:
                filters = list(self._readers)
                async with self._dialer.connect(*filters) as connection:
                    backoff.reset()
                    self._connection = connection  # from here on, who begins to read subscribes over this one
                    if late := [each for each in self._readers if each not in filters]:
                        await connection.subscribe(*late)
                    self._connected.set()
                    if not first.done():
                        first.set_result(None)
                    await self._hand_on(connection)
            except NrtError as error:
                if not first.done():
                    first.set_exception(error)
                    return
            except Exception as error:
                self._fail(error)
                if not first.done():
                    first.set_exception(error)
                raise
            finally:
                self._connection = None
                self._connected.clear()
            await asyncio.sleep(backoff.next((now() - began) / 1e9))

    async def _hand_on(self, connection: Connection) -> None:
        async for message in connection.messages():
            for filter, readers in self._readers.items():
                if matches(filter, message.topic):
                    for each in readers:
                        each.put(message)

    def _fail(self, error: Exception) -> None:
        for readers in self._readers.values():
            for each in readers:
                each.fail(error)

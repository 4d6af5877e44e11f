"""A node elsewhere, steered and watched over MQTT with the verbs of a session.

```python
async with nrt.connect("mqtt://broker/edge") as node:
    digits = node.pipeline("digits")
    await digits.start()
    async for decision in digits.decisions():
        print(decision.label)
```

The connection is made again when it is lost. A command has an id and is sent again with the same one until its reply is
there; the node carries it out once. Decisions and alarms come at least once over the wire and are given once: one whose
id was seen is left out. With `keep`, the broker keeps what comes for this client while it is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from types import TracebackType
from typing import Final, Self, Unpack

from nrt import plain
from nrt.clock import now
from nrt.daemon.backoff import Backoff
from nrt.daemon.command import Reply, Verb
from nrt.daemon.notice import Alarm, Decision, Json, Notice, State, StateChange
from nrt.errors import ConfigError, DeviceError, DeviceTimeout, NrtError, Overrun, ProtocolError
from nrt.mqtt import codec
from nrt.mqtt.address import Address, Login
from nrt.mqtt.connection import Connection, Dialer, Message, matches
from nrt.mqtt.topics import PREFIX, Topics, new_client
from nrt.packet import Packet
from nrt.report import Report

_AGAIN: Final = 2.0
"""Seconds after which a command without a reply is sent again."""
_WAITING: Final = 65_536
"""Messages that wait for one reader; one that is slower is told so (Overrun)."""
_SEEN: Final = 65_536
"""Ids that are remembered."""


class RemoteNode:
    """Use it with `async with`. keep: a name under which the broker keeps what comes while this client is away."""

    def __init__(self, uri: str, *, prefix: str = PREFIX, keep: str = "", **login: Unpack[Login]) -> None:
        self._address = Address.parse(uri, **login)
        if not self._address.node or self._address.name:
            raise ConfigError(f"{uri}: write mqtt://host:port/node")
        self.uri, self.name = str(self._address), self._address.node
        self.topics = Topics(self.name, prefix)
        self._client = new_client()
        self._dialer = Dialer(self._address.broker, f"nrt-{keep}" if keep else "", keep=bool(keep))
        self._filters: dict[str, list[_Mail]] = {}
        self._pending: dict[str, asyncio.Future[Reply]] = {}
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._first: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._kept = self._mail(*self._promised("+")) if keep else None
        self.rejected = 0
        """Messages that were none of a node's."""

    async def __aenter__(self) -> Self:
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep_connected(), name="nrt.remote")
        try:
            await self._first
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._close()

    def pipeline(self, name: str) -> RemotePipeline:
        """One of its pipelines; whether there is one of that name shows when something is asked of it."""
        return RemotePipeline(self, name)

    async def info(self) -> Mapping[str, Json]:
        """What the node says of itself: versions, pipelines, devices."""
        found = await self.command("state")
        return found if isinstance(found, dict) else {}

    async def command(self, verb: Verb, pipeline: str = "", within: float = 30.0, **arguments: Json) -> Json:
        """The result of a command that the node carried out, once.

        Raises DeviceError with the node's sentence where it refuses, DeviceTimeout where no reply came `within` s.
        """
        id = secrets.token_hex(12)
        request = {"id": id, "client": self._client, "pipeline": pipeline, "arguments": arguments}
        answer = self._pending[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                reply = await self._ask(self.topics.request(verb), json.dumps(request).encode(), answer)
        except TimeoutError:
            raise DeviceTimeout(
                self.uri, f"no reply to {verb} within {within:g} s; is the node up?"
            ) from None
        finally:
            del self._pending[id]
        if not reply.ok:
            raise DeviceError(self.uri, reply.error)
        return reply.result

    async def state(self) -> str:
        """init, ready, disconnected, lost; "" for a node that the broker does not know."""
        with self._reading(self.topics.state) as mail:
            await self._subscribe()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN):
                    return (await mail.take()).payload.decode(errors="replace")
        return ""

    async def notices(self, pipeline: str = "+") -> AsyncGenerator[Decision | Alarm]:
        """Decisions and alarms, each once, of one pipeline, or of all and the node itself.

        What was kept while this client was away (`keep`) comes first, to who asks for all.
        """
        seen = _Seen()
        with contextlib.ExitStack() as stack:
            if self._kept is not None and pipeline == "+":
                mail = self._kept
            else:
                mail = stack.enter_context(self._reading(*self._promised(pipeline)))
                await self._subscribe()
            async for message in mail.messages():
                notice = self._notice(message)
                if notice is not None and seen.new(notice.id):
                    yield notice

    async def messages(self, *filters: str) -> AsyncGenerator[Message]:
        """What comes on some topics."""
        with self._reading(*filters) as mail:
            await self._subscribe()
            async for message in mail.messages():
                yield message

    def _promised(self, pipeline: str) -> tuple[str, str]:
        return self.topics.of(pipeline, "decisions"), self.topics.of(pipeline, "alarms")

    def _notice(self, message: Message) -> Decision | Alarm | None:
        found = notice_from(message)
        if found is None:
            self.rejected += 1
        return found if not isinstance(found, StateChange) else None

    async def _ask(self, topic: str, payload: bytes, answer: asyncio.Future[Reply]) -> Reply:
        while True:
            await self._connected.wait()
            if self._connection is not None:
                with contextlib.suppress(DeviceError):  # lost: again over the next connection
                    await self._connection.publish(topic, payload)
            done, _ = await asyncio.wait([answer], timeout=_AGAIN)
            if done:
                return answer.result()

    @contextlib.contextmanager
    def _reading(self, *filters: str) -> Generator[_Mail]:
        mail = self._mail(*filters)
        try:
            yield mail
        finally:
            for each in filters:
                self._filters[each].remove(mail)
                if not self._filters[each]:
                    del self._filters[each]

    def _mail(self, *filters: str) -> _Mail:
        mail = _Mail(self.uri)
        for each in filters:
            self._filters.setdefault(each, []).append(mail)
        return mail

    async def _subscribe(self) -> None:
        """Subscribes to all that is read now: again to what was, which brings its retained messages."""
        if self._connection is not None:
            await self._connection.subscribe(*self._filters)

    async def _keep_connected(self) -> None:
        backoff = Backoff(most=15.0)
        while True:
            began = now()
            try:
                filters = (self.topics.response("+", self._client), *self._filters)
                async with self._dialer.connect(*filters) as connection:
                    backoff.reset()
                    await self._serve(connection)
            except NrtError as error:
                assert self._first is not None
                if not self._first.done():
                    self._first.set_exception(error)
                    return
            except Exception as error:
                self._fail(error)
                raise
            await asyncio.sleep(backoff.next((now() - began) / 1e9))

    async def _serve(self, connection: Connection) -> None:
        assert self._first is not None
        self._connection = connection
        self._connected.set()
        if not self._first.done():
            self._first.set_result(None)
        try:
            async for message in connection.messages():
                self._take(message)
        finally:
            self._connection = None
            self._connected.clear()

    def _take(self, message: Message) -> None:
        levels = self.topics.split(message.topic)
        if levels[:2] == ("rpc", "response"):
            self._answered(message)
            return
        for filter, mails in self._filters.items():
            if matches(filter, message.topic):
                for mail in mails:
                    mail.put(message)

    def _answered(self, message: Message) -> None:
        try:
            reply = reply_from(message.payload)
        except ConfigError:
            self.rejected += 1
            return
        answer = self._pending.get(reply.id)
        if answer is not None and not answer.done() and not reply.error.startswith("busy:"):
            answer.set_result(reply)

    def _fail(self, error: Exception) -> None:
        for mails in self._filters.values():
            for mail in mails:
                mail.fail(error)
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(error)

    async def _close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._fail(DeviceError(self.uri, "it was closed"))


class RemotePipeline:
    """A pipeline of a node elsewhere. Its commands raise DeviceError where the node refuses, DeviceTimeout."""

    def __init__(self, node: RemoteNode, name: str) -> None:
        self._node, self.name = node, name

    async def start(self) -> None:
        """Has it run."""
        await self._node.command("start", self.name)

    async def stop(self) -> None:
        """Ends it in order."""
        await self._node.command("stop", self.name)

    async def restart(self, why: str = "asked for") -> None:
        """Ends it and has it run again."""
        await self._node.command("restart", self.name, why=why)

    async def reset(self) -> None:
        """The network's state back to after `deploy`."""
        await self._node.command("reset", self.name)

    async def deploy(self, path: str, within: float = 120.0) -> str:
        """Another network, by its name in the node's folder of models; what went where, for people."""
        return str(await self._node.command("deploy", self.name, within, path=path))

    async def set(self, **options: str) -> None:
        """Changes options, such as `filter` or `decide`."""
        await self._node.command("set", self.name, 30.0, **options)

    async def snapshot(self) -> Mapping[str, Json]:
        """State, figures, last decision and an image of the events."""
        return _object(await self._node.command("snapshot", self.name))

    async def report(self) -> Report:
        """What the present run, or else the last one, measured. Raises ConfigError for a report of another version."""
        return Report.from_dict(await self._node.command("report", self.name))

    async def state(self) -> State:
        """What it does now."""
        return State(str(_object(await self._node.command("state", self.name)).get("state")))

    async def stats(self) -> Mapping[str, Json]:
        """Its figures of this moment."""
        return _object(_object(await self._node.command("state", self.name)).get("stats"))

    async def decisions(self) -> AsyncGenerator[Decision]:
        """Its decisions from now on, each once."""
        async with contextlib.aclosing(self._node.notices(self.name)) as notices:
            async for notice in notices:
                if isinstance(notice, Decision):
                    yield notice

    async def alarms(self) -> AsyncGenerator[Alarm]:
        """Its alarms from now on, each once."""
        async with contextlib.aclosing(self._node.notices(self.name)) as notices:
            async for notice in notices:
                if isinstance(notice, Alarm):
                    yield notice

    async def states(self) -> AsyncGenerator[StateChange]:
        """What it does now, and every change."""
        async with contextlib.aclosing(
            self._node.messages(self._node.topics.of(self.name, "state"))
        ) as found:
            async for message in found:
                notice = notice_from(message)
                if isinstance(notice, StateChange):
                    yield notice

    async def stream(self, population: str = "+") -> AsyncGenerator[Packet]:
        """Its spikes from now on, where the node sends them (`spikes` in [mqtt]), with a population as origin.

        A packet spans the spikes of one message; `lost` counts the messages that are missing right before it.
        """
        topics, gaps = self._node.topics, dict[str, codec.Gaps]()
        async with contextlib.aclosing(self._node.messages(topics.spikes(self.name, population))) as found:
            async for message in found:
                origin = topics.split(message.topic)[-1]
                try:
                    block = codec.decode(message.payload, self._node.uri)
                except ProtocolError:
                    self._node.rejected += 1
                    continue
                lost = gaps.setdefault(origin, codec.Gaps()).seen(block.sequence)
                end = int(block.records["t"][-1]) + 1 if len(block.records) else block.base
                yield Packet(block.records, block.base, end, now(), lost, origin)


class _Mail:
    """Messages that wait for one reader."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._error: Exception | None = None

    def put(self, message: Message) -> None:
        if len(self._waiting) >= _WAITING:
            self.fail(Overrun(self._uri, 1))
            return
        self._waiting.append(message)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._arrived.set()

    async def take(self) -> Message:
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            yield await self.take()


class _Seen:
    """Ids that came, the last ones."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def new(self, id: str) -> bool:
        if id in self._ids:
            self._ids.move_to_end(id)
            return False
        self._ids[id] = None
        if len(self._ids) > _SEEN:
            self._ids.popitem(last=False)
        return True


def notice_from(message: Message) -> Notice | None:
    """The notice in a message, by its topic's last level; None for what is none."""
    kind = message.topic.rpartition("/")[2]
    try:
        data = json.loads(message.payload)
        if kind == "state":
            return StateChange(
                data["id"], float(data["time"]), data["pipeline"], State(data["state"]), data["reason"]
            )
        return plain.decode(Decision, data) if kind == "decisions" else plain.decode(Alarm, data)
    except (ValueError, KeyError, TypeError, RecursionError, ConfigError):
        return None


def reply_from(payload: bytes) -> Reply:
    """The reply in a message. Raises ConfigError for what is none."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and isinstance(data.get("id"), str) and isinstance(data.get("ok"), bool):
        return Reply(data["id"], data["ok"], data.get("result"), str(data.get("error", "")))
    raise ConfigError("a reply has an id, and says whether it is ok")


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}

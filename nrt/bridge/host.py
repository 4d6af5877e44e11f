"""Bridge: a board with a chip, as the host's driver sees it: SPI, events, time, counters, power.

Everything that is sent is acknowledged, sent again where the line lost it, and executed once. Events wait for the
board's credit, never on the board. What became of every event word is known at any time:
`sent = delivered + undelivered`, and `missing` are words that the board sent and that never came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import events, messages, words
from nrt.bridge.events import Batch, Words
from nrt.bridge.link import Received
from nrt.bridge.messages import Data, Identity, Message, Sample, Stream
from nrt.bridge.port import PATIENCE, Port
from nrt.bridge.words import ANSWER, DATA, PROBE
from nrt.clock import now
from nrt.errors import ConfigError, DeviceError, DeviceTimeout, ProtocolError
from nrt.profile import Probe
from nrt.wire.base import Wire

T = TypeVar("T")

_PROBE: Final = words.BRIDGE.record("probe")
_ECHO: Final = words.BRIDGE.record("echo")
_TAGS: Final = range(1, 256)
PROBES: Final = 8
"""Probes of a burst: the one with the shortest round trip counts."""
_ECHO_S: Final = 0.1  # an echo that takes longer tells nothing about the clock
_REQUESTS: Final = 64  # that may be unanswered at a time

_Asked = tuple[int, "asyncio.Future[Message]"]


class Bridge:
    """An open board. One task may send events while another takes spikes; requests may come from any."""

    def __init__(self, wire: Wire, patience: int = PATIENCE) -> None:
        self._port = Port(
            wire,
            take=self._take,
            heard=self._heard,
            owed=self._owes,
            failed=self._failed,
            patience=patience,
        )
        self._identity: Identity | None = None
        self._begin()

    def _begin(self) -> None:
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._echoes: dict[int, asyncio.Future[Probe]] = {}
        self._batches: deque[Batch] = deque()
        self._change = asyncio.Event()
        self._starved = False
        self._marks = 0  # sent and not come back
        self._expected = 0
        self._samples: list[Sample] = []
        self._next_sample: int | None = None
        self.sent = self.missing = self.samples_missing = 0

    @property
    def name(self) -> str:
        """The URI, for messages."""
        return self._port.name

    @property
    def identity(self) -> Identity:
        """Who answered. Raises ConfigError before `open`."""
        if self._identity is None:
            raise ConfigError(f"{self.name}: not open")
        return self._identity

    async def open(self) -> Identity:
        """Opens the line and asks who is there.

        Raises NotFound, DeviceBusy, DeviceTimeout, and ProtocolError for what is no bridge.
        """
        self._begin()
        try:
            await self._port.open()
            answer = await self._ask(words.IDENTIFY)
            self._identity = self._parsed(Identity.unpack, answer)
        except BaseException:
            await self._port.close()
            raise
        return self._identity

    async def close(self) -> None:
        """Lets go of the board, in whatever state; may be called twice."""
        await self._port.close()

    # ----------------------------------------------------------------------------------------- SPI

    async def transfer(self, addresses: Data, data: Data) -> Data:
        """SPI transactions in order; what came back for each. All that was sent before is executed before."""
        most = (self._port.link.longest - words.MESSAGE.size) // messages.TRANSFER.size
        parts = [slice(at, at + most) for at in range(0, len(addresses), most)]
        asked: list[_Asked] = []
        for part in parts:
            rows = messages.pack_transfers(addresses[part], data[part])
            asked.append(await self._request(words.TRANSFER, len(addresses[part]), rows))
        out = np.empty(len(addresses), np.uint32)
        for part, each in zip(parts, asked, strict=True):
            rows = self._rows(await self._answer(each), messages.TRANSFER.size, len(addresses[part]))
            out[part] = messages.unpack_transfers(rows)[1]
        return out

    async def write(self, addresses: Data, contents: NDArray[np.uint8], data: int = 0) -> None:
        """Writes each byte of `contents`, in the low bits of `data`, to its address. The order is the bridge's."""
        most = self._port.link.longest - words.MESSAGE.size - messages.BLOCK.size
        order = np.argsort(addresses, kind="stable")
        asked: list[_Asked] = []
        for begin, end in _consecutive(addresses[order], most):
            part = order[begin:end]
            block = messages.pack_block(int(addresses[part[0]]), data, contents[part].tobytes())
            asked.append(await self._request(words.WRITE, end - begin, block))
        for each in asked:
            await self._answer(each)

    async def read(self, addresses: Data, data: int = 0) -> NDArray[np.uint8]:
        """The low byte that comes back from each address when `data` is sent."""
        most = self._port.link.longest - words.MESSAGE.size
        order = np.argsort(addresses, kind="stable")
        runs = list(_consecutive(addresses[order], most))
        asked = [
            await self._request(
                words.READ, end - begin, messages.pack_block(int(addresses[order[begin]]), data)
            )
            for begin, end in runs
        ]
        out = np.empty(len(addresses), np.uint8)
        for (begin, end), each in zip(runs, asked, strict=True):
            answer = await self._answer(each)
            out[order[begin:end]] = np.frombuffer(self._rows(answer, 1, end - begin), np.uint8)
        return out

    async def reset_chip(self) -> None:
        """Pulses the chip's reset line."""
        await self._ask(words.RESET)

    # ----------------------------------------------------------------------------------------- events

    async def configure(self, stream: Stream) -> None:
        """Says how events are handed to the chip from here on."""
        await self._ask(words.CONFIGURE, len(stream.services), stream.pack())

    async def send(self, stream: Words, time: int = 0) -> None:
        """Sends event words, the first of them due at device µs `time` (0: at once). Waits for the board's credit."""
        most = events.per_message(self._port.link.longest)
        deltas = events.deltas(stream) if time else np.zeros(0, np.int64)
        at = 0
        while at < len(stream):
            room = await self._credit()
            piece = stream[at : at + min(room, most)]
            batch = Batch(time, self.sent % words.INDICES, piece)
            self._port.send(messages.pack(words.EVENTS, 0, len(piece), batch.pack()))
            self._marks += int(np.count_nonzero(events.KINDS.classify(piece) == events.MARK))
            self.sent += len(piece)
            if time:
                time += int(deltas[at : at + len(piece)].sum())
            at += len(piece)

    async def _credit(self) -> int:
        """How many words may go; waits for one at least."""
        while True:
            self._port.require()
            room = (self._port.link.peer_credit - self.sent) % words.INDICES
            if 0 < room < words.INDICES // 2:
                self._starved = False
                return room
            self._starved = True
            self._change.clear()
            await self._change.wait()

    async def receive(self) -> Batch:
        """The next words from the board: spikes, and marks as they come back. Raises what the line died of."""
        while not self._batches:
            self._port.require()
            self._change.clear()
            await self._change.wait()
        return self._batches.popleft()

    async def drain(self) -> None:
        """Waits until all that was sent is executed, and forgets the spikes that nobody received."""
        await self.send(events.pack_marks(0))
        while self._marks > 0:
            await self.receive()
        self._batches.clear()

    @property
    def undelivered(self) -> int:
        """Event words of which it is not known that the board has them."""
        unsettled = (messages.unpack(each) for each in self._port.link.unsettled())
        return sum(message.count for message in unsettled if message.type == words.EVENTS)

    # ----------------------------------------------------------------------------------------- the rest

    async def board_counters(self) -> dict[str, int]:
        """What the board counted since it was switched on."""
        return self._parsed(messages.unpack_counts, await self._ask(words.COUNT))

    async def measure_power(self, period_us: int) -> None:
        """Has every channel sampled once in each period; 0 stops it. Raises DeviceError where there is no meter."""
        await self._ask(words.POWER, 1, messages.POWER.pack(period=period_us))

    def samples(self) -> list[Sample]:
        """The power samples that came since the last call."""
        taken, self._samples = self._samples, []
        return taken

    async def probes(self, count: int = PROBES) -> list[Probe]:
        """One burst of questions for the board's time, one after the other; those that the line lost are left out."""
        answered: list[Probe] = []
        for _ in range(count):
            sent = now()
            echo: asyncio.Future[Probe] = asyncio.get_running_loop().create_future()
            self._echoes[sent] = echo
            try:
                self._port.send_loose(PROBE, _PROBE.pack(host=sent))
                async with asyncio.timeout(_ECHO_S):
                    answered.append(await echo)
            except TimeoutError:
                continue
            finally:
                del self._echoes[sent]
        return answered

    def counters(self) -> Mapping[str, int]:
        """What went over the line, by name; only what is not zero."""
        link = {f"frames {name}": count for name, count in self._port.link.counts.items()}
        own = {
            "words sent": self.sent,
            "words undelivered": self.undelivered,
            "words missing": self.missing,
            "samples missing": self.samples_missing,
        }
        return {name: count for name, count in (own | link).items() if count}

    # ----------------------------------------------------------------------------------------- requests

    async def _ask(self, type: int, count: int = 0, body: bytes = b"") -> Message:
        return await self._answer(await self._request(type, count, body))

    async def _request(self, type: int, count: int = 0, body: bytes = b"") -> _Asked:
        """Queues a request; its type and what its answer will be. Waits while too many are unanswered."""
        while len(self._asked) >= _REQUESTS:
            self._change.clear()
            await self._change.wait()
        tag = next(tag for tag in _TAGS if tag not in self._asked)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._port.send(messages.pack(type, tag, count, body))
        self._asked[tag] = answer
        return type, answer

    async def _answer(self, asked: _Asked) -> Message:
        type, answer = asked
        message = await answer
        if message.type != type + ANSWER:
            raise self._unexpected(words.MESSAGES.label(type + ANSWER), message)
        return message

    def _owes(self) -> bool:
        """Whether the board owes an answer, a mark or credit. Asked often: so is the board, when it is silent."""
        return bool(self._asked) or self._marks > 0 or self._starved

    # ----------------------------------------------------------------------------------------- what arrives

    def _take(self, received: Received, stamp: int) -> None:
        try:
            if received.kind == DATA:
                self._message(messages.unpack(received.body))
            else:
                self._echo(received.body, stamp)
        except ConfigError as error:
            self._port.fail(ProtocolError(self.name, 0, "a message of the protocol", str(error)))

    def _heard(self) -> None:
        self._change.set()

    def _message(self, message: Message) -> None:
        if message.tag in self._asked:
            answer = self._asked.pop(message.tag)
            if not answer.done():
                self._resolve(answer, message)
        elif message.type == words.SPIKES:
            self._spikes(Batch.unpack(message))
        elif message.type == words.SAMPLES:
            self._sampled(messages.unpack_samples(messages.rows(message, messages.SAMPLE.size)))
        elif message.type == words.ERROR:
            code, text = messages.unpack_error(message.body)
            kind = DeviceTimeout if code == "chip_stalled" else DeviceError
            self._port.fail(kind(self.name, f"the board says: {text}"))

    def _resolve(self, answer: asyncio.Future[Message], message: Message) -> None:
        if message.type == words.ERROR:
            refused = DeviceError(self.name, f"the board refused: {messages.unpack_error(message.body)[1]}")
            _refuse(answer, refused)
        else:
            answer.set_result(message)

    def _spikes(self, batch: Batch) -> None:
        absent = (batch.index - self._expected) % words.INDICES
        self._expected = events.index_after(batch.index, len(batch.words))
        if absent:
            self.missing += absent
            batch = Batch(batch.time, batch.index, np.concatenate([events.pack_gap(absent), batch.words]))
        self._marks -= int(np.count_nonzero(events.KINDS.classify(batch.words) == events.MARK))
        self._batches.append(batch)

    def _sampled(self, samples: list[Sample]) -> None:
        for sample in samples:
            if self._next_sample is not None and sample.index > self._next_sample:
                self.samples_missing += sample.index - self._next_sample
            self._next_sample = sample.index + 1 if sample.channel == 0 else self._next_sample
        self._samples += samples

    def _echo(self, body: bytes, stamp: int) -> None:
        echo = _ECHO.integers(body)
        waiting = self._echoes.get(echo["host"])
        if waiting is not None and not waiting.done():
            waiting.set_result(Probe(echo["host"], (echo["received"] + echo["sent"]) // 2, stamp))

    def _failed(self, error: DeviceError) -> None:
        """The line is gone: tells whoever waits."""
        for answer in self._asked.values():
            _refuse(answer, error)
        for echo in self._echoes.values():
            _refuse(echo, error)
        self._asked.clear()
        self._change.set()

    def _rows(self, message: Message, size: int, count: int) -> bytes:
        """The body, which must be `count` rows of `size` bytes. Raises ProtocolError."""
        if message.count != count or len(message.body) != count * size:
            got = f"{message.count} in {len(message.body)} bytes"
            raise ProtocolError(self.name, 0, f"{count} rows of {message.label}", got)
        return message.body

    def _unexpected(self, expected: str, got: Message) -> ProtocolError:
        return ProtocolError(self.name, 0, f"the message {expected}", f"{got.label}")

    def _parsed(self, unpack: Callable[[bytes], T], message: Message) -> T:
        """The body of a message. Raises ProtocolError where it is not as its type says."""
        try:
            return unpack(message.body)
        except ConfigError as error:
            raise ProtocolError(self.name, 0, f"the body of {message.label}", str(error)) from error


def _consecutive(addresses: Data, most: int) -> Iterator[tuple[int, int]]:
    """Where runs of consecutive addresses begin and end, none longer than `most`."""
    edges = np.flatnonzero(np.diff(addresses.astype(np.int64)) != 1) + 1
    for begin, end in pairwise([0, *edges.tolist(), len(addresses)]):
        yield from ((at, min(at + most, end)) for at in range(begin, end, most))


def _refuse(waiting: asyncio.Future[T], error: DeviceError) -> None:
    """Tells whoever waits, who may be gone by now."""
    if not waiting.done():
        waiting.set_exception(error)
        waiting.exception()

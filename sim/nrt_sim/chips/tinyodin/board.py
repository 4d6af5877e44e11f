"""The emulated board: a bridge's firmware around the emulated chip, as bytes in and bytes out.

It is what docs/aer-bridge.md asks of a microcontroller, without I/O and without a clock of its own: whoever serves
it (in this process, on a pseudo-terminal, over TCP or as a USB device) hands it bytes and the time. The chip keeps
its memories while it has power, whoever connects; a session ends with its link.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np

from nrt.bridge import Batch, Identity, Link, Message, Received, Sample, Stream, events, messages, words
from nrt.bridge.words import ANSWER, BRIDGE, DATA, ECHO, OPEN, PROBE
from nrt.errors import ConfigError
from nrt_sim.chips.tinyodin.board_stream import Sequencer
from nrt_sim.chips.tinyodin.core import SPEC, Chip

FIRMWARE: Final = 1
WAITING: Final = 4
"""Messages that wait for the link at which spikes stay in their FIFO, where they are felt by the chip."""

_PROBE: Final = BRIDGE.record("probe")
_SAMPLES: Final = (words.PAYLOAD - words.MESSAGE.size) // messages.SAMPLE.size
_ECHO: Final = BRIDGE.record("echo")
_AT_ONCE: Final = frozenset({words.IDENTIFY, words.COUNT, words.POWER})


class TinyOdinBoard:
    """A board with one tinyODIN. Options are those of `tinyodin+emu:` and `nrt emulate tinyodin`.

    clock:    Hz of the chip; paced: whether execution takes the time that it takes there
    offset:   µs by which the board's clock is ahead of the host's; skew_ppm: by how much it runs fast
    fifo:     event words that each FIFO takes
    power:    W that a meter of this board reads, always the same; 0: there is no meter
    seed:     draws what the memories hold at power-up
    dies_after: events after which the chip acknowledges no more; -1 for never
    misread:  bits that are read wrong over SPI, as with too fast a clock
    serial, chip, definition: what it says of itself, for tests: the chip's name and the hash of its definition
    """

    def __init__(
        self,
        *,
        clock: int = 100_000_000,
        paced: bool = False,
        offset: int = 0,
        skew_ppm: float = 0.0,
        fifo: int = 4096,
        power: float = 0.0,
        seed: int = 0,
        dies_after: int = -1,
        misread: int = 0,
        serial: str = "emulated",
        chip: str = SPEC.name,
        definition: int = SPEC.short_hash,
    ) -> None:
        if clock < 1 or fifo < 1:
            raise ConfigError(f"tinyodin: clock={clock} and fifo={fifo} must be at least 1")
        _warm()
        self.chip = Chip(seed)
        self._clock, self._fifo, self._power = clock, fifo, power
        self._offset, self._skew = offset, skew_ppm
        self._misread = np.uint32(misread)
        self._says = (serial, chip, definition)
        self._sequencer = Sequencer(self.chip, clock, depth_in=fifo, depth_out=fifo, paced=paced)
        self._sequencer.dies_after = None if dies_after < 0 else dies_after
        self._counts: Counter[str] = Counter()
        self._handlers = self._table()
        self._now = 0
        self._link = Link("board")
        self._fresh()

    def _fresh(self) -> None:
        """A new session: nothing of the old one is left."""
        self._sequencer.begin()
        self._requests: deque[Message] = deque()
        self._index = self._told = 0
        self._period, self._sample, self._sampled = 0, 0, 0
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)

    # ------------------------------------------------------------------------------------------- Board

    def connect(self) -> None:
        """Somebody opened the line. The chip keeps what it holds."""
        self._counts += self._link.counts
        self._sequencer.unsent(_spikes(self._link.unsettled()))
        self._link = Link("board")
        self._fresh()

    def receive(self, data: bytes, now: int) -> None:
        """Bytes from the host."""
        self._now = now
        for received in self._link.receive(data, now):
            self._arrived(received)
        self._work()

    def transmit(self, now: int) -> bytes:
        """What is to go to the host."""
        self._now = now
        self._work()
        return self._link.transmit(now)

    def due(self) -> int | None:
        """When there is something to send without being asked."""
        if not self._link.is_open:
            return self._link.due()
        waits = [self._sequencer.due() if self._link.waiting < WAITING else None]
        waits.append(self._sampled + self._period if self._period else None)
        times = [self._host(time) for time in waits if time is not None]
        return min([*times, *([] if (due := self._link.due()) is None else [due])], default=None)

    def counters(self) -> dict[str, int]:
        """What the board tells of itself, by the names of the protocol."""
        frames = self._counts + self._link.counts
        own = {
            "frames_received": frames["received"],
            "frames_corrupt": frames["corrupt"],
            "frames_out_of_order": frames["out of order"],
            "frames_repeated": frames["repeated"],
            "frames_resent": frames["resent"],
            "sessions": self._counts["sessions"],
            "transfers": self._counts["transfers"],
        }
        return own | dict(self._sequencer.counts)

    # ------------------------------------------------------------------------------------------- its clock

    @property
    def time(self) -> int:
        """µs of its clock when it was last served."""
        return self._offset + int(self._now * (1 + self._skew * 1e-6)) // 1000

    def _host(self, time: int) -> int:
        """The host's ns at device µs `time`."""
        return int((time - self._offset) * 1000 / (1 + self._skew * 1e-6))

    # ------------------------------------------------------------------------------------------- the link

    def _arrived(self, received: Received) -> None:
        if received.kind == OPEN:
            self._counts["sessions"] += 1
            self._sequencer.unsent(_spikes(self._link.abandoned))
            self._fresh()
        elif received.kind == PROBE:
            self._echo(received.body)
        elif received.kind == DATA:
            self._message(received.body)

    def _echo(self, body: bytes) -> None:
        if len(body) == _PROBE.size:
            host = _PROBE.integers(body)["host"]
            self._link.send_loose(ECHO, _ECHO.pack(host=host, received=self.time, sent=self.time))

    def _message(self, body: bytes) -> None:
        try:
            message = messages.unpack(body)
        except ConfigError as error:
            self._refuse("malformed", Message(0, 0, 0, b""), str(error))
            return
        if message.type in _AT_ONCE:
            self._handle(message)
        else:
            self._requests.append(message)

    def _work(self) -> None:
        """Does what can be done now: requests in order, events when it is their time, spikes onto the link."""
        moved = True
        while moved:
            moved = self._sequencer.advance(self.time)
            if self._sequencer.stalled:
                self._stall()
            moved |= self._collect()
            moved |= self._next_request()
        self._measure()
        self._link.credit = self._sequencer.credit % words.INDICES
        if self._link.is_open and self._sequencer.credit - self._told >= self._fifo // 4:
            self._link.tell()
            self._told = self._sequencer.credit

    def _next_request(self) -> bool:
        """Takes one message, if its turn has come: all but events wait for the events before them and their spikes."""
        if not self._requests or (self._requests[0].type != words.EVENTS and not self._sequencer.idle):
            return False
        self._handle(self._requests.popleft())
        return True

    def _collect(self) -> bool:
        """Puts spikes into messages, as many as the link has room for."""
        moved = False
        while self._link.is_open and self._link.waiting < WAITING:
            batch = self._sequencer.take(events.per_message(self._link.longest), self.time)
            if batch is None:
                break
            told = Batch(batch.time, self._index, batch.words)
            self._link.send(messages.pack(words.SPIKES, 0, len(batch.words), told.pack()))
            self._index = events.index_after(self._index, len(batch.words))
            moved = True
        return moved

    # ------------------------------------------------------------------------------------------- messages

    def _table(self) -> Mapping[int, Callable[[Message], tuple[int, bytes]]]:
        """What answers each type of request: rows and body."""
        return {
            words.IDENTIFY: self._identify,
            words.TRANSFER: self._transfer,
            words.WRITE: self._write,
            words.READ: self._read,
            words.CONFIGURE: self._configure,
            words.COUNT: self._count,
            words.POWER: self._set_power,
            words.RESET: self._reset,
        }

    def _handle(self, message: Message) -> None:
        try:
            if message.type == words.EVENTS:
                self._events(Batch.unpack(message))
            elif message.type in self._handlers:
                count, body = self._handlers[message.type](message)
                self._link.send(messages.pack(message.type + ANSWER, message.tag, count, body))
            else:
                self._refuse("unknown_message", message, f"type {message.type}")
        except ConfigError as error:
            self._refuse("malformed", message, str(error))

    def _refuse(self, code: str, about: Message, text: str) -> None:
        body = messages.pack_error(code, about.type, text)[: words.PAYLOAD - words.MESSAGE.size]
        self._link.send(messages.pack(words.ERROR, about.tag, 0, body))

    def _identify(self, _: Message) -> tuple[int, bytes]:
        serial, chip, definition = self._says
        own = {"spi", "aer", "time", "reset", "emulated"} | ({"power"} if self._power else set())
        identity = Identity(
            board="emulated",
            chip=chip,
            serial=serial,
            bridge_hash=BRIDGE.short_hash,
            chip_hash=definition,
            firmware=FIRMWARE,
            chip_clock=self._clock,
            events_in=self._fifo,
            events_out=self._fifo,
            capabilities=frozenset(own),
        )
        return 0, identity.pack()

    def _transfer(self, message: Message) -> tuple[int, bytes]:
        addresses, data = messages.unpack_transfers(messages.rows(message, messages.TRANSFER.size))
        return len(addresses), messages.pack_transfers(addresses, self._spi(addresses, data))

    def _write(self, message: Message) -> tuple[int, bytes]:
        address, data, contents = messages.unpack_block(message.body)
        if len(contents) != message.count:
            raise ConfigError(f"{len(contents)} bytes instead of {message.count}")
        low = np.frombuffer(contents, np.uint8).astype(np.uint32)
        self._spi(_from(address, len(contents)), low | np.uint32(data))
        return message.count, b""

    def _read(self, message: Message) -> tuple[int, bytes]:
        address, data, _ = messages.unpack_block(message.body)
        if message.count > words.PAYLOAD - words.MESSAGE.size:
            raise ConfigError(f"{message.count} bytes fit in no message")
        back = self._spi(_from(address, message.count), np.full(message.count, data, np.uint32))
        return message.count, back.astype(np.uint8).tobytes()  # the lowest 8 bits

    def _spi(self, addresses: messages.Data, data: messages.Data) -> messages.Data:
        """Transactions on the chip's bus. Raises ConfigError for what its words cannot carry."""
        bus = SPEC.wire("spi")
        wide = int(addresses.max(initial=0)) >> bus.integer("address_bits")
        if wide or int(data.max(initial=0)) >> bus.integer("data_bits"):
            raise ConfigError("wider than the chip's SPI words")
        self._counts["transfers"] += len(addresses)
        return self.chip.spi(addresses, data) ^ self._misread

    def _configure(self, message: Message) -> tuple[int, bytes]:
        stream = Stream.unpack(message.body)
        if len(stream.services) != message.count:
            raise ConfigError(f"{len(stream.services)} services instead of {message.count}")
        self._sequencer.stream = stream
        return 0, b""

    def _events(self, batch: Batch) -> None:
        expected = self._sequencer.received
        if batch.index != expected % words.INDICES:
            text = f"words from {batch.index} on, expected {expected}"
            self._refuse("missing_events", Message(words.EVENTS, 0, 0, b""), text)
        elif expected + len(batch.words) > self._sequencer.credit:
            self._refuse(
                "beyond_credit", Message(words.EVENTS, 0, 0, b""), f"{len(batch.words)} words too early"
            )
        else:
            self._sequencer.put(batch)

    def _stall(self) -> None:
        self._refuse("chip_stalled", Message(words.EVENTS, 0, 0, b""), "it does not acknowledge an event")
        self._sequencer.flush()

    def _count(self, _: Message) -> tuple[int, bytes]:
        body = messages.pack_counts(self.counters())
        return len(body) // messages.COUNTER.size, body

    def _reset(self, _: Message) -> tuple[int, bytes]:
        self.chip.reset()
        return 0, b""

    # ------------------------------------------------------------------------------------------- power

    def _set_power(self, message: Message) -> tuple[int, bytes]:
        if not self._power:
            raise ConfigError("this board has no power meter")
        self._period = messages.POWER.integers(message.body)["period"]
        self._sampled = self.time
        return 0, b""

    def _measure(self) -> None:
        """Samples of every period that has ended, in one message; of too many the oldest are lost, as indices tell."""
        while self._period and self.time >= self._sampled + self._period:
            self._sampled += self._period
            self._samples.append(Sample(self._sampled, self._sample, 0, round(self._power * 1e9)))
            self._sample += 1
        if self._samples and self._link.is_open and self._link.waiting < WAITING:
            body = messages.pack_samples(list(self._samples))
            self._link.send(messages.pack(words.SAMPLES, 0, len(self._samples), body))
            self._samples.clear()


@cache
def _warm() -> None:
    """Compiles the chip's kernels before anybody waits for an answer."""
    chip = Chip()
    registers = SPEC.registers.values()
    addresses = [SPEC.word("spi_config_write").pack_one(address=r.address) for r in registers]
    chip.spi(np.array(addresses, np.uint32), np.zeros(len(addresses), np.uint32))
    chip.aer_in(SPEC.word("aer_spike").pack(neuron=np.zeros(1, np.int64)).astype(np.uint16), 1)


def _spikes(unsettled: Sequence[bytes]) -> int:
    """Spikes in messages that were not acknowledged."""
    batches = [Batch.unpack(m) for m in map(messages.unpack, unsettled) if m.type == words.SPIKES]
    return sum(int(np.count_nonzero(events.KINDS.classify(b.words) == events.EVENT)) for b in batches)


def _from(address: int, count: int) -> messages.Data:
    return np.arange(address, address + count).astype(np.uint32)

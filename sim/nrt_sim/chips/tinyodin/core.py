"""The tinyODIN chip: its SPI, its two memories, its AER buses, and the crossbar between them.

The chip has no clock here: an input event is followed by as many clock cycles of work as its caller grants. That
is exact as long as events are far enough apart for the scheduler to empty. Closer together, the order in which
the controller takes inputs and popped spikes follows the documented cycles, without the handshakes, whose length
is the other side's.

Addresses, fields and cycles come from `firmware_specs/tinyodin.toml`. Checked against recordings of the chip's
RTL (tests/golden/test_tinyodin_rtl.py), never against silicon.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt import spec
from nrt.errors import ConfigError
from nrt_sim.chips.tinyodin import crossbar
from nrt_sim.chips.tinyodin.crossbar import Buffers, Neurons, Registers

SPEC: Final = spec.load("tinyodin")

SETTLE: Final = 1 << 20
"""Clock cycles that a network whose spikes keep each other going may run for after each event."""

_CHUNK: Final = 1 << 13  # output events between two looks at the buffers
_KINDS: Final = {
    "aer_spike": crossbar.SPIKE,
    "aer_reference_one": crossbar.LEAK,
    "aer_reference_all": crossbar.LEAK_ALL,
    "aer_virtual": crossbar.VIRTUAL,
}
_BUS: Final = 4  # bytes of both memories' words on the chip

Outputs = tuple[NDArray[np.uint8], NDArray[np.int64]]


class Chip:
    """One chip. Powers up with arbitrary contents, drawn from `seed`: neither memories nor registers have a reset."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        neurons, synapses = SPEC.memory("neurons"), SPEC.memory("synapses")
        self._words = random.integers(0, 1 << neurons.width, neurons.words, np.uint32)
        self._pairs = random.integers(0, 1 << synapses.width, synapses.words, np.uint8)
        self.registers = {r.name: int(random.integers(0, 1 << r.width)) for r in SPEC.registers.values()}
        self._cells: Neurons | None = None  # the neuron words taken apart, while the network runs
        self._weights: NDArray[np.int8] | None = None
        self._work = _buffers()

    def reset(self) -> None:
        """The reset pin: empties the scheduler. Memories and registers keep what they hold."""
        self._program()
        self._work = _buffers()

    @property
    def ready(self) -> bool:
        """Whether events are acknowledged: not while SPI_GATE_ACTIVITY is set."""
        return not self.registers["SPI_GATE_ACTIVITY"]

    @property
    def at_rest(self) -> bool:
        """Whether no event is waiting in the scheduler."""
        return not self._work.s[crossbar.COUNT]

    @property
    def overflows(self) -> int:
        """Spikes since the last reset that found the scheduler full, which the chip loses."""
        return int(self._work.s[crossbar.OVERFLOWS])

    def aer_in(self, words: NDArray[np.uint16], gap: int = SETTLE) -> Outputs:
        """Input events in order; after each the chip runs until it is at rest, for `gap` clock cycles at most.

        words: of the input bus (`kinds.aer_in`). Returns the output events, uint8[n] neuron addresses, and for
        each the index of the input that came last before it, int64[n]; -1 for what still came of earlier calls.
        Raises ConfigError while the gate is closed (`ready`), and for what is no word of the bus.
        """
        if not self.ready:
            raise ConfigError("tinyODIN acknowledges no event while SPI_GATE_ACTIVITY is set")
        return self._run(*_decoded(words), gap)

    def run(self, cycles: int = SETTLE) -> NDArray[np.uint8]:
        """The output events of up to `cycles` clock cycles without input. With the gate closed, nothing happens."""
        if not self.ready or self.at_rest:
            return np.empty(0, np.uint8)
        nothing = np.empty(0, np.uint8)
        self._work.s[crossbar.LEFT] = cycles
        return self._run(nothing, nothing, nothing.view(np.int8), 0)[0]

    def spi(self, addresses: NDArray[np.uint32], data: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """SPI transactions in order: 20-bit address and data each. Returns what the chip sent, 0 where nothing.

        Memories are reached only with the gate closed; otherwise a read gives a byte of the word accessed last
        and a write does nothing, as on the chip.
        """
        addresses, data = np.broadcast_arrays(addresses.astype(np.uint32), data.astype(np.uint32))
        out = np.zeros(addresses.shape, np.uint32)
        group = SPEC.kinds("spi_address")
        kinds = group.classify(addresses)
        for begin, end in _runs(kinds):
            part = slice(begin, end)
            name = group.names[kinds[begin]] if kinds[begin] >= 0 else ""
            if name == "spi_config_write":
                self._configure(addresses[part], data[part])
            elif name == "spi_neuron":
                out[part] = self._neuron_memory(addresses[part], data[part])
            elif name == "spi_synapse":
                out[part] = self._synapse_memory(addresses[part], data[part])
        return out

    def neuron_words(self) -> NDArray[np.uint32]:
        """A copy of the neuron memory, by no bus."""
        self._program()
        return self._words.copy()

    def _configure(self, addresses: NDArray[np.uint32], data: NDArray[np.uint32]) -> None:
        at = SPEC.word("spi_config_write").unpack(addresses)["address"]
        known = {register.address: register for register in SPEC.registers.values()}
        for address, value in zip(at.tolist(), data.tolist(), strict=True):
            if address in known:
                register = known[address]
                self.registers[register.name] = register.word.unpack_one(value)["value"]

    def _neuron_memory(self, addresses: NDArray[np.uint32], data: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Reads and byte writes, one after the other where they alternate."""
        at = _integers(SPEC.word("spi_neuron").unpack(addresses))
        if self.ready:
            return _reply(at["read"], _bytes(np.array([self._shown()], np.uint32))[at["byte"]])
        self._program()
        out = np.zeros(len(addresses), np.uint32)
        for begin, end in _runs(at["write"]):
            part = slice(begin, end)
            words, places = at["neuron"][part], at["byte"][part]
            held = _bytes(self._words)[words * _BUS + places]
            if at["write"][begin]:
                self._write_neurons(words, places, data[part])
            out[part] = _reply(at["read"][part], held)
        self._work.s[crossbar.LAST] = at["neuron"][-1]
        self._work.s[crossbar.BEFORE] = SPEC.word("neuron").unpack_one(int(self._words[at["neuron"][-1]]))[
            "core"
        ]
        return out

    def _write_neurons(
        self, words: NDArray[np.int64], places: NDArray[np.int64], data: NDArray[np.uint32]
    ) -> None:
        """Each byte's write-back is compared with the threshold too: with the loop closed that makes spikes."""
        value = _integers(SPEC.word("spi_data").unpack(data))
        memory = _bytes(self._words)
        at = words * _BUS + places
        layout = SPEC.word("neuron")
        step = len(at) if self.registers["SPI_OPEN_LOOP"] else 1
        for k in range(0, len(at), step):
            old = layout.unpack_one(int(memory.view("<u4")[words[k]]))
            if step == 1 and 0 <= old["core"] >= old["thr"] and not old["neur_disable"]:
                crossbar.push_spike(words[k], self._work)
            part = slice(k, k + step)
            crossbar.write_bytes(memory, at[part], value["keep"][part], value["byte"][part])
        self._words = memory.view("<u4").astype(np.uint32)

    def _synapse_memory(self, addresses: NDArray[np.uint32], data: NDArray[np.uint32]) -> NDArray[np.uint32]:
        at = _integers(SPEC.word("spi_synapse").unpack(addresses))
        row = len(self._pairs) // SPEC.limit("neurons")
        index = at["pre"] * row + at["pair"]
        if self.ready:
            first = self._work.s[crossbar.ROW] * row + self.registers["SPI_MAX_NEUR"] // 2 // _BUS * _BUS
            return _reply(at["read"], self._pairs[first + at["pair"] % _BUS])
        self._weights = None
        value = _integers(SPEC.word("spi_data").unpack(data))
        out = np.zeros(len(addresses), np.uint32)
        for begin, end in _runs(at["write"]):
            part = slice(begin, end)
            held = self._pairs[index[part]].astype(np.int64)
            if at["write"][begin]:
                crossbar.write_bytes(self._pairs, index[part], value["keep"][part], value["byte"][part])
            out[part] = _reply(at["read"][part], held)
        self._work.s[crossbar.ROW] = at["pre"][-1]
        return out

    def _shown(self) -> int:
        """What the neuron memory's output still shows: the word accessed last, as it was then."""
        fields = SPEC.word("neuron").unpack_one(int(self.neuron_words()[self._work.s[crossbar.LAST]]))
        return SPEC.word("neuron").pack_one(**fields | {"core": int(self._work.s[crossbar.BEFORE])})

    def _program(self) -> None:
        """The neuron words put together again."""
        cells, self._cells = self._cells, None
        if cells is not None:
            self._words = (
                SPEC.word("neuron")
                .pack(
                    core=cells.state, thr=cells.threshold, leak_str=cells.leak, neur_disable=1 - cells.enabled
                )
                .astype(np.uint32)
            )

    def _taken_apart(self) -> tuple[Neurons, NDArray[np.int8]]:
        """Neurons and weights as the crossbar works on them."""
        if self._cells is None:
            fields = SPEC.word("neuron").unpack(self._words)
            state, threshold, leak, disabled = (
                fields[name].astype(np.int32) for name in ("core", "thr", "leak_str", "neur_disable")
            )
            width = SPEC.format("membrane")
            self._cells = Neurons(state, threshold, leak, 1 - disabled, width.low, width.high)
        if self._weights is None:
            pairs = SPEC.word("synapse_pair").unpack(self._pairs)
            both = np.stack([pairs["even"], pairs["odd"]], axis=-1).astype(np.int8)
            self._weights = both.reshape(SPEC.limit("neurons"), -1)
        return self._cells, self._weights

    def _run(
        self, kinds: NDArray[np.uint8], addresses: NDArray[np.uint8], strengths: NDArray[np.int8], gap: int
    ) -> Outputs:
        cells, weights = self._taken_apart()
        registers = Registers(
            bool(self.registers["SPI_OPEN_LOOP"]),
            bool(self.registers["SPI_AER_SRC_CTRL_nNEUR"]),
            self.registers["SPI_MAX_NEUR"],
        )
        costs = _costs(registers.last + 1)
        work = self._work
        work.s[crossbar.NEXT] = 0
        out: list[NDArray[np.uint8]] = []
        cause: list[NDArray[np.int64]] = []
        done = False
        while not done:
            work.s[crossbar.OUT] = 0
            done = crossbar.run(kinds, addresses, strengths, gap, cells, weights, registers, costs, work)
            out.append(work.out[: work.s[crossbar.OUT]].copy())
            cause.append(work.cause[: work.s[crossbar.OUT]].copy())
        return np.concatenate(out), np.concatenate(cause)


def _buffers() -> Buffers:
    depth, neurons = SPEC.limit("scheduler_fifo"), SPEC.limit("neurons")
    return Buffers(
        np.zeros(depth, np.uint8),
        np.zeros(depth, np.int8),
        np.zeros(crossbar.PLACES, np.int64),
        np.zeros(_CHUNK, np.uint8),
        np.zeros(_CHUNK, np.int64),
        np.zeros(neurons, np.int32),
    )


def _costs(neurons: int) -> NDArray[np.int64]:
    """Clock cycles that a word of the scheduler keeps the controller busy, by its kind: all but those of its push."""
    push = int(SPEC.duration("spike").value)
    cycles = np.zeros(len(_KINDS), np.int64)
    cycles[crossbar.SPIKE] = SPEC.duration("spike").total(neuron=neurons) - push
    cycles[crossbar.VIRTUAL] = SPEC.duration("virtual").total() - push
    return cycles


def _decoded(words: NDArray[np.uint16]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int8]]:
    """Kind, address and weight of each input event. Raises ConfigError for words wider than the bus."""
    group = SPEC.kinds("aer_in")
    found = group.classify(words)
    if found.size and int(found.min()) < 0:
        at = int(np.argmin(found))
        raise ConfigError(f"AER input {at}, {int(words[at]):#x}, is no event of tinyODIN's input bus")
    kinds = np.array([_KINDS[name] for name in group.names], np.uint8)[found]
    addresses, strengths = np.zeros(len(words), np.uint8), np.zeros(len(words), np.int8)
    for index, word in enumerate(group.words):
        at = found == index
        fields = word.unpack(words[at])
        if "neuron" in fields:
            addresses[at] = fields["neuron"]
        if "weight" in fields:
            strengths[at] = fields["weight"]
    return kinds, addresses, strengths


def _runs(keys: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Where runs of equal keys begin and end."""
    edges = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist(), len(keys)]
    yield from ((a, b) for a, b in pairwise(edges) if b > a)


def _bytes(words: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """A copy of the words as the SPI reaches them: bytes, the least significant of each word first."""
    return words.astype("<u4").view(np.uint8)


def _integers(fields: dict[str, NDArray[np.integer[Any]]]) -> dict[str, NDArray[np.int64]]:
    return {name: values.astype(np.int64) for name, values in fields.items()}


def _reply(read: NDArray[np.int64], held: NDArray[Any]) -> NDArray[np.uint32]:
    """SPI data of the reads among the transactions, 0 for the others."""
    sent: NDArray[np.uint32] = SPEC.word("spi_read").pack(byte=held.astype(np.uint32)).astype(np.uint32)
    return np.where(read != 0, sent, np.uint32(0))

"""The tinyODIN chip where the recordings do not go: full scheduler, endless loops, odd words, traps of programming."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt import spec
from nrt.errors import ConfigError
from nrt_sim.chips.tinyodin.core import Chip

CHIP = spec.load("tinyodin")
GAP = 6000  # clock cycles after each event


def configure(chip: Chip, **registers: int) -> None:
    for name, value in registers.items():
        address = CHIP.word("spi_config_write").pack(address=[CHIP.register(name).address])
        chip.spi(address, np.array([value], np.uint32))


def write_neuron(chip: Chip, n: int, word: int, keep: int = 0) -> None:
    """The four bytes of a neuron's word, least significant first."""
    at = CHIP.word("spi_neuron").pack(read=0, write=1, byte=np.arange(4), neuron=n)
    chip.spi(at, CHIP.word("spi_data").pack(keep=keep, byte=[word >> 8 * k & 0xFF for k in range(4)]))


def read_neuron(chip: Chip, n: int) -> int:
    at = CHIP.word("spi_neuron").pack(read=1, write=0, byte=np.arange(4), neuron=n)
    return int.from_bytes(chip.spi(at, np.zeros(4, np.uint32)).astype(np.uint8).tobytes(), "little")


def neuron_word(**fields: int) -> int:
    return CHIP.word("neuron").pack_one(**{"core": 0, "thr": 0, "leak_str": 0, "neur_disable": 0} | fields)


def programmed(
    neurons: NDArray[np.uint32], weights: NDArray[np.int64], open_loop: int, source: int, last: int
) -> Chip:
    chip = Chip()
    configure(chip, SPI_GATE_ACTIVITY=1, SPI_OPEN_LOOP=1)
    n, byte = (grid.ravel() for grid in np.mgrid[0:256, 0:4])
    at = CHIP.word("spi_neuron").pack(read=0, write=1, byte=byte, neuron=n)
    chip.spi(at, neurons.astype("<u4").view(np.uint8).astype(np.uint32))
    pre, pair = (grid.ravel() for grid in np.mgrid[0:256, 0:128])
    at = CHIP.word("spi_synapse").pack(read=0, write=1, pre=pre, pair=pair)
    even, odd = weights[:, 0::2].ravel(), weights[:, 1::2].ravel()
    chip.spi(at, CHIP.word("synapse_pair").pack(even=even, odd=odd))
    configure(
        chip, SPI_AER_SRC_CTRL_nNEUR=source, SPI_MAX_NEUR=last, SPI_OPEN_LOOP=open_loop, SPI_GATE_ACTIVITY=0
    )
    return chip


class Plain:
    """The documented chip in plain Python, neuron by neuron."""

    def __init__(
        self, neurons: NDArray[np.uint32], weights: NDArray[np.int64], open_loop: int, source: int, last: int
    ) -> None:
        fields = CHIP.word("neuron").unpack(neurons)
        self.state, self.threshold, self.leak, self.disabled = (
            fields[name].tolist() for name in ("core", "thr", "leak_str", "neur_disable")
        )
        self.weights, self.open_loop, self.source, self.last = weights, open_loop, source, last
        self.fifo: deque[tuple[int, int]] = deque()
        self.out: list[int] = []
        self.lost = 0

    def push(self, n: int, weight: int = 0) -> None:
        if len(self.fifo) == 128:
            self.lost += 1
        else:
            self.fifo.append((n, weight))

    def settle(self, n: int, state: int) -> None:
        fires = state >= 0 and state >= self.threshold[n]
        self.state[n] = 0 if fires else state
        if fires and not self.disabled[n]:
            if not self.source:
                self.out.append(n)
            if not self.open_loop:
                self.push(n)

    def receive(self, n: int, weight: int) -> None:
        self.settle(n, max(-2048, min(2047, self.state[n] + weight)))

    def leaked(self, n: int) -> None:
        state, leak = self.state[n], self.leak[n]
        self.settle(n, min(0, state + leak) if state < 0 else max(0, state - leak))

    def event(self, word: int) -> None:
        if word & 0x100:
            for n in range(self.last + 1) if word & 0xFF == 0xFF else [word & 0xFF]:
                self.leaked(n)
        elif word & 0x200:
            weight = word >> 4 & 0xF
            self.push(word & 0xF, weight - 16 if weight > 7 else weight)
        else:
            self.push(word & 0xFF)
        left = GAP
        while self.fifo and (left > 0 or len(self.fifo) == 128):
            n, weight = self.fifo[0]  # it keeps its place while it is worked on
            if weight:
                self.receive(n, weight)
                left -= 2
            else:
                for target in range(self.last + 1):
                    self.receive(target, int(self.weights[n, target]))
                left -= 2 * (self.last + 1)
                if self.source:
                    self.out.append(n)
            self.fifo.popleft()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_any_network_does_what_the_documentation_says_to_the_last_bit(seed: int) -> None:
    """Excitable ones, too, that fill the scheduler and never come to rest."""
    random = np.random.default_rng(seed)
    neurons = CHIP.word("neuron").pack(
        core=random.integers(-2048, 2048, 256),
        thr=random.integers(0, random.choice([20, 300, 4096]), 256),
        leak_str=random.integers(0, 128, 256),
        neur_disable=random.random(256) < 0.1,
    )
    weights = random.integers(random.choice([-8, -2, 0]), 8, (256, 256))
    choices = (int(random.integers(0, 2)), int(random.integers(0, 2)), int(random.choice([0, 15, 40, 255])))
    words = random.integers(0, 1024, 12).astype(np.uint16)
    chip, plain = (
        programmed(neurons.astype(np.uint32), weights, *choices),
        Plain(neurons.astype(np.uint32), weights, *choices),
    )

    out, _ = chip.aer_in(words, GAP)
    for word in words.tolist():
        plain.event(word)

    assert out.tolist() == plain.out
    state = CHIP.word("neuron").unpack(chip.neuron_words())["core"]
    assert state.tolist() == plain.state
    assert chip.overflows == plain.lost
    assert chip.at_rest == (not plain.fifo)


def test_spikes_that_find_the_scheduler_full_are_lost_and_counted() -> None:
    """One spike makes 256: the one at work keeps its place, so that 127 of them fit."""
    neurons = np.full(256, neuron_word(thr=1), np.uint32)
    weights = np.zeros((256, 256), np.int64)
    weights[7] = 1
    weights[0:7] = weights[8:] = -1
    chip = programmed(neurons, weights, 0, 0, 255)

    out, cause = chip.aer_in(np.array([7], np.uint16))

    assert out[:256].tolist() == list(range(256))
    assert set(cause.tolist()) == {0}
    assert chip.overflows >= 256 - 127


def test_a_network_that_keeps_itself_going_returns_and_goes_on_later() -> None:
    neurons = np.full(256, neuron_word(thr=1), np.uint32)
    weights = np.zeros((256, 256), np.int64)
    weights[0, 1] = weights[1, 0] = 7
    chip = programmed(neurons, weights, 0, 0, 1)
    first, _ = chip.aer_in(np.array([0], np.uint16), 4000)
    assert not chip.at_rest
    assert len(first) > 500
    later = chip.run(40)
    assert len(later) == 10
    assert [later[k] != later[k + 1] for k in range(9)] == [True] * 9
    _, cause = chip.aer_in(np.array([5], np.uint16), 100)
    assert set(cause.tolist()) <= {-1, 0}


def test_a_virtual_event_of_weight_zero_is_a_spike_of_that_neuron() -> None:
    weights = np.zeros((256, 256), np.int64)
    weights[3] = 5
    neurons = np.full(256, neuron_word(thr=2000), np.uint32)
    chip = programmed(neurons, weights, 1, 1, 9)
    word = CHIP.word("aer_virtual").pack(weight=[0, 4], neuron=3).astype(np.uint16)

    out, _ = chip.aer_in(word)

    assert out.tolist() == [3]  # only the one that went for a spike is told by the controller
    state = CHIP.word("neuron").unpack(chip.neuron_words())["core"].tolist()
    assert state[:12] == [5, 5, 5, 9, 5, 5, 5, 5, 5, 5, 0, 0]


def test_programming_neurons_with_the_loop_closed_makes_spikes_out_of_nothing() -> None:
    neurons = np.full(256, neuron_word(thr=2000), np.uint32)
    neurons[200] = 0
    chip = programmed(neurons, np.zeros((256, 256), np.int64), 1, 1, 3)
    configure(chip, SPI_GATE_ACTIVITY=1, SPI_OPEN_LOOP=0)
    write_neuron(chip, 200, neuron_word(core=5, thr=0xABC))
    assert read_neuron(chip, 200) == neuron_word(core=5, thr=0xABC)
    assert len(chip.run()) == 0  # the gate is closed
    configure(chip, SPI_GATE_ACTIVITY=0)
    assert not chip.at_rest
    # the old word, state 0 at threshold 0, passes the test until the threshold's bytes are in
    assert chip.run().tolist() == [200, 200]


def test_a_mask_keeps_bits_and_the_gate_keeps_the_memories() -> None:
    chip = programmed(np.zeros(256, np.uint32), np.zeros((256, 256), np.int64), 1, 0, 255)
    write_neuron(chip, 9, 0x12345678)
    assert chip.neuron_words()[9] == 0  # the network runs: the SPI reaches no memory
    configure(chip, SPI_GATE_ACTIVITY=1)
    write_neuron(chip, 9, 0x12345678)
    write_neuron(chip, 9, 0, keep=0xF0)
    assert read_neuron(chip, 9) == 0x10305070
    configure(chip, SPI_GATE_ACTIVITY=0)
    chip.aer_in(CHIP.word("aer_reference_one").pack(neuron=[4]).astype(np.uint16))
    assert read_neuron(chip, 9) == 0  # what was accessed last: neuron 4


def test_synapses_are_read_back_pair_by_pair() -> None:
    random = np.random.default_rng(3)
    weights = random.integers(-8, 8, (256, 256))
    chip = programmed(np.zeros(256, np.uint32), weights, 1, 0, 255)
    configure(chip, SPI_GATE_ACTIVITY=1)
    pre, pair = random.integers(0, 256, 500), random.integers(0, 128, 500)
    at = CHIP.word("spi_synapse").pack(read=1, write=0, pre=pre, pair=pair)
    both = CHIP.word("synapse_pair").unpack(chip.spi(at, np.zeros(1, np.uint32)).astype(np.uint8))
    assert both["even"].tolist() == weights[pre, 2 * pair].tolist()
    assert both["odd"].tolist() == weights[pre, 2 * pair + 1].tolist()


def test_events_are_refused_with_the_gate_closed_and_where_they_are_no_words_of_the_bus() -> None:
    chip = programmed(np.zeros(256, np.uint32), np.zeros((256, 256), np.int64), 1, 0, 255)
    with pytest.raises(ConfigError, match="AER input 1, 0x400"):
        chip.aer_in(np.array([3, 0x400], np.uint16))
    configure(chip, SPI_GATE_ACTIVITY=1)
    assert not chip.ready
    with pytest.raises(ConfigError, match="SPI_GATE_ACTIVITY"):
        chip.aer_in(np.array([3], np.uint16))


def test_power_up_is_arbitrary_and_a_reset_keeps_memories_and_registers() -> None:
    assert not np.array_equal(Chip(1).neuron_words(), Chip(2).neuron_words())
    chip = Chip(1)
    before, registers = chip.neuron_words(), dict(chip.registers)
    chip.reset()
    assert np.array_equal(chip.neuron_words(), before)
    assert chip.registers == registers
    assert chip.at_rest

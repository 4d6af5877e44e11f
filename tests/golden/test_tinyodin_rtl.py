"""tinyODIN against recordings of its own RTL: every spike in order with its cause, and every bit of state.

The recordings (../shared/data/tinyodin, Verilator on github.com/ChFrenkel/tinyODIN at 1865653) have the registers,
both memories, the AER input, the AER output with the input that caused it, and the neuron memory afterwards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt import spec
from nrt_sim.chips.tinyodin.core import Chip

CHIP = spec.load("tinyodin")
RECORDINGS = Path(__file__).parents[2].parent / "shared" / "data" / "tinyodin"
FILES = sorted(RECORDINGS.glob("*.npz"))

pytestmark = pytest.mark.skipif(
    not FILES, reason="the RTL recordings of ../shared/data/tinyodin are not here"
)


def configure(chip: Chip, **registers: int) -> None:
    """Writes registers over the SPI, in the order given."""
    for name, value in registers.items():
        address = CHIP.word("spi_config_write").pack(address=[CHIP.register(name).address])
        chip.spi(address, np.array([value], np.uint32))


def neuron_bytes(write: int) -> NDArray[np.uint32]:
    """The addresses of all bytes of the neuron memory, word by word."""
    n, byte = (grid.ravel() for grid in np.mgrid[0:256, 0:4])
    return CHIP.word("spi_neuron").pack(read=1 - write, write=write, byte=byte, neuron=n).astype(np.uint32)


def synapse_bytes(write: int) -> NDArray[np.uint32]:
    """The addresses of all bytes of the synapse memory, in the order of the recordings' [8192, 4]."""
    pre, pair = (grid.ravel() for grid in np.mgrid[0:256, 0:128])
    return CHIP.word("spi_synapse").pack(read=1 - write, write=write, pre=pre, pair=pair).astype(np.uint32)


def programmed(chip: Chip, recording: dict[str, NDArray[np.generic]]) -> None:
    """As the recordings were made: programmed with the loop open, then the registers, then the gate released."""
    configure(chip, SPI_GATE_ACTIVITY=1, SPI_OPEN_LOOP=1)
    chip.spi(synapse_bytes(1), recording["synapse_bytes"].astype(np.uint32).ravel())
    chip.spi(neuron_bytes(1), recording["neuron_words"].astype("<u4").view(np.uint8).astype(np.uint32))
    configure(
        chip,
        SPI_AER_SRC_CTRL_nNEUR=int(recording["aer_src_ctrl_nneur"].item()),
        SPI_MAX_NEUR=int(recording["max_neur"].item()),
        SPI_OPEN_LOOP=int(recording["open_loop"].item()),
        SPI_GATE_ACTIVITY=0,
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_spike_and_every_bit_of_state_is_the_rtls(file: Path, seed: int) -> None:
    recording = dict(np.load(file))
    chip = Chip(seed)
    programmed(chip, recording)

    out, cause = chip.aer_in(recording["aer_in"], int(recording["gap_cycles"]))

    np.testing.assert_array_equal(out, recording["aer_out"])
    np.testing.assert_array_equal(cause, recording["aer_out_cause"])
    configure(chip, SPI_GATE_ACTIVITY=1)
    after = chip.spi(neuron_bytes(0), np.zeros(1, np.uint32)).astype(np.uint8).view("<u4")
    np.testing.assert_array_equal(after, recording["neuron_words_after"])
    synapses = chip.spi(synapse_bytes(0), np.zeros(1, np.uint32)).reshape(8192, 4)
    np.testing.assert_array_equal(synapses, recording["synapse_bytes"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_event_by_event_gives_what_all_at_once_gives(file: Path) -> None:
    recording = dict(np.load(file))
    chip = Chip()
    programmed(chip, recording)

    parts = [chip.aer_in(recording["aer_in"][k : k + 1])[0] for k in range(len(recording["aer_in"]))]

    np.testing.assert_array_equal(np.concatenate(parts), recording["aer_out"])
    np.testing.assert_array_equal(chip.neuron_words(), recording["neuron_words_after"])

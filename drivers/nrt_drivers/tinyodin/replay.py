"""Replaying recordings of the chip: program it as it was, give it the same events, compare everything that it does.

A recording is an .npz with the registers `open_loop`, `aer_src_ctrl_nneur` and `max_neur`, the memories before
(`neuron_words` u4[256], `synapse_bytes` u1[8192, 4]: words of the synapse memory and their bytes) and after
(`neuron_words_after`), the input events `aer_in` and the output events `aer_out` with `aer_out_cause`, the index of
the input that came last before each. `gap_cycles` is how long the chip was left alone after each input.
"""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.bridge import Bridge, events
from nrt.errors import BadRecording, NotFound
from nrt_drivers.tinyodin import load
from nrt_drivers.tinyodin.chip import CHIP

Integers = NDArray[np.int64]

_NEURONS: Final = CHIP.memory("neurons").words
_SYNAPSES: Final = CHIP.memory("synapses").words
_LONGEST: Final = 1 << 24  # events of a recording: far beyond what an RTL simulation writes


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a recording holds, as whole numbers that fit the chip. pairs: [source address, pair of neurons]."""

    open_loop: int
    aer_source: int
    max_neuron: int
    gap_cycles: int
    neurons: Integers
    pairs: Integers
    inputs: Integers
    outputs: Integers
    causes: Integers
    after: Integers


def read(path: Path) -> Recording:
    """Raises NotFound, BadRecording."""
    if path.is_file() and not zipfile.is_zipfile(path):
        raise BadRecording(path, 0, "no recording of the chip: it is no .npz archive")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except FileNotFoundError as error:
        raise NotFound(str(path), f"no file {path}") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise BadRecording(path, 0, f"no recording of the chip: {error}") from error
    take = _Taker(path, arrays)
    pairs = take("synapse_bytes", _SYNAPSES, 0xFF).reshape(_NEURONS, -1)
    outputs = take("aer_out", None, 0xFF)
    return Recording(
        open_loop=take.one("open_loop", 1),
        aer_source=take.one("aer_src_ctrl_nneur", 1),
        max_neuron=take.one("max_neur", _NEURONS - 1),
        gap_cycles=take.one("gap_cycles", 1 << 31),
        neurons=take("neuron_words", _NEURONS, 0xFFFFFFFF),
        pairs=pairs,
        inputs=take("aer_in", None, 0xFFFF),
        outputs=outputs,
        causes=take("aer_out_cause", len(outputs), 1 << 40),
        after=take("neuron_words_after", _NEURONS, 0xFFFFFFFF),
    )


class _Taker:
    """Arrays of a file by name. Raises BadRecording for one that is missing, or has the wrong size or values."""

    def __init__(self, path: Path, arrays: dict[str, NDArray[Any]]) -> None:
        self._path, self._arrays = path, arrays

    def __call__(self, name: str, size: int | None, most: int) -> Integers:
        if name not in self._arrays:
            raise BadRecording(
                self._path, 0, f"it has no '{name}'; it has {', '.join(self._arrays) or 'nothing'}"
            )
        values = self._arrays[name].ravel()
        if values.dtype.kind not in "iu":
            raise BadRecording(self._path, 0, f"'{name}' holds {values.dtype}, not whole numbers")
        if len(values) != (len(values) if size is None else size) or len(values) > _LONGEST:
            raise BadRecording(
                self._path, 0, f"'{name}' holds {len(values)} numbers instead of {size or 'fewer'}"
            )
        if len(values) and (int(values.min()) < 0 or int(values.max()) > most):
            raise BadRecording(self._path, 0, f"'{name}' holds numbers outside of 0 to {most}")
        return values.astype(np.int64)

    def one(self, name: str, most: int) -> int:
        """A single number."""
        return int(self(name, 1, most)[0])


async def replay(bridge: Bridge, path: Path) -> str:
    """Plays the recording at `path` on the chip behind `bridge`; "" if all is equal, or the first difference.

    Raises NotFound, BadRecording, DeviceError.
    """
    recording = read(path)
    await bridge.reset_chip()
    memories = {
        "neurons": load.neuron_bytes(recording.neurons),
        "synapses": load.synapse_bytes(recording.pairs),
    }
    parameters = {
        "aer_source": recording.aer_source,
        "max_neuron": recording.max_neuron,
        "open_loop": recording.open_loop,
    }
    await load.follow(bridge, "deploy", parameters, memories)
    clock = bridge.identity.chip_clock
    stream = load.stream(clock, recording.max_neuron, loop=not recording.open_loop)
    settle = -(-recording.gap_cycles * 1_000_000 // clock)
    await bridge.configure(dataclasses.replace(stream, settle_us=settle))
    await bridge.drain()
    spikes, causes = await _play(bridge, recording.inputs)
    after = await load.read_neurons(bridge)
    return _spikes_differ(recording, spikes, causes) or _words_differ(recording, after)


async def _play(bridge: Bridge, inputs: Integers) -> tuple[Integers, Integers]:
    """Output events, and for each the index of the input before it: every input is followed by a mark."""
    spikes: list[Integers] = []
    causes: list[Integers] = []
    most = events.TAGS // 2
    for begin in range(0, len(inputs), most):
        part = inputs[begin : begin + most]
        words = np.stack([events.pack_events(part), events.pack_marks(np.arange(len(part)))], axis=1)
        await bridge.send(words.ravel())
        got, seen = await _until(bridge, len(part))
        spikes.append(got)
        causes.append(begin + seen)
    nothing = np.zeros(0, np.int64)
    return np.concatenate([nothing, *spikes]), np.concatenate([nothing, *causes])


async def _until(bridge: Bridge, marks: int) -> tuple[Integers, Integers]:
    """Addresses of the events before the last of `marks`, and how many marks came before each."""
    spikes: list[Integers] = []
    before: list[Integers] = []
    passed = 0
    while passed < marks:
        words = (await bridge.receive()).words
        kinds = events.KINDS.classify(words)
        at = kinds == events.EVENT
        spikes.append(events.addresses(words[at]).astype(np.int64))
        before.append(passed + np.cumsum(kinds == events.MARK)[at])
        passed += int(np.count_nonzero(kinds == events.MARK))
    return np.concatenate(spikes), np.concatenate(before)


def _spikes_differ(recording: Recording, spikes: Integers, causes: Integers) -> str:
    """The first output event that is not as recorded, as a sentence; "" if there is none."""
    common = min(len(spikes), len(recording.outputs))
    differ = (spikes[:common] != recording.outputs[:common]) | (causes[:common] != recording.causes[:common])
    if differ.any():
        k = int(np.argmax(differ))
        was = f"neuron {recording.outputs[k]} after input {recording.causes[k]}"
        return f"output event {k}: recorded {was}, now neuron {spikes[k]} after input {causes[k]}"
    if len(spikes) != len(recording.outputs):
        return f"output event {common}: recorded {len(recording.outputs)} in all, now {len(spikes)}"
    return ""


def _words_differ(recording: Recording, after: NDArray[np.uint32]) -> str:
    """The first neuron whose word is not as recorded, as a sentence; "" if there is none."""
    differ = after.astype(np.int64) != recording.after
    if not differ.any():
        return ""
    n = int(np.argmax(differ))
    return f"neuron {n} at the end: recorded word {recording.after[n]:#010x}, now {int(after[n]):#010x}"

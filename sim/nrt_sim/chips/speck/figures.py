"""The figures that the emulator stands on: published ones from firmware_specs/speck2f.toml, and estimates.

What nobody has published is marked ESTIMATE here and in docs/speck-emulator.md; the rate of
synaptic operations and the queues can be changed in the emulator's URI.
"""

from __future__ import annotations

from typing import Final

import nrt.spec

_SPEC: Final = nrt.spec.load("speck2f")


def _limit(name: str) -> int:
    return int(_SPEC.limit(name))


def _table(name: str) -> tuple[int, ...]:
    return tuple(map(int, _SPEC.tables[name].values))


def _idle(rail: str) -> float:
    return next(
        row.watts for row in _SPEC.energy if row.operation == f"idle_{rail}" and row.watts is not None
    )


CORES: Final = _limit("cores")
READOUT_LAYER: Final = _limit("readout_layer")
DVS_LAYER: Final = _limit("dvs_layer")
PIXELS: Final = _limit("sensor_size")

KERNEL_WORDS: Final = _table("kernel_words")
NEURON_WORDS: Final = _table("neuron_words")

MAX_INPUT: Final = _limit("input_size")
MAX_OUTPUT: Final = _limit("output_size")
MAX_FEATURES: Final = _limit("features")
MAX_KERNEL: Final = _limit("kernel_size")
MAX_PADDING: Final = _limit("padding")
STRIDES: Final = _table("stride")
POOLINGS: Final = _table("pooling")
DECIMATIONS: Final = _table("decimator")
"""By output_decimator_interval; there is no 64."""
INTERNAL_DIVIDERS: Final = _table("internal_slow_clock")
SLOW_CLOCK_HZ: Final = (1, _limit("slow_clock_high"))
"""The datasheet says around 10 Hz and up; sinabs' own hardware test of the leak runs at 1 Hz."""
READOUT_CLASSES: Final = _limit("readout_classes") + 1

CORE_LATENCY_PS: Final = round(_SPEC.timing["nine_layers"].value * 1e6) // CORES
"""One event through nine layers takes 3.36 µs (Richter et al., arXiv 2304.06793, abstract); spread evenly here,
which is an assumption."""
SYNOP_PS: Final = round(_SPEC.timing["synaptic_operation"].value * 1e3)
"""ESTIMATE: no rate of synaptic operations is published; the definition says what it is guessed from."""
PARALLEL_CORES: Final = _table("parallel_cores")
PARALLEL: Final = round(SYNOP_PS / (_SPEC.timing["synaptic_operation_parallel"].value * 1e3))
"""ESTIMATE: by which factor the throughput of the parallel cores is larger."""
FIFO: Final = 16
"""ESTIMATE: events that wait between two cores before the sender waits."""

_RAILS: Final = _SPEC.enums["power_rail"].values
RAILS: Final = tuple(sorted(_RAILS, key=lambda name: _RAILS[name]))
"""By channel of the power monitor."""
IDLE_W: Final = tuple(_idle(rail) for rail in RAILS)
"""Per rail, as a Speck2f kit's own monitor read them. RAM and logic together are 0.419 mW, the processor's resting
power of 0.42 mW of Yao et al. 2024."""
SYNOP_J: Final = 10e-12
"""ESTIMATE, of the order of published digital chips (2.5 to 26 pJ: Tang et al., Front. Neurosci. 17 (2023), table 3);
for Speck nothing is published. Shared evenly by RAM and logic."""
POWER_HZ: Final = float(_limit("power_rate"))

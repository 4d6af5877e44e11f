"""The figures that the emulator stands on, each with its source; what nobody has published is marked an estimate.

Sources: [DS] SynSense, Speck Development Kit datasheet v1.0 (2023-08) · [SN] sinabs 3.1.3 and its documentation ·
[R] Richter et al., arXiv 2304.06793 · [Y] Yao et al., Nat. Commun. 15, 4464 (2024)
"""

from __future__ import annotations

from typing import Final

CORES: Final = 9
READOUT_LAYER: Final = 12
DVS_LAYER: Final = 13
PIXELS: Final = 128

_KI: Final = 1024
KERNEL_WORDS: Final = tuple(_KI * k for k in (16, 16, 16, 32, 32, 64, 64, 16, 16))
"""8-bit words per core [DS table 1; SN chips/dynapcnn.py]."""
NEURON_WORDS: Final = tuple(_KI * k for k in (64, 64, 64, 32, 32, 16, 16, 16, 16))
"""16-bit words per core [DS table 1; SN chips/dynapcnn.py]."""
BIAS_WORDS: Final = 1024

MAX_INPUT: Final = 128
MAX_OUTPUT: Final = 64
MAX_FEATURES: Final = 1024
MAX_KERNEL: Final = 16
STRIDES: Final = (1, 2, 4, 8)
MAX_PADDING: Final = 7
POOLINGS: Final = (1, 2, 4)
DECIMATIONS: Final = (2, 4, 8, 16, 32, 128, 256, 512)
"""By output_decimator_interval; there is no 64 [DS table 4]."""
SLOW_CLOCK_HZ: Final = (1, 10_000)
"""[DS 3.2.6.1] says around 10 Hz to 10 kHz; sinabs' own hardware test of the leak runs at 1 Hz."""
INTERNAL_DIVIDERS: Final = (14, 15, 16, 17)
READOUT_WINDOWS: Final = (1, 16, 32)
READOUT_CLASSES: Final = 16

CORE_LATENCY_PS: Final = 3_360_000 // 9
"""One event through nine layers takes 3.36 µs [R, abstract]; spread evenly here, which is an assumption."""
SYNOP_PS: Final = CORE_LATENCY_PS // 6
"""An ESTIMATE: no rate of synaptic operations is published. A synop runs through six stages (logic, kernel read,
logic, neuron read, neuron write, logic [SN tips_for_training.md]), of which one is taken to be busy at a time:
62 ns, 16 million synops a second and core."""
PARALLEL_CORES: Final = (0, 1)
PARALLEL: Final = 2
"""Cores 0 and 1 compute in parallel for a larger throughput [DS 2.4]; by which factor is an ESTIMATE."""
FIFO: Final = 16
"""Events that wait between two cores before the sender waits; an ESTIMATE, nothing is published."""

RAILS: Final = ("io", "ram", "logic", "pixel digital", "pixel analogue")
"""By channel of the power monitor [DS table 7]."""
IDLE_W: Final = (61.7e-6, 51.7e-6, 367.0e-6, 78.9e-6, 610.9e-6)
"""Per rail, as read on a Speck2f kit [SN docs/speck/notebooks/power_monitoring.ipynb]. RAM and logic together are
0.419 mW, the processor's resting power of 0.42 mW [Y, abstract]."""
SYNOP_J: Final = 10e-12
"""An ESTIMATE of the order of published digital chips (2.5 to 26 pJ: Tang et al., Front. Neurosci. 17 (2023),
table 3); for Speck nothing is published. Shared evenly by RAM and logic."""
POWER_HZ: Final = 100.0
"""Highest rate of the power monitor's samples [DS 3.2.6.4]."""

"""From a kit's bytes to A: words, gaps of their counter, calibration, and the filter after a change of range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
from nrt_drivers.ppk2.calibration import RANGES, SPEC, Calibration

_WORD: Final = SPEC.word("sample")
_COUNTERS: Final = _WORD.fields["counter"].high + 1
_SCALE: Final = float(SPEC.limit("adc_scale"))
_STEP: Final = SPEC.limits["adc_reference"] / SPEC.limits["adc_steps"]
_ALPHA: Final = float(SPEC.limits["spike_alpha"])
_ALPHA_LAST: Final = float(SPEC.limits["spike_alpha_last"])
_REPLACED: Final = SPEC.limit("spike_samples")
_LAST: Final = RANGES - 1

State = NDArray[np.float64]
"""Of the filter: running mean, running mean for range 4, range before (-1: none), samples to replace, samples since."""
MEAN, MEAN_LAST, BEFORE, REPLACE, SINCE = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What some bytes held. amps: float64[n] · logic: uint8[n] · adc: the raw values, scaled, float64[n]

    lost: samples missing before each, int64[n]
    """

    amps: NDArray[np.float64]
    logic: NDArray[np.uint8]
    adc: NDArray[np.float64]
    lost: NDArray[np.int64]


class Decoder:
    """Of one stream of samples. volts: what the kit's calibration is to take as supply"""

    def __init__(self, calibration: Calibration, volts: float) -> None:
        self._table, self._volts = calibration.table, volts
        self._rest = b""
        self._next = -1
        self.state: State = np.zeros(5)
        self.state[BEFORE] = -1

    def decode(self, data: bytes) -> Samples:
        """The samples that `data` completes."""
        data = self._rest + data
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        words = np.frombuffer(data[:whole], "<u4")
        fields = _WORD.unpack(words)
        amps = np.empty(len(words))
        adc = fields["adc"].astype(np.float64) * _SCALE
        convert(adc, fields["range"].astype(np.int64), self._table, self._volts, self.state, amps)
        return Samples(
            amps, fields["logic"].astype(np.uint8), adc, self._gaps(fields["counter"].astype(np.int64))
        )

    def _gaps(self, counters: NDArray[np.int64]) -> NDArray[np.int64]:
        if not len(counters):
            return counters
        first = self._next if self._next >= 0 else int(counters[0])
        due = np.concatenate(([first], (counters[:-1] + 1) % _COUNTERS))
        self._next = (int(counters[-1]) + 1) % _COUNTERS
        gaps: NDArray[np.int64] = (counters - due) % _COUNTERS
        return gaps


@jit
def convert(
    adc: NDArray[np.float64],
    ranges: NDArray[np.int64],
    table: NDArray[np.float64],
    volts: float,
    state: NDArray[np.float64],
    amps: NDArray[np.float64],
) -> None:
    """Fills `amps`; `state` goes on from the samples before.

    x = (adc - o) · step / r; A = ug · (x · (gs · x + gi) + s · volts + i), as Nordic's application has it; just after a
    change of range A is replaced by its running mean, in range 4 by a slower one that leaves out the first two samples.
    """
    for k in range(len(adc)):
        n = min(ranges[k], _LAST)
        x = (adc[k] - table[3, n]) * (_STEP / table[0, n])
        value = table[6, n] * (x * (table[1, n] * x + table[2, n]) + (table[4, n] * volts + table[5, n]))
        mean, mean_last = state[MEAN], state[MEAN_LAST]
        if state[BEFORE] < 0:
            state[MEAN], state[MEAN_LAST], state[BEFORE] = value, value, n
        else:
            state[MEAN] = _ALPHA * value + (1 - _ALPHA) * mean
            state[MEAN_LAST] = _ALPHA_LAST * value + (1 - _ALPHA_LAST) * mean_last
        if state[BEFORE] != n or state[REPLACE] > 0:
            if state[BEFORE] != n:
                state[SINCE], state[REPLACE] = 0, _REPLACED
            else:
                state[SINCE] += 1
            if n == _LAST:
                if state[SINCE] < 2:
                    state[MEAN], state[MEAN_LAST] = mean, mean_last
                value = state[MEAN_LAST]
            else:
                value = state[MEAN]
            state[REPLACE] -= 1
        state[BEFORE] = n
        amps[k] = value

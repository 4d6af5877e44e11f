"""The clock of a device against the host's: offset and drift, from probes, with bounds that hold.

A probe asks the device for its time: the host notes when it asked and when the answer came, and the device's time
lies in between. The midpoint is wrong by at most half the round trip, whatever the line does (Cristian 1989,
doi 10.1007/BF01784024). Of a burst of probes the one with the shortest round trip is kept, since queueing only ever
lengthens it; a least-squares line through the kept ones of a window, each weighted by the inverse square of its
bound, gives offset and rate.

The line is a weighted sum of the midpoints, so the bounds of the midpoints bound its error, as long as the device's
clock runs at one rate within the window. That is what `uncertainty_ns` and `drift_bound_ppm` say: no estimate of a
deviation, but what cannot be exceeded. A window too short to tell the rate better than any quartz keeps it is mapped
with the host's rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError

WINDOW: Final = 40
"""Bursts that a fit is made of."""
_RATE: Final = 1000.0
"""Host ns in a device µs, where both clocks run alike."""
_TICK: Final = 500.0
"""Half a device µs in ns: a device tells the µs that has begun, so its middle is taken, and may be that much off."""
SLACK_PPM: Final = 1000.0
"""How much faster or slower than the host a clock may run: ten times what a quartz does."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question for the time. sent, received: host ns (`Packet.stamp`'s clock); device: its answer in µs."""

    sent: int
    device: int
    received: int

    @property
    def round_trip(self) -> int:
        """ns between question and answer."""
        return self.received - self.sent


@dataclass(frozen=True, slots=True)
class ClockMap:
    """Device µs to host ns and back, valid around the window that it was fitted on.

    host, device:    a pair of times, ns and µs, through which the line goes; in the middle of the window
    drift_ppm:       how much faster the device's clock runs; drift_bound_ppm: how wrong that may be
    uncertainty_ns:  how wrong a time within the window may be
    round_trip_ns:   the shortest; bursts: how many were fitted
    resets:          how often the device's clock was set anew before this window
    start, end:      device µs, the window
    """

    host: int
    device: int
    drift_ppm: float
    drift_bound_ppm: float
    uncertainty_ns: float
    round_trip_ns: int
    bursts: int
    resets: int
    start: int
    end: int

    def to_host(self, device: NDArray[np.int64]) -> NDArray[np.int64]:
        """Host ns of the beginnings of device µs."""
        since: NDArray[np.int64] = np.rint((device - self.device) * self._rate).astype(np.int64)
        return since + self.host

    def to_device(self, host: NDArray[np.int64]) -> NDArray[np.int64]:
        """Device µs that have begun at host ns."""
        since: NDArray[np.int64] = np.floor((host - self.host) / self._rate).astype(np.int64)
        return since + self.device

    @property
    def _rate(self) -> float:
        return _RATE / (1 + self.drift_ppm * 1e-6)

    @property
    def offset_us(self) -> float:
        """How far the device's clock is ahead of the host's, µs, in the middle of the window."""
        return self.device - self.host / _RATE

    def __str__(self) -> str:
        drift = f"{self.drift_ppm:+.2f} ± {self.drift_bound_ppm:.3g} ppm"
        resets = f"; set anew {self.resets} times before" if self.resets else ""
        return (
            f"offset {self.offset_us / 1e6:+.6f} s, drift {drift}, good to ± {self.uncertainty_ns / 1e3:.1f} µs "
            f"({self.bursts} bursts over {(self.end - self.start) / 1e6:.3g} s, "
            f"shortest round trip {self.round_trip_ns / 1e3:.1f} µs{resets})"
        )


class Sync:
    """Follows a device's clock: takes bursts of probes, forgets old ones, notices a clock that was set anew.

    window: bursts to fit on. A clock that jumps further than probes and `slack_ppm` allow counts as reset.
    """

    def __init__(self, *, window: int = WINDOW, slack_ppm: float = SLACK_PPM) -> None:
        if window < 1 or not 0 < slack_ppm < 1e5:
            raise ConfigError(f"a window of {window} bursts and a slack of {slack_ppm} ppm make no sense")
        self._best: deque[Probe] = deque(maxlen=window)
        self._slack_ppm = slack_ppm
        self._resets = 0
        self._map: ClockMap | None = None

    @property
    def map(self) -> ClockMap | None:
        """The fit of the window; None before the first burst."""
        return self._map

    def add(self, burst: Sequence[Probe]) -> ClockMap | None:
        """Takes a burst, of which the probe with the shortest round trip counts, and fits anew.

        Bursts come in the order of time. Raises ConfigError for an answer before its question.
        """
        if not burst:
            return self._map
        best = min(burst, key=lambda probe: probe.round_trip)
        if best.round_trip < 0:
            raise ConfigError(f"a probe was answered {-best.round_trip} ns before it was sent")
        if self._best and not self._follows(self._best[-1], best):
            self._best.clear()
            self._resets += 1
        self._best.append(best)
        self._map = fit(self._best, slack_ppm=self._slack_ppm, resets=self._resets)
        return self._map

    def _follows(self, before: Probe, after: Probe) -> bool:
        """Whether one clock can have given both answers."""
        host = (_twice(after) - _twice(before)) / 2
        device = (after.device - before.device) * _RATE
        return abs(device - host) <= _bound(before) + _bound(after) + self._slack_ppm * 1e-6 * abs(host)


def fit(probes: Sequence[Probe] | deque[Probe], *, slack_ppm: float = SLACK_PPM, resets: int = 0) -> ClockMap:
    """The line through `probes`, in the order of time. Raises ConfigError without any."""
    if not probes:
        raise ConfigError("a clock cannot be mapped without probes")
    first, last = probes[0], probes[-1]
    x = np.array([probe.device - first.device for probe in probes], np.float64) + 0.5  # the middle of the µs
    y = np.array([_twice(probe) - _twice(first) for probe in probes]) / 2
    bounds = np.array([_bound(probe) for probe in probes])
    shares = bounds**-2 / (bounds**-2).sum()
    mean = float(shares @ x)
    spread = float(shares @ (x - mean) ** 2)
    slopes = shares * (x - mean) / spread if spread else np.zeros_like(x)
    doubt, known = _RATE * slack_ppm * 1e-6 / (1 - slack_ppm * 1e-6), np.zeros_like(x)
    if spread and float(np.abs(slopes) @ bounds) < doubt:
        doubt, known = 0.0, slopes
    rate = _RATE + float(known @ (y - x * _RATE))  # the slope is the midpoints' sum with these weights
    wrong = doubt + float(np.abs(known) @ bounds)
    middle = round(mean)
    return ClockMap(
        host=(_twice(first) + round(2 * (float(shares @ y) + rate * (middle - mean)))) // 2,
        device=first.device + middle,
        drift_ppm=(_RATE / rate - 1) * 1e6,
        drift_bound_ppm=(_RATE / (rate - wrong) - _RATE / rate) * 1e6,
        uncertainty_ns=1
        + max(
            float(np.abs(shares + known * (at - mean)) @ bounds) + doubt * abs(at - mean)
            for at in (float(x[0]), float(x[-1]))
        ),
        round_trip_ns=min(probe.round_trip for probe in probes),
        bursts=len(probes),
        resets=resets,
        start=first.device,
        end=last.device,
    )


def _twice(probe: Probe) -> int:
    """Twice the midpoint, host ns: a whole number however long the host has been up."""
    return probe.sent + probe.received


def _bound(probe: Probe) -> float:
    """How wrong the midpoint may be, ns."""
    return probe.round_trip / 2 + _TICK

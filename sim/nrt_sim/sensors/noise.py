"""Noise, drawn event by event: work is proportional to the noise events, not to the pixels.

Shot noise is a Poisson process over all pixels at the highest rate that any of them can have, thinned: a candidate
at pixel p is kept with probability rate(p, intensity) / highest rate (Lewis and Shedler 1979). Candidates depend on
the seed alone, so the same noise comes however the time is cut into steps. A hot pixel has a clock of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
from nrt_sim.sensors.arithmetic import exp, ln, normal, random_bits, uniform
from nrt_sim.sensors.parameters import Parameters

TIME_BITS: Final = 22
"""Bits for a time within a step: up to 4.19 s."""
HIGHEST_FACTOR: Final = 8.0

Floats = NDArray[np.float32]
Keys = NDArray[np.uint64]


def keys(seed: int) -> Keys:
    """One random stream for each purpose, from one seed."""
    return _keys(np.uint64(seed & 0xFFFF_FFFF_FFFF_FFFF))


@jit
def _keys(seed: int) -> Keys:
    out = np.empty(8, np.uint64)
    for k in range(8):
        out[k] = random_bits(seed, np.uint64(k))
    return out


class Noise:
    """Shot noise and hot pixels of one sensor; `step` gives the noise events of one step, by pixel.

    factor: rate of each pixel relative to the median, float32[pixels]
    """

    def __init__(self, parameters: Parameters, pixels: int, factor: Floats, stream: Keys) -> None:
        self._p = parameters
        self._pixels = pixels
        self._factor = factor
        self._streams = stream
        peak = max(parameters.noise_dark, parameters.noise_bright)
        self._ceiling = peak * float(factor.max(initial=0.0))
        self._hot = _choose(pixels, round(parameters.hot * pixels), stream[4])
        self._items = np.empty(1024, np.int64)
        self.reset(0)

    def reset(self, t: int) -> None:
        """Starts all clocks at t, µs."""
        low, high = self._p.hot_low, self._p.hot_high
        self._rates, self._next = _start(len(self._hot), low, high, float(t), self._streams[5])
        self._state = np.zeros(2, np.float64)  # time of the next candidate, number of candidates so far
        self._counters = np.zeros(len(self._hot), np.int64)
        total = self._ceiling * self._pixels
        self._gap = 1e6 / total if total > 0 else np.inf
        self._state[0] = _first(float(t), self._gap, self._streams[6])

    def step(self, light: Floats, t: int, span: int) -> tuple[NDArray[np.int64], int]:
        """Noise events of [t, t + span) as (pixel << 23 | µs into the step << 1 | polarity), in no order."""
        p = self._p
        rates = (p.noise_dark, p.noise_bright, p.noise_corner, self._ceiling)
        while True:
            state, counters, following = self._state.copy(), self._counters.copy(), self._next.copy()
            count = _draw(
                light, self._factor, self._pixels, float(t), float(span), rates, self._gap, self._streams[6],
                self._state, self._hot, self._rates, self._next, self._counters, self._streams[7], self._items,
            )  # fmt: skip
            if count >= 0:
                return self._items, count
            self._state, self._counters, self._next = state, counters, following
            self._items = np.empty(2 * len(self._items), np.int64)


def factors(parameters: Parameters, pixels: int, on: Floats, off: Floats, key: np.uint64) -> Floats:
    """A pixel's noise relative to the median: log-normal, and more where its thresholds are low."""
    p = parameters
    return _factors(pixels, p.noise_mismatch, p.on, p.off, on, off, key)


@jit
def _factors(
    pixels: int, spread: float, nominal_on: float, nominal_off: float, on: Floats, off: Floats, key: int
) -> Floats:
    out = np.zeros(len(on), np.float32)
    for i in range(pixels):
        lower = 0.5 * (nominal_on / on[i] + nominal_off / off[i])
        out[i] = min(exp(spread * normal(key, np.uint64(i))) * lower, HIGHEST_FACTOR)
    return out


@jit
def _choose(pixels: int, count: int, key: int) -> NDArray[np.int64]:
    """`count` different pixels, in ascending order: selection sampling (Knuth, TAOCP 2, 3.4.2 S)."""
    out = np.empty(count, np.int64)
    chosen = 0
    for i in range(pixels):
        if uniform(key, np.uint64(i)) * (pixels - i) < count - chosen:
            out[chosen] = i
            chosen += 1
    return out[:chosen]


@jit
def _start(
    count: int, low: float, high: float, t: float, key: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates in events/µs, and the time of each first event."""
    rates = np.empty(count, np.float64)
    following = np.empty(count, np.float64)
    for k in range(count):
        rates[k] = 1e-6 * low * exp(ln(high / low) * uniform(key, np.uint64(2 * k)))
        following[k] = t - ln(uniform(key, np.uint64(2 * k + 1))) / rates[k]
    return rates, following


@jit
def _first(t: float, gap: float, key: int) -> float:
    return t - ln(uniform(key, np.uint64(0))) * gap


@jit
def _draw(
    light: Floats,
    factor: Floats,
    pixels: int,
    t: float,
    span: float,
    rates: tuple[float, float, float, float],
    gap: float,
    key: int,
    state: NDArray[np.float64],
    hot: NDArray[np.int64],
    hot_rates: NDArray[np.float64],
    hot_next: NDArray[np.float64],
    hot_count: NDArray[np.int64],
    hot_key: int,
    items: NDArray[np.int64],
) -> int:
    """Fills `items`; -1 where they do not suffice."""
    dark, bright, corner, ceiling = rates
    end = t + span
    time, drawn, n = state[0], np.uint64(state[1]), 0
    while time < end:
        base = np.uint64(4) * drawn
        draw = random_bits(key, base + np.uint64(1))
        pixel = np.int64(((draw >> np.uint64(32)) * np.uint64(pixels)) >> np.uint64(32))
        rate = (bright + (dark - bright) / (1.0 + light[pixel] / corner)) * factor[pixel]
        if uniform(key, base + np.uint64(2)) * ceiling < rate:
            if n == len(items) - 1:  # one place is left for the caller's end mark
                return -1
            items[n] = pixel << 23 | np.int64(time - t) << 1 | np.int64(draw & np.uint64(1))
            n += 1
        drawn += np.uint64(1)
        time -= ln(uniform(key, base + np.uint64(4))) * gap
    state[0], state[1] = time, np.float64(drawn)
    for k in range(len(hot)):
        while hot_next[k] < end:
            if n == len(items) - 1:  # one place is left for the caller's end mark
                return -1
            base = np.uint64(k) << np.uint64(40) | np.uint64(2 * hot_count[k])
            polarity = np.int64(random_bits(hot_key, base) & np.uint64(1))
            items[n] = hot[k] << 23 | np.int64(hot_next[k] - t) << 1 | polarity
            n += 1
            hot_count[k] += 1
            hot_next[k] -= ln(uniform(hot_key, base + np.uint64(1))) / hot_rates[k]
    return n

"""Noise, drawn event by event: work is proportional to the noise events, not to the pixels.

Shot noise is one Poisson process over all pixels. Its candidates come at the rate that the darkest pixel of the
picture would give to all; each falls on a pixel with a probability proportional to that pixel's own factor (Walker's
alias method, ACM TOMS 3(3), 1977) and is kept with probability rate(its light) / rate(darkest light) (thinning: Lewis
and Shedler 1979). A hot pixel has a clock of its own. What is drawn does not depend on how time is cut into steps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
from nrt_sim.sensors.arithmetic import Word, exp, ln, normal, random_bits, uniform
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
def _keys(seed: Word) -> Keys:
    out = np.empty(8, np.uint64)
    for k in range(8):
        out[k] = random_bits(seed, np.uint64(k))
    return out


class Noise:
    """Shot noise and hot pixels of one sensor; `step` gives the noise events of one step.

    factor: rate of each pixel relative to the median, float32[pixels]
    """

    def __init__(self, parameters: Parameters, factor: Floats, streams: Keys) -> None:
        p, pixels = parameters, len(factor)
        self._p = p
        self._keep, self._other = _alias(factor)
        self._total = float(factor.sum(dtype=np.float64))
        self._streams = streams
        self._hot = _choose(pixels, round(p.hot * pixels), streams[4])
        self._items = np.empty(1024, np.int64)
        self.reset(0)

    def reset(self, t: int) -> None:
        """Starts all clocks at t, µs."""
        low, high = self._p.hot_low, self._p.hot_high
        self._rates, self._next = _start(len(self._hot), low, high, float(t), self._streams[5])
        self._state = _first(self._streams[6])
        self._counters = np.zeros(len(self._hot), np.int64)

    def step(self, light: Floats, darkest: float, t: int, span: int) -> tuple[NDArray[np.int64], int]:
        """Noise events of [t, t + span) as (pixel << 23 | µs into the step << 1 | polarity), in no order.

        light: of each pixel, of which `darkest` is the least. Returns them in an array with room for one more.
        """
        p = self._p
        numbers = (p.noise_dark, p.noise_bright, p.noise_corner, self._total)
        while True:
            state, counters, following = self._state.copy(), self._counters.copy(), self._next.copy()
            count = _shot(
                light, darkest, self._keep, self._other, span, numbers, self._streams[6], state, self._items
            )
            count = _strike(
                self._hot, self._rates, following, counters, t, span, self._streams[7], count, self._items
            )
            if count >= 0:
                self._state, self._counters, self._next = state, counters, following
                return self._items, count
            self._items = np.empty(2 * len(self._items), np.int64)


def factors(parameters: Parameters, pixels: int, on: Floats, off: Floats, key: Word) -> Floats:
    """A pixel's noise relative to the median: log-normal, and more where its thresholds are low."""
    p = parameters
    return _factors(pixels, p.noise_mismatch, p.on, p.off, on, off, key)


@jit
def _factors(
    pixels: int, spread: float, nominal_on: float, nominal_off: float, on: Floats, off: Floats, key: Word
) -> Floats:
    out = np.zeros(pixels, np.float32)
    for i in range(pixels):
        lower = 0.5 * (nominal_on / on[i] + nominal_off / off[i])
        out[i] = min(exp(spread * normal(key, np.uint64(i))) * lower, HIGHEST_FACTOR)
    return out


@jit
def _choose(pixels: int, count: int, key: Word) -> NDArray[np.int64]:
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
    count: int, low: float, high: float, t: float, key: Word
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates in events/µs, and the time of each first event."""
    rates = np.empty(count, np.float64)
    following = np.empty(count, np.float64)
    for k in range(count):
        rates[k] = 1e-6 * low * exp(ln(high / low) * uniform(key, np.uint64(2 * k)))
        following[k] = t - ln(uniform(key, np.uint64(2 * k + 1))) / rates[k]
    return rates, following


@jit
def _alias(weight: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """For each place the probability to keep it, and the place that is taken otherwise (Vose 1991)."""
    n = len(weight)
    keep = np.ones(n, np.float32)
    other = np.arange(n).astype(np.int32)
    mean = 0.0
    for i in range(n):
        mean += weight[i] / n
    left = weight / mean
    small, large = np.empty(n, np.int32), np.empty(n, np.int32)
    smalls = larges = 0
    for i in range(n):
        if left[i] < 1.0:
            small[smalls] = i
            smalls += 1
        else:
            large[larges] = i
            larges += 1
    while smalls > 0 and larges > 0:
        smalls -= 1
        i, j = small[smalls], large[larges - 1]
        keep[i], other[i] = left[i], j
        left[j] -= 1.0 - left[i]
        if left[j] < 1.0:
            larges -= 1
            small[smalls] = j
            smalls += 1
    return keep, other


@jit
def _first(key: Word) -> NDArray[np.float64]:
    """State: what is left to the next candidate, in mean distances, and the number of candidates so far."""
    out = np.zeros(2, np.float64)
    out[0] = -ln(uniform(key, np.uint64(0)))
    return out


@jit
def _shot(
    light: Floats,
    darkest: float,
    keep: Floats,
    other: NDArray[np.int32],
    span: int,
    numbers: tuple[float, float, float, float],
    key: Word,
    state: NDArray[np.float64],
    items: NDArray[np.int64],
) -> int:
    """Writes the shot noise of one step to `items`; -1 where they do not suffice."""
    dark, bright, corner, total = numbers
    ceiling = max(bright + (dark - bright) / (1.0 + darkest / corner), bright)
    pixels = np.uint64(len(keep))
    per_us = 1e-6 * ceiling * total
    left, drawn, time, n = state[0], np.uint64(state[1]), 0.0, 0
    while time + left / per_us < span:  # for a rate of 0 this is infinite
        time += left / per_us
        base = np.uint64(8) * drawn
        place = np.int64(((random_bits(key, base + np.uint64(1)) >> np.uint64(32)) * pixels) >> np.uint64(32))
        draw = random_bits(key, base + np.uint64(2))
        pixel = place
        if np.float64(draw >> np.uint64(32)) * 2.3283064365386963e-10 >= keep[place]:
            pixel = np.int64(other[place])
        rate = bright + (dark - bright) / (1.0 + light[pixel] / corner)
        if uniform(key, base + np.uint64(3)) * ceiling < rate:
            if n >= len(items) - 1:
                return -1
            items[n] = pixel << 23 | np.int64(time) << 1 | np.int64(draw & np.uint64(1))
            n += 1
        left = -ln(uniform(key, base + np.uint64(4)))
        drawn += np.uint64(1)
    state[0], state[1] = left - (span - time) * per_us, np.float64(drawn)
    return n


@jit
def _strike(
    hot: NDArray[np.int64],
    rates: NDArray[np.float64],
    following: NDArray[np.float64],
    counters: NDArray[np.int64],
    t: int,
    span: int,
    key: Word,
    n: int,
    items: NDArray[np.int64],
) -> int:
    """Adds the events of hot pixels to the n `items`; -1 where they do not suffice."""
    end = np.float64(t + span)
    for k in range(len(hot) if n >= 0 else 0):
        while following[k] < end:
            if n >= len(items) - 1:
                return -1
            base = np.uint64(k) << np.uint64(40) | np.uint64(2 * counters[k])
            polarity = np.int64(random_bits(key, base) & np.uint64(1))
            items[n] = hot[k] << 23 | np.int64(following[k] - t) << 1 | polarity
            n += 1
            counters[k] += 1
            following[k] -= ln(uniform(key, base + np.uint64(1))) / rates[k]
    return n

"""The pixel array: photoreceptors, comparators, resets, for one step of any length.

Light I (lux) becomes v = low-pass of ln(I + dark); the low-pass is of first order and faster in brighter light.
A pixel compares v with what it memorised: it fires ON when v has risen by its ON threshold, OFF when it has fallen
by its OFF threshold. It is then held in reset for the refractory period, and memorises v at the *end* of that.
The memorised value leaks downwards, so that a pixel in constant light fires ON now and then.

Within a step the light is constant and v - memorised is taken as linear in time, from the value at the step's start
to that at its end: crossings, ends of refractory periods and noise events of one pixel are handled in their order,
however many there are. A crossing's time is the whole µs in which it falls.

All state is in float32 columns. Blocks of pixels are advanced and tested together (`block`); only pixels that cross,
that are in reset or that have a noise event are looked at one by one. A pixel in reset has a memorised value that is
NaN, which fails the test for "nothing happens"; the µs until its reset ends stand in the NaN's own bits.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
from nrt_sim.sensors.arithmetic import ln32
from nrt_sim.sensors.block import LANES, advance, put_places
from nrt_sim.sensors.group import GROUP, MOST, follow_group
from nrt_sim.sensors.noise import Floats

CHUNK: Final = 4096
"""Pixels advanced before the ones that fired are looked at: their state is still in the second-level cache."""
NOBODY: Final = 1 << 62
RESET: Final = 0x7FC00000
"""The bits of a NaN with nothing in its low 22: a memorised value of RESET + k means k µs more in reset."""

Ints = NDArray[np.int64]
Addresses = tuple[int, int, int, int, int]


def column(size: int, number: int, value: float = 0.0) -> Floats:
    """A float32 column on a cache line's boundary, where no vector straddles two lines.

    number: columns of different numbers begin at different places of their memory page; at the same place, the
    processor would take a load from one for a load of what it just stored to another.
    """
    raw = np.empty(size + 2048, np.float32)
    begin = (number * 576 - raw.ctypes.data) % 4096 // 4
    raw[:] = value
    return raw[begin : begin + size]


class Columns(NamedTuple):
    """State and fixed pattern of every pixel, float32 unless said; padded to whole chunks.

    v:         low-passed logarithm of the light
    memory:    what the pixel memorised; RESET and the µs that are left while it is held in reset
    on, off:   thresholds
    leak:      by how much the memorised value falls per µs in dim light
    """

    v: Floats
    memory: Floats
    on: Floats
    off: Floats
    leak: Floats


class Step(NamedTuple):
    """One step's constants, in the units of Parameters.

    span: µs · rate: 2π·bandwidth·span · leak_light: per lux · width: pixels per row
    """

    span: int
    dark: np.float32
    rate: np.float32
    corner: np.float32
    leak_light: np.float32
    refractory: int
    width: int


class Chunk(NamedTuple):
    """Of the pixels in work. cursor: where to go on when the events did not fit, see `sense`.

    light: a copy, padded, of the last pixels, before: v before the step, masks and
    places: who must be looked at
    """

    light: Floats
    before: Floats
    masks: Ints
    places: NDArray[np.int32]
    cursor: Ints


def chunk() -> Chunk:
    """Fresh scratch memory."""
    return Chunk(
        column(CHUNK, 6, 1.0),
        column(CHUNK, 5),
        np.zeros(CHUNK // LANES, np.int64),
        np.zeros(CHUNK + 8, np.int32),
        np.full(5, -1, np.int64),
    )


@jit
def extremes(bits: NDArray[np.int32]) -> tuple[int, int]:
    """Smallest and largest of positive float32 given as their bits, which order as integers do.

    What is not positive comes out below 1, what is not finite above the bits of the largest float.
    """
    low, high = np.int32(0x7FFFFFFF), np.int32(-0x80000000)
    for i in range(len(bits)):
        low = min(low, bits[i])
        high = max(high, bits[i])
    return int(low), int(high)


@jit
def settle(light: Floats, phase: Floats, dark: np.float32, c: Columns) -> None:
    """Every pixel as if it had seen `light` for long; phase: the part of its ON threshold it has leaked already."""
    for i in range(len(light)):
        c.v[i] = ln32(light[i] + dark)
        c.memory[i] = c.v[i] - phase[i] * c.on[i]


@jit
def _advance(
    light: int, first: int, begin: int, end: int, columns: Addresses, before: int, step: Step, masks: Ints
) -> None:
    """Advances the pixels begin to end; `masks` says which of them must be looked at, LANES bits in each.

    light: address of the light of pixel `first`
    """
    v, memory, on, off, leak = columns
    span = np.float32(step.span)
    for k in range((end - begin + LANES - 1) // LANES):
        i = begin + k * LANES
        masks[k] = advance(
            light, i - first, before, k * LANES, v, memory, on, off, leak, i,
            step.dark, step.rate, step.corner, span, step.leak_light,
        )  # fmt: skip


@jit
def _places(
    masks: Ints, noise: Ints, used: int, begin: int, end: int, table: int, out: NDArray[np.int32]
) -> int:
    """Writes the places, from `begin`, of the pixels that fire or have a noise event; returns how many."""
    blocks = (end - begin + LANES - 1) // LANES
    masks[blocks - 1] &= (1 << (end - begin - (blocks - 1) * LANES)) - 1
    while noise[used] >> 23 < end:
        place = (noise[used] >> 23) - begin
        masks[place // LANES] |= 1 << place % LANES
        used += 1
    n, address = 0, out.ctypes.data
    for k in range(blocks):
        if masks[k]:
            n = put_places(table, masks[k] & 0xFF, k * LANES, address, n)
            n = put_places(table, masks[k] >> 8, k * LANES + 8, address, n)
    return n


@jit
def _follow(
    begin: int,
    places: NDArray[np.int32],
    k: int,
    count: int,
    light: Floats,
    before: Floats,
    noise: Ints,
    used: int,
    c: Columns,
    columns: Addresses,
    step: Step,
    inverse: int,
    events: Ints,
    n: int,
) -> tuple[int, int, int]:
    """What happens to each of the pixels `places`, from the k-th on. Returns k, noise events used, events.

    d is what the comparator sees, v - memorised; u the time within the step up to which it has been followed. Most
    pixels fire once at most: for them everything is computed and the right one chosen, since nobody can predict
    which branch they would take; only others enter the loop. Stops before a pixel whose events may not fit.
    """
    v, memory = c.v, c.memory
    bits = memory.view(np.int32)
    ons, offs, leaks = c.on, c.off, c.leak
    span, refractory, later = np.float64(step.span), np.float64(step.refractory), RESET - step.span
    per_us, width, leak_light = 1.0 / span, step.width, np.float64(step.leak_light)
    marked = noise[used] >> 23
    room = len(events) - 1
    where, lit, old, out = places.ctypes.data, light.ctypes.data, before.ctypes.data, events.ctypes.data
    alone = 0  # until that place pixels are followed one by one
    while k < count and n < room:
        if k >= alone and k + GROUP <= count and n + MOST * GROUP < room:
            m = follow_group(
                where, k, begin, lit, old, columns[0], columns[1], columns[2], columns[3], columns[4], marked, width,
                inverse, later, RESET, out, n, span, per_us, refractory, leak_light,
            )  # fmt: skip
            if m >= 0:
                n, k = m, k + GROUP
                continue
            alone = k + GROUP
        at = np.uint64(places[np.uint64(k)])  # indices without a sign need no test for negative ones
        i = np.uint64(begin) + at
        new, held, left = v[i], memory[i], bits[i] - RESET
        rise = np.float64(new) - np.float64(before[at])
        slope = rise * per_us + np.float64(leaks[i]) * (1.0 + leak_light * np.float64(light[i]))
        on, off = np.float64(ons[i]), -np.float64(offs[i])
        free = held == held
        u, d = np.float64(left), np.float64(new) - np.float64(held) - slope * span
        u, d = np.float64(0.0) if free else u, d if free else np.float64(0.0)
        y = (np.int64(i) * inverse) >> 40
        place = y << 16 | (np.int64(i) - y * width)
        threshold = on if slope > 0.0 else off
        when = u + (threshold - d) / slope
        fires = (when >= u) & (when < span)
        events[np.uint64(n)] = np.int64(when if fires else 0.0) << 33 | np.int64(slope > 0.0) << 32 | place
        then = when + refractory if fires else u
        wait = threshold / slope  # to the next crossing, and to each that follows
        more = fires & (then + wait < span)
        ahead = int((span - then) / (wait + refractory)) + 1 if more else 0
        if (d < on) & (d > off) & (marked != np.int64(i)) & (n + ahead < room):
            n += int(fires)
            while more:
                when = then + wait
                events[np.uint64(n)] = np.int64(when) << 33 | np.int64(slope > 0.0) << 32 | place
                n += 1
                then = when + refractory
                more = (then + wait < span) & (n < room)
            rest = new - np.float32((0.0 if fires else d) + slope * (span - then))
            bits[i] = (
                np.float32(rest).view(np.int32) if then < span else np.int32(later + np.int64(np.ceil(then)))
            )
            k += 1
            continue
        m, next_noise = n, used
        while u < span:
            rises = slope > 0.0
            when = u + ((on if rises else off) - d) / slope
            if d >= on or d <= off:
                when, rises = u, d >= on
            elif not when >= u:  # no slope
                when = span
            while noise[next_noise] >> 23 == np.int64(i) and (noise[next_noise] >> 1) & 0x3FFFFF < u:
                next_noise += 1
            if noise[next_noise] >> 23 == np.int64(i) and (noise[next_noise] >> 1) & 0x3FFFFF < when:
                when, rises = np.float64((noise[next_noise] >> 1) & 0x3FFFFF), noise[next_noise] & 1 == 1
                next_noise += 1
            if when >= span:
                break
            if m >= room:
                return k, used, n
            events[m] = np.int64(when) << 33 | np.int64(rises) << 32 | place
            m += 1
            u, d = when + refractory, np.float64(0.0)
        rest = new - np.float32(d + slope * (span - u))
        bits[i] = np.float32(rest).view(np.int32) if u < span else np.int32(later + np.int64(np.ceil(u)))
        while noise[next_noise] >> 23 == np.int64(i):
            next_noise += 1
        used, n = next_noise, m
        marked = noise[used] >> 23
        k += 1
    return k, used, n


@jit
def sense(
    light: Floats,
    address: int,
    noise: Ints,
    c: Columns,
    columns: Addresses,
    step: Step,
    s: Chunk,
    table: int,
    events: Ints,
) -> int:
    """One step of all pixels. Events as (µs into the step << 33 | polarity << 32 | y << 16 | x), by pixel.

    light: with its address · noise: events as `Noise.step` gives them, sorted by pixel, and one NOBODY behind
    columns: addresses of v, memory, on, off, leak · table: address of BITS
    Returns the number of events, or, where `events` is full, -1: call again with a longer copy of it and the same
    scratch, and the step goes on where it stopped. cursor: chunk (-1: a new step), place in it, places in it, noise
    events used, events.
    """
    begin, k, count, used, n = s.cursor[0], s.cursor[1], s.cursor[2], s.cursor[3], s.cursor[4]
    if begin < 0:
        begin, k, count, used, n = 0, 0, -1, 0, 0
    total = len(light)
    inverse = ((1 << 40) + step.width - 1) // step.width
    own, before = s.light.ctypes.data, s.before.ctypes.data
    while begin < total:
        end = min(begin + CHUNK, total)
        if count < 0:
            if end == total:
                s.light[: end - begin] = light[begin:end]
                _advance(own, begin, begin, end, columns, before, step, s.masks)
            else:
                _advance(address, 0, begin, end, columns, before, step, s.masks)
            count, k = _places(s.masks, noise, used, begin, end, table, s.places), 0
        k, used, n = _follow(
            begin, s.places, k, count, light, s.before, noise, used, c, columns, step, inverse, events, n
        )
        if k < count:
            s.cursor[0], s.cursor[1], s.cursor[2], s.cursor[3], s.cursor[4] = begin, k, count, used, n
            return -1
        begin, count = begin + CHUNK, -1
    s.cursor[0] = -1
    return int(n)

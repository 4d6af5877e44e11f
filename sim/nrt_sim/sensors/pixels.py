"""The pixel array: photoreceptors, comparators, resets, for one step of any length.

Light I (lux) becomes v = low-pass of ln(I + dark); the low-pass is of first order and faster in brighter light.
A pixel compares v with what it memorised: it fires ON when v has risen by its ON threshold, OFF when it has fallen
by its OFF threshold. It is then held in reset for the refractory period, and memorises v at the *end* of that.
The memorised value leaks downwards, so that a pixel in constant light fires ON now and then.

Within a step the light is constant and v - memorised is taken as linear in time, from the value at the step's start
to that at its end: crossings, ends of refractory periods and noise events of one pixel are handled in their order,
however many there are. A crossing's time is the whole µs in which it falls.

All state is in float32 columns. Blocks of `BLOCK` pixels are advanced and tested together (LLVM makes vectors of the
loop in `_advance`); only pixels that cross, that are in reset or that have a noise event are looked at one by one. A
pixel in reset has the memorised value NaN, which fails the test for "nothing happens".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from nrt.jit import inline, jit
from nrt_sim.sensors.arithmetic import decay32, ln32
from nrt_sim.sensors.noise import Floats

BLOCK: Final = 64
CHUNK: Final = 1024
"""Pixels advanced before the ones that fired are looked at: their state is still in the first-level cache."""
NOBODY: Final = 1 << 62


class Columns(NamedTuple):
    """State and fixed pattern of every pixel, float32 unless said; padded to whole chunks.

    v:         low-passed logarithm of the light
    memory:    what the pixel memorised; NaN while it is held in reset
    on, off:   thresholds
    leak:      by how much the memorised value falls per µs in dim light
    ready:     int64, µs at which the reset ends, where memory is NaN
    """

    v: Floats
    memory: Floats
    on: Floats
    off: Floats
    leak: Floats
    ready: NDArray[np.int64]


class Step(NamedTuple):
    """One step's constants. start, span: µs · dark: lux · rate: 2π·bandwidth·span · corner: lux."""

    start: int
    span: int
    dark: np.float32
    rate: np.float32
    corner: np.float32
    leak_light: np.float32
    refractory: int
    width: int


class Scratch(NamedTuple):
    """Of one chunk: v before the step, flags of who must be looked at, their places, where to go on."""

    before: Floats
    flags: NDArray[np.uint8]
    places: NDArray[np.int32]
    cursor: NDArray[np.int64]


def scratch() -> Scratch:
    """Fresh scratch memory."""
    return Scratch(
        np.zeros(CHUNK, np.float32),
        np.zeros(CHUNK, np.uint8),
        np.zeros(CHUNK + BLOCK, np.int32),
        np.zeros(5, np.int64),
    )


@intrinsic
def _nonzero(typing: Any, flags: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=args[0]).data
        row = ir.VectorType(ir.IntType(8), BLOCK)
        found = builder.load(builder.bitcast(builder.gep(data, [args[1]]), row.as_pointer()), align=1)
        zero = ir.Constant(row, [0] * BLOCK)
        return builder.bitcast(builder.icmp_unsigned("!=", found, zero), ir.IntType(64))

    return types.int64(flags, types.int64), generate


@intrinsic
def _lowest(typing: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), generate


nonzero: Callable[[NDArray[np.uint8], int], int] = _nonzero
"""nonzero(flags, index): a bit for each of the BLOCK flags from `index` on that is set."""
lowest: Callable[[int], int] = _lowest
"""Place of the lowest set bit."""


@jit
def first_unlit(light: Floats) -> int:
    """Index of the first intensity that is not positive and finite, or -1."""
    lit = 0
    for i in range(len(light)):
        lit += (light[i] > np.float32(0)) & (light[i] < np.float32(np.inf))
    if lit == len(light):
        return -1
    for i in range(len(light)):
        if not (light[i] > np.float32(0) and light[i] < np.float32(np.inf)):
            return i
    return -1


@jit
def settle(light: Floats, phase: Floats, dark: np.float32, c: Columns) -> None:
    """Every pixel as if it had seen `light` for long; phase: the part of its ON threshold it has leaked already."""
    for i in range(len(light)):
        c.v[i] = ln32(light[i] + dark)
        c.memory[i] = c.v[i] - phase[i] * c.on[i]


@inline
def _advance(
    light: Floats,
    v: Floats,
    memory: Floats,
    on: Floats,
    off: Floats,
    leak: Floats,
    before: Floats,
    flags: NDArray[np.uint8],
    step: Step,
) -> None:
    """All pixels of a chunk by one step; flags who must be looked at. No branches: this loop becomes vectors."""
    one = np.float32(1)
    dark, rate, corner = step.dark, step.rate, step.corner
    span, leak_light = np.float32(step.span), step.leak_light
    for i in range(len(light)):
        lit = light[i] + dark
        target = ln32(lit)
        old = v[i]
        new = target + (old - target) * decay32(rate * lit / (corner + lit))
        held = memory[i] - leak[i] * (one + leak_light * light[i]) * span
        change = new - held
        before[i] = old
        v[i] = new
        memory[i] = held
        flags[i] = not ((change < on[i]) & (change > -off[i]))


@inline
def _places(flags: NDArray[np.uint8], count: int, places: NDArray[np.int32]) -> int:
    """Writes the indices of the flags that are set; returns how many."""
    n = 0
    for block in range(0, count, BLOCK):
        bits = nonzero(flags, block)
        while bits:
            places[n] = block + lowest(bits)
            n += 1
            bits &= bits - 1
    return n


@inline
def _pixel(
    i: int,
    lux: np.float32,
    before: np.float32,
    noise: NDArray[np.int64],
    used: int,
    c: Columns,
    step: Step,
    events: NDArray[np.int64],
    n: int,
) -> tuple[int, int]:
    """Everything that happens to pixel i in one step; returns the number of events, or -1, and noise events used.

    d is what the comparator sees, v - memorised; u the time within the step up to which it has been followed.
    """
    span = np.float64(step.span)
    leak = c.leak[i] * (np.float32(1) + step.leak_light * lux)
    slope = (np.float64(c.v[i]) - np.float64(before)) / span + leak
    on, off = np.float64(c.on[i]), -np.float64(c.off[i])
    held = np.float64(c.memory[i])
    if held == held:
        u, d = 0.0, np.float64(c.v[i]) - held - slope * span
    else:
        u, d = np.float64(c.ready[i] - step.start), 0.0
    place = ((i // step.width) << 16) | (i % step.width)
    while u < span:
        when, polarity = span, np.int64(0)
        if d >= on:
            when, polarity = u, np.int64(1)
        elif d <= off:
            when = u
        elif slope > 0.0:
            when, polarity = u + (on - d) / slope, np.int64(1)
        elif slope < 0.0:
            when = u + (off - d) / slope
        while noise[used] >> 23 == i:
            at = np.float64((noise[used] >> 1) & 0x3FFFFF)
            if at >= u:
                if at < when:
                    when, polarity = at, noise[used] & 1
                break
            used += 1
        if when >= span:
            c.memory[i] = c.v[i] - np.float32(d + slope * (span - u))
            break
        if n == len(events):
            return -1, used
        events[n] = np.int64(when) << 33 | polarity << 32 | place
        n += 1
        u, d = when + step.refractory, 0.0
    if u >= span:
        c.memory[i] = np.float32(np.nan)
        c.ready[i] = step.start + np.int64(np.ceil(u))
    while noise[used] >> 23 == i:
        used += 1
    return n, used


@jit
def sense(
    light: Floats,
    noise: NDArray[np.int64],
    c: Columns,
    step: Step,
    s: Scratch,
    events: NDArray[np.int64],
) -> int:
    """One step of all pixels. Events as (µs into the step << 33 | polarity << 32 | y << 16 | x), by pixel.

    noise: noise events as `Noise.step` gives them, sorted by pixel, and one NOBODY behind them.
    Returns the number of events, or, where `events` is full, -1: call again with a longer copy of it and the same
    scratch, and the step goes on where it stopped. cursor: chunk (-1: a new step), place in it, places in it, noise
    events used, events.
    """
    cursor = s.cursor
    n = np.int64(0)
    if cursor[0] >= 0:  # goes on
        begin, k, count, used, n = cursor[0], cursor[1], cursor[2], cursor[3], cursor[4]
    else:
        begin, k, count, used = np.int64(0), np.int64(0), np.int64(-1), np.int64(0)
    total = len(light)
    while begin < total:
        end = min(begin + CHUNK, total)
        if count < 0:
            _advance(
                light[begin:end], c.v[begin:end], c.memory[begin:end], c.on[begin:end], c.off[begin:end],
                c.leak[begin:end], s.before[: end - begin], s.flags[: end - begin], step,
            )  # fmt: skip
            s.flags[end - begin :] = 0
            marked = used
            while noise[marked] >> 23 < end:
                s.flags[(noise[marked] >> 23) - begin] = 1
                marked += 1
            count, k = _places(s.flags, end - begin, s.places), 0
        while k < count:
            i = np.int64(s.places[k])
            m, used = _pixel(begin + i, light[begin + i], s.before[i], noise, used, c, step, events, n)
            if m < 0:
                cursor[0], cursor[1], cursor[2], cursor[3], cursor[4] = begin, k, count, used, n
                return -1
            n = m
            k += 1
        begin, count = begin + CHUNK, np.int64(-1)
    cursor[0] = -1
    return n

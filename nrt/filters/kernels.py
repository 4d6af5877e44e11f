"""Kernels of the filters: one pass over a packet's events each, which moves those that stay to the front.

Each takes the events as words, `uint64[n, 2]` (`nrt.packet.words`): word 0 is t, word 1 holds x, y and p. It returns
how many events stay, now the first ones, and adds those that it took out to `gone`: [0] by its own rule, [1] because
they lie outside the sensor. What it remembers stands in the arrays it is given, so that it does not matter how the
stream is cut. Every event is written, and the place to write at moves on by one or by none: that costs less than a
branch that nobody can predict. Places are unsigned, since for signed ones numba first asks whether they are negative.
The loop is written out in each: with the test for `forget` in an inlined function, or with one loop around a rule that
it closes over, some were 4 to 8 times slower (measured).

What a filter takes is the time in which the processor gets at a pixel's past, so that is kept small: times are µs in
32 bits since an origin, clock[0] (clock[1]: whether there is one), which `forget` moves on; 0 stands for never, and is
always further back than the filter looks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import inline, jit

Words = NDArray[np.uint64]
Longs = NDArray[np.int64]
Table = NDArray[np.int32]
Stamps = NDArray[np.uint32]

U: Final = np.uint64
ONE: Final = np.uint64(1)
TWO: Final = np.uint64(2)
MILLION: Final = 1_000_000
HOT: Final = 1 << 62
LATEST: Final = 2**32 - 1


@inline
def column(rest: np.uint64) -> np.uint64:
    """x in word 1 of an event."""
    return rest & U(0xFFFF)


@inline
def line(rest: np.uint64) -> np.uint64:
    """y in word 1 of an event."""
    return (rest >> U(16)) & U(0xFFFF)


@inline
def polarity(rest: np.uint64) -> np.int64:
    """p in word 1 of an event: 1 for ON, 0 for OFF."""
    return np.int64((rest >> U(32)) & U(0xFF) != U(0))


@inline
def mixed(k: int) -> float:
    """A number in [0, 1) that looks random, from a whole number: the k-th of SplitMix64 with seed 0.

    Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    z = U(k) * U(0x9E3779B97F4A7C15)
    z = (z ^ (z >> U(30))) * U(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U(27))) * U(0x94D049BB133111EB)
    return np.float64((z ^ (z >> U(31))) >> U(11)) * (1.0 / 9007199254740992.0)


@jit
def remap(words: Words, to_x: Table, to_y: Table, to_p: Table, swap: bool, gone: Longs) -> np.int64:
    """Each coordinate becomes what its table says; then x and y change places if `swap`.

    An entry below 0 takes the event out: -1 - k counts it in gone[k], the least k of the three. gone[-1] counts what
    is outside the tables, gone[-2] what stays.
    """
    kept, width, height = U(0), U(len(to_x)), U(len(to_y))
    stays = 1 - len(gone)  # as an entry, that of gone[-2]
    for i in range(len(words)):
        time, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= width or y >= height:
            gone[-1] += 1
            continue
        a, b, p = to_x[x], to_y[y], to_p[U(polarity(rest))]
        least = max(a if a < 0 else stays, b if b < 0 else stays, p if p < 0 else stays)
        gone[U(-1 - least)] += 1
        if swap:
            a, b = b, a
        words[kept, 0] = time
        words[kept, 1] = U(a) | U(b) << U(16) | U(p) << U(32)
        kept += U(least == stays)
    return np.int64(kept)


@jit
def forget(times: Stamps, step: int, clock: Longs, t: np.int64, memory: int) -> None:
    """Has times count from `memory` before `t` on, so that they fit 32 bits again; what was before that never was."""
    origin = t - memory - 1
    shift = origin - clock[0] if clock[1] else 0
    for k in range(0, len(times), step):
        times[k] = times[k] - shift if times[k] > shift else 0
    clock[0], clock[1] = origin, 1


@jit
def background(
    words: Words, near: Stamps, clock: Longs, width: int, height: int, time: int, gone: Longs
) -> np.int64:
    """An event stays if one of its pixel's 8 neighbours had an event less than `time` ago.

    near: uint32[(height + 2) * (width + 2)], time of the last event next to each pixel, with a frame around the sensor.
    """
    kept, outside, row = U(0), 0, U(width + 2)
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= U(width) or y >= U(height):
            outside += 1
            continue
        t = np.int64(stamp)
        if not clock[1] or t - clock[0] > LATEST:
            forget(near, 1, clock, t, time)
        t -= clock[0]
        above = y * row + x
        here = above + row
        below = here + row
        before = np.int64(near[here + ONE])
        near[above] = near[above + ONE] = near[above + TWO] = t
        near[here] = near[here + TWO] = t
        near[below] = near[below + ONE] = near[below + TWO] = t
        words[kept, 0], words[kept, 1] = stamp, rest
        kept += U(t - before < time)
    gone[0] += len(words) - np.int64(kept) - outside
    gone[1] += outside
    return np.int64(kept)


@jit
def refractory(
    words: Words, last: Stamps, clock: Longs, width: int, height: int, time: int, any: bool, gone: Longs
) -> np.int64:
    """An event stays if at least `time` has passed since its pixel's last event that stayed; or that came, if `any`.

    last: uint32[height * width], time of that event.
    """
    kept, outside = U(0), 0
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= U(width) or y >= U(height):
            outside += 1
            continue
        t, at = np.int64(stamp), y * U(width) + x
        if not clock[1] or t - clock[0] > LATEST:
            forget(last, 1, clock, t, time)
        t -= clock[0]
        before = np.int64(last[at])
        stays = t - before >= time
        last[at] = t if stays or any else before
        words[kept, 0], words[kept, 1] = stamp, rest
        kept += U(stays)
    gone[0] += len(words) - np.int64(kept) - outside
    gone[1] += outside
    return np.int64(kept)


@jit
def hot_once(
    words: Words, counts: Table, clock: Longs, width: int, height: int, time: int, count: int, gone: Longs
) -> np.int64:
    """An event goes if its pixel had `count` events in the first `time` of the stream.

    counts: int32[height * width], events in that time. clock: when it ends, whether the stream has begun.
    gone: [2] pixels found hot.
    """
    kept, outside, found = U(0), 0, 0
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= U(width) or y >= U(height):
            outside += 1
            continue
        t, at = np.int64(stamp), y * U(width) + x
        if not clock[1]:
            clock[0], clock[1] = t + time, 1
        learns, number = t < clock[0], counts[at]
        if learns and number < count:
            counts[at] = number + 1
            found += number + 1 == count
        words[kept, 0], words[kept, 1] = stamp, rest
        kept += U(learns or number < count)
    gone[0] += len(words) - np.int64(kept) - outside
    gone[1] += outside
    gone[2] += found
    return np.int64(kept)


@jit
def hot_always(
    words: Words, pixels: Longs, clock: Longs, width: int, height: int, time: int, count: int, gone: Longs
) -> np.int64:
    """An event goes if its pixel had `count` events in the `time` window before this one.

    pixels: int64[height * width, 2], flat: the window in which a pixel had its last event, and how many it had there,
    with bit 62 set if it is hot in it. clock: this window's end, whether the stream has begun, this window's number.
    gone: [2] how often a pixel was found hot.
    """
    kept, outside, found = U(0), 0, np.int64(0)
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= U(width) or y >= U(height):
            outside += 1
            continue
        t, at = np.int64(stamp), (y * U(width) + x) * TWO
        if not clock[1]:
            clock[0], clock[1] = t + time, 1
        if t >= clock[0]:
            ended = (t - clock[0]) // time + 1
            clock[0] += ended * time
            clock[2] += ended
        state = pixels[at + ONE]
        burns, number = state >= HOT, state & (HOT - 1)
        if pixels[at] != clock[2]:
            burns = pixels[at] == clock[2] - 1 and number >= count
            number = 0
        number += 1
        found += np.int64(number == count)
        pixels[at], pixels[at + ONE] = clock[2], number | (HOT if burns else 0)
        words[kept, 0], words[kept, 1] = stamp, rest
        kept += U(not burns)
    gone[0] += len(words) - np.int64(kept) - outside
    gone[1] += outside
    gone[2] += found
    return np.int64(kept)


@jit
def combine(
    words: Words, sums: Table, width: int, height: int, factor: int, count: int, signed: bool, gone: Longs
) -> np.int64:
    """`count` events of a block of pixels become one, with the last one's time; `signed`: OFF takes away from ON.

    sums: int32[blocks, 2], flat: of ON less OFF (`signed`), or of OFF and of ON.
    """
    kept, outside, size = U(0), 0, np.uint32(factor)
    blocks = U((width + factor - 1) // factor)
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= U(width) or y >= U(height):
            outside += 1
            continue
        on = polarity(rest)
        x, y = U(np.uint32(x) // size), U(np.uint32(y) // size)  # 32 bits divide several times as fast as 64
        at = (y * blocks + x) * TWO + U(0 if signed else on)
        total = sums[at] + (2 * on - 1 if signed else 1)
        full = abs(total) >= count
        sums[at] = 0 if full else total
        words[kept, 0] = stamp
        words[kept, 1] = x | y << U(16) | U(on) << U(32)
        kept += U(full)
    gone[0] += len(words) - np.int64(kept) - outside
    gone[1] += outside
    return np.int64(kept)


@jit
def limit(
    words: Words, clock: Longs, chance: NDArray[np.float64], rate: int, window: int, seed: int, gone: Longs
) -> np.int64:
    """Of each window, events stay with the chance that the one before suggests, and no more than `rate` allows.

    clock: whether the stream has begun, this window's end, events in it, how many stayed, how many may, millionths of
    an event left over, events of the stream. chance: [0] that an event stays.
    """
    kept = U(0)
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        t = np.int64(stamp)
        if not clock[0]:
            clock[0], clock[1], chance[0] = 1, t, 1.0
        if t >= clock[1]:
            silent = (t - clock[1]) // window  # windows without an event
            before = clock[2] if silent == 0 else 0
            share = (clock[5] + silent % MILLION * (rate * window % MILLION)) % MILLION + rate * window
            clock[1] += (silent + 1) * window
            clock[2] = clock[3] = 0
            clock[4], clock[5] = share // MILLION, share % MILLION
            chance[0] = clock[4] / before if before > clock[4] else 1.0
        stays = clock[3] < clock[4] and mixed(seed + clock[6]) < chance[0]
        clock[2] += 1
        clock[3] += np.int64(stays)
        clock[6] += 1
        words[kept, 0], words[kept, 1] = stamp, rest
        kept += U(stays)
    gone[0] += len(words) - np.int64(kept)
    return np.int64(kept)


@jit
def flicker(
    words: Words,
    pixels: Stamps,
    clock: Longs,
    width: int,
    height: int,
    shortest: int,
    longest: int,
    jitter: int,
    periods: int,
    gone: Longs,
) -> np.int64:
    """Events of a pixel go while its last `periods` cycles were in the band, each as long as the one before it.

    pixels: uint32[height * width, 2], flat: the time at which a pixel's cycle began (with the first ON after OFF), and
    the length of the cycle before << 11 | regular cycles in a row << 1 | polarity of the last event.
    """
    kept, outside = U(0), 0
    for i in range(len(words)):
        stamp, rest = words[i, 0], words[i, 1]
        x, y = column(rest), line(rest)
        if x >= U(width) or y >= U(height):
            outside += 1
            continue
        on = polarity(rest)
        t, at = np.int64(stamp), (y * U(width) + x) * TWO
        if not clock[1] or t - clock[0] > LATEST:
            forget(pixels, 2, clock, t, longest)
        t -= clock[0]
        begun, state = np.int64(pixels[at]), np.int64(pixels[at + ONE])
        length, regular, past = state >> 11, (state >> 1) & 0x3FF, t - begun
        if past > longest:
            past = length = regular = np.int64(0)
        if on > state & 1:
            if past < shortest:
                length = regular = np.int64(0)
            else:
                alike = length == 0 or abs(past - length) <= jitter
                length, regular = past, min(regular + 1, np.int64(periods)) if alike else np.int64(1)
            pixels[at] = t
        pixels[at + ONE] = length << 11 | regular << 1 | on
        words[kept, 0], words[kept, 1] = stamp, rest
        kept += U(regular < periods)
    gone[0] += len(words) - np.int64(kept) - outside
    gone[1] += outside
    return np.int64(kept)

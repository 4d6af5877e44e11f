"""Kernels of the intake: whether decoded events are in order already, and where a time lies among them.

A camera's events nearly always are in order, and then nothing about them has to be copied or sorted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit

Words = NDArray[np.int64]
"""Events as `int64[n, 2]`, time first."""


@jit
def in_order(events: Words, begin: int, end: int, last: int, shift: int, gap: int) -> bool:
    """Whether, `shift` µs later, no event of [begin, end) is before the one before it, or `gap` µs behind it.

    last: what the first one follows. If it is so, they are shifted.
    """
    jumps = 0
    before = np.int64(last)
    for k in range(begin, end):
        t = events[k, 0] + shift
        jumps += int(np.uint64(t - before) > np.uint64(gap))
        before = t
    if jumps == 0 and shift:
        for k in range(begin, end):
            events[k, 0] += shift
    return jumps == 0


@jit
def place(events: Words, begin: int, end: int, time: int) -> int:
    """The first place of [begin, end) whose event is not before `time`; the events are in order."""
    while begin < end:
        middle = (begin + end) >> 1
        if events[middle, 0] < time:
            begin = middle + 1
        else:
            end = middle
    return begin


def warm() -> None:
    """Compiles the kernels, or loads them: a camera's thread does not wait until they are."""
    none = np.zeros((0, 2), np.int64)
    in_order(none, 0, 0, 0, 0, 0)
    place(none, 0, 0, 0)

"""Sorting of packed integers by a few of their bits: a stable radix sort that works inside kernels."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit

DIGIT: Final = 13
"""Bits per pass: 8192 counters of 4 bytes stay in the first-level cache."""


@jit
def sort(
    items: NDArray[np.int64], spare: NDArray[np.int64], count: int, shift: int, bits: int
) -> NDArray[np.int64]:
    """Sorts the first `count` items by the `bits` bits from `shift` on, keeping the order of equals.

    spare: as long as items. Returns whichever of the two holds the result.
    """
    places = np.empty(1 << min(DIGIT, bits), np.int32)
    for low in range(shift, shift + bits, DIGIT):
        size = 1 << min(DIGIT, shift + bits - low)
        mask = size - 1
        places[:size] = 0
        for i in range(count):
            places[(items[i] >> low) & mask] += 1
        total = np.int32(0)
        for k in range(size):
            found = places[k]
            places[k] = total
            total += found
        for i in range(count):
            item = items[i]
            digit = (item >> low) & mask
            place = places[digit]
            spare[np.uint64(place)] = item
            places[digit] = place + 1
        items, spare = spare, items
    return items

"""Kernels over two spike trains of many neurons: matching, Victor-Purpura, van Rossum.

A train is sorted by neuron, then time. Every kernel is one pass over both, so it costs time in proportion to the
spikes (Victor-Purpura: to the pairs that are less than 2/q apart).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nrt.compare.train import Train
from nrt.jit import jit

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@jit
def match(
    first_key: Ints,
    first_step: Ints,
    first_left: Ints,
    second_key: Ints,
    second_step: Ints,
    second_left: Ints,
    lag: int,
    tolerance: int,
) -> int:
    """Matches spikes of the same neuron whose steps, after `lag` is taken from the second, are `tolerance` apart.

    key: neuron of each entry · left: spikes of each entry, of which the unmatched ones stay. Returns the matched ones;
    earliest with earliest, which matches as many as can be where all may be equally far apart.
    """
    i, j, matched = 0, 0, 0
    while i < first_key.size and j < second_key.size:
        if first_key[i] != second_key[j]:
            if first_key[i] < second_key[j]:
                i += 1
            else:
                j += 1
            continue
        apart = second_step[j] - lag - first_step[i]
        if apart > tolerance or first_left[i] == 0:
            i += 1
        elif apart < -tolerance or second_left[j] == 0:
            j += 1
        else:
            both = min(first_left[i], second_left[j])
            matched += both
            first_left[i] -= both
            second_left[j] -= both
    return matched


def scores(first: Train, second: Train, reach: int, tolerance: int) -> Ints:
    """What every lag from -reach to +reach matches, int64[2 · reach + 1, 4].

    Columns: matched spikes, spikes of the first that could have a counterpart, of the second, matched with the first's
    spike in the first half of the recording. What would need a step outside of the recording is not counted.
    """
    result = np.zeros((2 * reach + 1, 4), np.int64)
    lags = np.arange(-reach, reach + 1)
    low, high = np.clip(-lags, 0, first.steps), np.clip(first.steps - lags, 0, first.steps)
    result[:, 1] = _between(first, low, high)
    result[:, 2] = _between(second, low + lags, high + lags)
    if not tolerance:
        correlate(
            first.key, first.step, first.count, second.key, second.step, second.count, first.steps, result
        )
        return result
    for lag in lags.tolist():
        part = first.within(int(low[lag + reach]), int(high[lag + reach]))
        other = second.within(int(low[lag + reach]) + lag, int(high[lag + reach]) + lag)
        left = part.count.copy()
        matched = match(part.key, part.step, left, other.key, other.step, other.count.copy(), lag, tolerance)
        early = 2 * part.step < first.steps
        result[lag + reach, (0, 3)] = matched, (part.count - left)[early].sum()
    return result


def _between(train: Train, low: Ints, high: Ints) -> Ints:
    """Spikes of the steps [low, high), for each pair of those."""
    per_step = np.zeros(train.steps, np.int64)
    np.add.at(per_step, train.step, train.count)
    upto = np.concatenate([[0], np.cumsum(per_step)])
    begin, end = np.clip(low, 0, train.steps), np.clip(high, 0, train.steps)
    counts: Ints = upto[np.maximum(begin, end)] - upto[begin]
    return counts


@jit
def correlate(
    first_key: Ints,
    first_step: Ints,
    first_count: Ints,
    second_key: Ints,
    second_step: Ints,
    second_count: Ints,
    steps: int,
    result: Ints,
) -> None:
    """Adds to `result` (see `scores`) what matches without a tolerance.

    At one lag an entry meets at most one entry of the other train, so every pair of entries of a neuron that are less
    than `reach` apart counts for the one lag that it is apart.
    """
    reach = (result.shape[0] - 1) // 2
    begin = 0
    for i in range(first_key.size):
        while begin < second_key.size and (
            second_key[begin] < first_key[i]
            or (second_key[begin] == first_key[i] and second_step[begin] < first_step[i] - reach)
        ):
            begin += 1
        j = begin
        while (
            j < second_key.size and second_key[j] == first_key[i] and second_step[j] <= first_step[i] + reach
        ):
            row = result[second_step[j] - first_step[i] + reach]
            both = min(first_count[i], second_count[j])
            row[0] += both
            if 2 * first_step[i] < steps:
                row[3] += both
            j += 1


@jit
def victor_purpura(first_key: Ints, first_t: Ints, second_key: Ints, second_t: Ints, q: float) -> float:
    """Sum over neurons of the Victor-Purpura distance; one entry per spike, t in µs, q per second.

    The distance is all spikes less the most that pairs in order can save, 2 - q·|Δt| each; only pairs closer than 2/q
    save anything, so one row is kept of the usual table and only the part within 2/q of a spike is computed. Left of
    it the row stays as it is, right of it all its entries are equal. An infinite q matches spikes of the same µs.
    """
    cost = q * 1e-6
    saved = 0.0
    best = np.zeros(second_key.size + 1)
    i, j = 0, 0
    while i < first_key.size and j < second_key.size:
        if first_key[i] != second_key[j]:
            if first_key[i] < second_key[j]:
                i += 1
            else:
                j += 1
            continue
        key, begin, low, high = first_key[i], j, j, j
        best[begin] = 0.0
        while i < first_key.size and first_key[i] == key:
            while (
                high < second_key.size
                and second_key[high] == key
                and _saves(second_t[high] - first_t[i], cost)
            ):
                best[high + 1] = best[high]
                high += 1
            while low < high and first_t[i] > second_t[low] and not _saves(first_t[i] - second_t[low], cost):
                low += 1
            diagonal = best[low]
            for k in range(low, high):
                apart = abs(first_t[i] - second_t[k])
                gain = 2.0 - cost * apart if apart else 2.0
                before = best[k + 1]
                best[k + 1] = max(before, best[k], diagonal + gain)
                diagonal = before
            i += 1
        saved += best[high]
        while j < second_key.size and second_key[j] == key:
            j += 1
    return first_key.size + second_key.size - saved


@jit
def _saves(apart: int, cost: float) -> bool:
    """Whether moving a spike by so many µs is cheaper than taking one and adding another."""
    return apart <= 0 or cost * apart < 2.0


@jit
def van_rossum(
    first_key: Ints,
    first_t: Ints,
    first_size: Ints,
    second_key: Ints,
    second_t: Ints,
    second_size: Ints,
    tau: float,
) -> float:
    """The square of the van Rossum distance, summed over neurons; t and tau in µs, size: spikes of each entry.

    D² = Σ_i Σ_j s_i s_j exp(-|t_i - t_j| / τ) over the spikes of both trains, s = 1 in the first and -1 in the second.
    One pass with a running sum that decays ("markage"): C. Houghton, T. Kreuz, Network 23 (2012) 48.
    """
    total, i, j = 0.0, 0, 0
    key, last, running = -1, 0, 0.0
    while i < first_key.size or j < second_key.size:
        if j == second_key.size:
            take = True
        elif i == first_key.size:
            take = False
        elif first_key[i] != second_key[j]:
            take = first_key[i] < second_key[j]
        else:
            take = first_t[i] <= second_t[j]
        if take:
            now_key, t, s = first_key[i], first_t[i], float(first_size[i])
            i += 1
        else:
            now_key, t, s = second_key[j], second_t[j], -float(second_size[j])
            j += 1
        if now_key != key:
            key, running = now_key, 0.0
        else:
            running *= np.exp(-(t - last) / tau)
        total += s * s + 2.0 * s * running
        running += s
        last = t
    return max(total, 0.0)

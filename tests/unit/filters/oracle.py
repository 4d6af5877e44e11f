"""The filters again, slow and obvious: written from docs/filters.md, in plain Python, with all of the past at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np

Event = tuple[int, int, int, int]
"""t, x, y, p."""
Shape = tuple[int, int]
"""width, height."""


def on_sensor(events: list[Event], shape: Shape) -> list[Event]:
    return [e for e in events if e[1] < shape[0] and e[2] < shape[1]]


def background(events: list[Event], time: int) -> list[Event]:
    kept: list[Event] = []
    for k, (t, x, y, p) in enumerate(events):
        for before, column, row, _ in events[:k]:
            if max(abs(column - x), abs(row - y)) == 1 and t - before < time:
                kept.append((t, x, y, p))
                break
    return kept


def refractory(events: list[Event], time: int, since: str) -> list[Event]:
    kept: list[Event] = []
    for k, event in enumerate(events):
        past = kept if since == "passed" else events[:k]
        of_pixel = [e for e in past if e[1:3] == event[1:3]]
        if not of_pixel or event[0] - of_pixel[-1][0] >= time:
            kept.append(event)
    return kept


def hot(events: list[Event], time: int, count: int, learn: str) -> list[Event]:
    if not events:
        return []
    counts: dict[tuple[int, int, int], int] = defaultdict(int)
    window = [(t - events[0][0]) // time for t, _, _, _ in events]
    for k, (_, x, y, _) in enumerate(events):
        counts[window[k], x, y] += 1
    kept: list[Event] = []
    for k, (t, x, y, p) in enumerate(events):
        learnt = 0 if learn == "once" else window[k] - 1
        if window[k] == 0 or counts[learnt, x, y] < count:
            kept.append((t, x, y, p))
    return kept


def antiflicker(events: list[Event], low: int, high: int, periods: int, jitter: int) -> list[Event]:
    shortest, longest = 1_000_000 // high, -(-1_000_000 // low)
    pasts: dict[tuple[int, int], list[Event]] = defaultdict(list)
    kept: list[Event] = []
    for event in events:
        past = pasts[event[1:3]]
        past.append(event)
        starts = [e[0] for k, e in enumerate(past) if e[3] and (k == 0 or not past[k - 1][3])]
        lengths = [b - a for a, b in pairwise(starts)]
        row = 0
        for k in range(len(lengths) - 1, -1, -1):
            if not shortest <= lengths[k] <= longest:
                break
            if k + 1 < len(lengths) and abs(lengths[k + 1] - lengths[k]) > jitter:
                break
            row += 1
        lasts = bool(starts) and event[0] - starts[-1] <= longest
        if not (lasts and row >= periods):
            kept.append(event)
    return kept


def splitmix(k: int) -> int:
    z = k * 0x9E3779B97F4A7C15 % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def rate(events: list[Event], limit: int, window: int, seed: int) -> list[Event]:
    if not events:
        return []
    first = seed * 0xD1342543DE82EF95 % 2**62
    windows: dict[int, list[int]] = defaultdict(list)
    for k, event in enumerate(events):
        windows[(event[0] - events[0][0]) // window].append(k)
    each = Fraction(limit * window, 1_000_000)
    kept: list[Event] = []
    for number, members in windows.items():
        may = floor(each * (number + 1)) - floor(each * number)
        before = len(windows.get(number - 1, []))
        chance = may / before if before > may else 1.0
        stayed = [k for k in members if splitmix(first + k) >> 11 < chance * 2**53][:may]
        kept += [events[k] for k in stayed]
    return kept


def downsample(events: list[Event], factor: int, count: int, polarity: str) -> list[Event]:
    sums: dict[tuple[int, int, int], int] = defaultdict(int)
    kept: list[Event] = []
    for t, x, y, p in events:
        block = (x // factor, y // factor, p if polarity == "split" else 0)
        sums[block] += 1 if p or polarity == "split" else -1
        if abs(sums[block]) == (count or factor * factor):
            sums[block] = 0
            kept.append((t, block[0], block[1], p))
    return kept


def moved(
    events: list[Event],
    shape: Shape,
    turn: Callable[[np.typing.NDArray[np.bool_]], np.typing.NDArray[np.bool_]],
) -> list[Event]:
    """Where each event's pixel is after `turn` of the picture, an array with y down and x across."""
    kept: list[Event] = []
    for t, x, y, p in events:
        picture = np.zeros((shape[1], shape[0]), np.bool_)
        picture[y, x] = True
        for row, column in np.argwhere(turn(picture)).tolist():
            kept.append((t, column, row, p))
    return kept


def polarity(events: list[Event], keep: str) -> list[Event]:
    if keep in ("on", "off"):
        return [e for e in events if e[3] == (keep == "on")]
    return [(t, x, y, 0 if keep == "merge" else 1 - p) for t, x, y, p in events]

"""What the filters cost, beside a plain copy of the same events in the same run.

The events are like a recording's: edges that sweep over a sensor of 640x480 pixels, and a tenth of noise everywhere,
10 million a second in packets of 1 ms. Each packet is copied into a slab, as a decoder would leave it there, and
filtered in place; the times are CPU seconds of the thread, so that they hold on a machine that does other things.
Runs alternate, so that drift of the machine meets all alike; the figures are medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nrt.filters import Chain
from nrt.packet import EVENT, Records
from nrt.report import host

SHAPE: Final = (2, 480, 640)
RATE: Final = 10
"""Events per µs."""
PACKET: Final = 1_000
"""µs."""
CASES: Final = (
    "background",
    "refractory",
    "hot:100ms:500",
    "hot:10ms:50:always",
    "antiflicker",
    "rate:5M",
    "downsample:2",
    "bin:2",
    "crop:100:50:400:300",
    "flip:xy",
    "rotate:90",
    "transpose",
    "polarity:on",
    "hot,background,refractory",
    "crop:100:50:400:300,flip:x,polarity:merge",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One chain. mev_s: millions of events taken in per CPU second; share: of them, how many stay (0 to 1).

    ratio: its speed as a share of the copy's.
    """

    chain: str
    mev_s: float
    ratio: float
    share: float


def clustered(count: int, seed: int = 0) -> Records:
    """`count` events in time order: forty edges that move at different speeds, and noise."""
    random = np.random.default_rng(seed)
    _, height, width = SHAPE
    t = np.sort(random.integers(0, max(count // RATE, 1), count))
    edge = random.integers(0, 40, count)
    x = edge * 37 % 600 + t // 500 * (1 + edge % 3) % 40 + random.normal(0, 3, count)
    y = edge * 53 % 440 + random.normal(0, 10, count)
    noise = random.random(count) < 0.1
    x[noise], y[noise] = random.random(noise.sum()) * width, random.random(noise.sum()) * height
    events = np.zeros(count, EVENT)
    events["t"], events["p"] = t, random.integers(0, 2, count)
    events["x"], events["y"] = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    return events


def _run(parts: Sequence[Records], slab: Records, work: Callable[[Records], Records]) -> tuple[float, int]:
    """CPU seconds that `work` takes for all parts, and how many events it leaves."""
    spent, left = 0.0, 0
    for part in parts:
        events = slab[: len(part)]
        events.view(np.uint64)[:] = part.view(np.uint64)
        begin = time.thread_time()
        kept = work(events)
        spent += time.thread_time() - begin
        left += len(kept)
    return spent, left


def measure(events: int, repeat: int, cases: Sequence[str] = CASES) -> tuple[float, list[Row]]:
    """Million events copied per CPU second, and a row for each case. Raises ConfigError for a case that is none."""
    stream = clustered(events)
    edges = np.searchsorted(stream["t"], np.arange(0, int(stream["t"][-1]) + PACKET, PACKET))
    parts = [part for part in np.split(stream, edges[1:]) if len(part)]
    slab, copy = np.zeros(max(map(len, parts)), EVENT), np.zeros(max(map(len, parts)), EVENT)

    def copied(part: Records) -> Records:
        copy.view(np.uint64)[: 2 * len(part)] = part.view(np.uint64)
        return part

    chains = [Chain(case) for case in cases]
    seconds: list[list[float]] = [[] for _ in range(len(chains) + 1)]
    shares = [0.0] * len(chains)
    for turn in range(repeat + 1):  # the first compiles and warms
        for k, chain in enumerate(chains):
            chain.start(SHAPE)
            spent, left = _run(parts, slab, chain)
            shares[k] = left / events
            if turn:
                seconds[k].append(spent)
        if turn:
            seconds[-1].append(_run(parts, slab, copied)[0])
    *speeds, floor = (events / statistics.median(each) / 1e6 for each in seconds)
    return floor, [
        Row(str(c), speed, speed / floor, share)
        for c, speed, share in zip(cases, speeds, shares, strict=True)
    ]


def table(floor: float, rows: Sequence[Row]) -> str:
    """The rows as text, one line each, and the copy that they are held against."""
    lines = [f"{'filter':44}{'Mev/s':>8}{'of a copy':>11}{'stays':>8}"]
    lines += [f"{r.chain:44}{r.mev_s:8.0f}{r.ratio:11.3f}{r.share:8.1%}" for r in rows]
    return "\n".join([*lines, f"{'a copy of the same events':44}{floor:8.0f}"])


def main(events: int, repeat: int) -> list[Row]:
    """Measures every case and prints the table."""
    machine = host()
    print(f"{machine['cpu']}, CPU time of one thread, Python {machine['python']}")
    floor, rows = measure(events, repeat)
    print(table(floor, rows))
    return rows

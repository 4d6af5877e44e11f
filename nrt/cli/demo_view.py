"""What the demo's terminal shows: event image, output raster, accuracy, latency.

A `Look` is what there is to see at one moment, small enough to be handed to the process that draws it; a `View`
draws it, in runs of equal cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from nrt.cli.demo_watch import COLUMNS, Watch
from nrt.cli.picture import halves
from nrt.report import Report

WINDOW: Final = 24_000
"""µs of events in the picture."""
WIDEST: Final = 200
"""Most columns of the raster that a look holds."""
_BARS: Final = np.array(list(" ▁▂▃▄▅▆▇█"))
_FULL: Final = 8
"""Spikes in one column of the raster that fill a cell."""
_DIM: Final = Style(dim=True)
_RIGHT: Final = Style(color="green", bold=True)
_WRONG: Final = Style(color="red", bold=True)
_OTHER: Final = Style(color="yellow")
_GAP: Final = Segment("  ")


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One moment of a run.

    picture: -2 to 2, OFF to ON, int8[height, width] · raster: spikes, int16[classes, columns], from `first` on
    truth, answers: of all episodes; `done` of them are over · span: µs of a column · status: (bold, plain) text
    """

    picture: NDArray[np.int8]
    raster: NDArray[np.int16]
    first: int
    truth: NDArray[np.int64]
    answers: NDArray[np.int64]
    done: int
    span: float
    status: tuple[str, str]


def look(watch: Watch, report: Report) -> Look:
    """What there is to see now."""
    watch.add_up()
    picture = np.clip(watch.picture(watch.end - WINDOW, watch.end), -2, 2)
    now = min(watch.end * COLUMNS // watch.episode + 1, watch.raster.shape[1])
    first = max(now - WIDEST, 0)
    raster = np.minimum(watch.raster[:, first:now], 1_000).astype(np.int16)
    span = watch.episode / COLUMNS
    return Look(
        picture.astype(np.int8),
        raster,
        first,
        watch.truth,
        watch.answers,
        watch.done,
        span,
        _status(watch, report),
    )


def _status(watch: Watch, report: Report) -> tuple[str, str]:
    right, done, count = int(np.count_nonzero(watch.right)), watch.done, len(watch.truth)
    rate = report.events / report.stream_s / 1e3 if report.stream_s else 0.0
    percent = f" ({100 * right / done:.1f} %)" if done else ""
    lat = report.latency
    latency = f" · latency p50 {lat.p50:.2f} ms, p99 {lat.p99:.2f} ms" if lat.packets else ""
    return report.device, (
        f"digit {min(done + 1, count)} of {count} · {right} of {done} right{percent} · {rate:.1f} kev/s{latency}"
    )


class View:
    """A look on a terminal; a renderable."""

    def __init__(self, seen: Look) -> None:
        self._look = seen

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        seen = self._look
        picture = list(halves(seen.picture))
        raster = self._raster(max(options.max_width - seen.picture.shape[1] - 10, COLUMNS))
        blank = [Segment(" " * seen.picture.shape[1])]
        for k in range(max(len(picture), len(raster))):
            line = [
                *(picture[k] if k < len(picture) else blank),
                _GAP,
                *(raster[k] if k < len(raster) else ()),
            ]
            yield from Segment.adjust_line_length(line, options.max_width, pad=False)
            yield Segment.line()
        device, status = seen.status
        yield Text.assemble((f"{device}  ", "bold"), status)

    def _raster(self, width: int) -> list[list[Segment]]:
        """A row for each output neuron, the newest column to the right; under it what was shown and read."""
        seen = self._look
        spikes = seen.raster[:, -width:]
        end = seen.first + seen.raster.shape[1]
        columns = np.arange(end - spikes.shape[1], end)
        shown = seen.truth[columns // COLUMNS]
        levels = np.minimum(-(-spikes.astype(np.int64) * (len(_BARS) - 1) // _FULL), len(_BARS) - 1)
        lines = [[Segment(f"  output spikes of the last {len(columns) * seen.span / 1e6:.1f} s")]]
        for n, row in enumerate(levels):
            lines.append([Segment(f"{n} ", _DIM), *_runs(_BARS[row], shown == n)])
        lines.append([*self._digits(columns, seen.truth, waiting=""), Segment(" shown", _DIM)])
        lines.append([*self._digits(columns, seen.answers, waiting="·"), Segment(" read", _DIM)])
        return lines

    def _digits(
        self, columns: NDArray[np.int64], digits: NDArray[np.int64], waiting: str
    ) -> Iterator[Segment]:
        """Each digit under the middle of its columns; the one that is not over as `waiting`, or as it is."""
        yield Segment("  ")
        seen = self._look
        for column in columns.tolist():
            k, part = divmod(column, COLUMNS)
            if part != COLUMNS // 2:
                yield Segment(" ")
            elif k >= seen.done:
                yield Segment(waiting or str(digits[k]), _DIM)
            else:
                right = seen.answers[k] == seen.truth[k]
                yield Segment(str(digits[k]) if digits[k] >= 0 else "?", _RIGHT if right else _WRONG)


def _runs(cells: NDArray[np.str_], marked: NDArray[np.bool_]) -> Iterator[Segment]:
    """Text in runs of one style."""
    edges = [0, *(np.flatnonzero(np.diff(marked)) + 1).tolist(), len(cells)]
    for start, end in pairwise(edges):
        if end > start:
            yield Segment("".join(cells[start:end].tolist()), _RIGHT if marked[start] else _OTHER)

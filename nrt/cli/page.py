"""The demo as one HTML file that loads nothing (`nrt.page`): pictures, spikes, latency, accuracy, the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from nrt.cli import plot
from nrt.cli.demo_watch import Watch
from nrt.errors import ConfigError
from nrt.packet import SPIKE, Records, join
from nrt.page import latency
from nrt.page.document import document
from nrt.page.markup import Content, Markup, el, figure, table, tiles
from nrt.profile.energy import readable_joules
from nrt.report import Report

PICTURES: Final = 12
_LINE: Final = 25
"""Digits in one line of the raster."""
_LEAST: Final = 16
"""Digits that a line has room for, so that few are not drawn too large."""


def write_page(path: Path, runs: Sequence[tuple[Watch, Report]]) -> None:
    """Writes the page of one or more devices. Raises ConfigError where the file cannot be written."""
    lead = (
        "A simulated event camera reads handwritten digits that the network was not trained on; "
        f"a spiking network says which, in real time. {runs[0][1].started}"
    )
    page = document("nrt demo", lead, [_device(watch, report) for watch, report in runs])
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html {path}: {error.strerror or error}") from error


def _device(watch: Watch, report: Report) -> Content:
    camera = "ON events in blue, OFF in orange, summed over one saccade."
    network = (
        "Spikes of the ten output neurons; on top the digit shown, below the digit read. "
        f"One digit lasts {watch.episode / 1e3:g} ms."
    )
    return (
        el("h2", report.device),
        tiles(_tiles(watch, report)),
        el("h3", "What the camera saw"),
        el("p", camera),
        el("div", _pictures(watch), cls="pictures"),
        el("h3", "What the network said"),
        el("p", network),
        el("div", _rasters(watch), cls="full"),
        el(
            "div",
            figure(latency.histogram(report.latency), title=el("h3", "Latency")),
            figure(plot.curve(watch.right), title=el("h3", "Running accuracy")),
            cls="pair",
        ),
        el("h3", "Report"),
        table([*report.rows(), *_host(report)]),
    )


def _tiles(watch: Watch, report: Report) -> list[tuple[str, str]]:
    right, count = int(np.count_nonzero(watch.right)), len(watch.truth)
    rate = report.events / report.stream_s / 1e3 if report.stream_s else 0.0
    return [
        (f"{100 * right / count:.1f} %", f"{right} of {count} digits right"),
        (f"{report.latency.p50:.2f} ms", "latency, half of all packets"),
        (f"{report.latency.p99:.2f} ms", "latency, 99 of 100 packets"),
        (f"{rate:.1f} kev/s", f"{report.events:,} events, {report.lost:,} lost"),
        *((readable_joules(each.joules), f"{each.kind}, {each.boundary}") for each in report.energy),
    ]


def _pictures(watch: Watch) -> list[Markup]:
    """Up to PICTURES digits: those that were misread first, then from the start, in order of time."""
    wrong = np.flatnonzero(watch.answers != watch.truth).tolist()[: PICTURES // 2]
    others = [k for k in range(len(watch.truth)) if k not in wrong]
    chosen = sorted([*wrong, *others[: PICTURES - len(wrong)]])
    return [_picture(watch, k) for k in chosen]


def _picture(watch: Watch, k: int) -> Markup:
    """The first saccade on digit k, which begins after a quarter of its episode."""
    begin = k * watch.episode + watch.episode // 4
    shown, read = int(watch.truth[k]), int(watch.answers[k])
    image = plot.picture(watch.picture(begin, begin + watch.episode // 4), f"events of a handwritten {shown}")
    verdict = "right" if shown == read else "wrong"
    said = el("b", str(read) if read >= 0 else "nothing", cls=verdict)
    return el("figure", image, el("figcaption", f"a {shown}, read as ", said))


def _rasters(watch: Watch) -> list[Markup]:
    """The output spikes in lines of _LINE digits, all at one scale."""
    spikes: Records = join(watch.spikes) if watch.spikes else np.zeros(0, SPIKE)
    lines: list[Markup] = []
    for first in range(0, len(watch.truth), _LINE):
        last = min(first + _LINE, len(watch.truth))
        begin, end = first * watch.episode, last * watch.episode
        part = spikes[(spikes["t"] >= begin) & (spikes["t"] < end)].copy()
        part["t"] -= begin
        image = plot.raster(
            part, watch.truth[first:last], watch.answers[first:last], watch.episode, watch.votes.shape[1]
        )
        share = 100 * (last - first) / min(_LINE, max(len(watch.truth), _LEAST))
        lines.append(el("div", image, style=f"width:{share:.1f}%"))
    return lines


def _host(report: Report) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return [("versions", versions), ("machine", ", ".join(report.host.values()))]

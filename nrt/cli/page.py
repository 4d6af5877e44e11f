"""The demo as one HTML file that loads nothing: plots as inline SVG, the report as a table.

Follows the reader's choice of light or dark, and prints on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from nrt.cli import plot
from nrt.cli.demo_watch import Watch
from nrt.errors import ConfigError
from nrt.packet import SPIKE, Records, join
from nrt.profile.energy import readable_joules
from nrt.report import Report

PICTURES: Final = 12
_LINE: Final = 25
"""Digits in one line of the raster."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667080; --paper: #ffffff; --rule: #d8dde3;
  --accent: #0b6fb8; --good: #18794e; --bad: #c92a2a; --sensor: #f1f3f5; --on: #0b6fb8; --off: #c2570c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #98a2b0; --paper: #14181d; --rule: #333b45;
  --accent: #4cb5f5; --good: #51cf8a; --bad: #ff7b7b; --sensor: #0c0f13; --on: #4cc9f0; --off: #ff9f43; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --rule: #bbb; --accent: #0b6fb8;
  --good: #18794e; --bad: #c92a2a; --sensor: #f1f3f5; --on: #0b6fb8; --off: #c2570c; }
  body { max-width: none; padding: 0; } section { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 0 auto; padding: 1.5rem; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 2.2rem 0 0.3rem; font-size: 1.15rem; }
h3 { margin: 1.6rem 0 0.3rem; font-size: 1rem; } p { color: var(--soft); margin: 0.2rem 0 0.8rem; }
.tiles { display: flex; flex-wrap: wrap; gap: 0.6rem 2.4rem; margin: 1rem 0; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; } .tiles span { color: var(--soft); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 0.9rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem 2rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: 0.9rem; }
svg { display: block; width: 100%; height: auto; } svg text { font: 10px system-ui, sans-serif; fill: var(--soft); }
svg .mid { text-anchor: middle; } svg .end { text-anchor: end; }
.sensor { fill: var(--sensor); } .on1, .on2, .on3 { fill: var(--on); } .off1, .off2, .off3 { fill: var(--off); }
.on1, .off1 { opacity: 0.3; } .on2, .off2 { opacity: 0.6; }
.grid { stroke: var(--rule); stroke-width: 0.6; fill: none; } .axis { stroke: var(--soft); fill: none; }
.tick { stroke: var(--ink); stroke-width: 0.9; fill: none; }
.bar { fill: var(--accent); } .line { stroke: var(--accent); stroke-width: 2; fill: none; }
.mark { stroke: var(--bad); stroke-dasharray: 3 3; fill: none; }
.band.right { fill: var(--good); opacity: 0.16; } .band.wrong { fill: var(--bad); opacity: 0.22; }
svg text.right, b.right { fill: var(--good); color: var(--good); }
svg text.wrong, b.wrong { fill: var(--bad); color: var(--bad); font-weight: bold; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top;
  padding: 0.25rem 1rem 0.25rem 0; border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
th { font-weight: normal; color: var(--soft); white-space: nowrap; }
"""


def write_page(path: Path, runs: Sequence[tuple[Watch, Report]]) -> None:
    """Writes the page of one or more devices. Raises ConfigError where the file cannot be written."""
    body = "".join(_device(watch, report) for watch, report in runs)
    started = runs[0][1].started
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>nrt demo</title>'
        f"<style>{_STYLE}</style></head><body><h1>nrt demo</h1>"
        "<p>A simulated event camera reads handwritten digits that the network was not trained on; "
        f"a spiking network says which, in real time. {escape(started)}</p>{body}</body></html>\n"
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html {path}: {error.strerror or error}") from error


def _device(watch: Watch, report: Report) -> str:
    return (
        f"<h2>{escape(report.device)}</h2>{_tiles(watch, report)}"
        f"<section><h3>What the camera saw</h3><p>ON events in blue, OFF in orange, summed over one saccade.</p>"
        f'<div class="pictures">{"".join(_pictures(watch))}</div></section>'
        "<section><h3>What the network said</h3><p>Spikes of the ten output neurons; on top the digit shown, below "
        f"the digit read. One digit lasts {watch.episode / 1e3:g} ms.</p>{_rasters(watch)}</section>"
        '<section class="pair">'
        f"<figure><h3>Latency</h3>{plot.histogram(report.latency)}</figure>"
        f"<figure><h3>Running accuracy</h3>{plot.curve(watch.right)}</figure></section>"
        f"<section><h3>Report</h3>{plot.table([*report.rows(), *_host(report)])}</section>"
    )


def _tiles(watch: Watch, report: Report) -> str:
    right, count = int(np.count_nonzero(watch.right)), len(watch.truth)
    rate = report.events / report.stream_s / 1e3 if report.stream_s else 0.0
    tiles = [
        (f"{100 * right / count:.1f} %", f"{right} of {count} digits right"),
        (f"{report.latency.p50:.2f} ms", "latency, half of all packets"),
        (f"{report.latency.p99:.2f} ms", "latency, 99 of 100 packets"),
        (f"{rate:.1f} kev/s", f"{report.events:,} events, {report.lost:,} lost"),
        *[(readable_joules(figure.joules), f"{figure.kind}, {figure.boundary}") for figure in report.energy],
    ]
    cells = "".join(
        f"<div><b>{big}</b><span>{escape(small or '')}</span></div>" for big, small in tiles if big
    )
    return f'<div class="tiles">{cells}</div>'


def _pictures(watch: Watch) -> list[str]:
    """Up to PICTURES digits: those that were misread first, then from the start, in order of time."""
    wrong = np.flatnonzero(watch.answers != watch.truth).tolist()[: PICTURES // 2]
    others = [k for k in range(len(watch.truth)) if k not in wrong]
    chosen = sorted([*wrong, *others[: PICTURES - len(wrong)]])
    return [_picture(watch, k) for k in chosen]


def _picture(watch: Watch, k: int) -> str:
    """The first saccade on digit k, which begins after a quarter of its episode."""
    begin = k * watch.episode + watch.episode // 4
    shown, read = int(watch.truth[k]), int(watch.answers[k])
    image = plot.picture(watch.picture(begin, begin + watch.episode // 4), f"events of a handwritten {shown}")
    verdict = "right" if shown == read else "wrong"
    said = str(read) if read >= 0 else "nothing"
    return (
        f'<figure>{image}<figcaption>a {shown}, read as <b class="{verdict}">{said}</b></figcaption></figure>'
    )


def _rasters(watch: Watch) -> str:
    """The output spikes in lines of _LINE digits, all at one scale."""
    spikes: Records = join(watch.spikes) if watch.spikes else np.zeros(0, SPIKE)
    lines: list[str] = []
    for first in range(0, len(watch.truth), _LINE):
        last = min(first + _LINE, len(watch.truth))
        begin, end = first * watch.episode, last * watch.episode
        part = spikes[(spikes["t"] >= begin) & (spikes["t"] < end)].copy()
        part["t"] -= begin
        image = plot.raster(
            part, watch.truth[first:last], watch.answers[first:last], watch.episode, watch.votes.shape[1]
        )
        lines.append(
            f'<div style="width:{100 * (last - first) / min(_LINE, len(watch.truth)):.1f}%">{image}</div>'
        )
    return "".join(lines)


def _host(report: Report) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return [("versions", versions), ("machine", ", ".join(report.host.values()))]

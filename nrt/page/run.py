"""The page of one run's report."""

from __future__ import annotations

import dataclasses

import numpy as np

from nrt.clock import readable
from nrt.page import energy, latency, spikes
from nrt.page.document import document
from nrt.page.markup import Content, Markup, details, el, figure, grid, mapping, section, table, tiles
from nrt.profile.energy import readable_joules
from nrt.profile.spread import milliseconds
from nrt.report import Excerpt, Report


def of_report(report: Report) -> str:
    """The report as the text of one HTML file."""
    return document(
        f"{report.network.get('name', 'network')} on {report.device}",
        (report.source.get("uri", ""), " · ", report.started),
        _ended(report),
        tiles(_tiles(report)),
        section("Latency", latency.drawn(report.latency), note=_clock(report)),
        _decisions(report),
        _spikes(report),
        section("Energy", energy.drawn([(report.device, k, each) for k, each in enumerate(report.energy)])),
        section("Report", table(report.rows())),
        section("What it depended on", _depended(report)),
    )


def _ended(report: Report) -> Content:
    if not report.error:
        return None
    return el("div", el("p", f"The run did not end by itself: {report.error}"), cls="alert")


def _tiles(report: Report) -> list[tuple[str, str]]:
    found = [(str(report.winner), "answer")] if report.winner is not None else []
    if report.latency.packets:
        found += [
            (f"{milliseconds(report.latency.p50)} ms", "latency, half of all packets"),
            (f"{milliseconds(report.latency.p99)} ms", "latency, 99 of 100 packets"),
        ]
    found.append((f"{report.events:,}", f"events in {readable(report.stream_s * 1e6)}, {report.lost:,} lost"))
    found.append((f"{report.real_time_factor:.3g} x", "real time"))
    if report.energy:
        first = report.energy[0]
        found.append((readable_joules(first.joules), f"{first.kind}, {first.boundary}"))
    return found


def _clock(report: Report) -> str | None:
    return None if report.clock is None else f"Device clock against the host's: {report.clock}."


def _decisions(report: Report) -> Content:
    found = report.decisions
    if found is None:
        return None
    drawing = None
    if found.answers:
        cut = f" The first 200 of {found.count:,}." if found.count > 200 else ""
        drawing = figure(
            spikes.windows(found), f"The winner of each {readable(found.window_us)}.{cut}", wide=True
        )
    return section("Decisions", drawing, table(found.rows()))


def _spikes(report: Report) -> Content:
    fired = {name: count for name, count in report.counters.spikes.items() if name in report.sizes}
    parts: list[Content] = []
    if fired and report.stream_s:
        rows = [(name, [count / report.sizes[name] / report.stream_s]) for name, count in fired.items()]
        parts.append(figure(spikes.rates(rows), "Mean rate of a neuron of each population."))
    parts += [_raster(each) for each in report.excerpts]
    parts += [_counts(name, values) for name, values in report.counts.items() if len(values) <= 64]
    return section("Spikes", parts) if parts else None


def _raster(excerpt: Excerpt) -> Content:
    if not excerpt.end:
        return None
    t, n = np.array(excerpt.t, np.int64), np.array(excerpt.n, np.int64)
    drawing = spikes.raster(
        [("tick", t, n)], excerpt.neurons, 0, excerpt.end, f"spikes of {excerpt.population}"
    )
    every = spikes.thinned(len(t))
    few = f"; one of {every} is drawn" if every > 1 else ""
    said = f"{excerpt.population}: {len(t):,} spikes of {excerpt.neurons:,} neurons{few}."
    return figure(drawing, said, wide=True)


def _counts(name: str, values: tuple[float, ...]) -> Markup:
    rows = [(str(k), [value]) for k, value in enumerate(values)]
    return figure(
        spikes.rates(rows, ""), f"{name}: sum of payloads (of a readout: mean membrane) of each neuron."
    )


def _depended(report: Report) -> Content:
    """Everything that is needed to repeat the run."""
    settings = dataclasses.asdict(report.settings)
    chosen = {name: value for name, value in settings.items() if value not in (None, ())}  # 0 is a label
    lost = [(name, f"{count:,}") for name, count in report.counters.doubts.items()]
    return (
        table(
            [
                ("network", f"{report.network.get('name', '')}, SHA-256 {report.network.get('hash', '')}"),
                ("read from", str(report.reading.get("path", "made in memory"))),
                *mapping({"device": report.device, **report.source}),
                *mapping(chosen),
                ("versions", ", ".join(f"{k} {v}" for k, v in report.versions.items())),
                ("machine", ", ".join(report.host.values())),
            ]
        ),
        details("Semantics and encoding", table(mapping({**report.semantics, **report.encoding}))),
        details("Outputs, SHA-256 of all records", table(mapping(report.digests)))
        if report.digests
        else None,
        details("What may have happened unseen", grid(("what", "times"), lost)) if lost else None,
    )

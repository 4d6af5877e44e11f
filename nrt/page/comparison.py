"""The page of a comparison: every device beside the others, and each against the first."""

from __future__ import annotations

import dataclasses

from nrt.clock import readable
from nrt.compare import Comparison, Participant, Recording, Workload
from nrt.page import energy, ladder, latency, spikes
from nrt.page.document import document
from nrt.page.markup import Content, Markup, details, el, figure, grid, mapping, section, table, tiles
from nrt.page.pair import compared, figured, rasters
from nrt.page.svg import cut, dot, line, linear, svg, text
from nrt.profile.spread import milliseconds

_ROWS = 200
"""Recordings in the table; failures are always shown."""


def of_comparison(found: Comparison) -> str:
    """The comparison as the text of one HTML file."""
    name = found.network.get("name", "network")
    seconds = readable(sum(each.seconds for each in found.recordings) * 1e6)
    what = f"{len(found.recordings)} recordings, {seconds} of stream, the same packets from the reset state"
    return document(
        f"{name} on {len(found.devices)} devices",
        f"{what} · {found.started}",
        _failures(found),
        tiles(_tiles(found)),
        section("Devices", _accuracy(found), _devices(found), _concerns(found)),
        [compared(found, pair) for pair in found.pairs],
        ladder.drawn(found.ladder) if found.ladder is not None else None,
        rasters(found),
        _rates(found),
        _latency(found),
        section(
            "Energy",
            energy.drawn(_energies(found)),
            note="Figures of different labels or boundaries are never added.",
        ),
        _workload(found),
        _recordings(found),
        section("What it depended on", _depended(found)),
    )


def _failures(found: Comparison) -> Content:
    failed = [_failed(each.uri, f"did not run: {each.error}") for each in found.devices if each.error]
    failed += [
        _failed(each.name, f"could not be read: {each.error}") for each in found.recordings if each.error
    ]
    for each in found.recordings:
        for device, why in zip(found.devices, each.failures, strict=False):
            if why and not device.error:
                failed.append(_failed(each.name, f"failed on {device.uri}: {why}"))
    shown = failed[:50]
    more = el("p", f"and {len(failed) - 50} more") if len(failed) > 50 else None
    return el("div", shown, more, cls="alert") if failed else None


def _failed(name: str, why: str) -> Markup:
    return el("p", el("b", name), f" {why}")


def _tiles(found: Comparison) -> list[tuple[str, str]]:
    ran = [each for each in found.devices if not each.error]
    tiles_ = [
        (f"{len(ran)} of {len(found.devices)}", "devices ran it"),
        (f"{len(found.recordings)}", "recordings"),
    ]
    for pair in found.pairs:
        second = found.devices[pair.second].uri
        agreements = [a for name in found.outputs if (a := pair.agreement(name)) is not None]
        for each in agreements[:1]:
            if each.f1 is not None:
                tiles_.append((f"{each.f1:.3g}", f"F1 of {each.population}, {second}"))
    return tiles_


def _accuracy(found: Comparison) -> Content:
    """Accuracy with its interval, a line per device. None without labels."""
    judged = [(k, each) for k, each in enumerate(found.devices) if each.accuracy is not None]
    if not judged:
        return None
    across = linear(0, 1, 190, 560)
    parts: list[Content] = []
    for row, (k, each) in enumerate(judged):
        assert each.accuracy is not None
        y = 16 + 22 * row
        low, high = across(each.accuracy.low), across(each.accuracy.high)
        parts += [
            text(182, y + 3.5, cut(each.uri, 28), "end strong", each.uri),
            line(f"M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8", "whisker"),
            dot(across(each.accuracy.share), y, f"c{k % 8}", str(each.accuracy), 5),
            text(570, y + 3.5, f"{100 * each.accuracy.share:.1f} %"),
        ]
    bottom = 10 + 22 * len(judged)
    axis = [
        (line(f"M{across(s):.1f} 4V{bottom}", "grid"), text(across(s), bottom + 14, f"{s:.0%}", "mid"))
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    return figure(svg(640, bottom + 20, "accuracy", axis, parts), "Accuracy with its 95 % interval (Wilson).")


def _devices(found: Comparison) -> Markup:
    rows: list[tuple[Content, ...]] = []
    for k, each in enumerate(found.devices):
        if each.error:
            rows.append((spikes.key(each.uri, k), "did not run", *[""] * 6))
            continue
        late = each.latency
        rows.append(
            (
                spikes.key(each.uri, k),
                "" if each.accuracy is None else f"{100 * each.accuracy.share:.1f} %",
                "" if late is None else f"{milliseconds(late.p50)} ms",
                "" if late is None else f"{milliseconds(late.p99)} ms",
                f"{sum(each.synops.values()):,}",
                f"{sum(a.spikes or 0 for a in each.activity):,}",
                f"{each.recordings}",
                readable(each.wall_s * 1e6),
            )
        )
    head = ("device", "accuracy", "latency p50", "p99", "synaptic ops", "spikes seen", "recordings", "wall")
    return grid(head, rows)


def _concerns(found: Comparison) -> Content:
    items: list[Content] = []
    for each in found.devices:
        items += [
            el("li", el("b", f"{c.layer or each.uri} ({c.kind})"), f" on {each.uri}: {c.text}")
            for c in each.concerns
        ]
        items += [el("li", f"{each.uri}: {name}: {why}") for name, why in each.unwatched.items()]
    notes = [el("li", note) for note in found.notes]
    return el("ul", items, notes) if items or notes else None


def _rates(found: Comparison) -> Content:
    names = list(dict.fromkeys(a.population for device in found.devices for a in device.activity))
    if not names:
        return None
    ran = [each for each in found.devices if each.activity]
    places = [k for k, each in enumerate(found.devices) if each.activity]
    rows = [(name, [_rate(each, name) for each in ran]) for name in names]
    table_rows = [
        (
            a.population,
            device.uri,
            f"{a.neurons:,}",
            *map(figured, (a.rate_hz, a.silent, a.saturated, a.sparsity)),
        )
        for device in ran
        for a in device.activity
    ]
    head = ("population", "device", "neurons", "mean rate, Hz", "silent", "saturated", "activation sparsity")
    return section(
        "Rate per layer",
        spikes.keys([each.uri for each in ran], places),
        figure(spikes.rates(rows, colours=places), "Mean rate of one neuron, over all recordings."),
        details("All figures", grid(head, table_rows)),
    )


def _rate(device: Participant, population: str) -> float | None:
    return next((a.rate_hz for a in device.activity if a.population == population), None)


def _latency(found: Comparison) -> Content:
    timed = [
        (k, each) for k, each in enumerate(found.devices) if each.latency is not None and each.latency.packets
    ]
    if not timed:
        return None
    axis = latency.span([each.latency for _, each in timed if each.latency is not None])
    drawings = [
        figure(latency.histogram(each.latency, axis, k % 8), title=spikes.key(each.uri, k))
        for k, each in timed
        if each.latency is not None
    ]
    since = {each.latency.since for _, each in timed if each.latency is not None}
    note = (
        "Counted from when packets were due."
        if since == {"schedule"}
        else "Played as fast as the devices take it: counted from when packets were read, so queues are in it."
    )
    return section("Latency", el("div", drawings, cls="pair"), note=note)


def _energies(found: Comparison) -> list[energy.Figure]:
    return [(each.uri, k, figure_) for k, each in enumerate(found.devices) for figure_ in each.energy]


def _workload(found: Comparison) -> Content:
    rows = [
        (spikes.key(each.uri, k), *_metrics(each.workload))
        for k, each in enumerate(found.devices)
        if each.workload is not None
    ]
    head = (
        "device", "footprint, bytes", "connection sparsity", "activation sparsity", "dense", "effective MACs",
        "effective ACs", "executions per s",
    )  # fmt: skip
    note = "Complexity metrics of NeuroBench, operations per recording (doi:10.1038/s41467-025-56739-4)."
    return section("NeuroBench metrics", grid(head, rows), note=note) if rows else None


def _metrics(work: Workload) -> tuple[str, ...]:
    partly = "" if work.seen else " (of what was seen)"
    return (
        f"{work.footprint:,}",
        f"{work.connection_sparsity:.4f}",
        "" if work.activation_sparsity is None else f"{work.activation_sparsity:.4f}{partly}",
        f"{work.dense:,.0f}",
        "" if work.macs is None else f"{work.macs:,.0f}{partly}",
        "" if work.acs is None else f"{work.acs:,.0f}{partly}",
        f"{work.rate_hz:g}",
    )


def _recordings(found: Comparison) -> Markup:
    rows = [_recording(each) for each in found.recordings[:_ROWS]]
    answers = [f"on {each.uri}" for each in found.devices]
    rest = f"The first {_ROWS} of {len(found.recordings):,}." if len(found.recordings) > _ROWS else None
    head = ("recording", "label", *answers, "events", "stream", "SHA-256 of its packets")
    return section("Recordings", grid(head, rows), note=rest)


def _recording(each: Recording) -> tuple[Content, ...]:
    answers: list[Content] = []
    for answer in each.answers:
        verdict = None if each.label is None else "right" if answer == each.label else "wrong"
        answers.append(el("b", "–" if answer is None else str(answer), cls=verdict))
    label = "" if each.label is None else str(each.label)
    length = readable(each.seconds * 1e6)
    return (each.name, label, *answers, f"{each.events:,}", length, each.hash[:16] or each.error)


def _depended(found: Comparison) -> Content:
    options = dataclasses.asdict(found.options)
    placements = [(el("h3", each.uri), el("pre", each.placement)) for each in found.devices if each.placement]
    return (
        table(
            [
                *mapping(found.network),
                ("sources", ", ".join(found.sources)),
                *mapping(options),
                ("versions", ", ".join(f"{k} {v}" for k, v in found.versions.items())),
                ("machine", ", ".join(found.host.values())),
            ]
        ),
        details(
            "Semantics, encoding, reading",
            table(mapping({**found.semantics, **found.encoding, **found.reading})),
        ),
        details("Placements", placements),
    )

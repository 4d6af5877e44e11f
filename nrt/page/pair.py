"""One device against the first, drawn: agreement of spikes, the first one that differs, rasters."""

from __future__ import annotations

from nrt.clock import readable
from nrt.compare import Comparison, Pair, Raster
from nrt.page import difference, spikes
from nrt.page.markup import Content, Markup, el, figure, grid, section


def compared(found: Comparison, pair: Pair) -> Markup:
    """One device against the first: agreement, and the first spike that differs."""
    first, second = found.devices[pair.first], found.devices[pair.second]
    title = f"{second.uri} against {first.uri}"
    names = (first.uri, second.uri)
    where = found.recordings[pair.divergence.recording].name if pair.divergence else ""
    return section(
        title,
        _agreement(pair),
        _readouts(pair),
        _paired(pair),
        (
            el("h3", "The first spike that only one of them has"),
            difference.divergence(pair.divergence, names, where),
        )
        if pair.divergence is not None
        else None,
        el("ul", (el("li", f"{name}: {why}") for name, why in pair.one_sided.items()))
        if pair.one_sided
        else None,
        el("ul", (el("li", note) for note in pair.notes)) if pair.notes else None,
    )


def _agreement(pair: Pair) -> Content:
    rows = [
        (
            each.population,
            str(each.delay),
            f"{each.first:,}",
            f"{each.second:,}",
            f"{each.matched:,}",
            f"{each.only_first:,}",
            f"{each.only_second:,}",
            figured(each.f1),
            figured(each.victor_purpura),
            figured(each.van_rossum),
            figured(each.cosine),
        )
        for each in pair.populations
    ]
    head = (
        "population", "delay", "spikes", "spikes here", "matched", "missing here", "only here", "F1",
        "Victor-Purpura", "van Rossum", "cosine",
    )  # fmt: skip
    return grid(head, rows) if rows else None


def figured(value: float | None) -> str:
    """A figure as a table holds it; nothing for one that was not had."""
    return "" if value is None else f"{value:.4g}"


def _readouts(pair: Pair) -> Content:
    rows = [
        (
            each.population,
            f"{each.delay:+d}",
            *(figured(v) for v in (each.rms, each.largest, each.scale, each.correlation)),
        )
        for each in pair.readouts
    ]
    head = ("readout", "delay, steps", "rms of the difference", "largest", "rms of the first", "correlation")
    return grid(head, rows) if rows else None


def _paired(pair: Pair) -> Content:
    found = pair.paired
    if found is None:
        return None
    return el(
        "p",
        f"Answers: {found.both} right on both, {found.only_first} only on the first, "
        f"{found.only_second} only on this one, {found.neither} on neither; "
        f"{found.same} the same. Exact McNemar p = {found.p:.3g}.",
    )


def rasters(found: Comparison) -> Content:
    """Every population that was kept: its spikes on all devices, then what differs from the first."""
    return section("Spikes", [_population(found, each) for each in found.rasters]) if found.rasters else None


def _population(found: Comparison, each: Raster) -> Content:
    cut = "" if each.whole else f", the first {readable(each.end - each.start)}"
    trains = [
        figure(
            spikes.raster(
                [(f"tick s{k % 8}", *difference.arrays(train))],
                each.neurons,
                each.start,
                each.end,
                device.uri,
            ),
            title=spikes.key(device.uri, k),
            wide=True,
        )
        for k, (device, train) in enumerate(zip(found.devices, each.trains, strict=True))
        if train is not None
    ]
    title = f"{each.population} in {found.recordings[each.recording].name}{cut}"
    return (
        el("h3", title),
        trains,
        [_difference(found, pair, each) for pair in found.pairs],
    )


def _difference(found: Comparison, pair: Pair, each: Raster) -> Content:
    dt = int(found.semantics.get("dt", 1_000))
    drawn = difference.drawn(each, pair.first, pair.second, pair.agreement(each.population), dt)
    if drawn is None:
        return None
    first, second = found.devices[pair.first].uri, found.devices[pair.second].uri
    keys = spikes.keys(["both", f"only {first}", f"only {second}"], [7, pair.first, pair.second])
    return figure(drawn, keys, title=f"{second} against {first}, the delay taken out", wide=True)
